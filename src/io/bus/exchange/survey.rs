//! Runs one request of a survey on an open line: any whole frame counts that is heard after it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Mono;
use crate::field::modbus::ascii;
use crate::field::survey::listener::SurveyListener;
use crate::spec::survey::{SurveyQuestion, SurveyReply, SurveyRequest, SurveySettings};
use crate::spec::{BusAddress, SerialSpec, TransactionIds};
use crate::trace::TraceEventKind;

use super::{BEHIND_A_SERVER, Exchange, Framer, LONGEST_BLOCK, LineLoss, READ_BYTES, lost};

/// What a survey heard, and who spoke before its request was sent.
#[derive(Debug)]
pub struct Surveyed {
    /// What was heard after the request.
    pub heard: SurveyReply,
    /// The senders of replies that came before the request was sent, since the last request on
    /// the line.
    pub before: Vec<BusAddress>,
    /// How many bytes came before the request was sent that belong to no frame.
    pub noise_before: u32,
    /// Whether the line fell quiet before the request was sent. If not, nothing was sent.
    pub is_sent: bool,
    /// When the last bit of the request had left.
    pub sent: Mono,
    /// Whether the line had the settings that the request wants.
    pub settings: SurveySettings,
}

impl Exchange {
    /// Asks one question of a survey, after this extra quiet time, and listens. The line has its
    /// own settings again before the next request of the port, and when it is listened to. Nothing
    /// is sent that the connection does not carry, a meter's frame on Modbus TCP, or at settings
    /// that the adapter refuses.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn survey(
        &mut self,
        request: &SurveyRequest,
        turnaround: Duration,
    ) -> Result<Surveyed, LineLoss> {
        let is_carried = !matches!(
            (&self.framer, &request.question),
            (Framer::Tcp(_), SurveyQuestion::Dlt645 { .. })
        );
        let mut is_quiet = self.fall_quiet(turnaround).await? && is_carried;
        let (is_tuned, settings) = self.tune_for(request)?;
        if is_tuned {
            is_quiet &= self.fall_quiet(turnaround).await?;
        }
        is_quiet &= !matches!(settings, SurveySettings::Refused(_));
        let mut before = self.traffic();
        let (framing, number) = match &self.framer {
            Framer::Serial(framing, _) => (Some(request.framing.unwrap_or(*framing)), 0),
            Framer::Tcp(stream) => (None, stream.next_number()),
        };
        if let Framer::Tcp(stream) = &mut self.framer {
            stream.use_number();
        }
        let ids = (number, self.transaction_ids());
        let mut listener = SurveyListener::new(&request.question, framing, ids);
        let mut sent = self.clock.now().mono;
        if is_quiet {
            sent = self.send(listener.request(), None, request.wait).await?;
            self.hear(&mut listener, sent, request).await?;
        }
        let heard = listener.end();
        let late = heard.late.iter().copied().map(BusAddress::Modbus);
        before.overheard.extend(late);
        self.ended += 1;
        self.echoes |= heard.echoes > 0;
        Ok(Surveyed {
            heard,
            before: before.overheard,
            noise_before: before.noise,
            is_sent: is_quiet,
            sent,
            settings,
        })
    }

    /// Gives the line the settings of a request; returns whether they differ from the ones before,
    /// and whether the driver took them. It is asked, for what is found at settings that the line
    /// never had would be configured with them.
    fn tune_for(&mut self, request: &SurveyRequest) -> Result<(bool, SurveySettings), LineLoss> {
        let (Some(wanted), Some(own)) = (self.tuned_for(request), self.own.clone()) else {
            return Ok((false, SurveySettings::AsAsked));
        };
        let is_tuned = match self.try_tune_to(&wanted) {
            Ok(is_tuned) => is_tuned,
            Err(e) => {
                // The system gives no reason that tells a refusal from a loss: a line that takes
                // its own settings is there.
                self.tune_to(&own)?;
                return Ok((true, SurveySettings::Refused(e.to_string())));
            }
        };
        if wanted == own {
            return Ok((is_tuned, SurveySettings::AsAsked));
        }
        // The line may have them for a poll, which does not ask.
        let line = &self.line;
        let ask = || {
            let differs = line.differs(&wanted);
            differs.map_or(SurveySettings::AsAsked, SurveySettings::Differ)
        };
        let settings = self.taken.get_or_insert_with(ask).clone();
        self.is_tuned_for_survey |= is_tuned;
        Ok((is_tuned, settings))
    }

    /// Listens until the question is answered, or as long as the request says. A frame that has
    /// begun is let finish.
    async fn hear(
        &mut self,
        listener: &mut SurveyListener,
        sent: Mono,
        request: &SurveyRequest,
    ) -> Result<(), LineLoss> {
        let deadline = sent + request.wait;
        let pause = listener.pause(match self.own {
            Some(_) => self.silence.frame_end(),
            None => BEHIND_A_SERVER,
        });
        // A line that never falls silent is not listened to for longer than a frame takes.
        let end = deadline + self.silence.transmission(ascii::MAX_FRAME) + pause;
        loop {
            let is_over = listener.is_answered() && !request.listens_on;
            let wake = match (listener.is_reading(), is_over) {
                (true, _) => (self.last_byte + pause).min(end),
                (false, true) => return Ok(()),
                (false, false) => deadline,
            };
            match self.read_promptly(wake).await {
                Ok(Some(n)) => {
                    let after = self.last_byte.since(sent);
                    listener.push(after, &self.buffer[..n]);
                }
                Ok(None) if listener.is_reading() => {
                    self.tap.say(&self.clock, || TraceEventKind::Pause);
                    listener.silence();
                }
                Ok(None) => {}
                Err(e) => return Err(lost(&e, true)),
            }
            let now = self.clock.now().mono;
            if now >= end || now >= deadline && !listener.is_reading() {
                if !listener.is_answered() {
                    self.tap.say(&self.clock, || TraceEventKind::Timeout);
                }
                return Ok(());
            }
        }
    }

    /// Reads as [`Exchange::read_until`] does, and is not late by the millisecond of a timer where
    /// the line has a thread of its own: a scan waits 247 times.
    async fn read_promptly(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        if !self.line.has_own_thread() {
            return self.read_until(wake).await;
        }
        let left = wake.since(self.clock.now().mono);
        if left > LONGEST_BLOCK {
            return self.read_until(wake.before(LONGEST_BLOCK)).await;
        }
        self.line.await_bytes(left);
        let read = self.line.try_read(&mut self.buffer[..READ_BYTES])?;
        read.map(|n| self.came(n)).transpose()
    }

    /// Returns whether replies carry the number of their request.
    const fn transaction_ids(&self) -> TransactionIds {
        match &self.framer {
            Framer::Tcp(stream) => stream.ids(),
            Framer::Serial(..) => TransactionIds::Any,
        }
    }

    /// Returns the settings that the line must have for this request: its own, unless the request
    /// says otherwise.
    fn tuned_for(&self, request: &SurveyRequest) -> Option<Arc<SerialSpec>> {
        let own = self.own.as_ref()?;
        match request.characters {
            Some(characters) if characters != own.characters() => {
                Some(Arc::new(own.with_characters(characters)))
            }
            _ => Some(Arc::clone(own)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_serial::SerialStream;

    use super::*;
    use crate::base::UnitId;
    use crate::io::bus::bus_monitor::BusMonitor;
    use crate::io::bus::line::OpenLine;
    use crate::io::system::clock::Clock;
    use crate::spec::{Characters, LineSpec, Parity, StopBits};

    fn pseudo_terminal() -> (SerialStream, Exchange) {
        let (master, slave) = SerialStream::pair().unwrap();
        let spec = LineSpec::Serial(SerialSpec {
            path: "/dev/pts/0".into(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: StopBits::One,
            framing: Default::default(),
            adapter: Default::default(),
        });
        let (clock, tap) = (Clock::system(), BusMonitor::default());
        let exchange = Exchange::new(OpenLine::Serial(slave), &spec, clock, tap, 1);
        (master, exchange)
    }

    async fn surveyed(exchange: &mut Exchange, line: Option<&str>) -> Surveyed {
        let request = SurveyRequest {
            characters: line.and_then(Characters::parse),
            framing: None,
            question: SurveyQuestion::Modbus {
                unit: UnitId(1),
                pdu: vec![3, 0, 0, 0, 1],
            },
            wait: Duration::from_millis(1),
            listens_on: false,
        };
        exchange.survey(&request, Duration::ZERO).await.unwrap()
    }

    /// Tunes the line as a poll of a device with settings of its own does.
    fn polled_at(exchange: &mut Exchange, line: &str) -> Arc<SerialSpec> {
        let own = exchange.own.clone().unwrap();
        let wanted = Arc::new(own.with_characters(Characters::parse(line).unwrap()));
        exchange.tune_to(&wanted).unwrap();
        wanted
    }

    #[tokio::test]
    async fn settings_that_the_adapter_did_not_take_are_said_each_time() {
        let (_master, mut exchange) = pseudo_terminal();
        // A pseudo terminal takes any speed, and drops parity.
        let differ = SurveySettings::Differ("parity none instead of even".into());
        for (line, settings) in [
            (Some("19200 8E1"), &differ),
            (Some("19200 8E1"), &differ),
            (Some("19200 8N1"), &SurveySettings::AsAsked),
            (None, &SurveySettings::AsAsked),
        ] {
            let surveyed = surveyed(&mut exchange, line).await;
            assert!(surveyed.is_sent, "{line:?}");
            assert_eq!(surveyed.settings, *settings, "{line:?}");
        }
    }

    #[tokio::test]
    async fn settings_that_a_poll_left_are_asked_about_as_well() {
        let (_master, mut exchange) = pseudo_terminal();
        polled_at(&mut exchange, "19200 8E1");
        let surveyed = surveyed(&mut exchange, Some("19200 8E1")).await;
        let differ = SurveySettings::Differ("parity none instead of even".into());
        assert_eq!(surveyed.settings, differ);
    }

    #[tokio::test]
    async fn a_line_is_listened_to_at_its_own_settings_after_a_survey_and_not_after_a_poll() {
        let (_master, mut exchange) = pseudo_terminal();
        surveyed(&mut exchange, Some("19200 8N1")).await;
        // A frame that has begun would be over.
        let until = |exchange: &Exchange| {
            let quiet = exchange.silence.frame_end() + Duration::from_millis(1);
            exchange.idle_since().max(exchange.clock.now().mono) + quiet
        };
        exchange.listen_for_late(until(&exchange)).await.unwrap();
        assert_ne!(exchange.tuned, exchange.own);
        exchange.listen(until(&exchange)).await.unwrap();
        assert_eq!(exchange.tuned, exchange.own);

        let polled = polled_at(&mut exchange, "19200 8N1");
        surveyed(&mut exchange, Some("19200 8N1")).await;
        exchange.listen(until(&exchange)).await.unwrap();
        assert_eq!(exchange.tuned, Some(polled));
    }
}
