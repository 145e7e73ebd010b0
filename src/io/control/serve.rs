//! One connection: a question, and its answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Desk;
use crate::control::{Answer, Kind, LONGEST_REQUEST, Mistake, Request};
use crate::io::hub::Question;

/// A question comes within this.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// A line of an answer goes within this, or the client is given up.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Whoever knows answers within this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// A picture is not taken more often.
const OFTEN: u32 = 100;

/// The client has gone, or takes nothing: nobody to tell.
pub(super) struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Gone
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: UnixStream, desk: &Desk) {
    let (from, to) = stream.into_split();
    let mut client = Client {
        from: BufReader::new(from),
        to,
    };
    // Whether it is gone does not matter any more.
    let _ = client.serve(desk).await;
}

/// The other end of a connection.
pub(super) struct Client {
    pub(super) from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Client {
    async fn serve(&mut self, desk: &Desk) -> Result<(), Gone> {
        let request = match timeout(ASKED_WITHIN, self.question()).await {
            Ok(line) => Request::read(&line?),
            Err(_) => Err(Mistake::NotAnObject("no line came in time".into())),
        };
        let answered = match request {
            Err(mistake) => Err(Answer::error(Kind::Mistake, mistake.to_string())),
            Ok(request) => self.answer(desk, request).await?,
        };
        match answered {
            Ok(()) => self.say(&Answer::End {}).await,
            Err(failure) => self.say(&failure).await,
        }
    }

    /// A line, or as much of one as is too long for a question.
    async fn question(&mut self) -> Result<Vec<u8>, Gone> {
        let mut line = Vec::new();
        let most = LONGEST_REQUEST as u64 + 1;
        let mut bounded = (&mut self.from).take(most);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Err(Gone);
        }
        Ok(line)
    }

    async fn answer(&mut self, desk: &Desk, request: Request) -> Result<Result<(), Answer>, Gone> {
        match request {
            Request::Status { every_ms } => loop {
                let status = match ask(desk, Question::Status).await {
                    Ok(status) => status,
                    Err(failure) => return Ok(Err(failure)),
                };
                self.say(&Answer::Status(status)).await?;
                let Some(every) = every_ms else {
                    return Ok(Ok(()));
                };
                self.pause(Duration::from_millis(every.max(OFTEN).into()))
                    .await?;
            },
            Request::Devices {} => match ask(desk, Question::Devices).await {
                Err(failure) => Ok(Err(failure)),
                Ok(devices) => {
                    for device in devices {
                        self.say(&Answer::Device(Box::new(device))).await?;
                    }
                    Ok(Ok(()))
                }
            },
            Request::Device { name } => {
                let asked = name.clone();
                let found = ask(desk, |answer| Question::Device { name, answer }).await;
                match found {
                    Err(failure) => Ok(Err(failure)),
                    Ok(None) => Ok(Err(Answer::error(
                        Kind::Unknown,
                        format!("no device is called {asked:?}; `alink-gateway devices` lists all"),
                    ))),
                    Ok(Some(device)) => {
                        self.say(&Answer::Device(device)).await?;
                        Ok(Ok(()))
                    }
                }
            }
            Request::Trace { port } => self.trace(&desk.taps, &port).await,
        }
    }

    /// Waits, unless the client goes meanwhile.
    async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        let mut more = [0];
        match timeout(time, self.from.read(&mut more)).await {
            // It has nothing more to say, so whatever comes is its end.
            Ok(_) => Err(Gone),
            Err(_) => Ok(()),
        }
    }

    /// Writes a line.
    pub(super) async fn say(&mut self, answer: &Answer) -> Result<(), Gone> {
        let line = answer.line().map_err(|_| Gone)?;
        self.write(&line).await
    }

    /// Writes lines.
    pub(super) async fn write(&mut self, lines: &str) -> Result<(), Gone> {
        match timeout(TAKEN_WITHIN, self.to.write_all(lines.as_bytes())).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Gone),
        }
    }
}

/// Asks the hub.
async fn ask<T>(
    desk: &Desk,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Answer> {
    let (answer, heard) = oneshot::channel();
    let asking = async {
        desk.hub.send(question(answer)).await.ok()?;
        heard.await.ok()
    };
    match timeout(ANSWERED_WITHIN, asking).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Answer::error(Kind::Busy, "the service is stopping")),
        Err(_) => Err(Answer::error(
            Kind::Busy,
            "the service is too busy to answer",
        )),
    }
}
