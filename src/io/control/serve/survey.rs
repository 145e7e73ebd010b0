//! Has a port ask one question of a survey.

use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::QuestionSender;
use super::super::ask::failure;
use super::super::survey_counts::SurveyCounts;
use crate::control::{Answer, Failure, FailureKind, SurveyAsked, SurveyHeard};
use crate::io::bus::port_surveys::{SurveyAnswer, SurveyOrder, SurveyRefusal};
use crate::spec::LineSpec;
use crate::spec::survey::LONGEST_WAIT;

/// How long a survey may take: its wait of [`LONGEST_WAIT`] at most, and the polls of the gateway
/// that go first.
pub(in crate::io::control) const SURVEYED_WITHIN: Duration = LONGEST_WAIT.saturating_mul(5);

/// Asks the question of a user on the port that has this name or opens this. The journal says who
/// surveys which port.
pub(super) async fn survey(
    questions: &QuestionSender,
    (user, counts): (u32, &SurveyCounts),
    port: &str,
    asked: &SurveyAsked,
) -> Result<Answer, Failure> {
    let request = asked
        .request()
        .map_err(|e| failure(FailureKind::Mistake, e.to_string()))?;
    let unknown = || {
        let why = format!("no port of the service is called {port:?} or opens that");
        failure(FailureKind::Unknown, why)
    };
    // The names of device files are looked up on the disk.
    let (surveys, named) = (questions.surveys.clone(), port.to_owned());
    let looking =
        tokio::task::spawn_blocking(move || surveys.name_of(&named, |line| opens(line, &named)));
    let name = looking.await.ok().flatten().ok_or_else(unknown)?;
    let (answer, heard) = oneshot::channel();
    let order = SurveyOrder { request, answer };
    questions.surveys.send(&name, order).map_err(|e| match e {
        SurveyRefusal::Unknown => unknown(),
        SurveyRefusal::Stopped => failure(
            FailureKind::Busy,
            format!("port {name} is just being set up anew: try again in a moment"),
        ),
        SurveyRefusal::Busy => failure(
            FailureKind::Busy,
            format!("port {name}: others survey it already"),
        ),
    })?;
    let (now, spec) = (questions.clock.now().mono, questions.journal.spec());
    if let Some(notice) = counts.surveyed(now, user, &name, &spec) {
        questions.journal.tell(&notice);
    }
    match timeout(SURVEYED_WITHIN, heard).await {
        Ok(Ok(Ok(answer))) => Ok(Answer::Heard(Box::new(words_of(&answer)))),
        Ok(Ok(Err(why))) => Err(failure(FailureKind::Failed, format!("port {name}: {why}"))),
        Ok(Err(_)) => Err(failure(
            FailureKind::Failed,
            format!("port {name} was set up anew meanwhile"),
        )),
        Err(_) => Err(failure(
            FailureKind::Busy,
            format!(
                "port {name} has no time: it is overloaded, as `alink-gateway status` shows, or was just set up; try again"
            ),
        )),
    }
}

/// Returns whether a line opens what a user names: the same device file, by whatever name, or the
/// same host and port.
fn opens(line: &LineSpec, named: &str) -> bool {
    match line {
        LineSpec::Serial(serial) => {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            serial.path == Path::new(named) || real(&serial.path) == real(Path::new(named))
        }
        LineSpec::Tcp(tcp) => named == format!("{}:{}", tcp.host, tcp.port),
    }
}

fn words_of(answer: &SurveyAnswer) -> SurveyHeard {
    let surveyed = &answer.surveyed;
    let units = surveyed.before.iter().filter_map(|sender| sender.unit());
    let said = SurveyHeard {
        is_sent: surveyed.is_sent,
        units_before: units.map(|unit| unit.0).collect(),
        noise_before: surveyed.noise_before.into(),
        may_be_stale: answer.may_be_stale,
        ..SurveyHeard::of(&surveyed.heard)
    };
    said.at(&surveyed.settings)
}
