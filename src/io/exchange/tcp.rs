//! A transaction of Modbus TCP: numbered, on a connection that may close.

use crate::base::Miss;
use crate::field::job::{Job, Outcome};
use crate::field::mbap::OutOfStep;
use crate::field::modbus::Reply;
use crate::trace::What;

use super::{Ended, Exchange, Lost, Speech, lost, out_of_step};

impl Exchange {
    pub(super) async fn run_tcp(&mut self, job: &Job) -> Result<Ended, Lost> {
        // What came meanwhile; also how a connection that was closed is
        // noticed before anyone is blamed for it.
        while let Some(n) = {
            let now = self.clock.now().mono;
            self.read_until(now).await.map_err(|e| lost(&e, false))?
        } {
            self.pass_by(n)?;
        }
        let mut heard = self.heard();
        let Speech::Tcp(stream) = &mut self.speech else {
            return Err(out_of_step(false));
        };
        let request = stream.send(job.call());
        let sent = self.send(&request, job.timeout).await?;
        let deadline = sent + job.timeout;
        let reply = loop {
            let read = self.read_until(deadline).await;
            let Speech::Tcp(stream) = &mut self.speech else {
                return Err(out_of_step(true));
            };
            match read {
                Ok(Some(n)) => match stream.push(&self.buffer[..n]) {
                    Ok(Some(reply)) => break Some(reply),
                    Ok(None) => {}
                    Err(OutOfStep) => return Err(out_of_step(true)),
                },
                Ok(None) => {
                    stream.abandon();
                    self.tap.say(&self.clock, || What::Timeout);
                    break None;
                }
                Err(e) => return Err(lost(&e, true)),
            }
        };
        let meanwhile = self.heard();
        let turnaround = reply.is_some().then(|| self.last_byte.since(sent));
        let outcome = match reply {
            Some(reply) => answered(reply),
            None if meanwhile.foreign > 0 => Outcome::Missed(Miss::Foreign),
            None => Outcome::Missed(Miss::Silence),
        };
        heard.add(meanwhile);
        Ok(self.ended(outcome, heard, turnaround))
    }
}

fn answered(reply: Reply) -> Outcome {
    match reply {
        Reply::Answer(data) => Outcome::Answered(data),
        Reply::Confirmed => Outcome::Confirmed,
        Reply::Exception(code) => Outcome::Exception(code),
        Reply::Stranger => Outcome::Missed(Miss::Foreign),
    }
}
