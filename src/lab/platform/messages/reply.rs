//! Requests as they arrive and replies as the platform writes them.

use serde::Serialize;
use serde_json::Value as Json;

use crate::lab::platform::Device;

/// The platform's result codes, as far as the model answers them, with their
/// published messages ("Error codes for sub-device development").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub u16);

impl Code {
    /// Done.
    pub const OK: Code = Code(200);
    /// A sub-device's signature in a topology request is wrong.
    pub const UNAUTHORIZED: Code = Code(401);
    /// The session was taken over elsewhere.
    pub const ELSEWHERE: Code = Code(427);
    /// Too many sub-devices online.
    pub const TOO_MANY_DEVICES: Code = Code(428);
    /// Too many requests.
    pub const THROTTLED: Code = Code(429);
    /// The request is malformed.
    pub const PARAMETER: Code = Code(460);
    /// The sub-device has no session here.
    pub const NO_SESSION: Code = Code(520);
    /// The sub-device was deleted.
    pub const DELETED: Code = Code(521);
    /// The sub-device is disabled.
    pub const FORBIDDEN: Code = Code(522);
    /// No such device.
    pub const NOT_FOUND: Code = Code(6100);
    /// Too many properties.
    pub const TOO_MANY_PROPERTIES: Code = Code(6106);
    /// No such product.
    pub const NO_PRODUCT: Code = Code(6250);
    /// The thing model does not have the event.
    pub const NO_METHOD: Code = Code(6300);
    /// A sign method the platform does not have.
    pub const SIGN_METHOD: Code = Code(6292);
    /// A signature with a product's secret is wrong.
    pub const PRODUCT_SIGN: Code = Code(6600);
    /// Dynamic registration is off for the product.
    pub const NO_REGISTRATION: Code = Code(6288);
    /// A log-in's signature is wrong.
    pub const INVALID_SIGN: Code = Code(6287);
    /// Too many sub-devices in one pack.
    pub const TOO_MANY_IN_PACK: Code = Code(6357);
    /// The sub-device does not hang under this gateway.
    pub const NO_TOPOLOGY: Code = Code(6401);
    /// A device cannot hang under itself.
    pub const SELF_TOPOLOGY: Code = Code(6402);
    /// A device to be registered hangs under another gateway.
    pub const BOUND_ELSEWHERE: Code = Code(6619);

    /// Returns the message that belongs to the code.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self.0 {
            200 => "success",
            401 => "request auth error",
            427 | 527 => "device connect in elsewhere",
            428 => "too many subdevices under gateway",
            429 => "rate limit, too many subDeviceOnline msg in one minute",
            460 => "request parameter error",
            520 => "device no session",
            521 => "device deleted",
            522 | 6204 => "device forbidden",
            6100 => "device not found",
            6106 => "too many properties",
            6250 => "product not found",
            6287 => "invalid sign",
            6288 => "dynamic register disabled",
            6300 => "tsl parse: method not exist",
            6292 => "sign method not supported",
            6357 => "too many subdevices in one message",
            6401 => "topo relation not exist",
            6402 => "gateway and device are the same",
            6600 => "sign check failed",
            6619 => "device is bound to another gateway",
            6713 => "remote config service is not available",
            _ => "server error",
        }
    }
}

/// The envelope in which every Alink request comes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Opaque, whatever its JSON type: the reply repeats it as it came.
    pub id: Json,
    /// `null` if absent.
    pub params: Json,
    /// Only in answers to orders; `null` if absent.
    pub code: Json,
    /// Only in answers to orders; `null` if absent.
    pub message: Json,
    /// Only in answers to orders; `null` if absent.
    pub data: Json,
    /// Whether a reply is wanted: `sys.ack`, 1 unless it says 0.
    pub ack: bool,
}

impl Request {
    /// Parses a payload; `None` unless it is a JSON object.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let Json::Object(mut fields) = serde_json::from_slice(payload).ok()? else {
            return None;
        };
        let ack = fields
            .get("sys")
            .and_then(|sys| sys.get("ack"))
            .is_none_or(|ack| ack != 0);
        Some(Request {
            id: fields.remove("id").unwrap_or(Json::Null),
            params: fields.remove("params").unwrap_or(Json::Null),
            code: fields.remove("code").unwrap_or(Json::Null),
            message: fields.remove("message").unwrap_or(Json::Null),
            data: fields.remove("data").unwrap_or(Json::Null),
            ack,
        })
    }
}

#[derive(Serialize)]
struct Reply<'a> {
    id: &'a Json,
    code: Json,
    message: &'a str,
    data: Json,
}

/// Writes one reply: compact, because the scanner of the C SDK reads no blank after a
/// colon.
pub(crate) fn write(id: &Json, code: Code, as_text: bool, data: Json) -> Vec<u8> {
    let reply = Reply {
        id,
        code: if as_text {
            Json::from(code.0.to_string())
        } else {
            Json::from(code.0)
        },
        message: code.message(),
        data,
    };
    // Plain data with text keys: this cannot fail.
    serde_json::to_vec(&reply).unwrap_or_default()
}

/// Writes a request of the platform itself.
pub(crate) fn order(id: u64, method: &str, params: Json) -> Vec<u8> {
    let order = serde_json::json!({
        "id": id.to_string(), "version": "1.0", "params": params, "method": method,
    });
    order.to_string().into_bytes()
}

/// Writes `{"productKey":…,"deviceName":…}`.
pub(crate) fn pair(device: &Device) -> Json {
    serde_json::json!({
        "productKey": device.product_key.as_str(), "deviceName": device.device_name.as_str(),
    })
}

/// Reads the pair of names from a JSON object.
pub(crate) fn pair_of(object: &Json) -> Option<Device> {
    let text = |key| object.get(key).and_then(Json::as_str);
    let (product, name) = (text("productKey")?, text("deviceName")?);
    (!product.is_empty() && !name.is_empty()).then(|| Device::new(product, name))
}
