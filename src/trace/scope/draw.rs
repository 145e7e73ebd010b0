//! The picture as SVG: self-contained, without scripts or fonts of its own.

use std::fmt::Write;
use std::time::Duration;

use super::lane::LaneId;
use super::layout::{AXIS, LANE, LEFT, Layout, MARGIN, RIGHT, STRIP, WIDTH};
use super::{Block, BlockKind, Scope};
use crate::base::text::is_display_control;
use crate::trace::text::millis;

/// The height at which the table of devices begins.
const TOP: f64 = 172.0;
/// The width of the thinnest block: a thinner one could not be seen.
const THINNEST: f64 = 0.8;
/// The width of a letter of a label, with room to spare.
const LETTER: f64 = 5.6;

const STYLE: &str = "\
text{font-family:system-ui,'Segoe UI','DejaVu Sans',sans-serif;font-size:11px;fill:#33414e}
.title{font-size:22px;font-weight:600;fill:#1c2731}
.sub,.axis,.dim{fill:#738290}
.big{font-size:20px;font-weight:600;fill:#1c2731}
.bad{fill:#c2334d}
.mid{text-anchor:middle}.end{text-anchor:end}
.small{font-size:9px}
.on{paint-order:stroke;stroke:#fff;stroke-opacity:.75;stroke-width:3px;stroke-linejoin:round}
.paper{fill:#fff}.card{fill:#f3f6f9}.lane{fill:#f6f8fa}.own{fill:#e9eef3}
.grid{stroke:#dde4ea;stroke-width:1}
.half{stroke:#eaeff3;stroke-width:1}
.strip{fill:#f3f6f9}
.quiet{fill:#7fc8a9}.early{fill:#ff7a45}
.wait{fill:#b4c3d1}.timeout{fill:url(#hatch)}.spoilt{fill:#f0b9c1}
.closed{fill:#d9dfe5}.request{fill:#3d5a80}.answer{fill:#2a9d6f}
.refusal{fill:#e9a23b}.foreign{fill:#8d6cc0}.echo{fill:#a9b8c6}.noise{fill:#8e1230}
";

/// Draws the picture.
pub(super) fn draw(scope: &Scope) -> String {
    let (begin, _) = scope.span.unwrap_or_default();
    let lanes: Vec<&LaneId> = scope.lanes.keys().collect();
    // What was asked is what the reader wants to know first.
    let asked = scope.lanes.values().filter(|lane| lane.asked > 0).count();
    let rows_top = match asked {
        0 => TOP,
        n => TOP + 46.0 + 18.0 * n as f64,
    };
    let busy = scope.blocks.iter().filter(|b| !b.kind.is_rest());
    let busy = busy.map(|b| (b.begin, b.end));
    let layout = Layout::new(begin, scope.length(), lanes.len().max(1), rows_top, busy);
    let height = layout.row(layout.rows) + 14.0;

    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\">"
    );
    let _ = writeln!(svg, "<style>\n{STYLE}</style>");
    svg.push_str(
        "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect width=\"6\" height=\"6\" fill=\"#fbe7ea\"/><rect width=\"2\" height=\"6\" fill=\"#eba9b4\"/></pattern></defs>\n",
    );
    let _ = writeln!(
        svg,
        "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>"
    );
    head(&mut svg, scope);
    if asked > 0 {
        table(&mut svg, scope, TOP);
    }
    strips(&mut svg, scope, &layout);
    rows(&mut svg, scope, &layout, &lanes);
    for block in in_order(scope) {
        let lane = lanes.iter().position(|p| **p == block.lane);
        put(&mut svg, &layout, block, lane.unwrap_or_default());
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the blocks in the order of drawing: thin or pale ones first, frames on top of
/// them.
fn in_order(scope: &Scope) -> Vec<&Block> {
    let mut blocks: Vec<&Block> = scope.blocks.iter().collect();
    blocks.sort_by_key(|b| b.kind);
    blocks
}

fn head(svg: &mut String, scope: &Scope) {
    let begin = scope.span.unwrap_or_default().0;
    let (port, line) = match &scope.settings {
        Some(settings) => (settings.port.as_str(), settings.to_string()),
        None => ("a port", "never open while it was looked at".to_owned()),
    };
    text(svg, 24.0, 40.0, "title", port);
    let length = scope.length().as_secs_f64();
    let (date, time) = (scope.anchor.date(begin), scope.anchor.time_of_day(begin));
    let sub = format!("{line} · {length:.3} s from {date} {time} UTC");
    text(svg, 24.0, 60.0, "sub", &sub);

    let c = &scope.counts;
    let wanted = scope.settings.as_ref().map(|m| m.quiet);
    let quiet = match (c.shortest, wanted) {
        (Some(had), Some(wanted)) => (millis(had), format!("least silence, ≥ {}", millis(wanted))),
        _ => ("–".into(), "least silence".into()),
    };
    let mut cards = vec![
        (
            format!("{:.1} %", scope.share(c.busy)),
            "line in use".to_owned(),
            false,
        ),
        (
            format!("{:.1} %", scope.share(c.wire)),
            "bytes on the wire".into(),
            false,
        ),
        (c.requests.to_string(), "requests".into(), false),
        (c.answered.to_string(), "answered".into(), false),
        (c.refused.to_string(), "refused".into(), false),
        (
            c.unanswered.to_string(),
            "without a reply".into(),
            c.unanswered > 0,
        ),
        (
            c.spoilt.to_string(),
            "spoilt or foreign".into(),
            c.spoilt > 0,
        ),
        (quiet.0, quiet.1, c.early > 0),
    ];
    if c.missing + c.left_out > 0 {
        let n = (c.missing + c.left_out).to_string();
        cards.push((n, "events not shown".into(), true));
    }
    let width = (WIDTH - 48.0 + 10.0) / cards.len() as f64;
    for (n, (value, name, is_bad)) in cards.iter().enumerate() {
        let x = 24.0 + n as f64 * width;
        let _ = writeln!(
            svg,
            "<rect class=\"card\" x=\"{x:.1}\" y=\"76\" width=\"{:.1}\" height=\"50\" rx=\"6\"/>",
            width - 10.0
        );
        let class = if *is_bad { "big bad" } else { "big" };
        text(svg, x + 10.0, 99.0, class, value);
        text(svg, x + 10.0, 117.0, "dim small", name);
    }
    legend(svg);
}

fn legend(svg: &mut String) {
    let mut x = 24.0;
    for (class, name) in [
        ("request", "request"),
        ("answer", "answer"),
        ("refusal", "exception, refusal"),
        ("foreign", "not the reply, or not believed"),
        ("noise", "noise"),
        ("echo", "own echo"),
        ("wait", "until the reply"),
        ("timeout", "no reply"),
        ("spoilt", "spoilt"),
        ("quiet", "3.5 characters of silence"),
        ("early", "too little silence"),
    ] {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"142\" width=\"14\" height=\"10\" rx=\"2\"/>"
        );
        text(svg, x + 19.0, 151.0, "dim", name);
        x += 34.0 + name.chars().count() as f64 * 6.1;
    }
}

fn rows(svg: &mut String, scope: &Scope, layout: &Layout, lanes: &[&LaneId]) {
    let begin = scope.span.unwrap_or_default().0;
    let tenth = layout.step / 10;
    for row in (0..layout.rows).filter(|row| layout.is_busy(*row)) {
        let top = layout.row(row);
        for (lane, id) in lanes.iter().enumerate() {
            let y = layout.y(row, lane);
            let class = if **id == LaneId::Gateway {
                "own"
            } else {
                "lane"
            };
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                y + 0.5,
                WIDTH - LEFT - RIGHT,
                LANE - 1.0
            );
            text(svg, LEFT - 8.0, y + 12.0, "end small", &named(id, scope));
        }
        let bottom = layout.y(row, lanes.len());
        for n in 0..=10u32 {
            let x = Layout::x(f64::from(n) / 10.0);
            let class = if n % 5 == 0 { "grid" } else { "half" };
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>",
                top + AXIS - 4.0
            );
            if n < 10 && n % 2 == 0 {
                let at = layout.step * row + tenth * n;
                let label = format!("+{:.*} s", decimals(tenth.as_millis()), at.as_secs_f64());
                let (x, class) = match n {
                    // The time of day of the row ends just before this label.
                    0 => (x + 2.0, "axis small"),
                    _ => (x, "axis small mid"),
                };
                text(svg, x, top + AXIS - 8.0, class, &label);
            }
        }
        let when = scope.anchor.time_of_day(begin + layout.step * row);
        let when = when.get(..12).unwrap_or(&when);
        text(svg, LEFT - 8.0, top + AXIS - 8.0, "axis small end", when);
    }
}

/// Draws a strip in place of rows in which nothing happened, which says for how long, and why if
/// the port was not open.
fn strips(svg: &mut String, scope: &Scope, layout: &Layout) {
    let (begin, end) = scope.span.unwrap_or_default();
    for (from, to) in layout.strips() {
        let (since, until) = (begin + layout.step * from, begin + layout.step * to);
        let blocks = || scope.blocks.iter().filter(|b| !b.kind.is_rest());
        let last = blocks().map(|b| b.end).filter(|at| *at <= since).max();
        let next = blocks().map(|b| b.begin).filter(|at| *at >= until).min();
        let (last, next) = (last.unwrap_or(begin), next.unwrap_or(end));
        let top = layout.row(from);
        let _ = writeln!(
            svg,
            "<rect class=\"strip\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            top + 4.0,
            WIDTH - LEFT - RIGHT,
            STRIP - 10.0
        );
        let is_closed =
            |b: &&Block| b.kind == BlockKind::Closed && b.begin < until && since < b.end;
        let words = match scope.blocks.iter().find(is_closed) {
            Some(closed) => {
                let lasts = lasting(closed.end.since(closed.begin));
                format!("{} ({lasts})", closed.title)
            }
            None => format!("nothing happened for {}", lasting(next.since(last))),
        };
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        text(svg, middle, top + 15.5, "dim small mid", &words);
        let when = scope.anchor.time_of_day(since);
        let when = when.get(..12).unwrap_or(&when);
        text(svg, LEFT - 8.0, top + 15.5, "axis small end", when);
    }
}

/// Writes a span of time that may be long.
fn lasting(span: Duration) -> String {
    match span.as_millis() {
        0..1000 => millis(span),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// Returns the number of decimals in which tenths of a row differ.
const fn decimals(tenth_ms: u128) -> usize {
    match tenth_ms {
        0..100 => 2,
        100..1000 => 1,
        _ => 0,
    }
}

fn put(svg: &mut String, layout: &Layout, block: &Block, lane: usize) {
    let (class, inset, height) = look(block.kind);
    let title = escaped(&block.title);
    let parts = layout.parts(block.begin, block.end);
    for part in parts.filter(|part| layout.is_busy(part.row)) {
        let y = layout.y(part.row, lane) + inset;
        let width = part.width.max(THINNEST);
        if block.kind != BlockKind::Idle {
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\"><title>{title}</title></rect>",
                part.x
            );
        }
        let fits = |label: &String| label.chars().count() as f64 * LETTER <= part.width;
        if let Some(label) = label(block).filter(fits) {
            let y = layout.y(part.row, lane) + 11.5;
            let middle = part.x + part.width / 2.0;
            let class = match block.kind {
                BlockKind::Idle => "dim small mid",
                _ => "small mid on",
            };
            text(svg, middle, y, class, &label);
        }
    }
}

/// Returns the class, the distance from the lane's top and the height.
const fn look(kind: BlockKind) -> (&'static str, f64, f64) {
    let whole = (MARGIN, LANE - 2.0 * MARGIN);
    let thin = (LANE / 2.0 - 1.0, 2.0);
    let foot = (LANE - MARGIN - 3.0, 3.0);
    let (class, (inset, height)) = match kind {
        BlockKind::Quiet => ("quiet", foot),
        BlockKind::Early => ("early", foot),
        BlockKind::Idle => ("idle", thin),
        BlockKind::Wait => ("wait", thin),
        BlockKind::Timeout => ("timeout", whole),
        BlockKind::Spoilt => ("spoilt", whole),
        BlockKind::Closed => ("closed", whole),
        BlockKind::Request => ("request", whole),
        BlockKind::Answer => ("answer", whole),
        BlockKind::Refusal => ("refusal", whole),
        BlockKind::Foreign => ("foreign", whole),
        BlockKind::Echo => ("echo", whole),
        BlockKind::Noise => ("noise", whole),
    };
    (class, inset, height)
}

/// Returns the label of a block, if there is room for it.
fn label(block: &Block) -> Option<String> {
    let span = millis(block.end.since(block.begin));
    match block.kind {
        BlockKind::Idle => Some(format!("idle {span}")),
        BlockKind::Timeout => Some(span),
        BlockKind::Spoilt => {
            let why = block.title.split_once(": ").map(|(_, why)| why);
            why.map(str::to_owned)
        }
        BlockKind::Closed => Some(block.title.clone()),
        _ => None,
    }
}

fn table(svg: &mut String, scope: &Scope, top: f64) {
    const AT: [f64; 8] = [24.0, 150.0, 440.0, 540.0, 640.0, 740.0, 860.0, 980.0];
    let head = [
        "on the line",
        "device",
        "asked",
        "answered",
        "refused",
        "no reply",
        "spoilt",
        "begins to answer after: half the time, at most",
    ];
    let mut row = |y: f64, class: &str, cells: [&str; 8]| {
        for (x, cell) in AT.into_iter().zip(cells) {
            text(svg, x, y, class, cell);
        }
    };
    row(top + 14.0, "dim", head);
    let devices = scope.lanes.iter().filter(|(_, lane)| lane.asked > 0);
    for (n, (id, lane)) in devices.enumerate() {
        let turnaround = match lane.turnaround() {
            Some((half, most)) => format!("{}, {}", millis(half), millis(most)),
            None => "–".into(),
        };
        let [asked, answered, refused, silent, spoilt] = [
            lane.asked,
            lane.answered,
            lane.refused,
            lane.unanswered,
            lane.spoilt,
        ]
        .map(|n| n.to_string());
        let device = shortened_to(lane.device.as_deref().unwrap_or(""), 44);
        row(
            top + 34.0 + 18.0 * n as f64,
            "",
            [
                &shortened(id.name()),
                &device,
                &asked,
                &answered,
                &refused,
                &silent,
                &spoilt,
                &turnaround,
            ],
        );
    }
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
    );
}

/// Writes the name of a device before its place, if that is known: `meter-1, unit 3`. A long name
/// is shortened, so that its place can be read.
fn named(id: &LaneId, scope: &Scope) -> String {
    const MOST: usize = 36;
    let place = shortened(id.name());
    let device = scope.lanes.get(id).and_then(|lane| lane.device.as_deref());
    match device.filter(|device| *device != place) {
        None => place,
        Some(device) => {
            let room = MOST.saturating_sub(place.chars().count() + 2).max(2);
            format!("{}, {place}", shortened_to(device, room))
        }
    }
}

/// Shortens a name so that it fits beside a lane.
fn shortened(name: &str) -> String {
    shortened_to(name, 20)
}

fn shortened_to(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

/// Escapes text for XML; characters that XML cannot have are left out.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{FFFE}' | '\u{FFFF}' => {}
            c if is_display_control(c) => {}
            c => out.push(c),
        }
    }
    out
}
