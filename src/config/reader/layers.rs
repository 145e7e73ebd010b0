//! Merges several layers into one configuration, through figment.
//!
//! Later layers override scalars and lists are joined (figment's `admerge`).
//! Figment alone would know only the file of each value. So every node is handed to figment as a
//! small dictionary that holds the value and the number of its position. Sections merge, and each
//! value of the result points at the line where it was written.
//!
//! A node that is handed to figment takes a kilobyte. So only nodes that can meet another are
//! handed over: keys that a single layer has bypass figment. Of a list, whose elements are joined
//! and never merged, only the numbers of the elements are handed over.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::tree::{Node, NodeContent, OriginId};

/// The key of the numbers of the node's positions, one number for each layer that wrote the node:
/// figment joins lists, so no number is lost.
const AT: &str = "at";
/// The key of the node's value.
const IS: &str = "is";
/// The key of the position of a key without a value: such a key overrides nothing.
const BLANK: &str = "blank";

/// One layer: the root section of one file, or of the environment.
pub(crate) struct Layer {
    name: String,
    entries: BTreeMap<String, Node>,
}

impl Layer {
    pub(crate) fn new(name: &str, entries: BTreeMap<String, Node>) -> Self {
        let name = name.to_owned();
        Layer { name, entries }
    }
}

/// The part of a layer that is handed to figment.
struct Packed {
    name: String,
    root: Dict,
}

impl Provider for Packed {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.root.clone()))
    }
}

/// The elements of lists, by the numbers that are handed to figment for them.
#[derive(Default)]
struct Elements(Vec<Node>);

/// Merges all layers, earliest first. `None` if a layer cannot be read, which [`Packed`] rules
/// out.
pub(crate) fn merge(layers: Vec<Layer>) -> Option<BTreeMap<String, Node>> {
    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    for key in layers.iter().flat_map(|layer| layer.entries.keys()) {
        *said.entry(key).or_default() += 1;
    }
    let shared = said.into_iter().filter(|(_, layers)| *layers > 1);
    let shared: BTreeSet<String> = shared.map(|(key, _)| key.to_owned()).collect();
    let mut elements = Elements::default();
    let mut root = BTreeMap::new();
    let mut figment = Figment::new();
    for Layer { name, entries } in layers {
        let mut packed = Dict::new();
        for (key, node) in entries {
            if shared.contains(&key) {
                packed.insert(key, elements.pack(node));
            } else {
                root.insert(key, node);
            }
        }
        figment = figment.admerge(Packed { name, root: packed });
    }
    let merged = figment.data().ok()?;
    let merged = merged.into_iter().find(|(p, _)| *p == Profile::Default);
    let merged = merged.into_iter().flat_map(|(_, dict)| dict);
    root.extend(merged.map(|(key, value)| (key, elements.unpack(value))));
    Some(root)
}

impl Elements {
    fn pack(&mut self, node: Node) -> Value {
        let mut dict = Dict::new();
        let at = Value::from(vec![node.origin.0]);
        match node.is {
            NodeContent::Nothing => {
                dict.insert(BLANK.into(), at);
            }
            NodeContent::Text(text) => {
                dict.insert(AT.into(), at);
                dict.insert(IS.into(), Value::from(text));
            }
            NodeContent::List(list) => {
                dict.insert(AT.into(), at);
                let first = self.0.len();
                self.0.extend(list);
                let numbers: Vec<usize> = (first..self.0.len()).collect();
                dict.insert(IS.into(), Value::from(numbers));
            }
            NodeContent::Map(map) => {
                dict.insert(AT.into(), at);
                let map: Dict = map.into_iter().map(|(k, n)| (k, self.pack(n))).collect();
                dict.insert(IS.into(), Value::from(map));
            }
        }
        Value::from(dict)
    }

    fn unpack(&mut self, value: Value) -> Node {
        let mut dict = match value {
            Value::Dict(_, dict) => dict,
            _ => Dict::new(),
        };
        let at = dict.remove(AT).or_else(|| dict.remove(BLANK));
        let numbers = at.and_then(Value::into_array).unwrap_or_default();
        let is = match dict.remove(IS) {
            Some(Value::String(_, text)) => NodeContent::Text(text),
            Some(Value::Array(_, list)) => {
                NodeContent::List(list.iter().filter_map(|n| self.element(n)).collect())
            }
            Some(Value::Dict(_, map)) => {
                NodeContent::Map(map.into_iter().map(|(k, v)| (k, self.unpack(v))).collect())
            }
            _ => NodeContent::Nothing,
        };
        // The position of a value is where it was written last; that of a section is where it
        // begins.
        let number = match is {
            NodeContent::Text(_) | NodeContent::Nothing => numbers.last(),
            NodeContent::List(_) | NodeContent::Map(_) => numbers.first(),
        };
        let number = number.and_then(Value::to_u128).unwrap_or_default();
        Node {
            origin: OriginId(u32::try_from(number).unwrap_or_default()),
            is,
        }
    }

    /// Takes the element of this number; each number is handed to figment once.
    fn element(&mut self, number: &Value) -> Option<Node> {
        let element = self.0.get_mut(usize::try_from(number.to_u128()?).ok()?)?;
        let origin = element.origin;
        let is = std::mem::replace(&mut element.is, NodeContent::Nothing);
        Some(Node { origin, is })
    }
}
