//! Passes the events of a port on to a client.

use tokio::io::AsyncReadExt;

use super::{Client, ClientGone};
use crate::control::{Answer, FailureKind};
use crate::io::bus::bus_monitor::{BusMonitors, Listener, NotMonitored};
use crate::trace::TraceEvent;

/// How many events are written at once, if that many wait.
const AT_ONCE: usize = 64;

impl Client<'_> {
    /// Passes events on until the client goes, or the port is taken out of service.
    pub(super) async fn trace(
        &mut self,
        monitors: &BusMonitors,
        port: &str,
    ) -> Result<Result<(), Answer>, ClientGone> {
        let mut listener = match monitors.listen(port) {
            Ok(listener) => listener,
            Err(why) => {
                let kind = match why {
                    NotMonitored::Unknown { .. } => FailureKind::Unknown,
                    NotMonitored::TooManyListeners => FailureKind::Busy,
                };
                return Ok(Err(Answer::error(kind, why.to_string())));
            }
        };
        let mut more = [0];
        self.slot.watches(self.clock.now().mono);
        loop {
            let seen = tokio::select! {
                biased;
                // The client has nothing more to send, so any byte is its end.
                _ = self.from.read(&mut more) => return Err(ClientGone),
                seen = listener.next() => seen,
            };
            match seen {
                Some(seen) => {
                    let lines = lines(seen, &mut listener)?;
                    self.write(&lines).await?;
                }
                None => return Ok(Ok(())),
            }
        }
    }
}

/// Returns the lines of this event and the events that wait behind it.
fn lines(first: TraceEvent, listener: &mut Listener) -> Result<String, ClientGone> {
    let mut lines = line(&first)?;
    for _ in 1..AT_ONCE {
        let Some(seen) = listener.try_next() else {
            break;
        };
        lines.push_str(&line(&seen)?);
    }
    Ok(lines)
}

fn line(seen: &TraceEvent) -> Result<String, ClientGone> {
    let answer = serde_json::to_value(seen).map(Answer::Seen);
    answer.and_then(|a| a.line()).map_err(|_| ClientGone)
}
