//! `alink-gateway sweep PORT UNIT`: which registers and bits a Modbus device has.
//!
//! `field/survey/sweep.rs` decides what is asked next. The result goes to standard output; if
//! standard error is a terminal, how far the sweep is goes there.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use serde_json::{Value as Json, json};

use super::ServiceOptions;
use super::columns::{Page, width, wrapped};
use super::language::Language;
use super::line::{LineOptions, NamedLine, USUAL};
use super::read::field;
use super::status::{coloured, page};
use super::terminal_words::span;
use crate::base::UnitId;
use crate::base::text::{counted, grouped};
use crate::config::address_in_a_manual;
use crate::field::diagnostics::trouble::meaning;
use crate::field::survey::guess::{Guess, guesses};
use crate::field::survey::sweep::runs::{Run, RunOf, Zeros, runs, zeros};
use crate::field::survey::sweep::{EntryClass, Sweep, SweepEnd, SweepHeard, SweepOrder, SweepStep};
use crate::io::survey_line::SurveyError;
use crate::io::terminal::interrupt::Interrupt;
use crate::io::terminal::screen;
use crate::spec::Table as ModbusTable;

/// How long a device that stops answering is waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// After this time without a reply the tool says so, if it shows no progress.
const FIRST_NOTICE_AFTER: Duration = Duration::from_secs(3);

/// How many registers stand in a row.
const REGISTERS_IN_A_ROW: usize = 8;

/// How wide an address is.
const ADDRESS: usize = 8;

/// How many bits stand in a row.
const BITS_IN_A_ROW: usize = 32;

const TABLES: [(&str, ModbusTable); 4] = [
    ("holding", ModbusTable::HoldingRegister),
    ("input", ModbusTable::InputRegister),
    ("coil", ModbusTable::Coil),
    ("discrete", ModbusTable::DiscreteInput),
];

/// What is swept, and how it is shown.
#[derive(Debug, Args)]
pub(super) struct SweepOptions {
    /// The tables, with commas between them.
    #[arg(long, value_name = "TABLES", value_delimiter = ',', default_value = "holding,input",
          value_parser = PossibleValuesParser::new(["holding", "input", "coil", "discrete"]))]
    table: Vec<String>,
    /// The first address, 0-based.
    #[arg(long, value_name = "ADDRESS", default_value = "0")]
    from: String,
    /// The last address.
    #[arg(long, value_name = "ADDRESS", default_value = "0x1000")]
    to: String,
    #[command(flatten)]
    line: LineOptions,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Print CSV instead of a table.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl SweepOptions {
    fn tables(&self) -> Vec<ModbusTable> {
        let named = |(word, _): &&(&str, ModbusTable)| self.table.iter().any(|t| t == word);
        TABLES
            .iter()
            .filter(named)
            .map(|(_, table)| *table)
            .collect()
    }
}

/// Sweeps a device. Exit status 0 if every entry could be classed, 1 if not, 2 if the words are
/// wrong.
#[must_use]
pub(super) fn run(
    port: &str,
    unit: u8,
    options: &SweepOptions,
    service: &ServiceOptions,
    language: Language,
) -> ExitCode {
    let (first, last) = match (address(&options.from), address(&options.to)) {
        (Some(first), Some(last)) if first <= last => (first, last),
        (Some(_), Some(_)) => {
            let of_manual = [&options.from, &options.to].map(|text| address_in_a_manual(text));
            let why = match of_manual.iter().any(Option::is_some) {
                true => format!(
                    "--from {} --to {}: the lower address comes first; if they are numbers of a manual, leave out the digit of the table and take one off",
                    options.from, options.to
                ),
                false => format!(
                    "--from {} --to {}: the lower address comes first",
                    options.from, options.to
                ),
            };
            return super::misused(why, language);
        }
        (first, _) => {
            let (option, wrong) = match first {
                None => ("--from", &options.from),
                Some(_) => ("--to", &options.to),
            };
            let why =
                format!("{option} {wrong}: wanted an address, 0 to 65535 or 0x0000 to 0xffff");
            return super::misused(why, language);
        }
    };
    let notes = [("--from", &options.from), ("--to", &options.to)].map(of_manual);
    for note in notes.into_iter().flatten() {
        screen::print_error(&format!("{}\n", language.say(&note)));
    }
    let mut line = match options.line.find(port, service, USUAL) {
        Ok(line) => line,
        Err(why) => return super::misused(why, language),
    };
    let mut sweep = Sweep::new(SweepOrder {
        unit: UnitId(unit),
        tables: options.tables(),
        first,
        last,
        wait: line.wait,
        longest_pause: LONGEST_PAUSE,
    });
    if let Err(why) = swept(&mut sweep, &mut line, language) {
        screen::print_error(&format!("{}\n", language.say(&why)));
        if sweep.found().is_empty() {
            return ExitCode::FAILURE;
        }
        sweep.stop();
    }
    let text = match (options.json, options.csv) {
        (true, _) => as_json(&sweep, &options.tables(), unit),
        (_, true) => as_csv(&sweep, &options.tables()),
        (false, false) => as_table(&sweep, &options.tables(), page(language)),
    };
    // The reader of the output may have closed it.
    let _ = screen::write(&text);
    match sweep.end() {
        Some(SweepEnd::Whole) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Says what an address would be that is written as manuals write the numbers of registers: it is
/// taken as it stands, for there are devices with such addresses.
fn of_manual((option, text): (&str, &String)) -> Option<String> {
    let address = address(text)?;
    let (table, meant) = address_in_a_manual(text)?;
    Some(format!(
        "{option} {text} is address {address}, counted from 0; if it is the number of a manual, that is address {meant} of the table {table}"
    ))
}

/// Reads `4096` or `0x1000`.
fn address(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Carries out the sweep, until it is over or the user ends it.
fn swept(sweep: &mut Sweep, line: &mut NamedLine, language: Language) -> Result<(), String> {
    let mut interrupt = Interrupt::catch().map_err(|e| e.to_string())?;
    let shows = screen::shows_progress();
    let begun = line.survey.now();
    let (mut told, mut is_told) = (None, false);
    let done = loop {
        if interrupt.came() {
            sweep.stop();
        }
        let Some(step) = sweep.step() else {
            break Ok(());
        };
        let elapsed = line.survey.now().since(begun);
        let at = sweep.progress();
        let is_silent = at.table.is_none() || at.is_waiting;
        if !shows && is_silent && !is_told && elapsed >= FIRST_NOTICE_AFTER {
            is_told = true;
            let said = language.say(&progress(sweep, elapsed));
            screen::print_error(&format!("{said}\n"));
        }
        if shows {
            let now = elapsed.as_millis() / 250;
            if told != Some(now) {
                told = Some(now);
                let said = language.say(&progress(sweep, elapsed));
                screen::print_error(&format!("\r\u{1b}[K{said}"));
            }
        }
        match step {
            SweepStep::Wait(pause) => {
                if !interrupt.wait(pause) {
                    sweep.on_waited();
                }
            }
            SweepStep::Ask(question, wait) => {
                let mut request = line.request(question);
                request.wait = wait;
                let unit = request.question.address().unit();
                let said = match line.survey.ask(&request) {
                    Ok(said) => said,
                    Err(
                        e @ (SurveyError::NotOpened { .. }
                        | SurveyError::Lost { .. }
                        | SurveyError::Refused { .. }
                        | SurveyError::Service(_)),
                    ) => {
                        break Err(e.to_string());
                    }
                };
                let was_early = unit.is_some_and(|unit| said.units_before.contains(&unit));
                sweep.on_heard(&SweepHeard {
                    heard: &said.heard,
                    is_sent: said.is_sent,
                    may_be_stale: said.may_be_stale || was_early,
                });
            }
        }
    };
    if shows {
        screen::print_error("\r\u{1b}[K");
    }
    for notice in line.take_notices() {
        screen::print_error(&format!("{}\n", language.say(&notice)));
    }
    done
}

/// Says how far the sweep is.
fn progress(sweep: &Sweep, elapsed: Duration) -> String {
    let progress = sweep.progress();
    let percent = progress.done * 100 / progress.all.max(1);
    let Some(table) = progress.table else {
        let left = progress.until_given_up;
        let Some(each) = elapsed.checked_div(u32::try_from(progress.requests).unwrap_or(u32::MAX))
        else {
            return "looking for a sign of life".into();
        };
        let most = each.saturating_mul(u32::try_from(left).unwrap_or(u32::MAX));
        return format!(
            "looking for a sign of life: {} of at most {} asked, about {} left if there is none",
            grouped(progress.requests),
            counted(progress.requests + left, "question"),
            span(most.as_secs().saturating_add(1).saturating_mul(1000))
        );
    };
    let at = format!("{} {:#06x}", word(table), progress.at);
    if progress.is_waiting {
        return format!("{at}: the device does not answer; waiting until it does");
    }
    let left = match progress.done {
        0..32 => String::new(),
        done => {
            let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let left = ms.saturating_mul(progress.all - done) / done;
            format!(", about {} left", span(left / 1000 * 1000))
        }
    };
    format!(
        "{at}: {percent} % done, {}{left}",
        counted(progress.requests, "request")
    )
}

fn word(table: ModbusTable) -> &'static str {
    TABLES
        .iter()
        .find(|(_, t)| *t == table)
        .map_or("", |(word, _)| *word)
}

/// Says what is to be known besides the entries.
fn remarks(sweep: &Sweep, tables: &[ModbusTable]) -> Vec<String> {
    let mut all = Vec::new();
    let progress = sweep.progress();
    match sweep.end() {
        Some(SweepEnd::Whole) | None => {}
        Some(SweepEnd::NoAnswer) => all.push(
            "the device has not answered anything: the unit is another one, it has no power, A and B are swapped, or its speed or parity differs; --line tries others, --wait waits longer".into(),
        ),
        Some(SweepEnd::Gone) => all.push(format!(
            "not complete: the device stopped answering and did not come back within {}",
            span(u64::try_from(LONGEST_PAUSE.as_millis()).unwrap_or(u64::MAX))
        )),
        Some(SweepEnd::Busy) => all.push(
            "not complete: the line was never quiet; another master asks on it, or it is noise".into(),
        ),
        Some(SweepEnd::TooMany) => all.push(
            "not complete: the answers of the device contradict each other".into(),
        ),
        Some(SweepEnd::Stopped) => all.push(format!(
            "not complete: ended after {} of {}",
            grouped(progress.done),
            counted(progress.all, "entry")
        )),
    }
    for table in tables {
        let word = word(*table);
        match zeros(&runs(sweep.found(), *table)) {
            None => {}
            Some(Zeros::Everywhere) => all.push(format!(
                "{word}: zero everywhere and nothing refused: that does not show that the device has any of it"
            )),
            Some(Zeros::From(from)) => all.push(format!(
                "{word}: zeros from {from:#06x} on and nothing refused: that does not show that the device has these"
            )),
        }
    }
    for (is_bits, key) in [(false, "registers"), (true, "bits")] {
        if let (most, true) = sweep.largest(is_bits) {
            all.push(format!(
                "the device lets {most} {key} be read at once, and no more"
            ));
        }
    }
    let is_silent = |table: &ModbusTable| {
        runs(sweep.found(), *table)
            .iter()
            .any(|run| run.of == RunOf::Silent)
    };
    if tables.iter().any(is_silent) {
        all.push("the device stays silent where it should refuse: each such address costs its poll a whole timeout".into());
    }
    all
}

/// Writes what was found as a table: a block for each run, so that one sees the holes.
fn as_table(sweep: &Sweep, tables: &[ModbusTable], page: Page) -> String {
    let mut lines = Vec::new();
    for table in tables {
        let all = runs(sweep.found(), *table);
        if all.is_empty() {
            continue;
        }
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let heads = page.language.heads(&[head(*table), "VALUES", "GUESS"]);
        let head = row(&heads.join("\u{0}"), values_width(*table));
        lines.push(Line::styled(head, bold));
        for run in &all {
            lines.extend(lines_of(run, *table, page));
        }
        lines.push(Line::default());
    }
    let mut paragraph = |words: &str| {
        for text in wrapped(&page.language.say(words), page.width) {
            lines.push(Line::raw(text));
        }
    };
    for remark in remarks(sweep, tables) {
        paragraph(&remark);
    }
    let there = sweep.found().values();
    let there = there
        .filter(|entry| matches!(entry, EntryClass::Value(_)))
        .count();
    let progress = sweep.progress();
    if progress.done > 0 {
        paragraph(&format!(
            "{} of {} are there; found out with {}",
            grouped(there as u64),
            counted(progress.done, "entry"),
            counted(progress.requests, "request")
        ));
    }
    coloured(&lines)
}

const fn head(table: ModbusTable) -> &'static str {
    match table {
        ModbusTable::HoldingRegister => "HOLDING",
        ModbusTable::InputRegister => "INPUT",
        ModbusTable::Coil => "COIL",
        ModbusTable::DiscreteInput => "DISCRETE",
    }
}

/// Returns how wide a row of values is.
const fn values_width(table: ModbusTable) -> usize {
    match table.is_bits() {
        true => BITS_IN_A_ROW,
        false => REGISTERS_IN_A_ROW * 5 - 1,
    }
}

/// Writes a row whose cells are apart by NUL: address, values, guess.
fn row(cells: &str, values: usize) -> String {
    let mut cells = cells.split('\u{0}');
    let mut cell = |room: usize| {
        let text = cells.next().unwrap_or_default();
        let pad = " ".repeat(room.saturating_sub(width(text)));
        format!("{text}{pad}")
    };
    let text = format!("{}  {}  {}", cell(ADDRESS), cell(values), cell(0));
    text.trim_end().to_owned()
}

/// Writes a run: values in rows of some, each guess in a line; the others in one row.
fn lines_of(run: &Run, table: ModbusTable, page: Page) -> Vec<Line<'static>> {
    let values = match &run.of {
        RunOf::Values(values) => values,
        RunOf::Refused(_) | RunOf::Silent => {
            let place = match run.first == run.last {
                true => format!("{:#06x}", run.first),
                false => format!("{:#06x}–{:#06x}", run.first, run.last),
            };
            let why = match run.of {
                RunOf::Refused(code) => format!("exception {code}, {}", meaning(code)),
                _ => "no reply".into(),
            };
            let yellow = Style::new().fg(Color::Yellow);
            let text = format!("{place}  {}", page.language.say(&why));
            return vec![Line::styled(text, yellow)];
        }
    };
    let is_bits = table.is_bits();
    let many = if is_bits {
        BITS_IN_A_ROW
    } else {
        REGISTERS_IN_A_ROW
    };
    let found = guesses_of(run, table);
    let mut lines = Vec::new();
    for (n, chunk) in values.chunks(many).enumerate() {
        let first = usize::from(run.first) + n * many;
        let each = chunk.iter().map(|value| match is_bits {
            true => value.to_string(),
            false => format!("{value:04X}"),
        });
        let each: Vec<String> = each.collect();
        let mut head = format!(
            "{first:#06x}\u{0}{}",
            each.join(if is_bits { "" } else { " " })
        );
        let inside = |g: &&Guess| (first..first + chunk.len()).contains(&usize::from(g.address));
        let mut guessed = found.iter().filter(inside).peekable();
        if guessed.peek().is_none() {
            lines.push(Line::raw(row(&head, values_width(table))));
        }
        for guess in guessed {
            let guess = format!("{:#06x} {}?", guess.address, guess.meaning);
            let text = row(&format!("{head}\u{0}{guess}"), values_width(table));
            lines.push(Line::raw(text));
            head = "\u{0}".into();
        }
    }
    lines
}

/// Writes what was found as JSON.
fn as_json(sweep: &Sweep, tables: &[ModbusTable], unit: u8) -> String {
    let table = |table: &ModbusTable| {
        let all = runs(sweep.found(), *table);
        let guessed: Vec<Json> = all.iter().flat_map(|run| guesses_of(run, *table)).map(|g| {
            json!({"address": g.address, "registers": g.registers, "guess": g.meaning.to_string()})
        }).collect();
        let one = |run: &Run| {
            let mut one = json!({"first": run.first, "last": run.last});
            let (key, value) = match &run.of {
                RunOf::Values(values) => ("values", json!(values)),
                RunOf::Refused(code) => ("exception", json!(code)),
                RunOf::Silent => ("silent", json!(true)),
            };
            if let Some(map) = one.as_object_mut() {
                map.insert(key.into(), value);
            }
            one
        };
        json!({
            "table": word(*table),
            "runs": all.iter().map(one).collect::<Vec<Json>>(),
            "guesses": guessed,
        })
    };
    let largest = |is_bits| match sweep.largest(is_bits) {
        (most, true) => json!(most),
        (_, false) => Json::Null,
    };
    let whole = json!({
        "unit": unit,
        "is_complete": sweep.end() == Some(SweepEnd::Whole),
        "requests": sweep.progress().requests,
        "most_registers": largest(false),
        "most_bits": largest(true),
        "tables": tables.iter().map(table).collect::<Vec<Json>>(),
        "remarks": remarks(sweep, tables),
    });
    format!("{whole:#}\n")
}

fn guesses_of(run: &Run, table: ModbusTable) -> Vec<Guess> {
    match &run.of {
        RunOf::Values(values) if !table.is_bits() => guesses(run.first, values),
        _ => Vec::new(),
    }
}

/// Writes what was found as CSV: a line for each address.
fn as_csv(sweep: &Sweep, tables: &[ModbusTable]) -> String {
    let mut text = "table,address,state,value,guess\n".to_owned();
    for table in tables {
        for run in runs(sweep.found(), *table) {
            let found = guesses_of(&run, *table);
            for address in run.first..=run.last {
                let value = match &run.of {
                    RunOf::Values(values) => values.get(usize::from(address - run.first)),
                    _ => None,
                };
                let state = match run.of {
                    RunOf::Values(_) => "value".to_owned(),
                    RunOf::Refused(code) => format!("exception {code}"),
                    RunOf::Silent => "silent".to_owned(),
                };
                let guess = found.iter().find(|g| g.address == address);
                let guess = guess.map_or(String::new(), |g| g.meaning.to_string());
                let value = value.map_or(String::new(), u16::to_string);
                text.push_str(&format!(
                    "{},{address},{state},{value},{}\n",
                    word(*table),
                    field(&guess)
                ));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::survey::SurveyReply;

    #[test]
    fn how_long_a_silent_device_is_looked_for_is_told() {
        let mut sweep = Sweep::new(SweepOrder {
            unit: UnitId(9),
            tables: vec![ModbusTable::HoldingRegister],
            first: 0,
            last: 99,
            wait: Duration::from_millis(500),
            longest_pause: LONGEST_PAUSE,
        });
        assert_eq!(
            progress(&sweep, Duration::ZERO),
            "looking for a sign of life"
        );
        let mut asked = 0;
        let most = loop {
            match sweep.step() {
                Some(SweepStep::Ask(..)) => sweep.on_heard(&SweepHeard {
                    heard: &SurveyReply::default(),
                    is_sent: true,
                    may_be_stale: false,
                }),
                _ => break asked,
            }
            asked += 1;
            if asked == 4 {
                assert_eq!(
                    progress(&sweep, Duration::from_secs(4)),
                    "looking for a sign of life: 4 of at most 36 questions asked, about 33 s left if there is none"
                );
            }
        };
        assert_eq!((most, sweep.end()), (36, Some(SweepEnd::NoAnswer)));
    }

    #[test]
    fn a_number_of_a_manual_is_taken_as_it_stands_and_said() {
        let note = |text: &str| of_manual(("--from", &text.to_owned()));
        assert_eq!(
            note("40001").unwrap(),
            "--from 40001 is address 40001, counted from 0; if it is the number of a manual, that is address 0 of the table holding"
        );
        for text in ["0", "4096", "0x9c41", "40000", "x"] {
            assert_eq!(note(text), None, "{text}");
        }
    }
}
