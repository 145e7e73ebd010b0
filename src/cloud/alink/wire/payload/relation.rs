//! Alink about which devices belong to the gateway: relations, registration, orders.

use serde::Serialize;
use serde_json::Value as Json;

use super::{LONGEST_ID, Named, identity, session, sign_method, whole};
use crate::base::{RequestId, Secret};
use crate::cloud::alink::wire::sign;
use crate::cloud::alink::wire::topic::DeviceIdentity;
use crate::spec::SignMethod;

/// Sub-devices in one request about relations or registration (newer copies of
/// "Limits").
pub const RELATIONS: usize = 30;

/// One device's part of `thing/topo/add`: signed with *its* secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyAddEntry {
    /// Product of the sub-device.
    pub product_key: String,
    /// Name of the sub-device.
    pub device_name: String,
    /// The literal client id that was signed.
    pub client_id: String,
    /// Milliseconds, as text.
    pub timestamp: String,
    /// The method of the signature. Here the document and most SDKs write a small m.
    #[serde(rename = "signmethod")]
    pub sign_method: &'static str,
    /// The signature, hexadecimal.
    pub sign: String,
}

impl TopologyAddEntry {
    /// Returns one device's part, signed.
    #[must_use]
    pub fn new(
        who: &DeviceIdentity,
        client_id: String,
        timestamp: String,
        method: SignMethod,
        sign: String,
    ) -> Self {
        TopologyAddEntry {
            product_key: who.product_key.to_string(),
            device_name: who.device_name.to_string(),
            client_id,
            timestamp,
            sign_method: sign_method(method),
            sign,
        }
    }
}

/// Returns the body for `thing/topo/add`.
#[must_use]
pub fn relate(id: RequestId, devices: &[TopologyAddEntry]) -> Vec<u8> {
    session(id, devices)
}

/// Returns the body for `thing/topo/get`.
#[must_use]
pub fn relations(id: RequestId) -> Vec<u8> {
    session(id, serde_json::Map::new())
}

/// Returns the body for `thing/topo/delete`, `thing/sub/register` and `thing/list/found`,
/// which are all lists of names.
#[must_use]
pub fn names<'a>(id: RequestId, devices: impl Iterator<Item = &'a DeviceIdentity>) -> Vec<u8> {
    session(id, devices.map(Named::from).collect::<Vec<_>>())
}

/// One device's part of `product_register`: signed with the secret of *its
/// product*, and nothing of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductRegisterEntry {
    /// Product of the sub-device.
    pub product_key: String,
    /// Name of the sub-device.
    pub device_name: String,
    /// The literal text that was signed; new each time.
    pub random: String,
    /// The method of the signature, here with a capital M.
    pub sign_method: &'static str,
    /// The signature, hexadecimal.
    pub sign: String,
}

impl ProductRegisterEntry {
    /// Returns one device's part, signed.
    #[must_use]
    pub fn new(who: &DeviceIdentity, product: &Secret, method: SignMethod, random: String) -> Self {
        let (pk, dn) = (who.product_key.as_str(), who.device_name.as_str());
        let content = sign::registration_content(dn, pk, &random);
        ProductRegisterEntry {
            product_key: pk.to_owned(),
            device_name: dn.to_owned(),
            sign_method: sign_method(method),
            sign: sign::sign(method, product, &content),
            random,
        }
    }
}

/// Returns the body for `thing/proxy/provisioning/product_register`.
#[must_use]
pub fn proxied(id: RequestId, devices: &[ProductRegisterEntry]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Params<'a> {
        proxieds: &'a [ProductRegisterEntry],
    }
    session(id, Params { proxieds: devices })
}

/// Returns the body for `/ota/device/inform`. The id is text, as in every other envelope;
/// the C SDK sends a bare number here, the platform echoes neither.
#[must_use]
pub fn inform(id: RequestId, version: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Params<'a> {
        version: &'a str,
    }
    session(id, Params { version })
}

/// Returns the secrets in the reply to `thing/sub/register` or `product_register`, whatever
/// its code. What cannot be read is left out. The shape of the second is nowhere written
/// down, so a list inside an object is as good as a list.
#[must_use]
pub fn registered(payload: &[u8]) -> Vec<(DeviceIdentity, Secret)> {
    let Ok(json) = serde_json::from_slice::<Json>(payload) else {
        return Vec::new();
    };
    let one = |entry: &Json| {
        let secret = entry.get("deviceSecret").and_then(Json::as_str)?;
        let secret = (!secret.is_empty()).then(|| Secret::new(secret))?;
        Some((identity(entry)?, secret))
    };
    match json.get("data") {
        Some(Json::Array(list)) => list.iter().filter_map(one).collect(),
        Some(Json::Object(fields)) if !fields.contains_key("deviceSecret") => {
            let lists = fields.values().filter_map(Json::as_array);
            lists.flatten().filter_map(one).collect()
        }
        Some(entry) => one(entry).into_iter().collect(),
        None => Vec::new(),
    }
}

/// An order of the platform's.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyOrder {
    /// The id, echoed as it came, a number or text of at most 64 bytes; an order without an
    /// id is not answered.
    pub id: Option<Json>,
    /// `status` of a topology change, if there is one.
    pub status: Option<i64>,
    /// The devices that the order names.
    pub named: Vec<DeviceIdentity>,
}

impl TopologyOrder {
    /// Reads an order; `None` if it is no JSON object.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<TopologyOrder> {
        let Json::Object(mut fields) = serde_json::from_slice(payload).ok()? else {
            return None;
        };
        let params = fields.remove("params").unwrap_or(Json::Null);
        // The devices are a list for `topo/add/notify`, and inside `subList` for
        // `topo/change`.
        let list = match &params {
            Json::Array(list) => Some(list),
            other => other.get("subList").and_then(Json::as_array),
        };
        Some(TopologyOrder {
            id: fields.remove("id").filter(is_id),
            status: params.get("status").and_then(whole),
            named: list.into_iter().flatten().filter_map(identity).collect(),
        })
    }

    /// Returns the answer "done". Its size is bounded, as its id is.
    #[must_use]
    pub fn answer(&self) -> Option<Vec<u8>> {
        let id = self.id.as_ref()?;
        let answer = serde_json::json!({"id": id, "code": 200, "message": "success", "data": {}});
        Some(answer.to_string().into_bytes())
    }
}

/// Returns whether the value can be the id of a message.
fn is_id(id: &Json) -> bool {
    match id {
        Json::Number(_) => true,
        Json::String(text) => text.len() + 2 <= LONGEST_ID,
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_key_of_the_method_has_a_small_m_in_a_relation() {
        let who = DeviceIdentity::new("subPk", "subDn");
        let relation = TopologyAddEntry::new(
            &who,
            "subPk&subDn".into(),
            "1700000000000".into(),
            SignMethod::HmacSha256,
            "ab".into(),
        );
        assert_eq!(
            String::from_utf8(relate(RequestId(1), &[relation])).unwrap(),
            r#"{"id":"1","version":"1.0","params":[{"productKey":"subPk","deviceName":"subDn","clientId":"subPk&subDn","timestamp":"1700000000000","signmethod":"hmacSha256","sign":"ab"}]}"#
        );
    }

    #[test]
    fn a_partial_registration_gives_the_secrets_it_has() {
        let reply = br#"{"id":"1","code":200,"data":[{"iotId":"x","productKey":"p","deviceName":"d1","deviceSecret":"s1"},{"productKey":"p","deviceName":"d2"},{"productKey":"p","deviceName":"d3","deviceSecret":""}]}"#;
        let secrets = registered(reply);
        assert_eq!(
            secrets,
            [(DeviceIdentity::new("p", "d1"), Secret::new("s1"))]
        );
    }

    #[test]
    fn a_proxied_registration_is_signed_with_the_products_secret() {
        // C SDK: `random` of 20 hexadecimal digits; the signature is vector V9 of
        // tests/engines/platform.rs.
        let who = DeviceIdentity::new("a1SubDemoPk", "meter-001");
        let product = Secret::new("ProdSecret000001");
        let one =
            ProductRegisterEntry::new(&who, &product, SignMethod::HmacSha256, "567345".into());
        assert_eq!(
            String::from_utf8(proxied(RequestId(3), &[one])).unwrap(),
            r#"{"id":"3","version":"1.0","params":{"proxieds":[{"productKey":"a1SubDemoPk","deviceName":"meter-001","random":"567345","signMethod":"hmacSha256","sign":"76a1f34d543b4f8ad3cee70e54b3077663052dd073d8ad92281030a36b4877b8"}]}}"#
        );
    }

    #[test]
    fn a_list_of_secrets_may_stand_inside_an_object() {
        for data in [
            r#"[{"productKey":"p","deviceName":"d","deviceSecret":"s"}]"#,
            r#"{"proxieds":[{"productKey":"p","deviceName":"d","deviceSecret":"s"}]}"#,
            r#"{"productKey":"p","deviceName":"d","deviceSecret":"s"}"#,
        ] {
            let reply = format!(r#"{{"id":"1","code":200,"data":{data}}}"#);
            let secrets = registered(reply.as_bytes());
            assert_eq!(secrets, [(DeviceIdentity::new("p", "d"), Secret::new("s"))]);
        }
    }

    #[test]
    fn the_answer_to_an_order_echoes_its_id_as_it_came() {
        for (id, answered) in [
            (r#""id":"7","#, Some(r#""7""#)),
            (r#""id":7,"#, Some("7")),
            ("", None),
            (&format!(r#""id":"{}","#, "9".repeat(65)), None),
            (r#""id":{"x":1},"#, None),
        ] {
            let text = format!(
                r#"{{{id}"params":{{"status":"8","subList":[{{"productKey":"p","deviceName":"d"}}]}}}}"#
            );
            let order = TopologyOrder::parse(text.as_bytes()).unwrap();
            assert_eq!(order.status, Some(8));
            assert_eq!(order.named, [DeviceIdentity::new("p", "d")]);
            let answer = order.answer().map(|a| String::from_utf8(a).unwrap());
            let wanted = answered
                .map(|id| format!(r#"{{"code":200,"data":{{}},"id":{id},"message":"success"}}"#));
            assert_eq!(answer, wanted);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = registered(&bytes);
            let _ = TopologyOrder::parse(&bytes);
        }
    }
}
