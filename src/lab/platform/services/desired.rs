//! Desired values ("Desired device property values", Alink protocol): an application sets them
//! whether the device is online or not; the device asks for them, and deletes what it has taken.

use serde_json::{Map, Value as Json, json};

use crate::lab::platform::messages::reply::Code;
use crate::lab::platform::{Device, Platform};

/// The most properties in a request (6104).
const PROPERTIES: usize = 200;
/// More properties than that.
const TOO_MANY: Code = Code(6104);

impl Platform {
    /// Desires that a property of a device have this value; returns the version of the wish.
    /// The message to a device that is online, which the platform sends as well, is
    /// [`Platform::set_properties`].
    pub fn desire(&mut self, device: &Device, property: &str, value: Json) -> i64 {
        let of = self.desired.entry(device.clone()).or_default();
        let wish = of.entry(property.to_owned()).or_insert((Json::Null, 0));
        *wish = (value, wish.1 + 1);
        wish.1
    }

    /// Returns the value that a property of a device is desired to have, with its version.
    #[must_use]
    pub fn desired(&self, device: &Device, property: &str) -> Option<&(Json, i64)> {
        let wish = self.desired.get(device)?.get(property)?;
        (!wish.0.is_null()).then_some(wish)
    }

    /// Answers `desired/get`.
    pub(crate) fn desired_asked(&self, device: &Device, params: &Json) -> (Code, Json) {
        let code = self.may_post(device);
        let Json::Array(names) = params else {
            return (Code::PARAMETER, json!({}));
        };
        if code != Code::OK || names.len() > PROPERTIES {
            let too_many = names.len() > PROPERTIES;
            return (if too_many { TOO_MANY } else { code }, json!({}));
        }
        let named = names.iter().filter_map(Json::as_str);
        let wishes = named.filter_map(|name| {
            let (value, version) = self.desired(device, name)?;
            Some((
                name.to_owned(),
                json!({ "value": value, "version": version }),
            ))
        });
        (Code::OK, Json::Object(wishes.collect::<Map<_, _>>()))
    }

    /// Carries out `desired/delete`. A wish of another version stays; its version goes on.
    pub(crate) fn desired_deleted(&mut self, device: &Device, params: &Json) -> Code {
        let code = self.may_post(device);
        let Json::Object(names) = params else {
            return Code::PARAMETER;
        };
        if code != Code::OK {
            return code;
        }
        let Some(of) = self.desired.get_mut(device) else {
            return code;
        };
        for (name, said) in names {
            let version = said.get("version").and_then(Json::as_i64);
            if let Some(wish) = of.get_mut(name)
                && version.is_none_or(|version| version == wish.1)
            {
                wish.0 = Json::Null;
            }
        }
        code
    }
}
