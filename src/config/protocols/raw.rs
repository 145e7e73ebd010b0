//! Profiles with `protocol: raw`: devices without a standard. The requests, the replies, and
//! where in the replies the values stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::part;
use crate::base::text::counted;
use crate::config::points::naming::Naming;
use crate::config::points::titles::titles_of_a_bit;
use crate::config::points::value_defaults::ValueDefaults;
use crate::config::points::write;
use crate::config::protocols::checksum::check;
use crate::config::protocols::drafts::Drafts;
use crate::config::protocols::placeholders;
use crate::config::protocols::placeholders::{Pattern, Patterns, bytes, own_bytes};
use crate::config::protocols::reply_bounds;
use crate::config::protocols::value_form::{self, PlaceholderForm};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::suggestions;
use crate::config::reader::word_parsers::{identifier, name, time, whole};
use crate::config::sections::times::Times;
use crate::spec::raw::part::ReplyPart;
use crate::spec::raw::reply::LONGEST;
use crate::spec::raw::{Fixed, RawQuestion, ReplyEnd, ReplyMarks, Template, WriteBy};
use crate::spec::{Codec, PointAddress, PointSpec, QuestionIndex};

/// The most questions of a profile: as many as one byte can count.
const MOST: usize = 255;

/// The requests of a profile.
pub(crate) struct Requests {
    pub(crate) questions: Vec<Arc<RawQuestion>>,
    /// Their texts as they are written.
    pub(crate) patterns: Patterns,
    /// How each writes a value, if it does.
    writes: Vec<Option<PlaceholderForm>>,
    /// The names of requests that are wrong.
    wrong_ones: BTreeSet<String>,
}

/// Reads `requests:`.
pub(crate) fn requests(profile: &Section<'_>, notes: &mut Notes) -> Requests {
    let digits = profile
        .read(
            "address_digits",
            whole(1..=placeholders::MOST_DIGITS),
            notes,
        )
        .unwrap_or(placeholders::DIGITS);
    let zeros = "0".repeat(digits);
    let mut all: Vec<Arc<RawQuestion>> = Vec::new();
    let mut patterns = Patterns::with_addresses_of(digits);
    let mut wrong_ones = BTreeSet::new();
    let mut writes = Vec::new();
    for node in profile.list("requests", notes) {
        let s = Section::open(node, &["name", "send", "check", "reply"], notes);
        if !s.is_there() {
            continue;
        }
        let name = s.need(
            "name",
            name,
            || Expectation::wanted("a name for the request"),
            notes,
        );
        let check = check(&s, notes);
        let parse = |text: &str| {
            if check.is_none() && s.node("check").is_some() {
                // The wrong check is already noted, and its bytes are unknown.
                return Ok(None);
            }
            let written = value_form::value(text)?;
            let filled = placeholders::fill(text, placeholders::sample(&zeros));
            let said = |request| Some((request, text.to_owned(), written));
            Template::parse(&filled, check).map(said).map_err(|why| {
                Expectation::wanted(
                    "bytes in hexadecimal, \"text\", and {check} where the checksum goes",
                )
                .hint(why.to_string())
            })
        };
        let send = s.need("send", parse, || Expectation::wanted("what to send"), notes);
        let reply = reply(&s, &zeros, notes);
        let Some(name) = name else { continue };
        let (Some(Some((request, send, written))), Some((reply, fixed))) = (send, reply) else {
            wrong_ones.insert(name);
            continue;
        };
        if all.iter().any(|q| q.name == name) {
            let wrong = Expectation::wanted("a name no other request of the profile has");
            notes.error(s.at("name"), shown(&name), wrong);
            continue;
        }
        patterns.push(Pattern { send, check, fixed });
        writes.push(written);
        all.push(Arc::new(RawQuestion {
            name,
            request,
            reply,
            carried: None,
        }));
    }
    if profile.node("requests").is_none() {
        profile.lacks("requests", Expectation::wanted("a list of requests"), notes);
    }
    if all.len() > MOST {
        notes.error(
            profile.at("requests"),
            counted(all.len(), "request"),
            Expectation::wanted(format!("at most {MOST}")),
        );
    }
    Requests {
        questions: all,
        patterns,
        writes,
        wrong_ones,
    }
}

/// Reads the shape of the reply, and the texts of the bytes that are always in it.
fn reply(
    request: &Section<'_>,
    zeros: &str,
    notes: &mut Notes,
) -> Option<(ReplyMarks, Vec<(usize, String)>)> {
    let keys = [
        "length",
        "until",
        "silence",
        "begins",
        "contains",
        "check",
        "behind_check",
        "preamble",
    ];
    let s = request.section("reply", &keys, notes);
    if !s.is_there() {
        let wrong = Expectation::wanted("what comes back: how it ends and what is always in it");
        request.lacks("reply", wrong, notes);
        return None;
    }
    let length = |text: &str| match text {
        "any" => Ok(ReplyEnd::Frame),
        _ => whole(1..=LONGEST)(text).map(ReplyEnd::Length),
    };
    let length = s.read("length", length, notes).filter(|end| {
        let node = s.node("length").filter(|_| *end != ReplyEnd::Frame);
        !node.is_some_and(|node| notes.quoted_number(node))
    });
    let until = s.read("until", bytes, notes).map(ReplyEnd::Terminator);
    let pause = time(Duration::from_millis(5)..=Duration::from_secs(5));
    let silence = s.read("silence", pause, notes).map(ReplyEnd::Silence);
    let ends = ["length", "until", "silence"];
    if ends.iter().filter(|k| s.node(k).is_some()).count() != 1 {
        notes.error(
            s.origin,
            "how the reply ends",
            Expectation::wanted("one of length:, until: or silence:"),
        );
        return None;
    }
    let mut fixed = Vec::new();
    let begins = s.read("begins", own_bytes(zeros), notes);
    fixed.extend(begins.map(|said| (s.at("begins"), 0, said)));
    for node in s.list("contains", notes) {
        let c = Section::open(node, &["at", "bytes"], notes);
        let at = c.need(
            "at",
            whole(0..=LONGEST),
            || Expectation::wanted("where, from 0 on"),
            notes,
        );
        let what = c.need(
            "bytes",
            own_bytes(zeros),
            || Expectation::wanted("which bytes"),
            notes,
        );
        let origin = c.at("at");
        fixed.extend(at.zip(what).map(|(at, what)| (origin, at, what)));
    }
    let behind = s.read("behind_check", whole(0..=LONGEST), notes);
    let preamble = s.read("preamble", one_byte, notes).map(|[byte]| byte);
    let end = length.or(until).or(silence)?;
    let terminator = match &end {
        ReplyEnd::Terminator(t) => t.len(),
        ReplyEnd::Length(_) | ReplyEnd::Silence(_) | ReplyEnd::Frame => 0,
    };
    for (origin, at, (bytes, _)) in &fixed {
        reply_bounds::bytes(*origin, *at, bytes.len(), &end, notes);
    }
    let (fixed, written) = fixed
        .into_iter()
        .map(|(_, at, (bytes, text))| (Fixed { at, bytes }, (at, text)))
        .unzip();
    let shape = ReplyMarks {
        end,
        fixed,
        check: check(&s, notes),
        behind_check: behind.unwrap_or(terminator),
        preamble,
    };
    reply_bounds::check(&s, &shape, notes);
    if !shape.can_tell() {
        notes.warning(
            s.origin,
            "nothing that is always in the reply",
            Expectation::wanted("begins:, contains: or check:")
                .hint("without one of them noise of the right length is taken for a value"),
        );
    }
    Some((shape, written))
}

/// Parses a byte as a request is written: no number, so that the byte may stand in quotes.
fn one_byte(text: &str) -> Result<[u8; 1], Expectation> {
    match bytes(text).as_deref() {
        Ok([byte]) => Ok([*byte]),
        _ => Err(Expectation::wanted("one byte in hexadecimal, like FE")),
    }
}

/// Reads all points.
pub(crate) fn points<'a>(
    profile: &Section<'a>,
    requests: &Requests,
    (times, given): (Times, ValueDefaults),
    notes: &mut Notes,
) -> Drafts<'a> {
    let known: BTreeMap<&str, QuestionIndex> = (0u16..)
        .map(QuestionIndex)
        .zip(&requests.questions)
        .map(|(i, q)| (q.name.as_str(), i))
        .collect();
    let (mut drafts, list) = (Drafts::default(), profile.list("points", notes));
    for node in list {
        let s = Section::open(node, &part::KEYS, notes);
        if !s.is_there() {
            continue;
        }
        let mut write = write::read(&s, notes);
        let errors = notes.errors();
        let id = s.need(
            "id",
            identifier,
            || Expectation::wanted("the identifier of the property in the thing model"),
            notes,
        );
        let timing = times.of(&s, notes);
        let full = notes.is_full();
        let find = |text: &str| {
            if requests.wrong_ones.contains(text) {
                return Ok(None);
            }
            known.get(text).copied().map(Some).ok_or_else(|| {
                let meant = || suggestions::did_you_mean(text, known.keys().copied());
                Expectation::wanted("the name of a request of this profile")
                    .maybe_hint((!full).then(meant).flatten())
            })
        };
        let written = |i: QuestionIndex| requests.writes.get(i.index()).copied().flatten();
        let reads = |text: &str| match find(text)? {
            Some(index) if written(index).is_some() => {
                Err(Expectation::wanted("a request that reads")
                    .hint("a request with {value} in it writes, and is sent only for a command"))
            }
            found => Ok(found),
        };
        let request = s.need(
            "request",
            reads,
            || Expectation::wanted("the request whose reply it stands in"),
            notes,
        );
        let part = part::read(&s, given, notes);
        let asked = request
            .flatten()
            .and_then(|i| requests.questions.get(i.index()));
        if let (Some(question), Some(part)) = (asked, &part) {
            reply_bounds::part(&s, part, &question.reply, notes);
        }
        let titles = match part {
            Some(ReplyPart::Bit { .. }) => titles_of_a_bit(&s, notes),
            _ => None,
        };
        let (Some(Some(question)), Some(part)) = (request, part) else {
            continue;
        };
        let is_right = notes.errors() == errors;
        if let Some(write) = &mut write {
            let by = |text: &str| {
                let Some(question) = find(text)? else {
                    return Ok(None);
                };
                let said = written(question).ok_or_else(|| {
                    Expectation::wanted("a request with a place for the value")
                        .hint("{value} in its send:, outside quotes")
                })?;
                let form = value_form::form(&part, said).ok_or_else(|| {
                    Expectation::wanted("a request that writes values of this type").hint(
                        "{value} alone is for every type; with a form behind it, for numbers and bits",
                    )
                })?;
                Ok(Some(WriteBy { question, form }))
            };
            write.by_request(by, notes);
        }
        let index = u16::try_from(drafts.points.all.len()).unwrap_or(u16::MAX);
        if !is_right {
            drafts.points.wrong.insert(index);
        }
        drafts.writes.extend(write.map(|write| (index, write)));
        drafts.origins.push(s.at("id"));
        let codec = Codec::Part(Box::new(part));
        let titles = (timing.stale_after, titles);
        let shown = Naming::read(&s, notes).shown(Some(&codec), titles, notes);
        drafts.points.all.push(PointSpec {
            id: id.unwrap_or_default(),
            address: PointAddress::Raw(question),
            report: timing.report(&codec, notes),
            codec,
            interval: timing.interval,
            priority: timing.priority,
            write: None,
            shown,
        });
    }
    drafts.complete = drafts.points.all.len() == list.len() && !profile.is_no_list("points");
    drafts
}
