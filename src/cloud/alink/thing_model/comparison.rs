//! How an export of the console differs from the thing model of a profile.
//!
//! What the console has and the profile has not is no difference that harms, and is told as well:
//! the property would never have a value.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::units::is_same;
use crate::spec::Decimal;

/// Returns each difference in words; none if the product takes what the profile posts, and can
/// ask for what the profile can do.
///
/// # Errors
/// When the text is no thing model.
pub fn differences(wanted: &Json, export: &str) -> Result<Vec<String>, String> {
    let theirs: Json = serde_json::from_str(export)
        .map_err(|e| format!("no JSON at line {}, column {}", e.line(), e.column()))?;
    if !theirs.get("properties").is_some_and(Json::is_array) {
        return Err("no thing model: it has no list of properties".to_owned());
    }
    let mut told = Vec::new();
    for (kind, what) in [
        ("properties", "property"),
        ("events", "event"),
        ("services", "service"),
    ] {
        let (ours, theirs) = (functions(wanted, kind), functions(&theirs, kind));
        for (id, our) in &ours {
            match theirs.get(id) {
                None => told.push(format!("{what} {id}: not in the product")),
                Some(their) if kind == "properties" => property(id, our, their, &mut told),
                Some(their) => parameters(what, id, our, their, &mut told),
            }
        }
        let more = theirs.keys().filter(|id| !ours.contains_key(*id));
        told.extend(more.map(|id| format!("{what} {id}: not in the profile")));
    }
    Ok(told)
}

/// Returns the functions of one kind by their identifiers, but those that the console makes itself.
fn functions<'a>(model: &'a Json, kind: &str) -> BTreeMap<&'a str, &'a Json> {
    let mut all = by_identifier(model, kind);
    if kind != "properties" {
        all.retain(|id, _| !["post", "set", "get"].contains(id));
    }
    all
}

/// Returns the members of a list that have an identifier, by it.
fn by_identifier<'a>(of: &'a Json, list: &str) -> BTreeMap<&'a str, &'a Json> {
    let all = of.get(list).and_then(Json::as_array).into_iter().flatten();
    all.filter_map(|member| Some((member.get("identifier")?.as_str()?, member)))
        .collect()
}

fn property(id: &str, our: &Json, their: &Json, told: &mut Vec<String>) {
    let access = |p: &Json| p["accessMode"].as_str().unwrap_or("r").to_owned();
    if access(our) == "rw" && access(their) != "rw" {
        told.push(format!(
            "property {id}: read-only in the product, and the profile can write it"
        ));
    }
    data_type(&format!("property {id}"), our, their, told);
}

/// Compares the type of a property or parameter, and whether each value of ours has a place there.
fn data_type(what: &str, our: &Json, their: &Json, told: &mut Vec<String>) {
    let of = |p: &Json| p["dataType"]["type"].as_str().unwrap_or("none").to_owned();
    let (our_type, their_type) = (of(our), of(their));
    if our_type != their_type {
        told.push(format!(
            "{what}: {their_type} in the product, {our_type} in the profile"
        ));
        return;
    }
    let specs = |p: &Json| p["dataType"]["specs"].clone();
    let (ours, theirs) = (specs(our), specs(their));
    match our_type.as_str() {
        "int" | "float" | "double" => {
            for (key, is_narrower) in [
                ("min", std::cmp::Ordering::Greater),
                ("max", std::cmp::Ordering::Less),
            ] {
                let (our, their) = (&ours[key], &theirs[key]);
                if let (Some(least), Some(limit)) = (number(our), number(their))
                    && limit.compare(least) == is_narrower
                {
                    told.push(format!(
                        "{what}: {key} {limit} in the product, {least} in the profile: the \
                         platform refuses values beyond it"
                    ));
                }
            }
            let unit = |specs: &Json| specs["unit"].as_str().map(str::to_owned);
            if let (Some(our), Some(their)) = (unit(&ours), unit(&theirs))
                && !their.is_empty()
                && !is_same(&our, &their)
            {
                told.push(format!(
                    "{what}: unit {their} in the product, {our} in the profile"
                ));
            }
        }
        "enum" => {
            let missing: Vec<&str> = ours
                .as_object()
                .into_iter()
                .flatten()
                .map(|(value, _)| value.as_str())
                .filter(|value| theirs.get(*value).is_none())
                .collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                told.push(format!("{what}: the product has no state {missing}"));
            }
        }
        _ => {}
    }
}

fn number(text: &Json) -> Option<Decimal> {
    Decimal::parse(text.as_str()?)
}

/// Compares what is sent with an event, or goes into a service and comes out.
fn parameters(what: &str, id: &str, our: &Json, their: &Json, told: &mut Vec<String>) {
    for key in ["inputData", "outputData"] {
        let (ours, theirs) = (by_identifier(our, key), by_identifier(their, key));
        for (name, our) in &ours {
            let what = format!("{what} {id}, {name}");
            match theirs.get(name) {
                None => told.push(format!("{what}: not in the product")),
                Some(their) => data_type(&what, our, their, told),
            }
        }
    }
}
