//! Keeps secrets out of the bundle: finds them in plain form and in the encodings they could
//! have been wrapped into on the way.

use std::collections::BTreeSet;
use std::fmt::Write;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::base::Secret;
use crate::spec::{GatewayCertificate, Spec};

/// Returns every secret of a configuration.
pub(crate) fn secrets(spec: &Spec) -> Vec<Secret> {
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
pub(crate) struct Sweep(Option<AhoCorasick>);

impl Sweep {
    /// Makes a finder of these secrets.
    pub(crate) fn new(secrets: impl Iterator<Item = Secret>) -> Self {
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

    /// Returns the text with `***` for each secret in it.
    pub(crate) fn over(&self, text: &str) -> String {
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
