//! Makes the diagnostic bundle for remote support: the programs and the box, the state of the
//! gateway and its configuration; and no secret.
//!
//! Secrets are kept out twice. First, a text that holds a secret is never shown as it was
//! written: the configuration is shown as it was understood, where a secret has no text
//! ([`Secret`]). Second, the whole bundle is searched at the end for every secret that the
//! installation has, in plain form and in the encodings it could have been wrapped into on the
//! way.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use aho_corasick::{AhoCorasick, MatchKind};
use tokio::sync::Semaphore;

use super::QuestionSender;
use super::ask::{self, failure};
use crate::base::Secret;
use crate::control::picture::{Device, Status};
use crate::control::{Answer, Failure, Kind};
use crate::field::plan::forecast::forecast;
use crate::io::files::bounded;
use crate::io::store::learned;
use crate::spec::{GatewayCertificate, Spec};

/// How many bytes of a file are shown at most.
const LARGEST: usize = 256 << 10;

/// Allows one bundle at a time: a bundle of 2,000 devices takes tens of megabytes.
static PERMIT: Semaphore = Semaphore::const_new(1);

/// Returns the lines of the answer, one for each part, in the order of reading. They are made
/// on a separate thread: the lines of 2,000 devices take seconds on a small box.
pub(super) async fn lines(questions: &QuestionSender) -> Result<Vec<String>, Failure> {
    let Ok(permit) = PERMIT.try_acquire() else {
        return Err(failure(
            Kind::Busy,
            "another bundle is being made; try again",
        ));
    };
    let status = ask::status(questions).await?;
    let devices = ask::devices(questions).await?;
    let metrics = ask::metrics(questions).await?;
    let questions = questions.clone();
    let making = tokio::task::spawn_blocking(move || {
        // Held until the bundle is made, even if the client has gone.
        let _permit = permit;
        made(&questions, &status, &devices, metrics)
    });
    match making.await {
        Ok(Ok(lines)) => Ok(lines),
        Ok(Err(e)) => Err(failure(Kind::Failed, e.to_string())),
        Err(e) => Err(failure(Kind::Failed, e.to_string())),
    }
}

fn made(
    questions: &QuestionSender,
    status: &Status,
    devices: &[Device],
    metrics: String,
) -> serde_json::Result<Vec<String>> {
    let spec = questions.journal.spec();
    let plan = forecast(&spec, |profile| questions.learned.of(profile));
    let plan: String = plan
        .iter()
        .filter_map(|line| {
            let port = spec.port(line.port)?;
            Some(format!("{}: {}\n", port.name, line.summary(port)))
        })
        .collect();
    let learned = bounded::read_text(
        &questions.secret_store.directory().join("learned.json"),
        learned::LARGEST,
    );
    let texts = [
        ("system", system()),
        ("status", format!("{:#}\n", serde_json::json!(status))),
        ("devices", format!("{:#}\n", serde_json::json!(devices))),
        ("configuration", configuration(&spec)),
        ("plan", plan),
        ("metrics", metrics),
        ("lessons", shortened(learned.unwrap_or_default())),
    ];
    let sweep = Sweep::new(
        secrets(&spec)
            .into_iter()
            .chain(questions.secret_store.secrets()),
    );
    let swept = texts.into_iter().map(|(name, text)| {
        let part = Answer::Part {
            name: name.to_owned(),
            text: sweep.over(&text),
        };
        part.line()
    });
    swept.collect()
}

/// Returns the version of the program and the state of the box. The kernel is asked directly:
/// of `/proc` the unit sees processes only (ProcSubset=pid).
fn system() -> String {
    let (kernel, figures) = (rustix::system::uname(), rustix::system::sysinfo());
    // sysinfo(2): in units of 1/65,536.
    let [one, five, fifteen] = figures.loads.map(|load| load as f64 / 65_536.0);
    let read = |path| bounded::read_text(Path::new(path), LARGEST as u64).unwrap_or_default();
    let release = read("/etc/os-release");
    let release = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("unknown");
    let memory = read("/proc/self/status");
    let memory = memory
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join("\n");
    format!(
        "alink-gateway {}\narchitecture {}\nsystem {release}\nkernel {}\nload {one:.2} {five:.2} {fifteen:.2}\n{memory}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        kernel.release().to_string_lossy(),
    )
}

/// Returns the configuration as it was understood. Each profile is shown once.
fn configuration(spec: &Spec) -> String {
    let mut text = format!("cloud: {:#?}\n", spec.cloud);
    for (_, port) in spec.ports() {
        let _ = writeln!(text, "port: {port:#?}");
    }
    let mut shown = BTreeSet::new();
    for (_, device) in spec.devices() {
        if shown.insert(device.profile.name.as_str()) {
            let _ = writeln!(text, "profile: {:#?}", device.profile);
        }
        let port = spec.port(device.port).map_or("?", |p| p.name.as_str());
        let _ = writeln!(
            text,
            "device: {:?} on {port:?} {}, profile {:?}, {} of {}, {:?}, secret {}",
            device.name,
            device.place().unwrap_or_default(),
            device.profile.name,
            device.device_name,
            device.product_key,
            device.liveness,
            if device.secret.is_empty() {
                "none"
            } else {
                "***"
            },
        );
    }
    text
}

fn shortened(mut text: String) -> String {
    if text.len() > LARGEST {
        let mut end = LARGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n… and more\n");
    }
    text
}

/// Returns every secret of the configuration.
fn secrets(spec: &Spec) -> Vec<Secret> {
    let mut all: Vec<Secret> = spec.devices.iter().map(|d| d.secret.clone()).collect();
    all.push(match &spec.cloud.gateway.certificate {
        GatewayCertificate::Device(secret) => secret.clone(),
        GatewayCertificate::Product(product) => product.secret.clone(),
    });
    all.extend(spec.cloud.products.values().cloned());
    all
}

/// Finds secrets in all their encodings, all of them in one pass. `None` if the finder cannot
/// be made, and then nothing is shown.
struct Sweep(Option<AhoCorasick>);

impl Sweep {
    fn new(secrets: impl Iterator<Item = Secret>) -> Self {
        let mut all: BTreeSet<String> = BTreeSet::new();
        for secret in secrets.filter(|s| !s.is_empty()) {
            all.extend(wrapped(secret.expose()));
        }
        // The longest match: a secret may be a part of another.
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(all);
        Sweep(finder.ok())
    }

    fn over(&self, text: &str) -> String {
        let Some(finder) = &self.0 else {
            return "too many secrets to keep out of it\n".to_owned();
        };
        let mut swept = String::with_capacity(text.len());
        finder.replace_all_with(text, &mut swept, |_, _, out| {
            out.push_str("***");
            true
        });
        swept
    }
}

/// Returns a secret in plain form, as hexadecimal digits, as base64 wherever it begins, and as
/// JSON, Rust and URLs write it.
fn wrapped(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = |upper: bool| {
        bytes.iter().fold(String::new(), |mut out, b| {
            let _ = match upper {
                true => write!(out, "{b:02X}"),
                false => write!(out, "{b:02x}"),
            };
            out
        })
    };
    let url = bytes.iter().fold(String::new(), |mut out, b| {
        let plain = b.is_ascii_alphanumeric() || b"-._~".contains(b);
        let _ = match plain {
            true => write!(out, "{}", char::from(*b)),
            false => write!(out, "%{b:02X}"),
        };
        out
    });
    let mut all = vec![
        secret.to_owned(),
        hex(false),
        hex(true),
        url,
        serde_json::Value::from(secret)
            .to_string()
            .trim_matches('"')
            .to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
    ];
    for alphabet in [b"+/", b"-_"] {
        all.extend((0..3).filter_map(|before| base64_core(bytes, before, alphabet)));
    }
    all
}

/// Returns the part of the base64 of a text with `before` bytes in front that depends on these
/// bytes alone; `None` if that part is too short to be recognised.
fn base64_core(bytes: &[u8], before: usize, last: &[u8; 2]) -> Option<String> {
    let mut alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    alphabet.extend(last.iter().map(|b| char::from(*b)));
    let bits: Vec<bool> = bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |n| b >> n & 1 == 1))
        .collect();
    // Digits begin at multiples of six bits from the start of the whole text.
    let skip = (6 - before * 8 % 6) % 6;
    let digits = bits.get(skip..)?.chunks_exact(6).map(|digit| {
        let n = digit.iter().fold(0, |n, bit| n << 1 | usize::from(*bit));
        alphabet.get(n).copied().unwrap_or('=')
    });
    let text: String = digits.collect();
    (text.len() >= 6).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_wrapped() {
        let secret = "GwS/c\"r+t 0123é\\";
        let sweep = Sweep::new([Secret::new(secret)].into_iter());
        // By Python's base64, binascii, urllib.parse and json.
        for wrapped in [
            "R3dTL2MicityIHQgMDEyM8OpXA==",
            "GwS/c\"r+t 0123é\\",
            "4777532f6322722b742030313233c3a95c",
            "GwS%2Fc%22r%2Bt%200123%C3%A9%5C",
            "GwS/c\\\"r+t 0123é\\\\",
        ]
        .into_iter()
        .skip(1)
        {
            let text = format!("before {wrapped} after");
            assert_eq!(sweep.over(&text), "before *** after", "{wrapped}");
        }
    }

    #[test]
    fn base64_is_found_wherever_the_secret_begins() {
        // By Python: base64.b64encode(b"x" * n + b"hunter2secret" + b"yz").
        let sweep = Sweep::new([Secret::new("hunter2secret")].into_iter());
        for text in [
            "aHVudGVyMnNlY3JldHl6",
            "eGh1bnRlcjJzZWNyZXR5eg==",
            "eHhodW50ZXIyc2VjcmV0eXo=",
        ] {
            let swept = sweep.over(text);
            assert!(swept.contains("***") && swept.len() < 12, "{swept}");
        }
        assert_eq!(sweep.over("nothing here"), "nothing here");
    }

    #[test]
    fn thousands_of_secrets_are_found_and_the_longest_of_those_that_begin_alike() {
        let secret = |n: u32| format!("{:032x}", u128::from(n).wrapping_mul(u128::MAX / 7_919));
        let all = || (1..=2000).map(secret);
        let longer = format!("{}0123", secret(7));
        let sweep = Sweep::new(all().chain([longer.clone()]).map(Secret::new));
        let text: String = all().map(|secret| format!("{secret:?}, ")).collect();
        assert_eq!(sweep.over(&text), "\"***\", ".repeat(2000));
        assert_eq!(sweep.over(&longer), "***");
    }
}
