//! The schedule and a framing's receiver without a port: Modbus ASCII, and RTU
//! frames carried by a serial server in a TCP connection, whose pauses mean
//! little. Time is a number here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alink_gateway::base::{Mono, Now, PortId, Rng, UnitId, Wall};
use alink_gateway::field::job::{Job, Outcome};
use alink_gateway::field::modbus::{Ask, Data, Reply};
use alink_gateway::field::rtu::{Heard, Verdict};
use alink_gateway::field::schedule::{Next, Schedule};
use alink_gateway::field::{ascii, rtu};
use alink_gateway::lab::bus::Unit;
use alink_gateway::lab::bus::tongue::Tongue;
use alink_gateway::spec::LineSpec;

use super::site::{self, Hostility, NOON};
use super::tally::Tally;

const MOOD: Duration = Duration::from_secs(2);
const PEACE: Duration = Duration::from_secs(60);

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Ascii,
    RtuOverTcp,
}

/// Either receiver: their contract is the same.
enum Ear {
    Ascii(ascii::Receiver),
    Rtu(rtu::Receiver),
}

impl Ear {
    fn new(speech: Speech, ask: Option<Ask>) -> Ear {
        match (speech, ask) {
            (Speech::Ascii, Some(ask)) => Ear::Ascii(ascii::Receiver::new(ask)),
            (Speech::Ascii, None) => Ear::Ascii(ascii::Receiver::idle()),
            (Speech::RtuOverTcp, Some(ask)) => Ear::Rtu(rtu::Receiver::new(ask)),
            (Speech::RtuOverTcp, None) => Ear::Rtu(rtu::Receiver::idle()),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Option<Verdict> {
        match self {
            Ear::Ascii(ear) => ear.push(bytes),
            Ear::Rtu(ear) => ear.push(bytes),
        }
    }

    fn silence(&mut self) -> Option<Verdict> {
        match self {
            Ear::Ascii(ear) => ear.silence(),
            Ear::Rtu(ear) => ear.silence(),
        }
    }

    fn is_reading(&self) -> bool {
        match self {
            Ear::Ascii(ear) => ear.is_reading(),
            Ear::Rtu(ear) => ear.is_reading(),
        }
    }

    fn miss(&self) -> Outcome {
        Outcome::Missed(match self {
            Ear::Ascii(ear) => ear.miss(),
            Ear::Rtu(ear) => ear.miss(),
        })
    }

    fn heard(&mut self) -> Heard {
        match self {
            Ear::Ascii(ear) => ear.take_heard(),
            Ear::Rtu(ear) => ear.take_heard(),
        }
    }
}

type Pieces = VecDeque<(Vec<u8>, Duration)>;

struct Bare {
    speech: Speech,
    schedule: Schedule,
    now: Mono,
    units: BTreeMap<UnitId, (Tongue, Mono)>,
    /// What is said from when on, in pieces: each with the pause behind it.
    /// Whoever begins ends; the others wait.
    wire: BTreeMap<(Mono, u64), Pieces>,
    /// What is being said, and when its next piece comes.
    said: (Mono, Pieces),
    sent: u64,
    /// Listens while nobody is asked.
    idle: Ear,
    last_byte: Mono,
    rng: Rng,
}

/// One life: so many transactions with everything going wrong, and then peace.
pub(crate) fn life(speech: Speech, seed: u64, transactions: u64, hostility: Hostility) -> Tally {
    let mut rng = Rng::new(seed);
    let spec = site::installation(LineSpec::Serial(site::serial(115_200)));
    let units = site::units(seed).into_iter().map(|(id, unit)| {
        let tongue = match speech {
            Speech::Ascii => Tongue::Ascii(id.0, unit),
            Speech::RtuOverTcp => Tongue::Rtu(id.0, unit),
        };
        (id, (tongue, Mono::START))
    });
    let mut bare = Bare {
        speech,
        schedule: Schedule::new(&spec, PortId(0), rng.fork(), Now::default()),
        now: Mono::START,
        units: units.collect(),
        wire: BTreeMap::new(),
        said: (Mono::START, VecDeque::new()),
        sent: 0,
        idle: Ear::new(speech, None),
        last_byte: Mono::START,
        rng: rng.fork(),
    };
    let mut tally = Tally::default();
    let mut mood = Mono::START;
    while tally.transactions < transactions {
        if bare.now >= mood {
            for (tongue, _) in bare.units.values_mut() {
                hostility.befall(&mut unit_of(tongue).manners, &mut rng);
            }
            mood = bare.now + MOOD;
        }
        bare.step(&mut tally);
    }
    for (tongue, _) in bare.units.values_mut() {
        unit_of(tongue).manners.faults.clear();
    }
    let peace = bare.now;
    let mut after = Tally::default();
    let mut seen = vec![Vec::new(); site::IDS.len()];
    while bare.now.since(peace) < PEACE {
        if let Some(device) = bare.step(&mut after) {
            seen[device].push(bare.now.since(peace));
        }
    }
    tally.peace(after, &seen, PEACE);
    tally
}

fn unit_of(tongue: &mut Tongue) -> &mut Unit {
    match tongue {
        Tongue::Ascii(_, unit) | Tongue::Rtu(_, unit) => unit,
        _ => unreachable!("no others hang here"),
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Bare {
    /// One transaction or one wait; whose values came.
    fn step(&mut self, tally: &mut Tally) -> Option<usize> {
        match self.schedule.next(self.now) {
            Next::Run(job) => self.transact(&job, tally),
            Next::NotBefore(at, _) => {
                self.listen(at, tally);
                None
            }
            Next::Idle => panic!("there is always something to read"),
        }
    }

    /// What arrives next, if before then.
    fn arrival(&mut self, until: Mono) -> Option<Vec<u8>> {
        if self.said.1.is_empty() {
            let first = self.wire.first_entry()?;
            if first.key().0 > until {
                return None;
            }
            self.said.0 = self.said.0.max(first.key().0);
            self.said.1 = first.remove();
        }
        let (at, pieces) = &mut self.said;
        if *at > until {
            return None;
        }
        let (bytes, pause) = pieces.pop_front()?;
        self.now = self.now.max(*at);
        *at = self.now + pause;
        self.last_byte = self.now;
        Some(bytes)
    }

    fn frame_end(&self) -> Duration {
        match self.speech {
            Speech::Ascii => ascii::INTER_CHARACTER,
            Speech::RtuOverTcp => ms(35),
        }
    }

    /// Nobody is asked until then, or until somebody was overheard.
    fn listen(&mut self, until: Mono, tally: &mut Tally) {
        let end = self.last_byte + self.frame_end();
        let wake = if self.idle.is_reading() {
            end.min(until)
        } else {
            until
        };
        match self.arrival(wake) {
            Some(bytes) => {
                self.idle.push(&bytes);
            }
            None => {
                self.now = self.now.max(wake);
                if self.now >= end {
                    self.idle.silence();
                }
            }
        }
        let heard = self.idle.heard();
        self.overheard(heard, tally);
    }

    fn overheard(&mut self, heard: Heard, tally: &mut Tally) {
        for unit in heard.overheard {
            if self.schedule.overheard(self.now, unit).is_some() {
                tally.late += 1;
            }
        }
    }

    fn transact(&mut self, job: &Job, tally: &mut Tally) -> Option<usize> {
        let begun = self.now;
        let request = match self.speech {
            Speech::Ascii => ascii::frame(job.ask.unit, &job.ask.pdu()),
            Speech::RtuOverTcp => rtu::frame(job.ask.unit, &job.ask.pdu()),
        };
        // What has come already is not the reply; who is talking may finish.
        let mut quiet = self.now;
        while let Some(bytes) = self.arrival(quiet) {
            self.idle.push(&bytes);
            quiet = self.last_byte + ms(35);
        }
        self.now = quiet;
        self.idle.silence();
        let before = self.idle.heard();
        self.say(&request);
        let asked = self.now;
        let mut ear = Ear::new(self.speech, Some(job.ask));
        let outcome = self.receive(&mut ear, asked + job.timeout);
        assert!(
            self.now.since(begun) <= job.timeout + 2 * self.frame_end() + ms(1000),
            "a transaction without end"
        );
        tally.heard_at(self.now);
        tally.transactions += 1;
        let mut values = None;
        match &outcome {
            Outcome::Answered(data) => {
                tally.answers += 1;
                if job.trusted && !job.is_fence() {
                    tally.values += job.points.len() as u64;
                    values = Some(job.device.0 as usize);
                    self.check(job, data, asked, tally);
                }
            }
            Outcome::Exception(_) | Outcome::Refused(_) => tally.answers += 1,
            Outcome::Missed(miss) => *tally.missed.entry(format!("{miss:?}")).or_default() += 1,
        }
        self.schedule.done(self.now, job, &outcome);
        while self.schedule.poll_finding().is_some() {}
        self.overheard(before, tally);
        let meanwhile = ear.heard();
        self.overheard(meanwhile, tally);
        // The next request: this is no test of timing.
        self.now = self.now + ms(2);
        values
    }

    /// As the exchange does it: the reply must begin before `deadline`.
    fn receive(&mut self, ear: &mut Ear, deadline: Mono) -> Outcome {
        let end = deadline + ms(500) + self.frame_end();
        let verdict = loop {
            let wake = if ear.is_reading() {
                end.min(self.last_byte + self.frame_end())
            } else {
                deadline
            };
            let verdict = match self.arrival(wake) {
                Some(bytes) => ear.push(&bytes),
                None => {
                    self.now = self.now.max(wake);
                    ear.silence()
                }
            };
            if verdict.is_some() {
                break verdict;
            }
            if self.now >= end || (self.now >= deadline && !ear.is_reading()) {
                break ear.silence();
            }
        };
        match verdict {
            Some(Verdict::Reply(Reply::Answer(data))) => Outcome::Answered(data),
            Some(Verdict::Reply(Reply::Exception(code))) => Outcome::Exception(code),
            _ => ear.miss(),
        }
    }

    /// The request reaches everybody; what they say is on its way.
    fn say(&mut self, request: &[u8]) {
        let now = self.moment(self.now);
        for (tongue, busy) in self.units.values_mut() {
            let said = tongue.hear(now, request, &mut self.rng);
            // One thing after the other: what is late holds up what comes behind,
            // its own copy too.
            let from = self.now.max(*busy);
            for (i, saying) in said.into_iter().enumerate() {
                let mut pieces = Pieces::new();
                let at = from + saying.after;
                let mut end = at;
                let mut rest = &saying.bytes[..];
                while !rest.is_empty() {
                    let piece = 1 + self.rng.below(rest.len() as u64) as usize;
                    let (head, tail) = rest.split_at(piece);
                    let pause = Duration::from_micros(self.rng.below(4000));
                    pieces.push_back((head.to_vec(), pause));
                    rest = tail;
                    end = end + pause;
                }
                if i == 0 {
                    *busy = end;
                }
                self.sent += 1;
                self.wire.insert((at, self.sent), pieces);
            }
        }
    }

    fn moment(&self, mono: Mono) -> Now {
        let millis = i64::try_from(mono.as_micros() / 1000).unwrap();
        Now {
            mono,
            wall: Wall::from_millis(NOON + millis),
        }
    }

    fn check(&mut self, job: &Job, data: &Data, asked: Mono, tally: &mut Tally) {
        let words: Vec<u16> = match data {
            Data::Registers(words) => words.clone(),
            Data::Bits(bits) => bits.iter().map(|b| u16::from(*b)).collect(),
            Data::Bytes(bytes) => panic!("no Modbus reply: {bytes:?}"),
        };
        let window = self.moment(asked).wall..=self.moment(self.now).wall;
        let (tongue, _) = self.units.get_mut(&job.ask.unit).unwrap();
        if !unit_of(tongue).held(window, job.ask.table, job.ask.start, &words) {
            let ask = job.ask;
            let now = self.now;
            tally.wrong.push(format!("at {now:?}: {ask:?} {words:?}"));
        }
    }
}
