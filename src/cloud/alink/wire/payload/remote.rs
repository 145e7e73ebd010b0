//! Alink about remote configuration: `thing/config/get` and `thing/config/push`
//! ("Remote configuration", Alink protocol).

use serde_json::{Value as Json, json};

use super::{session, whole};
use crate::base::text::excerpt;
use crate::base::{Digest, RequestId, Secret};

/// A URL of the platform's storage with its signature has some 600 bytes.
const URL_BYTES: usize = 4096;
/// An id is echoed if it is no longer than this; ids are numbers of 32 bits.
const ID_BYTES: usize = 64;
/// How many bytes of a configuration's name are shown.
const SHOWN: usize = 64;

/// A file that the platform has for the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnouncedFile {
    /// The name of the file, fit to be shown.
    pub config_id: String,
    /// `configSize`, in bytes, if it is given.
    pub size: Option<u64>,
    /// `sign`, by `signMethod` Sha256.
    pub digest: Digest,
    /// The address; a reader of the URL can read the file.
    pub url: Secret,
}

/// A push, as far as it could be understood.
#[derive(Clone, Debug, PartialEq)]
pub struct RemotePush {
    /// The id, echoed as it came, number or text; a push without an id is not answered.
    pub id: Option<Json>,
    /// The file, or what is wrong with the message.
    pub file: Result<AnnouncedFile, &'static str>,
}

impl AnnouncedFile {
    /// Reads `params` of a push, or `data` of an answer.
    ///
    /// # Errors
    /// The error says what is missing or not understood.
    pub fn read(said: Option<&Json>) -> Result<Self, &'static str> {
        let text = |key: &str| said.and_then(|s| s.get(key)).and_then(Json::as_str);
        let method = text("signMethod").ok_or("no signMethod")?;
        if !method.eq_ignore_ascii_case("Sha256") {
            return Err("a signMethod other than Sha256");
        }
        if text("getType").is_some_and(|kind| kind != "file") {
            return Err("a getType other than file");
        }
        let digest = text("sign").ok_or("no sign")?;
        let digest = Digest::parse(digest).ok_or("a sign that is not 64 hexadecimal digits")?;
        let url = text("url").filter(|url| !url.is_empty()).ok_or("no url")?;
        if url.len() > URL_BYTES {
            return Err("a url that is too long");
        }
        let size = match said.and_then(|s| s.get("configSize")) {
            None | Some(Json::Null) => None,
            Some(size) => {
                let size = whole(size).and_then(|n| u64::try_from(n).ok());
                Some(size.ok_or("a configSize that is no number")?)
            }
        };
        Ok(AnnouncedFile {
            config_id: excerpt(text("configId").unwrap_or_default().as_bytes(), SHOWN),
            size,
            digest,
            url: Secret::new(url),
        })
    }

    /// Reads the `data` of an answer to `thing/config/get`.
    ///
    /// # Errors
    /// The same as for [`AnnouncedFile::read`].
    pub fn answered(payload: &[u8]) -> Result<Self, &'static str> {
        let json: Json = serde_json::from_slice(payload).map_err(|_| "not JSON")?;
        AnnouncedFile::read(json.get("data"))
    }
}

impl RemotePush {
    /// Reads a push; `None` if it is no JSON object.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let Json::Object(mut fields) = serde_json::from_slice(payload).ok()? else {
            return None;
        };
        // The page for devices has `params`, an older one for gateways `data`.
        let said = fields.get("params").or_else(|| fields.get("data"));
        let file = AnnouncedFile::read(said);
        let id = fields.remove("id").filter(|id| match id {
            Json::Number(_) => true,
            Json::String(text) => text.len() <= ID_BYTES,
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => false,
        });
        Some(RemotePush { id, file })
    }

    /// Returns the answer to a push.
    #[must_use]
    pub fn answer(id: &Json, code: u32, message: &str) -> Vec<u8> {
        let answer = json!({"id": id, "code": code, "message": message, "data": {}});
        answer.to_string().into_bytes()
    }
}

/// Returns the body for `thing/config/get`.
#[must_use]
pub fn get(id: RequestId) -> Vec<u8> {
    let params = json!({"configScope": "product", "getType": "file"});
    session(id, params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGN: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn with(key: &str, value: Json) -> Json {
        let mut params = json!({"configId": "123dagdah", "configSize": 3, "sign": SIGN,
            "signMethod": "Sha256", "url": "https://oss.example/x?Signature=s", "getType": "file"});
        params[key] = value;
        params
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let payload = json!({"id": "123", "version": "1.0", "code": 200, "data": with("configSize", json!(1_234_565))});
        let file = AnnouncedFile::answered(payload.to_string().as_bytes()).unwrap();
        assert_eq!(file.config_id, "123dagdah");
        assert_eq!(file.size, Some(1_234_565));
        assert_eq!(file.digest, Digest::of(b"abc"));
        assert_eq!(file.url.expose(), "https://oss.example/x?Signature=s");
    }

    #[test]
    fn what_is_missing_is_said() {
        for (key, value, wrong) in [
            ("signMethod", json!("Md5"), "a signMethod other than Sha256"),
            ("signMethod", Json::Null, "no signMethod"),
            (
                "sign",
                json!("abc"),
                "a sign that is not 64 hexadecimal digits",
            ),
            ("url", json!(""), "no url"),
            ("url", json!("h".repeat(5000)), "a url that is too long"),
            ("configSize", json!(-1), "a configSize that is no number"),
            ("getType", json!("content"), "a getType other than file"),
        ] {
            assert_eq!(AnnouncedFile::read(Some(&with(key, value))), Err(wrong));
        }
        assert_eq!(AnnouncedFile::read(None), Err("no signMethod"));
        assert!(AnnouncedFile::read(Some(&with("configSize", json!("3")))).is_ok());
    }

    #[test]
    fn the_id_is_echoed_if_it_is_one() {
        for (id, echoed) in [
            (json!(7), Some(json!(7))),
            (json!("7"), Some(json!("7"))),
            (json!({"x": 1}), None),
            (json!("9".repeat(65)), None),
        ] {
            let push = json!({"id": id, "params": with("url", json!("https://a/"))});
            let pushed = RemotePush::parse(push.to_string().as_bytes()).unwrap();
            assert_eq!(pushed.id, echoed);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RemotePush::parse(&bytes);
            let _ = AnnouncedFile::answered(&bytes);
        }
    }
}
