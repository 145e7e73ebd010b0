//! Keeps the secrets that the platform hands out once: the gateway's own, and those of devices
//! registered on their behalf. The loss of a secret may mean a journey to the site, so this
//! file is written as if the power could fail at every line of the code.
//!
//! The secrets are in one JSON file, `secrets.json` in the state directory, mode 0600. The file
//! is replaced and never changed: the new text goes into a file beside it, which is synced,
//! then renamed over the old one, then the directory is synced (POSIX rename(2) is atomic; only
//! the sync of the directory makes it last). At any point in between there is the old file or
//! the new one.
//!
//! Contract: [`SecretStore::open`] never fails; a fault is returned as a [`SecretStoreEvent`].
//! Clones share one file. `keep_*` return once the secret is on disk.
//!
//! Invariants:
//! - A file that could not be understood is never overwritten. A damaged file is renamed aside
//!   first. A file of a newer version, or one that cannot be read, is left alone, and nothing
//!   can be kept until it is read after all: each attempt to keep something begins with another
//!   look.
//! - A look-up returns what is on disk: memory changes after the file did.
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
use crate::cloud::IssuedCredential;
use crate::io::files::bounded;
use crate::io::files::replace;
use crate::io::files::replace::Step;

mod events;

pub use events::SecretStoreEvent;

/// The file's name in the state directory.
pub const FILE: &str = "secrets.json";
/// The version that is written, and the newest that is understood.
const VERSION: u32 = 1;
/// The largest file that is read: 2,000 devices need less than 400 KiB.
const LARGEST: u64 = 8 << 20;

/// The secret store; cheap to clone.
#[derive(Clone, Debug)]
pub struct SecretStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    /// The contents of the file on disk; locked for moments only.
    kept: Mutex<KeptSecrets>,
    /// Held during a write, in a thread that may block.
    writing: Mutex<()>,
    /// Why nothing can be kept; locked for moments only.
    closed: Mutex<Option<String>>,
}

/// Why a secret could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretStoreError {
    /// The existing file was not understood and is left alone.
    #[error("{0}")]
    Closed(String),
    /// Writing failed; what was kept before is still there.
    #[error("{file}: {step}: {why}")]
    Write {
        /// The file.
        file: String,
        /// The step that failed.
        step: &'static str,
        /// The system's error.
        why: String,
    },
}

/// The identity of the device that a secret belongs to.
type SecretOwner = (ProductKey, DeviceName);

#[derive(Clone, Debug, Default, PartialEq)]
struct KeptSecrets {
    gateways: BTreeMap<SecretOwner, IssuedCredential>,
    devices: BTreeMap<SecretOwner, Secret>,
}

impl KeptSecrets {
    /// Returns every secret.
    fn secrets(&self) -> Vec<Secret> {
        let issued = self.gateways.values().map(|issued| match issued {
            IssuedCredential::Secret(secret) => secret.clone(),
            IssuedCredential::Token { token, .. } => token.clone(),
        });
        issued.chain(self.devices.values().cloned()).collect()
    }
}

impl SecretStore {
    /// Opens the secret store in this directory. Neither the file nor the directory needs to
    /// exist: both are made when there is something to keep.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Option<SecretStoreEvent>) {
        let file = directory.join(FILE);
        let (kept, notice) = match read(&file) {
            Ok(kept) => (kept, None),
            Err(SecretsUnread::Damaged(why)) => match set_aside(&file) {
                Ok(aside) => {
                    let notice = SecretStoreEvent::Damaged {
                        file: file.display().to_string(),
                        why,
                        aside: aside.display().to_string(),
                    };
                    (KeptSecrets::default(), Some(notice))
                }
                Err(e) => (
                    KeptSecrets::default(),
                    Some(SecretStoreEvent::Closed {
                        file: file.display().to_string(),
                        why: format!("{why}; and it cannot be set aside: {e}"),
                    }),
                ),
            },
            Err(SecretsUnread::Unusable(why)) => (
                KeptSecrets::default(),
                Some(SecretStoreEvent::Closed {
                    file: file.display().to_string(),
                    why,
                }),
            ),
        };
        let closed = match &notice {
            Some(SecretStoreEvent::Closed { file, why }) => Some(format!("{file}: {why}")),
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

    /// Returns every secret that is kept in a directory, for the diagnostic bundle of a service
    /// that does not run. Nothing is changed; a file that cannot be read has no secrets to show.
    #[must_use]
    pub fn secrets_in(directory: &Path) -> Vec<Secret> {
        read(&directory.join(FILE)).map_or_else(|_| Vec::new(), |kept| kept.secrets())
    }

    /// Takes from all users but the owner what the file's mode allows them, and returns what
    /// that was; a file that does not exist allows nothing.
    #[must_use]
    pub fn close_to_others(&self) -> Option<SecretStoreEvent> {
        let file = &self.0.file;
        let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return None;
        }
        let closing = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
        Some(SecretStoreEvent::Exposed {
            file: file.display().to_string(),
            mode,
            still: closing.err().map(|e| e.to_string()),
        })
    }

    /// Returns every secret in the store, for the diagnostic bundle, which must contain none of
    /// them.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.0.kept().secrets()
    }

    /// Returns the directory of the file.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.file.parent().unwrap_or(Path::new("."))
    }

    /// Returns the path of the file, for people.
    #[must_use]
    pub fn shown_path(&self) -> String {
        self.0.file.display().to_string()
    }

    /// Returns the credentials that were issued to this gateway.
    #[must_use]
    pub fn gateway(&self, product: &ProductKey, name: &DeviceName) -> Option<IssuedCredential> {
        let whose = (product.clone(), name.clone());
        self.0.kept().gateways.get(&whose).cloned()
    }

    /// Returns the secret of this sub-device.
    #[must_use]
    pub fn device(&self, product: &ProductKey, name: &DeviceName) -> Option<Secret> {
        let whose = (product.clone(), name.clone());
        self.0.kept().devices.get(&whose).cloned()
    }

    /// Finds out whether a secret could be kept, by writing what is kept already: a secret
    /// should not be requested from the platform if it would then be lost.
    ///
    /// # Errors
    /// Why nothing can be kept.
    pub async fn probe(&self) -> Result<(), SecretStoreError> {
        self.change(|_| {}).await
    }

    /// Keeps the credentials that were issued to this gateway.
    ///
    /// # Errors
    /// The secret is not kept; what was kept before still is.
    pub async fn keep_gateway(
        &self,
        product: ProductKey,
        name: DeviceName,
        issued: IssuedCredential,
    ) -> Result<(), SecretStoreError> {
        self.change(move |kept| {
            kept.gateways.insert((product, name), issued);
        })
        .await
    }

    /// Keeps the secret of a sub-device.
    ///
    /// # Errors
    /// The secret is not kept; what was kept before still is.
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
    /// No secret is kept; what was kept before still is.
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
        change: impl FnOnce(&mut KeptSecrets) + Send + 'static,
    ) -> Result<(), SecretStoreError> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || inner.change(change)).await;
        // The task ends early only together with the runtime.
        done.unwrap_or_else(|e| Err(SecretStoreError::Closed(e.to_string())))
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, KeptSecrets> {
        // Nothing in here panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut KeptSecrets)) -> Result<(), SecretStoreError> {
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
    /// If the file was not understood, looks whether it can be by now.
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
            Err(SecretsUnread::Damaged(why) | SecretsUnread::Unusable(why)) => {
                let why = format!("{}: {why}", self.file.display());
                *closed = Some(why.clone());
                Err(SecretStoreError::Closed(why))
            }
        }
    }
}

// ---- the file ----------------------------------------------------------------

/// The contents of the file.
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
    /// The key is that of earlier versions.
    #[serde(rename = "earned")]
    issued: IssuedCredentialText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum IssuedCredentialText {
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

/// The version alone: the rest of a newer file cannot be judged here.
#[derive(Deserialize)]
struct VersionLine {
    version: u32,
}

/// Writes secrets as text, in this one file and nowhere else.
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

fn to_text(kept: &KeptSecrets) -> Text {
    let gateways = kept.gateways.iter().map(|((pk, dn), issued)| GatewayText {
        product_key: pk.clone(),
        device_name: dn.clone(),
        issued: match issued.clone() {
            IssuedCredential::Secret(secret) => IssuedCredentialText::DeviceSecret(secret),
            IssuedCredential::Token { client_id, token } => {
                IssuedCredentialText::DeviceToken { client_id, token }
            }
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

fn from_text(text: Text) -> KeptSecrets {
    let gateways = text.gateways.into_iter().map(|g| {
        let issued = match g.issued {
            IssuedCredentialText::DeviceSecret(secret) => IssuedCredential::Secret(secret),
            IssuedCredentialText::DeviceToken { client_id, token } => {
                IssuedCredential::Token { client_id, token }
            }
        };
        ((g.product_key, g.device_name), issued)
    });
    let devices = text
        .devices
        .into_iter()
        .map(|d| ((d.product_key, d.device_name), d.secret));
    KeptSecrets {
        gateways: gateways.collect(),
        devices: devices.collect(),
    }
}

/// Why a file could not be read.
#[derive(Debug)]
enum SecretsUnread {
    /// The file is a secret store's, and broken.
    Damaged(String),
    /// The file cannot be opened, or a newer version wrote it.
    Unusable(String),
}

fn read(path: &Path) -> Result<KeptSecrets, SecretsUnread> {
    let text = match bounded::read(path, LARGEST) {
        Ok(text) => Zeroizing::new(text),
        Err(bounded::ReadFailure::Missing) => return Ok(KeptSecrets::default()),
        Err(e @ bounded::ReadFailure::TooLarge(_)) => {
            return Err(SecretsUnread::Damaged(e.to_string()));
        }
        Err(e) => return Err(SecretsUnread::Unusable(e.to_string())),
    };
    // serde's message may quote the text it read; the position suffices.
    let damaged = |e: serde_json::Error| {
        SecretsUnread::Damaged(format!(
            "not as the gateway writes it at line {}, column {}",
            e.line(),
            e.column()
        ))
    };
    let VersionLine { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > VERSION {
        return Err(SecretsUnread::Unusable(format!(
            "written by a newer version of this program (format {version}, this one knows {VERSION})"
        )));
    }
    serde_json::from_slice(&text)
        .map(from_text)
        .map_err(damaged)
}

/// Gives a damaged file a name that no file has yet.
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

/// Replaces the file. `before` is told each step before it is taken and may forbid it, which is
/// how tests simulate a power cut.
fn write(
    file: &Path,
    kept: &KeptSecrets,
    before: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let mut text = Zeroizing::new(serde_json::to_vec_pretty(&to_text(kept))?);
    text.push(b'\n');
    replace::step_by_step(file, &text, before)
}

#[cfg(test)]
mod tests;
