//! One configuration out of several layers, through figment.
//!
//! Later layers override scalars and lists are joined (figment's `admerge`).
//! Figment alone would know of each value only the file it came from; so every
//! node travels as a small dictionary that holds, beside the value, the number
//! of its place. Sections merge, and what is left points at the line it was
//! written in.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::tree::{Is, Node, OriginId};

/// The numbers of the node's places, one for each layer that wrote it: lists are
/// joined, so none is lost.
const AT: &str = "at";
/// The node's value.
const IS: &str = "is";
/// The place of a key without a value: it overrides nothing.
const BLANK: &str = "blank";

/// One layer: the root section of one file, or what the environment says.
pub(crate) struct Layer {
    name: String,
    root: Dict,
}

impl Layer {
    pub(crate) fn new(name: &str, entries: impl IntoIterator<Item = (String, Node)>) -> Self {
        Layer {
            name: name.to_owned(),
            root: entries
                .into_iter()
                .map(|(key, node)| (key, pack(node)))
                .collect(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.root.clone()))
    }
}

/// All layers as one, earliest first. `None` if a layer cannot be read, which
/// [`Layer`] rules out.
pub(crate) fn merge(layers: Vec<Layer>) -> Option<BTreeMap<String, Node>> {
    let merged = layers
        .into_iter()
        .fold(Figment::new(), Figment::admerge)
        .data()
        .ok()?;
    let root = merged.into_iter().find(|(p, _)| *p == Profile::Default);
    Some(
        root.into_iter()
            .flat_map(|(_, dict)| dict)
            .map(|(key, value)| (key, unpack(value)))
            .collect(),
    )
}

fn pack(node: Node) -> Value {
    let mut dict = Dict::new();
    let at = Value::from(vec![node.origin.0]);
    match node.is {
        Is::Nothing => {
            dict.insert(BLANK.into(), at);
        }
        Is::Text(text) => {
            dict.insert(AT.into(), at);
            dict.insert(IS.into(), Value::from(text));
        }
        Is::List(list) => {
            dict.insert(AT.into(), at);
            let list = list.into_iter().map(pack).collect::<Vec<_>>();
            dict.insert(IS.into(), Value::from(list));
        }
        Is::Map(map) => {
            dict.insert(AT.into(), at);
            let map: Dict = map.into_iter().map(|(k, n)| (k, pack(n))).collect();
            dict.insert(IS.into(), Value::from(map));
        }
    }
    Value::from(dict)
}

fn unpack(value: Value) -> Node {
    let mut dict = match value {
        Value::Dict(_, dict) => dict,
        _ => Dict::new(),
    };
    let at = dict.remove(AT).or_else(|| dict.remove(BLANK));
    let places = at.and_then(Value::into_array).unwrap_or_default();
    let is = match dict.remove(IS) {
        Some(Value::String(_, text)) => Is::Text(text),
        Some(Value::Array(_, list)) => Is::List(list.into_iter().map(unpack).collect()),
        Some(Value::Dict(_, map)) => {
            Is::Map(map.into_iter().map(|(k, v)| (k, unpack(v))).collect())
        }
        _ => Is::Nothing,
    };
    // A value is where it was written last; a section is where it begins.
    let place = match is {
        Is::Text(_) | Is::Nothing => places.last(),
        Is::List(_) | Is::Map(_) => places.first(),
    };
    let number = place.and_then(Value::to_u128).unwrap_or_default();
    Node {
        origin: OriginId(u32::try_from(number).unwrap_or_default()),
        is,
    }
}
