//! `profiles:`: kinds of devices, each a named list of points.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::access::{self, AccessSource};
use super::identify;
use super::parameters::{self, LeftOutPoint, Parameters, Values};
use super::secret::{self, SecretSource};
use super::service;
use super::thing_event;
use super::times::Times;
use crate::base::text::counted;
use crate::config::points::by_id::PointsById;
use crate::config::points::value_defaults::ValueDefaults;
use crate::config::points::write::WriteFacts;
use crate::config::points::{naming, point};
use crate::config::protocols::dlt645;
use crate::config::protocols::drafts::Drafts;
use crate::config::protocols::placeholders::Patterns;
use crate::config::protocols::raw;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{choice, name, product_key, time, whole, yes_or_no};
use crate::spec::dlt645::Edition;
use crate::spec::{
    CommandSpec, Gap, KindDescription, PointSpec, ProfileSpec, Protocol, Reads, ServiceSpec,
    WriteFunctions, WriteRequests,
};

/// One kind of device.
pub(crate) struct Profile {
    pub(crate) spec: Arc<ProfileSpec>,
    /// Which parts of its requests each of its devices fills in.
    pub(crate) patterns: Patterns,
    /// The product of its devices, unless they say otherwise.
    pub(crate) product_key: Option<String>,
    /// Whether a wrong product key was given, so that its lack is not reported.
    pub(crate) product_key_given: bool,
    /// The secret of that product, for devices that are registered with it.
    pub(crate) product_secret: Option<SecretSource>,
    /// Password and operator code for writes to its devices, unless they say otherwise.
    pub(crate) access: AccessSource,
    /// Its name, without the values of parameters.
    pub(crate) name: String,
    /// Its parameters, and itself as it is written, if it has some.
    pub(crate) parameters: Parameters,
    template: Option<Node>,
    /// The points that it does not have with these values of its parameters.
    left_out: Vec<LeftOutPoint>,
    pub(crate) at: OriginId,
}

/// All profiles by name.
pub(crate) type Profiles = BTreeMap<String, Profile>;

const KEYS: [&str; 35] = [
    "name",
    "product_key",
    "interval",
    "priority",
    "stale_after",
    "report",
    "as",
    "utc_offset",
    "words",
    "max_registers",
    "reply_delay",
    "holes",
    "points",
    "product_secret",
    "product_secret_file",
    "product_secret_credential",
    "protocol",
    "requests",
    "address_digits",
    "writes",
    "services",
    "events",
    "write_password",
    "write_password_file",
    "write_password_credential",
    "operator_code",
    "operator_code_file",
    "operator_code_credential",
    "title",
    "title_zh",
    "unverified",
    "identify",
    "parameters",
    "based_on",
    "without",
];

/// The protocol of a kind of device.
#[derive(Clone, Copy)]
enum Dialect {
    Modbus,
    Dlt645(Edition),
    Raw,
}

const DIALECTS: [(&str, Dialect); 4] = [
    ("modbus", Dialect::Modbus),
    ("dlt645-2007", Dialect::Dlt645(Edition::Y2007)),
    ("dlt645-1997", Dialect::Dlt645(Edition::Y1997)),
    ("raw", Dialect::Raw),
];

const NO_DIGITS: &str =
    "only the addresses of protocol: raw have as many digits as the profile says";

const NO_REGISTERS: &str = "only Modbus has registers";

const NO_FUNCTIONS: &str = "only Modbus has a choice of functions that write";

const ONLY_METERS: &str = "only meters of dlt645-2007 want a password before they are written to";

/// The values of `writes.functions`.
const FUNCTIONS: [(&str, WriteFunctions); 3] = [
    ("both", WriteFunctions::Both),
    ("single", WriteFunctions::Single),
    ("multiple", WriteFunctions::Multiple),
];

/// Notes keys that mean nothing with the profile's protocol.
fn refuse(s: &Section<'_>, keys: &[&str], why: &str, notes: &mut Notes) {
    for key in keys.iter().filter(|key| s.node(key).is_some()) {
        let wrong = Expectation::wanted(format!("no {key} with this protocol")).hint(why);
        notes.error(s.at(key), *key, wrong);
    }
}

fn ids(points: &[PointSpec]) -> impl Iterator<Item = &str> {
    points.iter().map(|p| p.id.as_str())
}

/// Notes ids that two points have.
fn unique<'a>(points: impl Iterator<Item = (&'a str, OriginId)>, notes: &mut Notes) {
    let mut ids: BTreeMap<&str, OriginId> = BTreeMap::new();
    for (id, at) in points {
        if id.is_empty() {
            // A wrong id is already noted.
        } else if let Some(first) = ids.get(id) {
            let hint = format!("{} already has this id", notes.origins.line(*first));
            notes.error(
                at,
                shown(id),
                Expectation::wanted("an id no other point of the profile has").hint(hint),
            );
        } else {
            ids.insert(id, at);
        }
    }
}

/// Reads one profile and adds it to the others; its services end in the time that `commands`
/// gives them. Returns false if its name is not known: an
/// unknown name elsewhere may then mean this profile.
pub(crate) fn read(
    mut node: Node,
    profiles: &mut Profiles,
    commands: CommandSpec,
    notes: &mut Notes,
) -> bool {
    let s = Section::open(&node, &KEYS, notes);
    if !s.is_there() {
        return false;
    }
    let parameters = Parameters::declared(&s, notes);
    let named_at = s.at("name");
    let template = (!parameters.is_empty()).then(|| node.clone());
    let values = parameters.stand_ins();
    let left_out = parameters.fill(&mut node, &values, notes);
    let Some(mut profile) = compile(&node, commands, notes) else {
        return false;
    };
    profile.left_out = left_out;
    Arc::make_mut(&mut profile.spec).about.parameters = values;
    if let Some(first) = profiles.get(&profile.name) {
        let hint = format!("{} already has this name", notes.origins.line(first.at));
        notes.error(
            named_at,
            shown(&profile.name),
            Expectation::wanted("a name no other profile has").hint(hint),
        );
        return true;
    }
    profile.template = template;
    profile.parameters = parameters;
    profiles.insert(profile.name.clone(), profile);
    true
}

/// The profiles of devices that give values to parameters, by name and values.
#[derive(Default)]
pub(crate) struct Variants {
    all: BTreeMap<(String, Values), Profile>,
}

impl Variants {
    /// Adds the profile for these values of its parameters, unless they are its defaults.
    pub(crate) fn add(
        &mut self,
        of: &Profile,
        values: Values,
        commands: CommandSpec,
        notes: &mut Notes,
    ) {
        let suffix = parameters::suffix(&of.parameters, &values);
        let key = (of.name.clone(), values);
        let Some(template) = of.template.as_ref().filter(|_| !suffix.is_empty()) else {
            return;
        };
        if self.all.contains_key(&key) {
            return;
        }
        let filled = filled(template, &of.parameters, &key.1, commands, notes);
        self.all.extend(filled.map(|profile| (key, profile)));
    }

    /// Returns the profile for these values; the profile itself, if they are its defaults.
    pub(crate) fn find<'a>(&'a self, of: &'a Profile, values: Values) -> &'a Profile {
        self.all.get(&(of.name.clone(), values)).unwrap_or(of)
    }
}

/// Reads a profile as it is written with these values of its parameters; its name tells those that
/// are not the defaults. `None` if the name is not known.
fn filled(
    template: &Node,
    parameters: &Parameters,
    values: &Values,
    commands: CommandSpec,
    notes: &mut Notes,
) -> Option<Profile> {
    let mut node = template.clone();
    let left_out = parameters.fill(&mut node, values, notes);
    let mut profile = compile(&node, commands, notes)?;
    profile.left_out = left_out;
    let spec = Arc::make_mut(&mut profile.spec);
    spec.name.push_str(&parameters::suffix(parameters, values));
    spec.about.parameters.clone_from(values);
    Some(profile)
}

/// A profile, used or not.
#[derive(Clone)]
pub struct NamedProfile {
    /// What is read and written.
    pub spec: Arc<ProfileSpec>,
    /// The product that the profile names for its devices.
    pub product_key: Option<String>,
    /// The points that it does not have with the values that its parameters have here.
    pub left_out: Vec<LeftOutPoint>,
    /// The profile as it is written, if it has parameters.
    template: Option<Arc<Template>>,
}

impl fmt::Debug for NamedProfile {
    /// Writes what the profile means, and not how it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("NamedProfile");
        out.field("spec", &self.spec);
        out.field("product_key", &self.product_key);
        out.field("left_out", &self.left_out);
        out.finish_non_exhaustive()
    }
}

/// A profile with parameters, as it is written.
struct Template {
    node: Node,
    parameters: Parameters,
    commands: CommandSpec,
}

impl NamedProfile {
    /// Returns what the tool needs of a profile.
    pub(crate) fn new(profile: Profile, commands: CommandSpec) -> Self {
        let Profile {
            spec,
            product_key,
            parameters,
            template,
            left_out,
            ..
        } = profile;
        let template = template.map(|node| {
            Arc::new(Template {
                node,
                parameters,
                commands,
            })
        });
        NamedProfile {
            spec,
            product_key,
            left_out,
            template,
        }
    }

    /// Returns the profile with these values of its parameters, and the defaults of the others.
    ///
    /// # Errors
    /// What is wrong: a value, or what becomes of the profile with it.
    pub fn with(&self, given: &BTreeMap<String, String>) -> Result<NamedProfile, String> {
        let Some(template) = &self.template else {
            return Err("the profile declares no parameters".into());
        };
        let values = template.parameters.given(given)?;
        let mut notes = Notes::default();
        let (node, parameters) = (&template.node, &template.parameters);
        let profile = filled(node, parameters, &values, template.commands, &mut notes);
        let failed = notes.failed();
        let report = notes.report();
        match (profile, report.problems().first()) {
            (Some(profile), _) if !failed => Ok(NamedProfile {
                template: self.template.clone(),
                ..NamedProfile::new(profile, template.commands)
            }),
            (_, Some(first)) => Err(format!("{}: wanted {}", first.said, first.wanted)),
            (_, None) => Err("the profile has no name".into()),
        }
    }
}

/// Reads a profile whose parameters are filled in; `None` if its name is not known.
fn compile(node: &Node, commands: CommandSpec, notes: &mut Notes) -> Option<Profile> {
    let s = Section::again(node);
    let profile_name = s.need(
        "name",
        name,
        || Expectation::wanted("a name for the profile"),
        notes,
    );
    let times = Times::read(&s, notes);
    let given = ValueDefaults::read(&s, notes);
    let max_registers = s
        .read("max_registers", whole(1..=125u16), notes)
        .unwrap_or(125);
    let dialect = s.read("protocol", choice(&DIALECTS), notes);
    // If the protocol is unknown, its points cannot be checked.
    let unknown = dialect.is_none() && s.node("protocol").is_some();
    let mut patterns = Patterns::default();
    let mut services = Vec::new();
    let mut facts = WriteFacts {
        commands,
        ..WriteFacts::default()
    };
    let mut access = AccessSource::default();
    if !matches!(dialect, Some(Dialect::Dlt645(_))) && !unknown {
        access::refuse(&s, ONLY_METERS, notes);
    }
    let (points, wrong, protocol) = match dialect.unwrap_or(Dialect::Modbus) {
        _ if unknown => (Vec::new(), BTreeSet::new(), Protocol::Modbus),
        Dialect::Modbus => {
            refuse(&s, &["requests"], "only protocol: raw has requests", notes);
            refuse(&s, &["address_digits"], NO_DIGITS, notes);
            facts.requests = write_requests(&s, notes);
            let list = s.list("points", notes);
            let drafts: Vec<_> = list
                .iter()
                .filter_map(|point| point::read(point, times, given, notes))
                .collect();
            unique(drafts.iter().map(|d| (d.id.as_str(), d.at)), notes);
            let complete = drafts.len() == list.len() && !s.is_no_list("points");
            let points = point::finish(drafts, complete, max_registers, facts, notes);
            let by_id = PointsById::new(&points.all, &points.wrong, complete);
            services = service::read(&s, &by_id, commands.async_within, notes);
            (points.all, points.wrong, Protocol::Modbus)
        }
        Dialect::Dlt645(edition) => {
            refuse(
                &s,
                &["requests", "max_registers", "holes", "words"],
                NO_REGISTERS,
                notes,
            );
            refuse(&s, &["address_digits"], NO_DIGITS, notes);
            refuse(&s, &["writes"], NO_FUNCTIONS, notes);
            let (drafts, items) = dlt645::points(&s, edition, times, given, notes);
            for (index, write) in &drafts.writes {
                if let Some(point) = drafts.points.all.get(usize::from(*index)) {
                    write.is_of_the_whole(point, &items, notes);
                }
            }
            let (points, wrong, found) = finish(&s, drafts, facts, notes);
            services = found;
            access = AccessSource::of_profile(&s, &points, notes);
            (points, wrong, Protocol::Dlt645(items))
        }
        Dialect::Raw => {
            refuse(
                &s,
                &["max_registers", "holes", "words"],
                NO_REGISTERS,
                notes,
            );
            refuse(&s, &["writes"], NO_FUNCTIONS, notes);
            let requests = raw::requests(&s, notes);
            let drafts = raw::points(&s, &requests, (times, given), notes);
            let (points, wrong, found) = finish(&s, drafts, facts, notes);
            services = found;
            patterns = requests.patterns;
            (points, wrong, Protocol::Raw(requests.questions))
        }
    };
    let written = s.node("points").map(|node| &node.is);
    let complete = matches!(written, Some(NodeContent::List(all)) if all.len() == points.len())
        && !s.is_no_list("points");
    let by_id = PointsById::new(&points, &wrong, complete);
    let events = match unknown {
        false => thing_event::read(&s, &by_id, notes),
        true => Vec::new(),
    };
    match s.node("points") {
        None => s.lacks("points", Expectation::wanted("a list of points"), notes),
        Some(list) if points.is_empty() => {
            if matches!(&list.is, NodeContent::List(l) if l.is_empty()) {
                notes.error(
                    list.origin,
                    "an empty list",
                    Expectation::wanted("at least one point").hint(
                        "a device without points is never asked anything and never comes online",
                    ),
                );
            }
        }
        Some(_) => {}
    }
    let reads = Reads {
        reply_delay: s.read(
            "reply_delay",
            time(Duration::ZERO..=Duration::from_secs(10)),
            notes,
        ),
        holes: holes(&s, notes),
    };
    let product = s.read("product_key", product_key, notes);
    let product_secret = product_secret(&s, notes);
    if !matches!(protocol, Protocol::Modbus) {
        refuse(
            &s,
            &["identify"],
            "only Modbus devices are identified",
            notes,
        );
    }
    let about = KindDescription {
        title: naming::title(&s, notes),
        unverified: naming::unverified(&s, notes),
        identification: identify::read(&s, notes),
        parameters: BTreeMap::new(),
    };
    let profile_name = profile_name?;
    Some(Profile {
        spec: Arc::new(ProfileSpec {
            protocol,
            name: profile_name.clone(),
            points,
            max_registers,
            reads,
            writes: facts.requests,
            services,
            events,
            about,
        }),
        patterns,
        product_key: product,
        product_key_given: s.node("product_key").is_some(),
        product_secret,
        access,
        name: profile_name,
        parameters: Parameters::default(),
        template: None,
        left_out: Vec::new(),
        at: s.origin,
    })
}

/// Returns the points with how they are written, those of them that may be wrong, and the services.
fn finish(
    s: &Section<'_>,
    drafts: Drafts<'_>,
    facts: WriteFacts,
    notes: &mut Notes,
) -> (Vec<PointSpec>, BTreeSet<u16>, Vec<ServiceSpec>) {
    let (mut points, complete) = (drafts.points, drafts.complete);
    unique(ids(&points.all).zip(drafts.origins), notes);
    points.write(drafts.writes, complete, facts, notes);
    let by_id = PointsById::new(&points.all, &points.wrong, complete);
    let services = service::read(s, &by_id, facts.commands.async_within, notes);
    (points.all, points.wrong, services)
}

/// Reads the secret of the profile's product, if it is given.
fn product_secret(s: &Section<'_>, notes: &mut Notes) -> Option<SecretSource> {
    let (key, source) = secret::find(s, &secret::PRODUCT_KEYS, notes)?;
    if s.node("product_key").is_none() {
        notes.error(
            s.at(key),
            format!("{key} without product_key"),
            Expectation::wanted("the ProductKey of that product beside it: product_key")
                .hint("the secret serves the devices of the product that have register: true"),
        );
    }
    Some(source)
}

/// Reads `writes:`: with which requests this kind of device is written to.
fn write_requests(profile: &Section<'_>, notes: &mut Notes) -> WriteRequests {
    let d = WriteRequests::default();
    let s = profile.section("writes", &["functions", "mask_write"], notes);
    WriteRequests {
        functions: s
            .read("functions", choice(&FUNCTIONS), notes)
            .unwrap_or(d.functions),
        mask_write: s
            .read("mask_write", yes_or_no, notes)
            .unwrap_or(d.mask_write),
    }
}

/// The most entries of `holes:`; more need not be listed by hand.
const MOST_HOLES: usize = 256;

/// Reads the addresses that are never read if no point needs them.
fn holes(profile: &Section<'_>, notes: &mut Notes) -> Vec<Gap> {
    let list = profile.list("holes", notes);
    if list.len() > MOST_HOLES {
        notes.error(
            profile.at("holes"),
            counted(list.len(), "hole"),
            Expectation::wanted(format!("at most {MOST_HOLES}"))
                .hint("max_registers: 1 reads every register on its own"),
        );
    }
    let mut holes = Vec::new();
    for node in list {
        let s = Section::open(node, &["table", "addresses"], notes);
        if !s.is_there() {
            continue;
        }
        let table = s.need(
            "table",
            choice(&point::TABLES),
            || Expectation::wanted("coil, discrete, holding or input"),
            notes,
        );
        let range = s.need(
            "addresses",
            addresses,
            || Expectation::wanted(ADDRESSES),
            notes,
        );
        if let (Some(table), Some((first, last))) = (table, range) {
            holes.push(Gap { table, first, last });
        }
    }
    holes
}

const ADDRESSES: &str = "an address, or a range of them like 5-9, 0 to 65535";

/// Parses `7` or `5-9`.
fn addresses(text: &str) -> Result<(u16, u16), Expectation> {
    let address = whole(0..=u16::MAX);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (address(first.trim()), address(last.trim())) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        (Ok(_), Ok(_)) => Err(Expectation::wanted(ADDRESSES).hint("the lower address comes first")),
        _ => Err(Expectation::wanted(ADDRESSES)),
    }
}
