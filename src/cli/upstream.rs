//! What will be sent to the platform, in words and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::terminal_words::span;
use crate::base::text::counted;
use crate::cloud::upstream::{BindingLimit, HeaviestKind};
use crate::field::plan::forecast::percent;
use crate::hub::upstream::{OutageForecast, OutageStore, Upstream};
use crate::spec::Spec;

/// Returns the lines of `check`; nothing if nothing is sent.
pub(super) fn summary_lines(upstream: &Upstream) -> String {
    let Some(outage) = upstream.outage() else {
        return String::new();
    };
    let sent = upstream.sent();
    format!(
        "upstream: {}, {} a day\n{}\n",
        upstream.summary(),
        counted(sent.messages_per_day(), "message"),
        outage_text(outage)
    )
}

/// Returns the last lines of `plan`, below an empty one; nothing if nothing is sent.
pub(super) fn full(spec: &Spec, upstream: &Upstream) -> String {
    let Some(outage) = upstream.outage() else {
        return String::new();
    };
    let sent = upstream.sent();
    let mut text = format!("\nupstream: {}\n", upstream.summary());
    let _ = writeln!(
        text,
        "  {} a day; log-ins and keep-alives are not counted, they are few",
        counted(sent.messages_per_day(), "message")
    );
    let _ = writeln!(
        text,
        "  the values alone are {} of what full messages carry",
        percent(sent.values_load())
    );
    if let Some(most) = sent.heaviest() {
        let _ = writeln!(text, "  most of it: {}", heaviest(spec, most));
    }
    let _ = writeln!(text, "  {}", outage_text(outage));
    text
}

/// Writes which devices take most: `30 devices of profile meter (hall-001 and 29 more), most of
/// their values every 5s, 92 %`.
fn heaviest(spec: &Spec, most: &HeaviestKind) -> String {
    let first = spec.device(most.first).map_or("", |d| &d.name);
    let devices = match most.devices {
        1 => format!("1 device of profile {} ({first})", most.profile),
        n => format!(
            "{} of profile {} ({first} and {} more)",
            counted(n, "device"),
            most.profile,
            n - 1
        ),
    };
    format!(
        "{devices}, read every {:?}, {}",
        most.interval,
        percent(most.share)
    )
}

/// Writes how long an outage is borne: `the store bears an outage of 23 h at this rate (128
/// MiB, 16.1 bytes a value)`.
fn outage_text(outage: &OutageForecast) -> String {
    let millis = u64::try_from(outage.lasts().as_millis()).unwrap_or(u64::MAX);
    let lasts = span(millis);
    match outage.store() {
        OutageStore::Store {
            bytes,
            value_bytes,
            loss_window,
            ..
        } => {
            let size = format!("{} MiB, {value_bytes:.1} bytes a value", bytes >> 20);
            let by = match outage.is_bounded_by_age() {
                true => "; what is older is dropped",
                false => "",
            };
            let loss = span(u64::try_from(loss_window.as_millis()).unwrap_or(u64::MAX));
            format!(
                "the store bears an outage of {lasts} at this rate ({size}{by}); a power cut then costs the last {loss} at most"
            )
        }
        OutageStore::Memory => format!(
            "without a store, memory bears an outage of {lasts} at this rate ({})",
            counted(outage.room(), "value")
        ),
    }
}

/// Returns the section of `plan --json`.
pub(super) fn to_json(spec: &Spec, upstream: &Upstream) -> Value {
    let sent = upstream.sent();
    let most = sent.heaviest().map(|most| {
        json!({
            "profile": most.profile,
            "devices": most.devices,
            "first_device": spec.device(most.first).map(|d| d.name.as_str()),
            "interval_ms": most.interval.as_millis() as u64,
            "percent": most.share as f64 / 10.0,
        })
    });
    let outage = upstream.outage().map(|outage| {
        let (value_bytes, loss_window) = match outage.store() {
            OutageStore::Store {
                value_bytes,
                loss_window,
                ..
            } => (Some(value_bytes), Some(loss_window.as_millis() as u64)),
            OutageStore::Memory => (None, None),
        };
        json!({
            "kept_in": match outage.store() {
                OutageStore::Store { .. } => "store",
                OutageStore::Memory => "memory",
            },
            "seconds": outage.lasts().as_secs(),
            "values": outage.room(),
            "bytes_per_value": value_bytes,
            "loss_window_ms": loss_window,
            "bounded_by_age": outage.is_bounded_by_age(),
        })
    });
    json!({
        "load_percent": sent.load() as f64 / 10.0,
        "least_load_percent": upstream.least().unwrap_or(sent).load() as f64 / 10.0,
        "values_percent": sent.values_load() as f64 / 10.0,
        "values_per_second": sent.values_per_second(),
        "messages_per_second": sent.messages_per_second(),
        "messages_per_day": sent.messages_per_day(),
        "most_messages_per_second": sent.limits().messages_per_second,
        "bound_by": match sent.bound() {
            BindingLimit::Values => "values",
            BindingLimit::Devices => "devices",
            BindingLimit::Bytes => "bytes",
        },
        "heaviest": most,
        "outage": outage,
    })
}
