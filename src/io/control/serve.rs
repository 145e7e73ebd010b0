//! Serves one connection: a question and its answer.

mod survey;
mod trace;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

pub(super) use self::survey::SURVEYED_WITHIN;
use super::ask::{ANSWERED_WITHIN, ask, devices, failure, metrics, status};
use super::connection_slots::OwnSlot;
use super::peer::Peer;
use super::survey_counts::SurveyCounts;
use super::{AdminRequest, QuestionSender, diag};
use crate::base::{CommandAction, LogEvent};
use crate::control::{
    Answer, CommandResult, Failure, FailureKind, LONGEST_REQUEST, Reloaded, Request,
    RequestMistake, SHORTEST_EVERY,
};
use crate::io::hub::OperatorQuestion;
use crate::io::log::log_level;
use crate::io::system::clock::Clock;

/// How long a question may take to come.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long the client may take a line of an answer before it is given up.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How long all lines of an answer may take that has an end: a bundle of 2,000 devices is some
/// tens of megabytes.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// How long a reload may take: at worst it ends with a log-out of all sub-devices and a new
/// connection.
pub(super) const RELOADED_WITHIN: Duration = Duration::from_secs(120);
/// How long a command may take at most: the longest `commands.answer_within` of a configuration,
/// and [`COMMAND_MARGIN`].
pub(super) const COMMANDED_WITHIN: Duration = Duration::from_secs(61);
/// How much longer than the command itself its answer may take, on its way in this process.
const COMMAND_MARGIN: Duration = Duration::from_secs(1);
/// The longest time for a changed log level; for longer, the configuration of the log is to be
/// changed.
const LONGEST_LEVEL_CHANGE: Duration = Duration::from_secs(24 * 3600);

/// The error when the client has gone or takes nothing.
struct ClientGone;

impl From<io::Error> for ClientGone {
    fn from(_: io::Error) -> Self {
        ClientGone
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: UnixStream,
    questions: &QuestionSender,
    peer: &Peer,
    slot: &OwnSlot,
    surveys: &SurveyCounts,
) {
    let (from, to) = stream.into_split();
    let mut client = Client {
        from: BufReader::new(from),
        to,
        peer,
        slot,
        surveys,
        clock: questions.clock,
    };
    // It does not matter any more whether the client is gone.
    let _ = client.serve(questions).await;
}

/// The other end of a connection.
struct Client<'a> {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    peer: &'a Peer,
    slot: &'a OwnSlot,
    surveys: &'a SurveyCounts,
    clock: Clock,
}

impl Client<'_> {
    async fn serve(&mut self, questions: &QuestionSender) -> Result<(), ClientGone> {
        let request = match timeout(ASKED_WITHIN, self.question()).await {
            Ok(line) => Request::read(&line?).and_then(Request::within_bounds),
            Err(_) => Err(RequestMistake::NotAnObject("no line came in time".into())),
        };
        let request = match request {
            Err(mistake) => {
                let no = Answer::error(FailureKind::Mistake, mistake.to_string());
                return self.say(&no).await;
            }
            Ok(request) => request,
        };
        self.slot.is_answered(self.clock.now().mono);
        match self.answer(questions, request).await? {
            AnswerProgress::Whole => Ok(()),
            AnswerProgress::Open => self.say(&Answer::End {}).await,
        }
    }

    /// Reads a line, or as much of a line as is already too long for a question.
    async fn question(&mut self) -> Result<Vec<u8>, ClientGone> {
        let mut line = Vec::new();
        let most = LONGEST_REQUEST as u64 + 1;
        let mut bounded = (&mut self.from).take(most);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Err(ClientGone);
        }
        Ok(line)
    }

    async fn answer(
        &mut self,
        questions: &QuestionSender,
        request: Request,
    ) -> Result<AnswerProgress, ClientGone> {
        let only = |answer: Result<Answer, Failure>| match answer {
            Ok(answer) => vec![answer],
            Err(failure) => vec![Answer::Error(failure)],
        };
        let lines = match request {
            Request::Status { every_ms: None } => only(status(questions).await.map(Answer::Status)),
            Request::Status {
                every_ms: Some(every),
            } => loop {
                match status(questions).await {
                    Ok(status) => self.say(&Answer::Status(status)).await?,
                    Err(failure) => break vec![Answer::Error(failure)],
                }
                let pause = Duration::from_millis(every.max(SHORTEST_EVERY).into());
                self.pause(pause).await?;
            },
            Request::Devices {} => match devices(questions).await {
                Ok(all) => {
                    let line = |device| Answer::Device(Box::new(device));
                    all.into_iter().map(line).collect()
                }
                Err(failure) => vec![Answer::Error(failure)],
            },
            Request::Device { name } => only(device(questions, name).await),
            Request::Metrics {} => only(metrics(questions).await.map(|text| Answer::Part {
                name: "metrics".into(),
                text,
            })),
            Request::Diag {} => match diag::lines(questions).await {
                Ok(lines) => {
                    let writing = async {
                        for line in &lines {
                            self.write(line).await?;
                        }
                        Ok(())
                    };
                    timeout(WHOLE_WITHIN, writing)
                        .await
                        .unwrap_or(Err(ClientGone))?;
                    Vec::new()
                }
                Err(failure) => vec![Answer::Error(failure)],
            },
            Request::Reload { force } => only(reload(questions, force).await.map(Answer::Reload)),
            Request::Write { device, set } => {
                let action = CommandAction::Set(set);
                only(command(questions, self.peer, device, action).await)
            }
            Request::Call {
                device,
                service,
                inputs,
            } => {
                let inputs = inputs.into_iter().collect();
                let action = CommandAction::Call { service, inputs };
                only(command(questions, self.peer, device, action).await)
            }
            Request::Survey { port, survey } => {
                let who = (self.peer.user, self.surveys);
                only(self::survey::survey(questions, who, &port, &survey).await)
            }
            Request::LogLevel {
                target,
                level,
                for_ms,
            } => only(log_level(questions, target, level, for_ms)),
            Request::Trace { port } => match self.trace(&questions.monitors, &port).await? {
                Ok(()) => Vec::new(),
                Err(failure) => vec![failure],
            },
        };
        let saying = async {
            for line in &lines {
                self.say(line).await?;
            }
            Ok(())
        };
        timeout(WHOLE_WITHIN, saying)
            .await
            .unwrap_or(Err(ClientGone))?;
        Ok(match lines.last() {
            Some(line) if line.is_last() => AnswerProgress::Whole,
            _ => AnswerProgress::Open,
        })
    }

    /// Waits for `time`, unless the client goes meanwhile.
    async fn pause(&mut self, time: Duration) -> Result<(), ClientGone> {
        let mut more = [0];
        self.slot.watches(self.clock.now().mono);
        match timeout(time, self.from.read(&mut more)).await {
            // The client has nothing more to send, so any byte is its end.
            Ok(_) => Err(ClientGone),
            Err(_) => Ok(()),
        }
    }

    /// Writes one line of an answer.
    async fn say(&mut self, answer: &Answer) -> Result<(), ClientGone> {
        let line = answer.line().map_err(|_| ClientGone)?;
        self.write(&line).await
    }

    /// Writes lines that are ready.
    async fn write(&mut self, lines: &str) -> Result<(), ClientGone> {
        match timeout(TAKEN_WITHIN, self.to.write_all(lines.as_bytes())).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(ClientGone),
        }
    }
}

/// Whether the last line has been sent.
enum AnswerProgress {
    Whole,
    Open,
}

async fn device(questions: &QuestionSender, name: String) -> Result<Answer, Failure> {
    let asked = name.clone();
    let question = |answer| OperatorQuestion::Device { name, answer };
    match ask(&questions.hub, ANSWERED_WITHIN, question).await? {
        Some(device) => Ok(Answer::Device(device)),
        None => Err(unknown(&asked)),
    }
}

fn unknown(device: &str) -> Failure {
    let why = format!("no device is called {device:?}; `alink-gateway devices` lists all");
    failure(FailureKind::Unknown, why)
}

/// Has a command carried out, if this peer may give one. One that it may not give goes the same
/// way, so that the journal and the history of the device have it.
async fn command(
    questions: &QuestionSender,
    peer: &Peer,
    device: String,
    action: CommandAction,
) -> Result<Answer, Failure> {
    let who = *questions.write.borrow();
    let permitted = peer.may_write(who);
    let within = questions.journal.spec().commands.async_within + COMMAND_MARGIN;
    let asked = device.clone();
    let question = |answer| OperatorQuestion::Command {
        name: device,
        action,
        user: peer.user,
        is_permitted: permitted.is_ok(),
        answer,
    };
    let answer = ask(&questions.hub, within, question).await;
    permitted.map_err(|why| failure(FailureKind::Refused, why))?;
    match answer {
        Ok(Some(answer)) => Ok(Answer::Command(Box::new(CommandResult::of(&answer)))),
        Ok(None) => Err(unknown(&asked)),
        Err(Failure { kind, why }) => Err(failure(
            kind,
            format!("{why}; the command may have been carried out, as the journal says then"),
        )),
    }
}

async fn reload(questions: &QuestionSender, force: bool) -> Result<Reloaded, Failure> {
    let wish = |answer| AdminRequest::Reload { force, answer };
    ask(&questions.service, RELOADED_WITHIN, wish).await
}

fn log_level(
    questions: &QuestionSender,
    target: String,
    level: String,
    for_ms: Option<u64>,
) -> Result<Answer, Failure> {
    let during = for_ms.map(Duration::from_millis);
    if during.is_some_and(|d| d > LONGEST_LEVEL_CHANGE) {
        return Err(failure(
            FailureKind::Mistake,
            "at most 24 h; without a time it is until the next start",
        ));
    }
    let until = during.map(|d| questions.clock.now().mono + d);
    let log_level = questions.journal.log_level();
    log_level
        .set(&target, &level, until)
        .map_err(|e| failure(FailureKind::Mistake, e.to_string()))?;
    let notice = log_level::LogLevelEvent::Set {
        target,
        level,
        during,
    };
    let what = notice.sentence();
    questions.journal.tell(&notice);
    Ok(Answer::Done { what })
}
