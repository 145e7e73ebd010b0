//! Secrets the platform hands out once: the gateway's own, and those of devices
//! registered on their behalf. Losing one may mean a journey to the site, so
//! this file is written as if the power went at every line of it.
//!
//! One JSON file, `secrets.json` in the state directory, mode 0600. It is
//! replaced and never changed: the new text goes into a file beside it, that is
//! synced, then renamed over the old one, then the directory is synced (POSIX
//! rename(2) is atomic; only the sync of the directory makes it last). Whatever
//! happens in between, there is the old file or the new one.
//!
//! Contract: [`SecretStore::open`] never fails; what is wrong is told as a
//! [`SecretStoreNotice`]. Clones share one file. `keep_*` return once it is on disk.
//!
//! Invariants:
//! - A file that could not be understood is never overwritten: a damaged one is
//!   renamed aside first, one of a newer version, or one that cannot be read, is
//!   left alone and nothing can be kept until it is read after all: each attempt
//!   to keep something begins with another look.
//! - What is looked up is what is on disk: memory changes after the file did.
//! - No secret is in any message or notice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base::{DeviceName, ProductKey, Secret};
use crate::cloud::Earned;
use crate::io::files::bounded;
use crate::io::files::replace;
use crate::io::files::replace::Step;

mod notice;

pub use notice::SecretStoreNotice;

/// Its name in the state directory.
pub const FILE: &str = "secrets.json";
/// What is written, and the newest that is understood.
const VERSION: u32 = 1;
/// 2,000 devices need less than 400 KiB.
const LARGEST: u64 = 8 << 20;

/// Keeps secrets; cheap to clone.
#[derive(Clone, Debug)]
pub struct SecretStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    /// What is on disk; locked for moments only.
    kept: Mutex<Kept>,
    /// Held by whoever writes, in a thread that may block.
    writing: Mutex<()>,
    /// Why nothing can be kept; locked for moments only.
    closed: Mutex<Option<String>>,
}

/// Why something could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretStoreError {
    /// The file that is there was not understood and is left alone.
    #[error("{0}")]
    Closed(String),
    /// Writing failed; what was kept before is still there.
    #[error("{file}: {step}: {why}")]
    Write {
        /// The file.
        file: String,
        /// What was being done.
        step: &'static str,
        /// What the system says.
        why: String,
    },
}

/// Whose secret.
type Whose = (ProductKey, DeviceName);

#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    gateways: BTreeMap<Whose, Earned>,
    devices: BTreeMap<Whose, Secret>,
}

impl SecretStore {
    /// The vault in this directory. Neither needs to exist: both are made when
    /// there is something to keep.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Option<SecretStoreNotice>) {
        let file = directory.join(FILE);
        let (kept, notice) = match read(&file) {
            Ok(kept) => (kept, None),
            Err(Unread::Damaged(why)) => match set_aside(&file) {
                Ok(aside) => {
                    let notice = SecretStoreNotice::Damaged {
                        file: file.display().to_string(),
                        why,
                        aside: aside.display().to_string(),
                    };
                    (Kept::default(), Some(notice))
                }
                Err(e) => (
                    Kept::default(),
                    Some(SecretStoreNotice::Closed {
                        file: file.display().to_string(),
                        why: format!("{why}; and it cannot be set aside: {e}"),
                    }),
                ),
            },
            Err(Unread::Unusable(why)) => (
                Kept::default(),
                Some(SecretStoreNotice::Closed {
                    file: file.display().to_string(),
                    why,
                }),
            ),
        };
        let closed = match &notice {
            Some(SecretStoreNotice::Closed { file, why }) => Some(format!("{file}: {why}")),
            _ => None,
        };
        let inner = Inner {
            file,
            kept: Mutex::new(kept),
            writing: Mutex::new(()),
            closed: Mutex::new(closed),
        };
        (SecretStore(Arc::new(inner)), notice)
    }

    /// Takes from others than its owner what the file's mode allows them, and says
    /// what that was; a file that is not there allows nothing.
    #[must_use]
    pub fn close_to_others(&self) -> Option<SecretStoreNotice> {
        let file = &self.0.file;
        let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return None;
        }
        let closing = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
        Some(SecretStoreNotice::Exposed {
            file: file.display().to_string(),
            mode,
            still: closing.err().map(|e| e.to_string()),
        })
    }

    /// Every secret in it, for whoever must see that none gets out.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let kept = self.0.kept();
        let earned = kept.gateways.values().map(|earned| match earned {
            Earned::Secret(secret) => secret.clone(),
            Earned::Token { token, .. } => token.clone(),
        });
        earned.chain(kept.devices.values().cloned()).collect()
    }

    /// The directory it keeps things in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.file.parent().unwrap_or(Path::new("."))
    }

    /// Where it keeps things, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.file.display().to_string()
    }

    /// What this gateway has earned.
    #[must_use]
    pub fn gateway(&self, product: &ProductKey, name: &DeviceName) -> Option<Earned> {
        let whose = (product.clone(), name.clone());
        self.0.kept().gateways.get(&whose).cloned()
    }

    /// The secret of this sub-device.
    #[must_use]
    pub fn device(&self, product: &ProductKey, name: &DeviceName) -> Option<Secret> {
        let whose = (product.clone(), name.clone());
        self.0.kept().devices.get(&whose).cloned()
    }

    /// Finds out whether something could be kept, by writing what is kept
    /// already: nobody should ask the platform for what is then lost.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn probe(&self) -> Result<(), SecretStoreError> {
        self.change(|_| {}).await
    }

    /// Keeps what this gateway has earned.
    ///
    /// # Errors
    /// It is not kept; what was kept before still is.
    pub async fn keep_gateway(
        &self,
        product: ProductKey,
        name: DeviceName,
        earned: Earned,
    ) -> Result<(), SecretStoreError> {
        self.change(move |kept| {
            kept.gateways.insert((product, name), earned);
        })
        .await
    }

    /// Keeps the secret of a sub-device.
    ///
    /// # Errors
    /// It is not kept; what was kept before still is.
    pub async fn keep_device(
        &self,
        product: ProductKey,
        name: DeviceName,
        secret: Secret,
    ) -> Result<(), SecretStoreError> {
        self.keep_devices(vec![(product, name, secret)]).await
    }

    /// Keeps the secrets of many sub-devices with one write.
    ///
    /// # Errors
    /// None is kept; what was kept before still is.
    pub async fn keep_devices(
        &self,
        secrets: Vec<(ProductKey, DeviceName, Secret)>,
    ) -> Result<(), SecretStoreError> {
        self.change(move |kept| {
            for (product, name, secret) in secrets {
                kept.devices.insert((product, name), secret);
            }
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Kept) + Send + 'static,
    ) -> Result<(), SecretStoreError> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || inner.change(change)).await;
        // It only ends early with the runtime.
        done.unwrap_or_else(|e| Err(SecretStoreError::Closed(e.to_string())))
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), SecretStoreError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_again()?;
        let mut new = self.kept().clone();
        change(&mut new);
        let mut step = Step::Open;
        write(&self.file, &new, &mut |next| {
            step = next;
            Ok(())
        })
        .map_err(|e| SecretStoreError::Write {
            file: self.file.display().to_string(),
            step: step.words(),
            why: e.to_string(),
        })?;
        *self.kept() = new;
        Ok(())
    }
}

impl Inner {
    /// Where the file was not understood: whether it is by now.
    fn look_again(&self) -> Result<(), SecretStoreError> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none() {
            return Ok(());
        }
        match read(&self.file) {
            Ok(kept) => {
                *self.kept() = kept;
                *closed = None;
                Ok(())
            }
            Err(Unread::Damaged(why) | Unread::Unusable(why)) => {
                let why = format!("{}: {why}", self.file.display());
                *closed = Some(why.clone());
                Err(SecretStoreError::Closed(why))
            }
        }
    }
}

// ---- the file ----------------------------------------------------------------

/// What the file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    gateways: Vec<GatewayText>,
    devices: Vec<DeviceText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayText {
    product_key: ProductKey,
    device_name: DeviceName,
    earned: EarnedText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum EarnedText {
    DeviceSecret(#[serde(with = "open")] Secret),
    DeviceToken {
        client_id: String,
        #[serde(with = "open")]
        token: Secret,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceText {
    product_key: ProductKey,
    device_name: DeviceName,
    #[serde(with = "open")]
    secret: Secret,
}

/// The version alone: what else a newer file holds is not ours to judge.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// Secrets in this one file, and nowhere else, are text.
mod open {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::Secret;

    pub(crate) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

fn to_text(kept: &Kept) -> Text {
    let gateways = kept.gateways.iter().map(|((pk, dn), earned)| GatewayText {
        product_key: pk.clone(),
        device_name: dn.clone(),
        earned: match earned.clone() {
            Earned::Secret(secret) => EarnedText::DeviceSecret(secret),
            Earned::Token { client_id, token } => EarnedText::DeviceToken { client_id, token },
        },
    });
    let devices = kept.devices.iter().map(|((pk, dn), secret)| DeviceText {
        product_key: pk.clone(),
        device_name: dn.clone(),
        secret: secret.clone(),
    });
    Text {
        version: VERSION,
        gateways: gateways.collect(),
        devices: devices.collect(),
    }
}

fn from_text(text: Text) -> Kept {
    let gateways = text.gateways.into_iter().map(|g| {
        let earned = match g.earned {
            EarnedText::DeviceSecret(secret) => Earned::Secret(secret),
            EarnedText::DeviceToken { client_id, token } => Earned::Token { client_id, token },
        };
        ((g.product_key, g.device_name), earned)
    });
    let devices = text
        .devices
        .into_iter()
        .map(|d| ((d.product_key, d.device_name), d.secret));
    Kept {
        gateways: gateways.collect(),
        devices: devices.collect(),
    }
}

/// Why a file could not be read.
#[derive(Debug)]
enum Unread {
    /// It is ours, and broken.
    Damaged(String),
    /// It cannot be opened, or a newer version wrote it.
    Unusable(String),
}

fn read(path: &Path) -> Result<Kept, Unread> {
    let text = match bounded::read(path, LARGEST) {
        Ok(text) => Zeroizing::new(text),
        Err(bounded::Unread::Missing) => return Ok(Kept::default()),
        Err(e @ bounded::Unread::TooLarge(_)) => return Err(Unread::Damaged(e.to_string())),
        Err(e) => return Err(Unread::Unusable(e.to_string())),
    };
    // What serde says may quote what it read; where it is suffices.
    let damaged = |e: serde_json::Error| {
        Unread::Damaged(format!(
            "not as we write it at line {}, column {}",
            e.line(),
            e.column()
        ))
    };
    let Head { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > VERSION {
        return Err(Unread::Unusable(format!(
            "written by a newer version of this program (format {version}, this one knows {VERSION})"
        )));
    }
    serde_json::from_slice(&text)
        .map(from_text)
        .map_err(damaged)
}

/// Gives a damaged file a name nothing has yet.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    for n in 1..=100 {
        let aside = file.with_extension(format!("json.damaged-{n}"));
        // A link fails if the name is taken, where a rename would replace.
        match fs::hard_link(file, &aside) {
            Ok(()) => {
                fs::remove_file(file)?;
                return Ok(aside);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Replaces the file. `before` is told each step before it is taken and may
/// forbid it, which is how tests pull the plug.
fn write(
    file: &Path,
    kept: &Kept,
    before: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let mut text = Zeroizing::new(serde_json::to_vec_pretty(&to_text(kept))?);
    text.push(b'\n');
    replace::step_by_step(file, &text, before)
}

#[cfg(test)]
mod tests;
