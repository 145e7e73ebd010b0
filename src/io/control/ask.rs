//! Asks the task that can answer a question, for a bounded time.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::QuestionSender;
use super::in_force::configuration;
use crate::base::Mono;
use crate::control::picture::{Device, Status};
use crate::control::{Failure, FailureKind, metrics};
use crate::io::hub::OperatorQuestion;

/// How long the task that answers may take.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Returns the state of the gateway.
pub(super) async fn status(questions: &QuestionSender) -> Result<Box<Status>, Failure> {
    let mut status = ask(&questions.hub, ANSWERED_WITHIN, OperatorQuestion::Status).await?;
    let now = questions.clock.now().mono;
    let next = *questions.next_attempt.borrow();
    let millis = |at: Mono| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
    status.cloud.retry_ms = next.map(millis);
    status.configuration = configuration(&questions.in_force, now).await;
    Ok(status)
}

/// Returns all devices, without values.
pub(super) async fn devices(questions: &QuestionSender) -> Result<Vec<Device>, Failure> {
    ask(&questions.hub, ANSWERED_WITHIN, OperatorQuestion::Devices).await
}

/// Returns all metrics as text. The text is written on a separate thread: that of 2,000 devices
/// takes a while.
pub(super) async fn metrics(questions: &QuestionSender) -> Result<String, Failure> {
    let figures = ask(&questions.hub, ANSWERED_WITHIN, OperatorQuestion::Figures).await?;
    let writing = tokio::task::spawn_blocking(move || metrics::text(*figures));
    match writing.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(e)) => Err(failure(FailureKind::Failed, e.to_string())),
        Err(e) => Err(failure(FailureKind::Failed, e.to_string())),
    }
}

/// Makes the answer to a question that has no other answer.
pub(super) fn failure(kind: FailureKind, why: impl Into<String>) -> Failure {
    let why = why.into();
    Failure { kind, why }
}

/// Asks the task that can answer.
pub(super) async fn ask<T, Q>(
    whom: &mpsc::Sender<Q>,
    within: Duration,
    question: impl FnOnce(oneshot::Sender<T>) -> Q,
) -> Result<T, Failure> {
    let (answer, heard) = oneshot::channel();
    let asking = async {
        whom.send(question(answer)).await.ok()?;
        heard.await.ok()
    };
    match timeout(within, asking).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(failure(FailureKind::Busy, "the service is stopping")),
        Err(_) => Err(failure(
            FailureKind::Busy,
            "the service is too busy to answer",
        )),
    }
}
