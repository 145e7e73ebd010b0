//! Alink about desired values: `thing/property/desired/get` and `…/delete` ("Desired device
//! property values", Alink protocol).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::{session, whole};
use crate::base::RequestId;

/// A property that the platform wants to have a value.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredValue {
    /// The identifier of the property.
    pub property: String,
    /// The value.
    pub value: Json,
    /// How often it was set; a deletion that names another version does nothing.
    pub version: i64,
}

/// Returns the body for `desired/get`, which asks for these properties, 200 at most.
#[must_use]
pub fn get(id: RequestId, properties: &[&str]) -> Vec<u8> {
    session(id, properties)
}

/// Returns the body for `desired/delete`: these properties have been taken in these versions.
#[must_use]
pub fn delete(id: RequestId, taken: &[(String, i64)]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Taken {
        version: i64,
    }
    let one = |(property, version): &(String, i64)| {
        let version = *version;
        (property.clone(), Taken { version })
    };
    session(id, taken.iter().map(one).collect::<BTreeMap<_, _>>())
}

/// Reads the `data` of an answer to `desired/get`. What has no value or no version is left
/// out: there is nothing to take, or no way to say that it was taken.
#[must_use]
pub fn values(payload: &[u8]) -> Vec<DesiredValue> {
    let Ok(json) = serde_json::from_slice::<Json>(payload) else {
        return Vec::new();
    };
    let one = |(property, said): (&String, &Json)| {
        let value = said.get("value").filter(|value| !value.is_null())?;
        Some(DesiredValue {
            property: property.clone(),
            value: value.clone(),
            version: said.get("version").and_then(whole)?,
        })
    };
    let data = json.get("data").and_then(Json::as_object);
    data.into_iter().flatten().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The forms of the page.
    #[test]
    fn requests_and_answers_have_the_form_of_the_page() {
        let read = |body: Vec<u8>| serde_json::from_slice::<Json>(&body).unwrap();
        let asked = read(get(RequestId(123), &["power", "temperature"]));
        assert_eq!(asked["params"], json!(["power", "temperature"]));
        assert_eq!(asked["id"], "123");
        let deleted = read(delete(
            RequestId(7),
            &[("power".into(), 1), ("t".into(), 3)],
        ));
        assert_eq!(
            deleted["params"],
            json!({"power": {"version": 1}, "t": {"version": 3}})
        );
        let answer = br#"{"id":"123","code":200,"data":{"power":{"value":"on","version":2},
            "t":{"value":21.5,"version":"3"},"u":{"version":0},"v":{"value":null,"version":1},"w":5}}"#;
        let found = values(answer);
        let short: Vec<_> = found
            .iter()
            .map(|d| (d.property.as_str(), d.value.clone(), d.version))
            .collect();
        assert_eq!(short, [("power", json!("on"), 2), ("t", json!(21.5), 3)]);
        for nothing in ["", "[]", r#"{"data":[]}"#, r#"{"code":200}"#] {
            assert_eq!(values(nothing.as_bytes()), []);
        }
    }
}
