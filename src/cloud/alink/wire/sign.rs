//! The text that is signed, and the signing.
//!
//! Every signature of the platform is the hexadecimal HMAC of a text made of
//! parameter names in alphabetical order, each followed at once by its value,
//! with nothing between ("Establish MQTT connections over TCP"; "Connect or
//! disconnect sub-devices"). Only the parameters and the key differ. Upper and
//! lower case of the digits are the same to the platform; ours are lower.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};

use crate::base::Secret;
use crate::spec::SignMethod;

/// Returns the text that a device signs with its own secret for CONNECT, for a sub-device's
/// log-in and for adding it to a topology.
///
/// `client_id` is the literal value sent: for CONNECT only the part before the
/// first `|`, for a sub-device all of it, a `|_ss=1|` included.
/// `cleanSession`, `signMethod` and `sign` are never part of it ("Connect or
/// disconnect sub-devices", 2020 on; the 2018 text, which signed
/// `cleanSession`, is obsolete).
#[must_use]
pub fn device_content(
    client_id: &str,
    device_name: &str,
    product_key: &str,
    timestamp: Option<&str>,
) -> String {
    let mut content = format!("clientId{client_id}deviceName{device_name}productKey{product_key}");
    if let Some(timestamp) = timestamp {
        content.push_str("timestamp");
        content.push_str(timestamp);
    }
    content
}

/// Returns the text that is signed with a *product* secret when a device asks for its own
/// ("MQTT-based dynamic registration", and a gateway's `product_register`).
#[must_use]
pub fn registration_content(device_name: &str, product_key: &str, random: &str) -> String {
    format!("deviceName{device_name}productKey{product_key}random{random}")
}

/// Returns the signature: HMAC of `content` under `key`, as lower-case hexadecimal.
#[must_use]
pub fn sign(method: SignMethod, key: &Secret, content: &str) -> String {
    let key = key.expose().as_bytes();
    match method {
        SignMethod::HmacMd5 => hex_mac::<Hmac<md5::Md5>>(key, content),
        SignMethod::HmacSha1 => hex_mac::<Hmac<sha1::Sha1>>(key, content),
        SignMethod::HmacSha256 => hex_mac::<Hmac<sha2::Sha256>>(key, content),
    }
}

fn hex_mac<M: Mac + KeyInit>(key: &[u8], content: &str) -> String {
    // RFC 2104 takes keys of any length, so the error branch is never taken; if it were,
    // the platform would refuse the empty signature.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(content.as_bytes());
    let mut out = String::new();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
