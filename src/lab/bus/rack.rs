//! A Modbus TCP endpoint with many units behind it: a rack of modules, or a gateway to
//! a line.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::{Fault, distort, noise};
use super::frame::Mbap;
use super::served::{Record, Served};
use super::unit::Unit;
use crate::base::{Mono, Now, UnitId, Wake};

/// One connection to a rack; the shell numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// The action of a rack on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RackOutput {
    /// Send these bytes.
    Bytes(Vec<u8>),
    /// Close it.
    Close,
}

/// What the rack does with requests for units that are dead or absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Nothing, like a rack of separate devices.
    Silent,
    /// Exception 0Bh after this time, like a gateway whose line stayed quiet
    /// (Modbus Application Protocol V1.1b3 §7: "gateway target device failed
    /// to respond").
    GatewayException(Duration),
}

/// What has happened on a rack so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RackCounts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused.
    pub refused: u64,
    /// Requests that reached a living unit.
    pub requests: u64,
    /// Requests for a unit that is dead or absent.
    pub unanswered: u64,
    /// Connections closed because the bytes were not Modbus TCP.
    pub not_modbus: u64,
    /// Faults that struck, by [`Fault::name`].
    pub faults: BTreeMap<&'static str, u64>,
    /// Answers that were to be recorded, and for which there was no room.
    pub unrecorded: u64,
}

/// A Modbus TCP endpoint.
///
/// Contract: report connections and their bytes, then drain [`Rack::poll`] for each
/// connection until `None`, and again at [`Rack::wake_at`]. Each unit takes its own
/// time: a late unit does not hold up its neighbours, so replies may come out of order.
#[derive(Clone, Debug)]
pub struct Rack {
    units: BTreeMap<UnitId, Unit>,
    /// Whether to accept no connections, and close the existing ones.
    pub refuse: bool,
    /// What becomes of requests for units that are dead or absent.
    pub absent: Absent,
    connections: BTreeMap<ConnId, Connection>,
    counts: RackCounts,
    /// What was answered as it should be, if it is recorded.
    served: Record,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    inbox: Vec<u8>,
    outbox: BTreeMap<(Mono, u64), Queued>,
    queued: u64,
    /// The rest of a message whose first half is sent, and when it follows. No other
    /// bytes are sent before it: a stream has one order.
    rest: Option<(Mono, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Queued {
    Whole(RackOutput),
    Halves(Vec<u8>, Duration, Vec<u8>),
}

/// Requests of one connection that may wait for their turn; a connection that sends
/// more without reading is closed.
const MOST_WAITING: usize = 1024;

impl Rack {
    /// Builds an empty rack.
    #[must_use]
    pub fn new() -> Self {
        Rack {
            units: BTreeMap::new(),
            refuse: false,
            absent: Absent::Silent,
            connections: BTreeMap::new(),
            counts: RackCounts::default(),
            served: Record::default(),
        }
    }

    /// Records from now on which requests were answered as they should be, and how.
    pub fn record(&mut self) {
        self.served.begin();
    }

    /// Returns what was answered since the last call, if it is recorded.
    pub fn take_served(&mut self) -> Vec<Served> {
        self.served.take()
    }

    /// Plugs a unit in; a unit that had the address before is pulled out.
    pub fn attach(&mut self, id: UnitId, unit: Unit) {
        self.units.insert(id, unit);
    }

    /// Returns the unit with this address.
    #[must_use]
    pub fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(&id)
    }

    /// Returns the unit with this address, to change its behaviour.
    pub fn unit_mut(&mut self, id: UnitId) -> Option<&mut Unit> {
        self.units.get_mut(&id)
    }

    /// Returns all units.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &Unit)> {
        self.units.iter().map(|(&id, unit)| (id, unit))
    }

    /// Takes the power of the unit away.
    pub fn kill(&mut self, id: UnitId) {
        self.set_alive(id, false);
    }

    /// Gives the power back to the unit.
    pub fn power_on(&mut self, id: UnitId) {
        self.set_alive(id, true);
    }

    fn set_alive(&mut self, id: UnitId, alive: bool) {
        if let Some(unit) = self.units.get_mut(&id) {
            unit.behaviour.alive = alive;
        }
    }

    /// Returns what has happened so far.
    #[must_use]
    pub const fn counts(&self) -> &RackCounts {
        &self.counts
    }

    /// Handles a new connection; `false` refuses it.
    pub fn on_connected(&mut self, connection: ConnId) -> bool {
        if self.refuse {
            self.counts.refused += 1;
            return false;
        }
        self.counts.connections += 1;
        self.connections.insert(connection, Connection::default());
        true
    }

    /// Handles the end of a connection.
    pub fn on_closed(&mut self, connection: ConnId) {
        self.connections.remove(&connection);
    }

    /// Handles bytes of a connection.
    pub fn on_bytes(&mut self, now: Now, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.inbox.extend_from_slice(bytes);
        loop {
            match Mbap::take(&mut connection.inbox) {
                Ok(Some(request)) => {
                    let served = serve(
                        &mut self.units,
                        &mut self.counts,
                        self.absent,
                        connection,
                        now,
                        &request,
                    );
                    if let Some(served) = served
                        && !self.served.note(|| served)
                    {
                        self.counts.unrecorded += 1;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.counts.not_modbus += 1;
                    connection.inbox.clear();
                    connection.queue(now.mono, RackOutput::Close);
                    break;
                }
            }
        }
        if connection.outbox.len() > MOST_WAITING {
            connection.outbox.clear();
            connection.queue(now.mono, RackOutput::Close);
        }
    }

    /// Returns what is due on this connection by `now`.
    pub fn poll(&mut self, now: Now, id: ConnId) -> Option<RackOutput> {
        let refuse = self.refuse;
        let connection = self.connections.get_mut(&id)?;
        let output = if refuse {
            RackOutput::Close
        } else {
            connection.next(now.mono)?
        };
        if output == RackOutput::Close {
            self.connections.remove(&id);
        }
        Some(output)
    }

    /// Returns when [`Rack::poll`] has something to do on this connection.
    #[must_use]
    pub fn wake_at(&self, id: ConnId) -> Option<Wake> {
        let connection = self.connections.get(&id)?;
        if let Some((at, _)) = connection.rest {
            return Some(Wake::new(at, "the rest of a reply is due"));
        }
        let (&(at, _), _) = connection.outbox.first_key_value()?;
        Some(Wake::new(at, "a reply is due"))
    }
}

impl Default for Rack {
    fn default() -> Self {
        Rack::new()
    }
}

impl Connection {
    fn queue(&mut self, at: Mono, output: RackOutput) {
        self.queued += 1;
        let whole = Queued::Whole(output);
        self.outbox.insert((at, self.queued), whole);
    }

    fn queue_halves(&mut self, at: Mono, bytes: Vec<u8>, pause: Duration, rest: Vec<u8>) {
        self.queued += 1;
        let halves = Queued::Halves(bytes, pause, rest);
        self.outbox.insert((at, self.queued), halves);
    }

    fn next(&mut self, now: Mono) -> Option<RackOutput> {
        if self.rest.as_ref().is_some_and(|(at, _)| *at > now) {
            return None;
        }
        if let Some((_, rest)) = self.rest.take() {
            return Some(RackOutput::Bytes(rest));
        }
        let first = self.outbox.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        Some(match first.remove() {
            Queued::Whole(output) => output,
            Queued::Halves(bytes, pause, rest) => {
                self.rest = Some((now + pause, rest));
                RackOutput::Bytes(bytes)
            }
        })
    }
}

fn serve(
    units: &mut BTreeMap<UnitId, Unit>,
    counts: &mut RackCounts,
    absent: Absent,
    connection: &mut Connection,
    now: Now,
    request: &Mbap,
) -> Option<Served> {
    let Some(unit) = units
        .get_mut(&UnitId(request.unit))
        .filter(|u| u.behaviour.alive)
    else {
        counts.unanswered += 1;
        if let Absent::GatewayException(after) = absent {
            let function = request.pdu.first().copied().unwrap_or_default();
            let no = Mbap {
                pdu: vec![function | 0x80, 0x0B],
                ..request.clone()
            };
            connection.queue(now.mono + after, RackOutput::Bytes(no.seal()));
        }
        return None;
    };
    counts.requests += 1;
    let pdu = unit.answer(now, &request.pdu);
    if unit.behaviour.withholds(&pdu) {
        return None;
    }
    let (fault, delay) = unit.draw();
    let at = now.mono + delay;
    if let Some(fault) = fault {
        *counts.faults.entry(fault.name()).or_default() += 1;
    }
    let served = fault.is_none().then(|| Served {
        at: now,
        unit: UnitId(request.unit),
        request: request.pdu.clone(),
        reply: pdu.clone(),
    });
    let mut reply = Mbap {
        pdu: distort(fault, pdu),
        ..request.clone()
    };
    match fault {
        Some(Fault::Foreign) => reply.unit = reply.unit.wrapping_add(1),
        Some(Fault::WrongTransaction) => reply.transaction = reply.transaction.wrapping_add(1),
        Some(Fault::Padded) => reply.pdu.push(0),
        _ => {}
    }
    let mut bytes = reply.seal();
    match fault {
        Some(Fault::Mute) => {}
        Some(Fault::Late(by)) => connection.queue(at + by, RackOutput::Bytes(bytes)),
        Some(Fault::Cut) => {
            bytes.truncate(1 + unit.rng().below(bytes.len() as u64 - 1) as usize);
            connection.queue(at, RackOutput::Bytes(bytes));
            connection.queue(at, RackOutput::Close);
        }
        Some(Fault::Babble) => connection.queue(at, RackOutput::Close),
        Some(Fault::Twice) => {
            connection.queue(at, RackOutput::Bytes(bytes.clone()));
            connection.queue(at, RackOutput::Bytes(bytes));
        }
        Some(Fault::Again(after)) => {
            connection.queue(at, RackOutput::Bytes(bytes.clone()));
            connection.queue(at + after, RackOutput::Bytes(bytes));
        }
        Some(Fault::Echo) => {
            connection.queue(at, RackOutput::Bytes(request.seal()));
            connection.queue(at, RackOutput::Bytes(bytes));
        }
        Some(Fault::BadLength) => {
            bytes[5] = bytes[5].wrapping_add(1);
            connection.queue(at, RackOutput::Bytes(bytes));
        }
        Some(Fault::BadHeader) => {
            // Byte 2 is of the protocol, byte 4 of the length.
            let byte = if unit.rng().chance(500) { 2 } else { 4 };
            bytes[byte] = 0xFF;
            connection.queue(at, RackOutput::Bytes(bytes));
        }
        Some(Fault::Stray(n)) => {
            let mut led = noise(n.into(), unit.rng());
            led.append(&mut bytes);
            connection.queue(at, RackOutput::Bytes(led));
        }
        Some(Fault::Hiccup(pause)) => {
            let rest = bytes.split_off(bytes.len() / 2);
            connection.queue_halves(at, bytes, pause, rest);
        }
        Some(
            Fault::Flip
            | Fault::Burst(_)
            | Fault::Scramble
            | Fault::Noise(_)
            | Fault::Foreign
            | Fault::WrongFunction
            | Fault::Short
            | Fault::WrongTransaction
            | Fault::Twin
            | Fault::Padded,
        )
        | None => connection.queue(at, RackOutput::Bytes(bytes)),
    }
    served
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::{Chance, UnitBehaviour};
    use super::super::unit_kind::UnitKind;
    use super::*;
    use crate::spec::Table;

    const HERE: ConnId = ConnId(1);

    fn at(ms: u64) -> Now {
        Now {
            mono: Mono::from_micros(ms * 1000),
            ..Now::default()
        }
    }

    fn rack() -> Rack {
        let mut rack = Rack::new();
        for id in 1..=3 {
            rack.attach(UnitId(id), Unit::new(UnitKind::Marked, u64::from(id)));
        }
        assert!(rack.on_connected(HERE));
        rack
    }

    fn ask(transaction: u16, unit: u8) -> Vec<u8> {
        Mbap {
            transaction,
            unit,
            pdu: vec![3, 0, 0, 0, 2],
        }
        .seal()
    }

    fn drain(rack: &mut Rack, now: Now) -> Vec<RackOutput> {
        std::iter::from_fn(|| rack.poll(now, HERE)).collect()
    }

    fn answers(outputs: &[RackOutput]) -> Vec<(u16, u8)> {
        outputs
            .iter()
            .filter_map(|o| match o {
                RackOutput::Bytes(b) => Some((u16::from_be_bytes([b[0], b[1]]), b[6])),
                RackOutput::Close => None,
            })
            .collect()
    }

    #[test]
    fn a_request_is_answered_with_the_truth_under_its_own_number() {
        let mut rack = rack();
        rack.on_bytes(at(0), HERE, &ask(513, 2));
        assert_eq!(drain(&mut rack, at(4)), []);
        let due = rack.wake_at(HERE).unwrap().at;
        assert_eq!(due, at(5).mono);
        let unit = rack.unit(UnitId(2)).unwrap();
        let word = |a| unit.value_at(at(0), Table::HoldingRegister, a).unwrap();
        let (a, b) = (word(0).to_be_bytes(), word(1).to_be_bytes());
        let expected = [&[2, 1, 0, 0, 0, 7, 2, 3, 4], &a[..], &b].concat();
        assert_eq!(drain(&mut rack, at(5)), [RackOutput::Bytes(expected)]);
        assert_eq!(rack.wake_at(HERE), None);
    }

    #[test]
    fn what_was_served_is_recorded_once_it_is_asked_for() {
        let mut rack = rack();
        rack.on_bytes(at(0), HERE, &ask(1, 1));
        assert_eq!(rack.take_served(), []);
        rack.record();
        rack.on_bytes(at(7), HERE, &[ask(2, 1), ask(3, 99)].concat());
        let served = rack.take_served();
        let [one] = &served[..] else {
            panic!("{served:?}");
        };
        let expected = rack.unit_mut(UnitId(1)).unwrap();
        let expected = expected.answer(at(7), &[3, 0, 0, 0, 2]);
        assert_eq!((one.at, one.unit), (at(7), UnitId(1)));
        assert_eq!(one.request, [3, 0, 0, 0, 2]);
        assert_eq!(one.reply, expected);
        assert_eq!(rack.take_served(), []);
    }

    #[test]
    fn a_late_unit_does_not_hold_up_its_neighbours() {
        let mut rack = rack();
        rack.unit_mut(UnitId(1)).unwrap().behaviour.turnaround = Duration::from_millis(300);
        let both = [ask(1, 1), ask(2, 2)].concat();
        rack.on_bytes(at(0), HERE, &both);
        assert_eq!(answers(&drain(&mut rack, at(5))), [(2, 2)]);
        assert_eq!(answers(&drain(&mut rack, at(300))), [(1, 1)]);
    }

    #[test]
    fn the_dead_are_silent_unless_the_rack_is_a_gateway() {
        let mut rack = rack();
        rack.kill(UnitId(1));
        rack.on_bytes(at(0), HERE, &ask(1, 1));
        rack.on_bytes(at(0), HERE, &ask(2, 99));
        assert_eq!(drain(&mut rack, at(10_000)), []);
        assert_eq!(rack.counts().unanswered, 2);

        rack.absent = Absent::GatewayException(Duration::from_secs(1));
        rack.on_bytes(at(10_000), HERE, &ask(3, 1));
        assert_eq!(
            drain(&mut rack, at(11_000)),
            [RackOutput::Bytes(vec![0, 3, 0, 0, 0, 3, 1, 0x83, 0x0B])]
        );
        rack.power_on(UnitId(1));
        rack.on_bytes(at(11_000), HERE, &ask(4, 1));
        assert_eq!(answers(&drain(&mut rack, at(11_005))), [(4, 1)]);
    }

    #[test]
    fn each_fault_does_what_it_says() {
        type Row = (Fault, &'static [(u16, u8)], bool);
        let table: &[Row] = &[
            (Fault::Mute, &[], false),
            (Fault::Late(Duration::from_millis(100)), &[(7, 1)], false),
            (Fault::Twice, &[(7, 1), (7, 1)], false),
            (Fault::Foreign, &[(7, 2)], false),
            (Fault::Padded, &[(7, 1)], false),
            (Fault::BadLength, &[(7, 1)], false),
            (Fault::BadHeader, &[(7, 1)], false),
            (Fault::WrongTransaction, &[(8, 1)], false),
            (Fault::Babble, &[], true),
            (Fault::Echo, &[(7, 1), (7, 1)], false),
            (Fault::Flip, &[(7, 1)], false),
        ];
        for &(fault, expected, closes) in table {
            let mut rack = rack();
            rack.unit_mut(UnitId(1)).unwrap().behaviour = UnitBehaviour {
                faults: vec![Chance {
                    fault,
                    permille: 1000,
                }],
                ..UnitBehaviour::default()
            };
            rack.on_bytes(at(0), HERE, &ask(7, 1));
            let out = drain(&mut rack, at(5_000));
            assert_eq!(answers(&out), expected, "{fault:?}");
            assert_eq!(out.last() == Some(&RackOutput::Close), closes, "{fault:?}");
            assert_eq!(rack.counts().faults[fault.name()], 1);
        }
    }

    #[test]
    fn faults_of_a_stream_leave_the_reply_itself_whole() {
        let with = |fault| {
            let mut rack = rack();
            let faults = vec![Chance {
                fault,
                permille: 1000,
            }];
            rack.unit_mut(UnitId(1)).unwrap().behaviour.faults = faults;
            rack.on_bytes(at(0), HERE, &ask(7, 1));
            let out = drain(&mut rack, at(5_000));
            let [RackOutput::Bytes(bytes)] = &out[..] else {
                panic!("{out:?}");
            };
            bytes.clone()
        };
        let good = with(Fault::Flip);
        let (head, pdu) = good.split_at(6);
        assert_eq!(
            with(Fault::Padded),
            [&[0, 7, 0, 0, 0, 8], pdu, &[0]].concat()
        );
        assert_eq!(with(Fault::BadLength), [&[0, 7, 0, 0, 0, 8], pdu].concat());
        let bad = with(Fault::BadHeader);
        assert!(bad[..6] != *head && bad[6..] == *pdu, "{bad:?}");
        let stray = with(Fault::Stray(3));
        assert_eq!(stray[3..], good);
    }

    #[test]
    fn a_cut_reply_is_shorter_than_whole_and_ends_the_connection() {
        let mut rack = rack();
        rack.unit_mut(UnitId(1)).unwrap().behaviour.faults = vec![Chance {
            fault: Fault::Cut,
            permille: 1000,
        }];
        rack.on_bytes(at(0), HERE, &ask(7, 1));
        let out = drain(&mut rack, at(5));
        let [RackOutput::Bytes(part), RackOutput::Close] = &out[..] else {
            panic!("{out:?}");
        };
        assert!((1..13).contains(&part.len()));
        rack.on_bytes(at(6), HERE, &ask(8, 1));
        assert_eq!(drain(&mut rack, at(100)), []);
    }

    #[test]
    fn refusing_closes_what_is_open_and_lets_nobody_in() {
        let mut rack = rack();
        rack.refuse = true;
        assert_eq!(drain(&mut rack, at(0)), [RackOutput::Close]);
        assert!(!rack.on_connected(ConnId(2)));
        rack.refuse = false;
        assert!(rack.on_connected(ConnId(3)));
        assert_eq!(rack.counts().refused, 1);
    }

    #[test]
    fn what_is_not_modbus_is_cut_off() {
        let mut rack = rack();
        rack.on_bytes(at(0), HERE, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(drain(&mut rack, at(0)), [RackOutput::Close]);
        assert_eq!(rack.counts().not_modbus, 1);
    }

    #[test]
    fn a_flood_without_reading_is_cut_off() {
        let mut rack = rack();
        for n in 0..3000 {
            rack.on_bytes(at(0), HERE, &ask(n, 1));
        }
        assert!(drain(&mut rack, at(10)).contains(&RackOutput::Close));
    }
}
