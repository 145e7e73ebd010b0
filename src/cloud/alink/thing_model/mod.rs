//! The thing model of a profile: the file that the platform's console imports into a product, and
//! how an export of the console differs from it.
//!
//! The form is that of an export ("TSL parameters"; "Import a TSL model"): the points are
//! properties, with the events and services of the profile beside them, and the three functions
//! that the console makes of all properties: the event `post`, the services `set` and `get`.
//!
//! Decides the limits of each property. They are those of what the point can be and not those of
//! what may be written: the platform refuses a reading beyond them, and a reading is worth more
//! than a second check of a write. Without a limit of its own a number has the widest range.
//!
//! A property has the title of its point as its name, in the language that is asked for: the
//! console shows a name, and a product has one.
//!
//! What the configuration does not refuse and the platform's rules ("Limits" of TSL features) do is
//! told by [`import_warnings`].

mod comparison;
mod units;

use serde_json::{Map, Value as Json, json};

pub use self::comparison::differences;
pub use self::units::unit_name;
use crate::base::Value;
use crate::base::text::counted;
use crate::spec::{
    Codec, DataType, Decimal, EventOutput, InputSpec, PointSpec, ProfileSpec, ServiceSpec,
    ServiceStep, ThingEventSpec, TitleLanguage,
};

/// The schema that an export names.
const SCHEMA: &str = "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json";

/// The most characters of a name ("Limits": 1 to 40).
const NAME: usize = 40;
/// What a name may have besides letters and digits ("Add a TSL feature", Feature Name: hyphens,
/// underscores, slashes and periods, behind a letter or a digit at the beginning; the console also
/// takes blanks and parentheses, as standard features have them).
const SIGNS: [char; 9] = [' ', '-', '_', '/', '.', '(', ')', '（', '）'];
/// The most properties, events and services of a module together.
const FUNCTIONS: usize = 300;
/// The most items of an enum.
const ITEMS: usize = 100;
/// The longest text, in bytes.
const TEXT: &str = "10240";

/// The range of an int of the thing model.
const WHOLE: (&str, &str) = ("-2147483648", "2147483647");
/// The range of a float or a double without limits of its own: fifteen digits, which a double
/// holds exactly, and more than any counter has.
const WIDE: (&str, &str) = ("-999999999999999", "999999999999999");
/// The step of a number with decimals: a float of the platform has seven. That of writes is not
/// used, for a reading need not be on it.
const FINEST: &str = "0.0000001";

/// Returns the thing model of a profile, as the console imports it for this product, with names for
/// these readers.
#[must_use]
pub fn thing_model(profile: &ProfileSpec, product_key: &str, readers: TitleLanguage) -> Json {
    let points = profile.points.iter().filter(|point| !is_of_module(point));
    let properties: Vec<Json> = points.clone().map(|p| property(p, readers)).collect();
    let values: Vec<Json> = points.clone().map(|p| parameter(p, readers)).collect();
    let writable: Vec<Json> = points
        .clone()
        .filter(|point| point.write.is_some())
        .map(|point| parameter(point, readers))
        .collect();
    let identifiers: Vec<&str> = points.clone().map(|p| p.id.as_str()).collect();
    let mut events = vec![json!({
        "identifier": "post",
        "name": "post",
        "type": "info",
        "required": true,
        "method": "thing.event.property.post",
        "outputData": values,
    })];
    events.extend(profile.events.iter().map(|e| event(profile, e, readers)));
    let mut services = vec![
        json!({
            "identifier": "set",
            "name": "set",
            "required": true,
            "callType": "async",
                "method": "thing.service.property.set",
            "inputData": writable,
            "outputData": [],
        }),
        json!({
            "identifier": "get",
            "name": "get",
            "required": true,
            "callType": "async",
                "method": "thing.service.property.get",
            "inputData": identifiers,
            "outputData": values,
        }),
    ];
    services.extend(
        profile
            .services
            .iter()
            .map(|s| service(profile, s, readers)),
    );
    json!({
        "schema": SCHEMA,
        "profile": { "productKey": product_key },
        "properties": properties,
        "events": events,
        "services": services,
    })
}

/// Returns what the platform will not take, or take otherwise than meant, in words.
#[must_use]
pub fn import_warnings(profile: &ProfileSpec) -> Vec<String> {
    let mut import_warnings = Vec::new();
    let points = profile.points.iter().filter(|point| !is_of_module(point));
    let functions = points.count() + profile.events.len() + profile.services.len();
    if functions > FUNCTIONS {
        import_warnings.push(format!(
            "{} and more than {FUNCTIONS}, the most of a module: divide the profile",
            counted(functions, "function")
        ));
    }
    for point in &profile.points {
        let id = &point.id;
        import_warnings.extend(names(point));
        let items = titles(point).len();
        match point.codec.data_type() {
            DataType::Enum if items == 0 => import_warnings.push(format!(
                "{id} is an enum without titles, and the console wants them: write values: for it"
            )),
            DataType::Enum if items > ITEMS => import_warnings.push(format!(
                "{id} has {} and an enum {ITEMS} at most: write as: int",
                counted(items, "title")
            )),
            _ => {}
        }
    }
    import_warnings
}

/// Returns whether a point is a property of a custom module, `module:id`: an import is of one
/// module, here the default one.
fn is_of_module(point: &PointSpec) -> bool {
    point.id.contains(':')
}

/// Returns what the platform will not take of the identifier and the names of a property. A title
/// that is too long is an error of the configuration.
fn names(point: &PointSpec) -> Vec<String> {
    let id = &point.id;
    if is_of_module(point) {
        return vec![format!(
            "{id} belongs to a module of its own, and an import is of one module: define it there in the console"
        )];
    }
    let begins = |text: &str| text.starts_with(char::is_alphanumeric);
    let title = &point.shown.title;
    let mut import_warnings = Vec::new();
    if title.general.is_none() && (id.len() > NAME || !begins(id)) {
        import_warnings.push(format!(
            "{id} has no title, and is no name for the console, which has 1 to {NAME} characters and begins with a letter or a digit: write title: for it"
        ));
    }
    for (key, text) in [("title", &title.general), ("title_zh", &title.chinese)] {
        let Some(text) = text else { continue };
        let wrong = |c: &char| !c.is_alphanumeric() && !SIGNS.contains(c);
        match text.chars().find(wrong) {
            Some(wrong) => import_warnings.push(format!(
                "{key} of {id} has {wrong} in it, and the console takes letters, digits, blanks and - _ / . ( )"
            )),
            None if !begins(text) => import_warnings.push(format!(
                "{key} of {id} does not begin with a letter or a digit, and the console wants that"
            )),
            None => {}
        }
    }
    import_warnings
}

/// Returns a property.
fn property(point: &PointSpec, readers: TitleLanguage) -> Json {
    let access = match point.write {
        Some(_) => "rw",
        None => "r",
    };
    json!({
        "identifier": point.id,
        "name": name_of(point, readers),
        "accessMode": access,
        "required": false,
        "dataType": data_type(point, readers),
    })
}

/// Returns a point as a parameter of a function.
fn parameter(point: &PointSpec, readers: TitleLanguage) -> Json {
    json!({
        "identifier": point.id,
        "name": name_of(point, readers),
        "dataType": data_type(point, readers),
    })
}

fn name(id: &str) -> String {
    id.chars().take(NAME).collect()
}

/// Returns the title of a point, or its id.
fn name_of(point: &PointSpec, readers: TitleLanguage) -> String {
    name(point.shown.title.for_readers(readers).unwrap_or(&point.id))
}

/// Returns the name of an output that shows a point: that of the point, unless the profile gives
/// the output another.
fn name_of_output(output: &str, point: &PointSpec, readers: TitleLanguage) -> String {
    match output == point.id {
        true => name_of(point, readers),
        false => name(output),
    }
}

/// Returns the type of a point and its limits. All numbers in limits are text.
fn data_type(point: &PointSpec, readers: TitleLanguage) -> Json {
    let of = point.codec.data_type();
    let mut specs = match of {
        DataType::Int => range(whole(limits(point)), WHOLE, "1"),
        DataType::Float | DataType::Double => range(limits(point), WIDE, FINEST),
        DataType::Enum => Json::Object(titles(point)),
        DataType::Bool => {
            let mut titles = titles(point);
            for (value, title) in [("0", "off"), ("1", "on")] {
                titles.entry(value).or_insert_with(|| title.into());
            }
            Json::Object(titles)
        }
        DataType::Text => json!({ "length": TEXT }),
        DataType::Date => json!({}),
    };
    if let (DataType::Int | DataType::Float | DataType::Double, Some(unit)) =
        (of, &point.shown.unit)
    {
        specs["unit"] = (*unit.0).into();
        specs["unitName"] = unit_name(&unit.0, readers).unwrap_or(&unit.0).into();
    }
    json!({ "type": of.word(), "specs": specs })
}

/// Returns the least and the greatest value that a point can have, if they are known.
fn limits(point: &PointSpec) -> (Option<Decimal>, Option<Decimal>) {
    match &point.codec {
        Codec::Measure(measure) => (measure.min, measure.max),
        Codec::Bool
        | Codec::Bit(_)
        | Codec::Number { .. }
        | Codec::Text { .. }
        | Codec::Letters { .. }
        | Codec::DateTime(_)
        | Codec::Datum { .. }
        | Codec::Part(_) => (None, None),
    }
}

/// Returns limits without those beyond an int of the thing model, which the console refuses.
fn whole(limits: (Option<Decimal>, Option<Decimal>)) -> (Option<Decimal>, Option<Decimal>) {
    let int = |limit: &Decimal| {
        let number = plain(*limit).parse::<f64>();
        number.is_ok_and(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number))
    };
    (limits.0.filter(int), limits.1.filter(int))
}

fn range(limits: (Option<Decimal>, Option<Decimal>), widest: (&str, &str), step: &str) -> Json {
    let text = |limit: Option<Decimal>, widest: &str| limit.map_or(widest.to_owned(), plain);
    json!({
        "min": text(limits.0, widest.0),
        "max": text(limits.1, widest.1),
        "step": step,
    })
}

/// Writes a number without an exponent: the console takes none.
fn plain(number: Decimal) -> String {
    let number = number.reduced();
    match usize::try_from(-i32::from(number.places)) {
        Ok(zeros) => format!("{}{}", number.digits, "0".repeat(zeros)),
        Err(_) => number.to_string(),
    }
}

/// Returns the titles of a point's values.
fn titles(point: &PointSpec) -> Map<String, Json> {
    let of_number = match &point.codec {
        Codec::Measure(measure) => measure.states.as_ref(),
        _ => None,
    };
    let all = of_number.or(point.shown.titles.as_ref());
    let all = all.into_iter().flatten();
    all.map(|(value, title)| (value.to_string(), Json::from(name(title))))
        .collect()
}

/// Returns an event. Its level is not known here; the console can change it.
fn event(profile: &ProfileSpec, event: &ThingEventSpec, readers: TitleLanguage) -> Json {
    let output = |(parameter, output): &(std::sync::Arc<str>, EventOutput)| {
        let (called, of) = match output {
            EventOutput::Point(index) => match profile.points.get(usize::from(*index)) {
                Some(point) => (
                    name_of_output(parameter, point, readers),
                    data_type(point, readers),
                ),
                None => (
                    name(parameter),
                    json!({ "type": "text", "specs": { "length": TEXT } }),
                ),
            },
            EventOutput::Fixed(value) => (name(parameter), type_of(value)),
        };
        json!({ "identifier": &**parameter, "name": called, "dataType": of })
    };
    json!({
        "identifier": &*event.id,
        "name": name(&event.id),
        "type": "info",
        "required": false,
        "desc": profile.rule(event),
        "method": format!("thing.event.{}.post", event.id),
        "outputData": event.data.iter().map(output).collect::<Vec<_>>(),
    })
}

/// Returns the type of a value that is always the same.
fn type_of(value: &Value) -> Json {
    match value {
        Value::Int(_) | Value::UInt(_) => {
            json!({ "type": "int", "specs": range((None, None), WHOLE, "1") })
        }
        Value::Float(_) => json!({ "type": "double", "specs": range((None, None), WIDE, FINEST) }),
        Value::Bool(_) => json!({ "type": "bool", "specs": { "0": "off", "1": "on" } }),
        Value::Text(_) => json!({ "type": "text", "specs": { "length": TEXT } }),
    }
}

/// Returns a service. It is asynchronous: its steps may take longer than a synchronous call may.
fn service(profile: &ProfileSpec, service: &ServiceSpec, readers: TitleLanguage) -> Json {
    let input = |input: &InputSpec| {
        let specs = range((input.min, input.max), WIDE, FINEST);
        json!({
            "identifier": input.name,
            "name": name(&input.name),
            "dataType": { "type": "double", "specs": specs },
        })
    };
    let output = |step: &ServiceStep| match step {
        ServiceStep::Read { point, output } => {
            let point = profile.points.get(usize::from(*point))?;
            Some(json!({
                "identifier": output,
                "name": name_of_output(output, point, readers),
                "dataType": data_type(point, readers),
            }))
        }
        ServiceStep::Write(_) | ServiceStep::Wait(_) | ServiceStep::Require(_) => None,
    };
    json!({
        "identifier": service.id,
        "name": name(&service.id),
        "required": false,
        "callType": "async",
        "desc": "",
        "method": format!("thing.service.{}", service.id),
        "inputData": service.inputs.iter().map(input).collect::<Vec<_>>(),
        "outputData": service.steps.iter().filter_map(output).collect::<Vec<_>>(),
    })
}
