//! The bundle for whoever helps from afar: what runs here, how it is, what it
//! was told; and no secret.
//!
//! Secrets are kept out twice. Nothing that holds one is shown as it was
//! written: the configuration is shown as it was understood, where a secret has
//! no text ([`Secret`]). And the whole is swept at the end for every secret the
//! installation has, as it is and in the encodings it could have been wrapped
//! into on the way.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use super::Desk;
use super::serve;
use crate::base::Secret;
use crate::control::{Answer, Failure};
use crate::field::forecast::forecast;
use crate::spec::{GatewayCertificate, Spec};

/// More of a file is not shown.
const LARGEST: usize = 256 << 10;

/// All parts, in the order of reading.
pub(super) async fn parts(desk: &Desk) -> Result<Vec<Answer>, Failure> {
    let status = serve::status(desk).await?;
    let devices = serve::devices(desk).await?;
    let metrics = serve::metrics(desk).await?;
    let spec = desk.journal.spec();
    let plan = forecast(&spec, |profile| desk.lessons.of(profile));
    let plan: String = plan
        .iter()
        .filter_map(|line| {
            let port = spec.port(line.port)?;
            Some(format!("{}: {}\n", port.name, line.summary(port)))
        })
        .collect();
    let lessons = fs::read_to_string(desk.vault.directory().join("lessons.json"));
    let texts = [
        ("system", system()),
        ("status", format!("{:#}\n", serde_json::json!(status))),
        ("devices", format!("{:#}\n", serde_json::json!(devices))),
        ("configuration", configuration(&spec)),
        ("plan", plan),
        ("metrics", metrics),
        ("lessons", shortened(lessons.unwrap_or_default())),
    ];
    let sweep = Sweep::new(secrets(&spec).into_iter().chain(desk.vault.secrets()));
    let swept = texts.into_iter().map(|(name, text)| Answer::Part {
        name: name.to_owned(),
        text: sweep.over(text),
    });
    Ok(swept.collect())
}

/// What runs, and on what. The kernel is asked itself: of `/proc` the unit sees
/// processes only (ProcSubset=pid).
fn system() -> String {
    let (kernel, figures) = (rustix::system::uname(), rustix::system::sysinfo());
    // sysinfo(2): in units of 1/65,536.
    let [one, five, fifteen] = figures.loads.map(|load| load as f64 / 65_536.0);
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/self/status").unwrap_or_default();
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

/// The configuration as it was understood. Each profile once.
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

/// Every secret of the configuration.
fn secrets(spec: &Spec) -> Vec<Secret> {
    let mut all: Vec<Secret> = spec.devices.iter().map(|d| d.secret.clone()).collect();
    all.push(match &spec.cloud.gateway.certificate {
        GatewayCertificate::Device(secret) => secret.clone(),
        GatewayCertificate::Product(product) => product.secret.clone(),
    });
    all.extend(spec.cloud.products.values().cloned());
    all
}

/// Finds secrets, however they are wrapped.
struct Sweep(Vec<String>);

impl Sweep {
    fn new(secrets: impl Iterator<Item = Secret>) -> Self {
        let mut all: BTreeSet<String> = BTreeSet::new();
        for secret in secrets.filter(|s| !s.is_empty()) {
            all.extend(wrapped(secret.expose()));
        }
        let mut all: Vec<String> = all.into_iter().collect();
        // The longest first: one may be a part of another.
        all.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Sweep(all)
    }

    fn over(&self, mut text: String) -> String {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "***");
            }
        }
        text
    }
}

/// A secret as it is, as hexadecimal digits, as base64 wherever it begins, and as
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

/// What of the base64 of a text with `before` bytes in front depends on these
/// bytes alone; `None` if that is too little to be recognised.
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
            assert_eq!(sweep.over(text), "before *** after", "{wrapped}");
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
            let swept = sweep.over(text.to_owned());
            assert!(swept.contains("***") && swept.len() < 12, "{swept}");
        }
        assert_eq!(sweep.over("nothing here".into()), "nothing here");
    }
}
