//! `alink-gateway poll`: the same values again and again.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::ServiceOptions;
use super::language::Language;
use super::read::{self, NotReadable, ReadOptions, Round, Target};
use super::terminal_words::micros;
use crate::base::Wall;
use crate::base::text::counted;
use crate::base::utc::Utc;
use crate::field::survey::read::ReadFigures;
use crate::io::system::clock::Clock;
use crate::io::terminal::interrupt::Interrupt;
use crate::io::terminal::screen;

/// How often the values are read.
#[derive(Debug, Args)]
pub(super) struct PollTimes {
    /// How long from one round to the next, such as 500ms or 10s.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    every: String,
    /// End after so many rounds, and not only by Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Reads the values again and again. Exit status 0 if every value of every round was read.
#[must_use]
pub(super) fn run(
    what: &str,
    points: &[String],
    options: &ReadOptions,
    often: &PollTimes,
    service: &ServiceOptions,
    language: Language,
) -> ExitCode {
    let every = match every_of(&often.every) {
        Ok(every) => every,
        Err(why) => {
            let why = format!("--every {}: wanted {why}", often.every);
            return super::misused(why, language);
        }
    };
    match rounds(
        what,
        points,
        options,
        (every, often.count),
        service,
        language,
    ) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => why.print_error(language),
    }
}

/// Reads the time from one round to the next: at least 10 ms.
fn every_of(text: &str) -> Result<Duration, String> {
    let millis = text.strip_suffix("ms").map(str::parse::<u64>);
    match millis {
        Some(Ok(millis @ 10..=86_400_000)) => Ok(Duration::from_millis(millis)),
        Some(_) => Err("a time such as 500ms, 10s or 5m, at least 10ms and at most 24h".into()),
        None => super::service::span(text),
    }
}

/// Returns whether every value was read.
fn rounds(
    what: &str,
    points: &[String],
    options: &ReadOptions,
    (every, count): (Duration, Option<u64>),
    service: &ServiceOptions,
    language: Language,
) -> Result<bool, NotReadable> {
    let mut target = Target::find(what, points, options, service)?;
    target.tell_notes(language);
    let mut interrupt = Interrupt::catch().map_err(NotReadable::system)?;
    let clock = Clock::system();
    let mut figures = ReadFigures::default();
    let (mut done, mut is_whole, mut drawn) = (0_u64, true, 0_usize);
    let mut failed = None;
    let mut reasons = Reasons::default();
    while count.is_none_or(|count| done < count) && !interrupt.came() {
        let begun = clock.now().mono;
        let round = match target.round(&mut figures) {
            Ok(round) => round,
            Err(e) => {
                failed = Some(e.into());
                break;
            }
        };
        target.tell_line(language);
        done += 1;
        is_whole &= round.is_whole();
        let at = clock.now().wall;
        let text = match (options.json, options.csv) {
            (true, _) => {
                let values = read::values(&round.rows);
                format!("{}\n", json!({"at_ms": at.as_millis(), "values": values}))
            }
            (_, true) => csv(&round, at.as_millis(), done == 1),
            (false, false) => drawing(&round, options, at, &mut drawn, language),
        };
        if screen::write(&text).is_err() {
            break;
        }
        // A table says why below, and JSON beside the value.
        if !options.json && drawn == 0 {
            for why in reasons.news(read::reasons(&round.rows, language)) {
                screen::print_error(&format!("{why}\n"));
            }
        }
        let took = clock.now().mono.since(begun);
        if count != Some(done) && interrupt.wait(every.saturating_sub(took)) {
            break;
        }
    }
    if done > 0 {
        let said = statistics(done, &figures);
        screen::print_error(&format!("{}\n", language.say(&said)));
    }
    match failed {
        Some(why) => Err(why),
        None => Ok(is_whole && done > 0),
    }
}

/// The reasons why values are missing, as they were told last: one that stays is told once.
#[derive(Debug, Default)]
struct Reasons(Vec<String>);

impl Reasons {
    /// Takes the reasons of a round; returns those that the round before did not have.
    fn news(&mut self, now: Vec<String>) -> Vec<String> {
        let news = now.iter().filter(|why| !self.0.contains(why));
        let news = news.cloned().collect();
        self.0 = now;
        news
    }
}

/// Writes a round for a person: a table that is drawn over the last one on a terminal that is
/// large enough, else a line.
fn drawing(
    round: &Round,
    options: &ReadOptions,
    at: Wall,
    drawn: &mut usize,
    language: Language,
) -> String {
    let time = Utc::of(at).to_string();
    if options.bytes {
        let bytes = read::bytes(round, language);
        return format!("{time}\n{bytes}{}", line(round));
    }
    let table = read::table(&round.rows, language);
    let lines = table.lines().count() + 1;
    match screen::height() {
        Some(height) if lines < height => {
            // To the first line of the last table, and clear from there (ECMA-48 8.3.22, 8.3.39).
            let back = match std::mem::replace(drawn, lines) {
                0 => String::new(),
                lines => format!("\u{1b}[{lines}F\u{1b}[J"),
            };
            format!("{back}{time}\n{table}")
        }
        _ => format!("{time}  {}", line(round)),
    }
}

/// Writes a round as a line.
fn line(round: &Round) -> String {
    let value = |row: &read::ValueRow| format!("{} = {}", row.name, row.value());
    let values: Vec<String> = round.rows.iter().map(value).collect();
    format!("{}\n", values.join("  "))
}

fn csv(round: &Round, at: i64, has_head: bool) -> String {
    let mut text = String::new();
    if has_head {
        let names = round.rows.iter().map(|row| read::field(&row.name));
        let names: Vec<String> = names.collect();
        text = format!("at_ms,{}\n", names.join(","));
    }
    let values = round.rows.iter().map(|row| match row.why {
        Some(_) => String::new(),
        None => read::field(&row.value()),
    });
    let values: Vec<String> = values.collect();
    format!("{text}{at},{}\n", values.join(","))
}

/// Says how many requests were answered, and how soon.
fn statistics(rounds: u64, figures: &ReadFigures) -> String {
    let answered = figures.requests.saturating_sub(figures.missed);
    let mut said = format!(
        "{}, {}: {} answered, {} refused, {} missed",
        counted(rounds, "round"),
        counted(figures.requests, "request"),
        answered,
        figures.refused,
        figures.missed
    );
    if let Some(times) = figures.times() {
        let us = |span: Duration| micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        let [least, half, most] = times.map(us);
        said.push_str(&format!(
            "; first byte after {least} to {most}, half of them within {half}"
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_when_it_comes_and_when_it_comes_back() {
        let mut reasons = Reasons::default();
        let mut told = |now: &[&str]| {
            let now = now.iter().map(|why| (*why).to_owned()).collect();
            reasons.news(now).join(",")
        };
        let rounds = [told(&["a"]), told(&["a", "b"]), told(&["b"]), told(&["a"])];
        assert_eq!(rounds, ["a", "b", "", "a"]);
    }
}
