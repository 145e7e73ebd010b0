//! `parameters:` of a profile and of a device: what differs from device to device of a kind, as the
//! ratio of a transformer or a part that is built in or not.
//!
//! A profile is a template then. It uses a parameter in three ways: a factor, an addend or a limit
//! of a point is a product of numbers and `$name`; the order of registers, `words:`, of a point or
//! of all of them is the word that `$name` stands for; and a point with `when:` exists only if a
//! parameter has one of these values. The template is filled in before it is read, so that no later
//! stage knows of parameters; devices with the same values share a profile.
//!
//! No expressions beyond products: ratios multiply, and whatever else a device needs is a profile
//! of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{decimal, or, parameter};
use crate::spec::Decimal;

const KEYS: [&str; 5] = ["name", "default", "min", "max", "one_of"];

/// The keys of a point in which a product may stand.
const PRODUCTS: [&str; 4] = ["scale", "offset", "min", "max"];

/// The key of a point, and of a profile, in which a word may stand.
const WORD: &str = "words";

/// What stands there after a mistake that is noted.
const STAND_IN: &str = "high";

/// The most parameters of a profile.
const MOST: usize = 32;

/// What the values of a parameter are.
enum ParameterKind {
    /// A number between these limits.
    Number(Option<Decimal>, Option<Decimal>),
    /// One of these words.
    Word(Vec<String>),
}

/// A parameter of a profile.
struct Parameter {
    kind: ParameterKind,
    /// The value of devices that give none; without it each device has to give one.
    default: Option<String>,
}

/// The parameters of a profile, by their names.
#[derive(Default)]
pub(crate) struct Parameters {
    all: BTreeMap<String, Parameter>,
}

/// The values of all parameters of a profile for one device.
pub(crate) type Values = BTreeMap<String, String>;

/// The values that parameters must have, each one of a list.
type Conditions = BTreeMap<String, Vec<String>>;

/// A point that a profile leaves out with these values of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutPoint {
    /// The id of the point.
    pub id: String,
    /// Its `when:`: for each parameter the values with which the point exists.
    pub when: BTreeMap<String, Vec<String>>,
}

impl LeftOutPoint {
    /// Returns whether the point exists with these values of all parameters.
    #[must_use]
    pub fn exists(&self, values: &BTreeMap<String, String>) -> bool {
        is_met(&self.when, values)
    }
}

impl Parameters {
    /// Reads the parameters that a profile declares.
    pub(crate) fn declared(profile: &Section<'_>, notes: &mut Notes) -> Parameters {
        let mut all = BTreeMap::new();
        let mut seen: BTreeMap<String, OriginId> = BTreeMap::new();
        for node in profile.few("parameters", MOST, notes) {
            let s = Section::open(node, &KEYS, notes);
            if !s.is_there() {
                continue;
            }
            let missing = || Expectation::wanted("a name for the parameter");
            let name = s.need("name", name, missing, notes);
            let kind = kind(&s, notes);
            let default = s.read("default", |text| kind.value(text), notes);
            let Some(name) = name else { continue };
            if let Some(first) = seen.get(&name) {
                let hint = format!("{} already has this name", notes.origins.line(*first));
                let wrong = Expectation::wanted("a name no other parameter has").hint(hint);
                notes.error(s.at("name"), shown(&name), wrong);
                continue;
            }
            seen.insert(name.clone(), s.origin);
            let wrong_default = s.node("default").is_some() && default.is_none();
            let default = default.or(wrong_default.then(|| kind.stand_in()));
            all.insert(name, Parameter { kind, default });
        }
        Parameters { all }
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns values with which the profile is checked where there is no device.
    pub(crate) fn stand_ins(&self) -> Values {
        let value = |p: &Parameter| p.default.clone().unwrap_or_else(|| p.kind.stand_in());
        let all = self.all.iter();
        all.map(|(name, p)| (name.clone(), value(p))).collect()
    }

    /// Returns the values for a device. Notes what it gives wrongly, and what it does not give and
    /// should.
    pub(crate) fn of_device(&self, device: &Section<'_>, notes: &mut Notes) -> Option<Values> {
        let errors = notes.errors();
        let given = match device
            .node("parameters")
            .map(|node| (&node.is, node.origin))
        {
            None => None,
            Some((NodeContent::Map(map), _)) => Some(map),
            Some((other, at)) => {
                let wrong =
                    Expectation::wanted("parameters and their values, like { ct_ratio: 80 }");
                notes.error(at, other.kind(), wrong);
                return None;
            }
        };
        for (name, value) in given.into_iter().flatten() {
            if !self.all.contains_key(name) {
                self.unknown(name, value.origin, notes);
            }
        }
        let mut values = Values::new();
        for (name, parameter) in &self.all {
            let own = given.and_then(|map| map.get(name));
            let own = own.filter(|node| !matches!(node.is, NodeContent::Nothing));
            let value = match (own, &parameter.default) {
                (
                    Some(Node {
                        is: NodeContent::Text(text),
                        origin,
                    }),
                    _,
                ) => match parameter.kind.value(text) {
                    Ok(value) => Some(value),
                    Err(wrong) => {
                        notes.error(*origin, shown(text), wrong);
                        None
                    }
                },
                (Some(other), _) => {
                    let wrong = Expectation::wanted("a single value");
                    notes.error(other.origin, other.is.kind(), wrong);
                    None
                }
                (None, Some(default)) => Some(default.clone()),
                (None, None) => {
                    let wrong = parameter.kind.wanted().hint(format!(
                        "the profile has no default for it: write parameters: {{ {name}: … }} in the device, in a table the column parameters.{name}"
                    ));
                    notes.error(device.at("parameters"), format!("no {name}"), wrong);
                    None
                }
            };
            values.extend(value.map(|value| (name.clone(), value)));
        }
        (notes.errors() == errors).then_some(values)
    }

    /// Notes a name that no parameter has.
    fn unknown(&self, name: &str, at: OriginId, notes: &mut Notes) {
        let known = self.all.keys().map(String::as_str);
        let wrong = match self.all.is_empty() {
            true => Expectation::wanted("no parameters: the profile declares none"),
            false => {
                let meant = notes.unless_full(|| suggestions::did_you_mean(name, known.clone()));
                Expectation::wanted(format!("one of {}", or(known))).maybe_hint(meant)
            }
        };
        notes.error(at, format!("the parameter {}", shown(name)), wrong);
    }

    /// Fills in the points of a profile: products become numbers, and points whose `when:` does not
    /// hold are taken out. Returns those.
    pub(crate) fn fill(
        &self,
        profile: &mut Node,
        values: &Values,
        notes: &mut Notes,
    ) -> Vec<LeftOutPoint> {
        let mut left_out = Vec::new();
        let NodeContent::Map(entries) = &mut profile.is else {
            return left_out;
        };
        if let Some(node) = entries.get_mut(WORD) {
            self.word(node, values, notes);
        }
        let Some(NodeContent::List(points)) = entries.get_mut("points").map(|node| &mut node.is)
        else {
            return left_out;
        };
        points.retain_mut(|point| match &mut point.is {
            NodeContent::Map(keys) => {
                for key in PRODUCTS {
                    if let Some(node) = keys.get_mut(key) {
                        self.multiply(node, values, notes);
                    }
                }
                if let Some(node) = keys.get_mut(WORD) {
                    self.word(node, values, notes);
                }
                let Some(when) = keys.remove("when") else {
                    return true;
                };
                let Some(when) = self.conditions(&when, notes) else {
                    return true;
                };
                let holds = is_met(&when, values);
                if let (false, Some(NodeContent::Text(id))) =
                    (holds, keys.get("id").map(|node| &node.is))
                {
                    let id = id.clone();
                    left_out.push(LeftOutPoint { id, when });
                }
                holds
            }
            NodeContent::Nothing | NodeContent::Text(_) | NodeContent::List(_) => true,
        });
        left_out
    }

    /// Returns all values for a device that gives these, and the defaults of the others.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong.
    pub(crate) fn given(&self, given: &Values) -> Result<Values, String> {
        let mut values = self.stand_ins();
        for (name, text) in given {
            let Some(parameter) = self.all.get(name) else {
                let known = or(self.all.keys().map(String::as_str));
                return Err(format!(
                    "{name} is no parameter of the profile: wanted {known}"
                ));
            };
            let value = parameter.kind.value(text);
            let value = value.map_err(|e| format!("{name}={text}: wanted {}", e.wanted))?;
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// Replaces a parameter with the word that it stands for.
    fn word(&self, node: &mut Node, values: &Values, notes: &mut Notes) {
        let at = node.origin;
        let NodeContent::Text(text) = &mut node.is else {
            return;
        };
        let Some(name) = text.strip_prefix('$') else {
            return;
        };
        *text = match (self.all.get(name).map(|p| &p.kind), values.get(name)) {
            (Some(ParameterKind::Word(_)), Some(value)) => value.clone(),
            (Some(ParameterKind::Number(..)), _) => {
                let wrong = Expectation::wanted("a parameter that is a word")
                    .hint("without one_of a parameter is a number");
                notes.error(at, shown(text), wrong);
                STAND_IN.to_owned()
            }
            (None, _) | (_, None) => {
                self.unknown(name, at, notes);
                STAND_IN.to_owned()
            }
        };
    }

    /// Replaces a product with its value.
    fn multiply(&self, node: &mut Node, values: &Values, notes: &mut Notes) {
        let at = node.origin;
        let NodeContent::Text(text) = &mut node.is else {
            return;
        };
        if !text.contains('$') {
            return;
        }
        // `None` in a product: it has too many digits.
        let (mut product, mut has_point) = (Some(Some(Decimal::ONE)), false);
        for factor in text.split('*').map(str::trim) {
            let number = match factor.strip_prefix('$') {
                None => factor,
                Some(name) => match (self.all.get(name).map(|p| &p.kind), values.get(name)) {
                    (Some(ParameterKind::Number(..)), Some(value)) => value.as_str(),
                    (Some(ParameterKind::Word(_)), _) => {
                        let wrong = Expectation::wanted("a parameter that is a number")
                            .hint("one with one_of is for when:");
                        notes.error(at, shown(factor), wrong);
                        product = None;
                        break;
                    }
                    (None, _) | (_, None) => {
                        self.unknown(name, at, notes);
                        product = None;
                        break;
                    }
                },
            };
            match decimal(number) {
                Ok(number) => {
                    product = product.map(|product| product.and_then(|p| p.times(number)));
                }
                Err(_) => {
                    let wanted = "a product of numbers and parameters, like $ct_ratio * 0.001";
                    notes.error(at, shown(text), Expectation::wanted(wanted));
                    product = None;
                    break;
                }
            }
            // Whether numbers of the thing model have decimals does not depend on a device, of
            // which one may have a fraction as its parameter.
            has_point |= factor.starts_with('$') || number.contains('.');
        }
        if product == Some(None) {
            let wrong = Expectation::wanted("a product that a number of 34 digits can hold")
                .hint("round the parameters of the device, to six digits or so");
            notes.error(at, shown(text), wrong);
        }
        // A mistake that is noted has a stand-in.
        let mut value = product
            .flatten()
            .map_or_else(|| "1".to_owned(), |p| p.to_string());
        if has_point && !value.contains(['.', 'e']) {
            value.push_str(".0");
        }
        *text = value;
    }

    /// Reads `when:`: for each parameter the values with which the point exists. `None` if it is no
    /// map.
    fn conditions(&self, when: &Node, notes: &mut Notes) -> Option<Conditions> {
        let NodeContent::Map(wanted) = &when.is else {
            let wrong = Expectation::wanted("parameters and their values, like { battery: yes }");
            notes.error(when.origin, when.is.kind(), wrong);
            return None;
        };
        let mut all = Conditions::new();
        for (name, node) in wanted {
            let Some(parameter) = self.all.get(name) else {
                self.unknown(name, node.origin, notes);
                continue;
            };
            let one = std::slice::from_ref(node);
            let list = match &node.is {
                NodeContent::List(list) => list.as_slice(),
                NodeContent::Nothing | NodeContent::Text(_) | NodeContent::Map(_) => one,
            };
            let mut values = Vec::new();
            for entry in list {
                let NodeContent::Text(text) = &entry.is else {
                    let wrong = Expectation::wanted("a value of the parameter, or a list of them");
                    notes.error(entry.origin, entry.is.kind(), wrong);
                    continue;
                };
                match parameter.kind.value(text) {
                    Ok(value) => values.push(value),
                    Err(wrong) => notes.error(entry.origin, shown(text), wrong),
                }
            }
            all.insert(name.clone(), values);
        }
        Some(all)
    }
}

/// Returns whether parameters with these values meet the conditions.
fn is_met(when: &Conditions, values: &Values) -> bool {
    let is_one = |(name, any): (&String, &Vec<String>)| {
        values.get(name).is_some_and(|value| any.contains(value))
    };
    when.iter().all(is_one)
}

/// Returns what distinguishes a profile with these values: `(ct_ratio=80)`, without those that are
/// the defaults.
pub(crate) fn suffix(parameters: &Parameters, values: &Values) -> String {
    let is_own = |name: &String, value: &String| {
        let default = parameters.all.get(name).and_then(|p| p.default.as_ref());
        default != Some(value)
    };
    let own = values.iter().filter(|(name, value)| is_own(name, value));
    let own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    match own.is_empty() {
        true => String::new(),
        false => format!("({})", own.join(",")),
    }
}

/// Parses the name of a parameter.
fn name(text: &str) -> Result<String, Expectation> {
    parameter(text).map_err(|wrong| Expectation::wanted(wrong.wanted))
}

fn kind(s: &Section<'_>, notes: &mut Notes) -> ParameterKind {
    if s.node("one_of").is_none() {
        let (min, max) = (s.read("min", decimal, notes), s.read("max", decimal, notes));
        if let (Some(least), Some(most)) = (min, max)
            && least.compare(most).is_gt()
        {
            let wrong = Expectation::wanted(format!("at least min, {least}"));
            notes.error(s.at("max"), most.to_string(), wrong);
            return ParameterKind::Number(None, None);
        }
        return ParameterKind::Number(min, max);
    }
    for key in ["min", "max"] {
        if s.node(key).is_some() {
            let wrong = Expectation::wanted("either one_of, or min and max");
            notes.error(s.at(key), key, wrong);
        }
    }
    let mut words = Vec::new();
    for node in s.few("one_of", MOST, notes) {
        match &node.is {
            NodeContent::Text(text) => words.push(text.clone()),
            other => notes.error(node.origin, other.kind(), Expectation::wanted("a word")),
        }
    }
    let twice = words.iter().collect::<BTreeSet<_>>().len() < words.len();
    if words.len() < 2 || twice {
        let wrong = Expectation::wanted("a list of two words or more, each another");
        notes.error(s.at("one_of"), "one_of", wrong);
    }
    ParameterKind::Word(words)
}

impl ParameterKind {
    /// Parses a value; two that mean the same become the same.
    fn value(&self, text: &str) -> Result<String, Expectation> {
        match self {
            ParameterKind::Word(words) => match words.iter().any(|word| word == text) {
                true => Ok(text.to_owned()),
                false => Err(self.wanted()),
            },
            ParameterKind::Number(min, max) => {
                let number = decimal(text)?;
                let fits = min.is_none_or(|min| !number.compare(min).is_lt())
                    && max.is_none_or(|max| !number.compare(max).is_gt());
                match fits {
                    true => Ok(number.reduced().to_string()),
                    false => Err(self.wanted()),
                }
            }
        }
    }

    /// Returns what is wanted.
    fn wanted(&self) -> Expectation {
        Expectation::wanted(match self {
            ParameterKind::Word(words) => or(words.iter().map(String::as_str)),
            ParameterKind::Number(Some(min), Some(max)) => format!("{min} to {max}"),
            ParameterKind::Number(Some(min), None) => format!("at least {min}"),
            ParameterKind::Number(None, Some(max)) => format!("at most {max}"),
            ParameterKind::Number(None, None) => "a number".to_owned(),
        })
    }

    /// Returns a value that fits, for checks.
    fn stand_in(&self) -> String {
        match self {
            ParameterKind::Word(words) => words.first().cloned().unwrap_or_default(),
            ParameterKind::Number(min, max) => {
                let limit = min.or(*max).filter(|_| self.value("1").is_err());
                limit.unwrap_or(Decimal::ONE).to_string()
            }
        }
    }
}
