//! Pictures of short event sequences.

use proptest::prelude::*;

use super::*;
use crate::base::UnitId;
use crate::field::modbus::rtu;
use crate::trace::event::TraceEventKind;
use crate::trace::samples::{any_seen, at, open, turn};

fn request(micros: u64, unit: u8) -> TraceEvent {
    let bytes = rtu::frame(UnitId(unit), &[3, 0, 0, 0, 2]);
    let until = Mono::from_micros(micros + 8_000);
    at(micros, TraceEventKind::Sent { bytes, until })
}

fn came(micros: u64, bytes: Vec<u8>) -> TraceEvent {
    at(micros, TraceEventKind::Received { bytes })
}

fn ended(micros: u64, device: &str, verdict: TransactionVerdict) -> TraceEvent {
    let what = TraceEventKind::Verdict {
        device: device.into(),
        verdict,
        turnaround: Some(Duration::from_millis(10)),
        values: Vec::new(),
        without: Vec::new(),
    };
    at(micros, what)
}

fn story() -> Scope {
    let mut scope = Scope::default();
    for seen in [
        at(0, open()),
        // This is the end of a transaction that had begun before.
        ended(500, "meter-9", TransactionVerdict::Answered),
        at(1_000, turn("meter <3> & co", "unit 3")),
        request(4_000, 3),
        came(31_000, rtu::frame(UnitId(3), &[3, 4, 0, 1, 0, 2])),
        ended(31_010, "meter <3> & co", TransactionVerdict::Answered),
        at(32_000, turn("meter-4", "unit 4")),
        request(33_500, 4),
        at(341_500, TraceEventKind::Timeout),
        ended(341_510, "meter-4", TransactionVerdict::Silent),
        at(342_000, turn("meter-10", "unit 10")),
        request(400_000, 10),
        came(420_000, rtu::frame(UnitId(10), &[0x83, 2])),
        ended(
            420_010,
            "meter-10",
            TransactionVerdict::Exception { code: 2 },
        ),
        came(450_000, vec![0xC3]),
        at(490_000, TraceEventKind::Pause),
    ] {
        scope.on(&seen);
    }
    scope
}

#[test]
fn every_frame_has_the_colour_of_what_became_of_it() {
    let scope = story();
    let kinds = |place: &str| -> Vec<BlockKind> {
        let of = scope.blocks.iter().filter(|b| b.lane.name() == place);
        of.map(|b| b.kind).collect()
    };
    assert_eq!(
        kinds("gateway"),
        [
            BlockKind::Request,
            BlockKind::Early,
            BlockKind::Request,
            BlockKind::Idle,
            BlockKind::Quiet,
            BlockKind::Request
        ]
    );
    assert_eq!(kinds("unit 3"), [BlockKind::Answer, BlockKind::Wait]);
    assert_eq!(kinds("unit 4"), [BlockKind::Timeout]);
    assert_eq!(kinds("unit 10"), [BlockKind::Refusal, BlockKind::Wait]);
    assert_eq!(kinds("noise"), [BlockKind::Noise]);
    let names: Vec<_> = scope.lanes.keys().map(LaneId::name).collect();
    assert_eq!(names, ["gateway", "unit 3", "unit 4", "unit 10", "noise"]);
}

#[test]
fn what_is_counted_is_said() {
    let scope = story();
    assert_eq!(
        scope.summary(),
        "3 requests in 0.5 s, 1 answered, 1 refused, 1 without a reply; \
         the line was in use for 74.6 %; 1 request came too early"
    );
    let c = &scope.counts;
    assert_eq!(c.shortest, Some(Duration::from_micros(2_500)));
    // Three requests of 8 ms, replies of 9 and 5 ms, a byte of noise.
    assert_eq!(c.wire, Duration::from_millis(39));
}

#[test]
fn names_cannot_break_the_picture() {
    let svg = story().draw();
    assert!(svg.contains("meter &lt;3&gt; &amp; co"), "{svg}");
    assert!(!svg.contains("<3>"));
}

/// Checks that elements are closed in order and that attributes are quoted: enough of XML
/// for these pictures.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else {
            return false;
        };
        let tag = &rest[start + 1..start + end];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or(""));
        }
        if !tag.matches('"').count().is_multiple_of(2) {
            return false;
        }
        rest = &rest[start + end + 1..];
    }
    open.is_empty()
}

#[test]
fn the_picture_says_first_what_became_of_each_device_and_folds_idle_rows() {
    let mut scope = story();
    scope.on(&at(9_000_000, turn("meter-3", "unit 3")));
    scope.on(&request(9_010_000, 3));
    scope.on(&at(9_400_000, TraceEventKind::Timeout));
    let svg = scope.draw();
    let place = |what: &str| svg.find(what).unwrap_or_else(|| panic!("no {what}: {svg}"));
    assert!(place("begins to answer after") < place("class=\"own\""));
    // From the pause after the noise to the silence before the next request.
    assert_eq!(svg.matches("nothing happened for 8.").count(), 1, "{svg}");
    assert!(svg.contains("meter-4, unit 4"), "names stand beside lanes");
    // Noise and too little silence are different reds, and the legend has both.
    let colour = |class: &str| {
        let begin = place(&format!(".{class}{{fill:")) + class.len() + 7;
        &svg[begin..begin + 7]
    };
    assert_ne!(colour("noise"), colour("early"));
    for (class, name) in [("noise", ">noise<"), ("early", ">too little silence<")] {
        assert!(svg.contains(name) && svg.contains(&format!("class=\"{class}\"")));
    }
}

#[test]
fn half_a_reply_at_the_end_is_no_noise() {
    let mut scope = story();
    scope.on(&at(491_000, turn("meter-3", "unit 3")));
    scope.on(&request(495_000, 3));
    let before = scope.draw().matches("class=\"noise\"").count();
    scope.on(&came(520_000, vec![3, 3, 4]));
    assert_eq!(scope.draw().matches("class=\"noise\"").count(), before);
    // When an event follows, the half reply is drawn as noise.
    scope.on(&at(560_000, TraceEventKind::Pause));
    assert_eq!(scope.draw().matches("class=\"noise\"").count(), before + 1);
}

#[test]
fn nothing_at_all_is_a_picture_too() {
    assert!(is_well_formed(&Scope::default().draw()));
}

#[test]
fn a_port_that_was_not_open_shows_for_how_long_and_why() {
    let mut scope = Scope::default();
    let why = "No such file".into();
    scope.on(&at(0, TraceEventKind::Line(TracedLine::Closed { why })));
    scope.on(&at(700_000, open()));
    let block = &scope.blocks[0];
    assert_eq!(block.kind, BlockKind::Closed);
    assert_eq!(block.end.since(block.begin), Duration::from_millis(700));
    assert!(scope.draw().contains("not open: No such file"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_seen_is_a_picture_and_the_same_one_twice(
        seen in prop::collection::vec(any_seen(), 0..30),
    ) {
        let mut scope = Scope::default();
        for seen in &seen {
            scope.on(seen);
        }
        let svg = scope.draw();
        prop_assert!(is_well_formed(&svg));
        prop_assert_eq!(svg, scope.draw());
    }
}
