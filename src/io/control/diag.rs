//! Makes the parts of the diagnostic bundle that the running service alone knows: its state, the
//! last values, and the configuration in force ([`crate::io::bundle`]).

use std::fmt::Write;

use tokio::sync::Semaphore;

use super::QuestionSender;
use super::ask::{self, failure};
use crate::control::picture::{Device, Point, Status};
use crate::control::{Answer, Failure, FailureKind};
use crate::io::bundle::{self, Sweep};
use crate::io::hub::OperatorQuestion;

/// Allows one bundle at a time: a bundle of 2,000 devices takes tens of megabytes.
static PERMIT: Semaphore = Semaphore::const_new(1);

/// Returns the lines of the answer, one for each part, in the order of reading. They are made
/// on a separate thread: the lines of 2,000 devices take seconds on a small box.
pub(super) async fn lines(questions: &QuestionSender) -> Result<Vec<String>, Failure> {
    let Ok(permit) = PERMIT.try_acquire() else {
        return Err(failure(
            FailureKind::Busy,
            "another bundle is being made; try again",
        ));
    };
    let status = ask::status(questions).await?;
    let devices = ask::devices(questions).await?;
    let values = values(questions, &devices).await?;
    let metrics = ask::metrics(questions).await?;
    let questions = questions.clone();
    let making = tokio::task::spawn_blocking(move || {
        // Held until the bundle is made, even if the client has gone.
        let _permit = permit;
        made(&questions, &status, &devices, values, metrics)
    });
    match making.await {
        Ok(Ok(lines)) => Ok(lines),
        Ok(Err(e)) => Err(failure(FailureKind::Failed, e.to_string())),
        Err(e) => Err(failure(FailureKind::Failed, e.to_string())),
    }
}

/// Returns the last value of each point of each device, a line each.
async fn values(questions: &QuestionSender, devices: &[Device]) -> Result<String, Failure> {
    let mut text = String::new();
    for device in devices {
        let name = device.name.clone();
        let question = |answer| OperatorQuestion::Device { name, answer };
        // A reload may have removed it meanwhile.
        let device = ask::ask(&questions.hub, ask::ANSWERED_WITHIN, question).await?;
        for point in device.iter().flat_map(|d| &d.points) {
            let _ = writeln!(
                text,
                "{}",
                value(device.as_deref().map_or("", |d| &d.name), point)
            );
        }
    }
    Ok(text)
}

/// Returns one value: `meter-1 Voltage: 230.1, good, read 1200 ms ago`.
fn value(device: &str, point: &Point) -> String {
    let age = match point.age_ms {
        Some(ms) => format!(", read {ms} ms ago"),
        None => String::new(),
    };
    let why = match point.why.as_str() {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    let value = match &point.title {
        Some(title) => format!("{} ({title})", point.value),
        None if point.value.is_null() => "no value yet".to_owned(),
        None => point.value.to_string(),
    };
    format!(
        "{device} {}: {value}, {}{why}{age}",
        point.id, point.quality
    )
}

fn made(
    questions: &QuestionSender,
    status: &Status,
    devices: &[Device],
    values: String,
    metrics: String,
) -> serde_json::Result<Vec<String>> {
    let spec = questions.journal.spec();
    let plan = bundle::plan(&spec, |profile| questions.learned.of(profile));
    let state_dir = questions.secret_store.directory();
    let texts = [
        ("system", bundle::system()),
        ("status", format!("{:#}\n", serde_json::json!(status))),
        ("devices", format!("{:#}\n", serde_json::json!(devices))),
        ("values", values),
        ("configuration", bundle::configuration(&spec)),
        ("plan", plan),
        ("metrics", metrics),
        ("lessons", bundle::learned(state_dir)),
    ];
    let stored = questions.secret_store.secrets();
    let sweep = Sweep::new(bundle::secrets(&spec).into_iter().chain(stored));
    let swept = texts.into_iter().map(|(name, text)| {
        let part = Answer::Part {
            name: name.to_owned(),
            text: sweep.over(&text),
        };
        part.line()
    });
    swept.collect()
}
