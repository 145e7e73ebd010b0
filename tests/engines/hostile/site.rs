//! Five devices that between them have everything that makes a reply mistakable, the
//! faults of their replies, and the oracle of what was true when.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{Reading, Rng, UnitId, Value, Wall};
use alink_gateway::lab::bus::{Chance, Fault, Refusal, Unit, UnitBehaviour, UnitKind};
use alink_gateway::spec::*;

use crate::installation::{number, profile, tcp};

/// Short, so that a unit times out often.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);

/// Noon, some day.
pub(crate) const NOON: i64 = 1_790_000_000_000;

/// The interval of every point: shorter than the line can keep.
const INTERVAL: Duration = Duration::from_millis(100);

/// The addresses of the units. A unit that uses the next address by mistake uses that
/// of a unit whose replies look different, or of no unit: a late reply under the
/// address of a unit that has just received such a request is the reply of that unit,
/// as far as any receiver can tell.
pub(crate) const IDS: [u8; 5] = [1, 2, 3, 5, 7];

/// Returns the points that are read of each unit.
fn profiles() -> [Arc<ProfileSpec>; IDS.len()] {
    use Table::{Coil, HoldingRegister as Holding, InputRegister as Input};
    let point = |table, address, codec| crate::installation::point(table, address, codec, INTERVAL);
    let wide = |address| point(Holding, address, number(Number::U32));
    // Four requests of one shape.
    let twins = [100, 300, 500, 700].map(wide).to_vec();
    // Requests of different shapes, one of them of bits.
    let mut mixed: Vec<PointSpec> = (0..8)
        .map(|a| point(Holding, a, number(Number::U16)))
        .collect();
    mixed.extend([600, 602, 604].map(|a| point(Input, a, number(Number::U32))));
    mixed.extend((20..32).map(|a| point(Coil, a, Codec::Bool)));
    // A single request: every reply it may still owe looks alike. One unit answers
    // probes of another table, one refuses them, one stays silent.
    [
        profile("twins", twins),
        profile("mixed", mixed),
        profile("lone", vec![wide(40)]),
        profile("refuser", vec![wide(40)]),
        profile("sulker", vec![wide(40)]),
    ]
}

/// Builds the installation as the gateway sees it.
pub(crate) fn installation(line: LineSpec) -> Spec {
    crate::installation::installation(line, TIMEOUT, IDS.into_iter().zip(profiles()))
}

/// Describes a line for RTU, told apart by its speed.
pub(crate) fn serial(baud: u32) -> SerialSpec {
    crate::installation::serial("/dev/null", baud)
}

/// Describes the same for ASCII.
pub(crate) fn ascii(baud: u32) -> SerialSpec {
    SerialSpec {
        data_bits: 7,
        framing: Framing::Ascii,
        ..serial(baud)
    }
}

/// Describes a serial server in front of a line, which it knows nothing about.
pub(crate) fn server() -> LineSpec {
    LineSpec::Tcp(TcpSpec {
        framing: Some(Framing::Rtu),
        ..tcp("server", 4001)
    })
}

/// Describes an endpoint.
pub(crate) fn endpoint() -> LineSpec {
    LineSpec::Tcp(tcp("rack", 502))
}

/// Builds the devices themselves.
pub(crate) fn units(seed: u64) -> Vec<(UnitId, Unit)> {
    let nothing_but = |from: u16, to: u16| {
        let all = |table| Refusal {
            table,
            addresses: 0..=999,
            code: 1,
        };
        let part = |addresses| Refusal {
            table: Table::HoldingRegister,
            addresses,
            code: 2,
        };
        vec![
            all(Table::Coil),
            all(Table::DiscreteInput),
            all(Table::InputRegister),
            part(0..=from - 1),
            part(to + 1..=999),
        ]
    };
    IDS.into_iter()
        .map(|id| {
            let own = seed.wrapping_mul(1000) + u64::from(id);
            let mut unit = Unit::new(UnitKind::Fleeting, own);
            unit.behaviour.jitter = Duration::from_millis(20);
            if id >= 5 {
                unit.behaviour.refusals = nothing_but(40, 41);
                unit.behaviour.withholds_refusals = id == 7;
            }
            (UnitId(id), unit)
        })
        .collect()
}

/// The kinds of faults of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hostility {
    /// Copies of replies come up to this long after the reply has begun.
    pub(crate) copies: Duration,
    /// Whether runs of bits are spoilt: a CRC-16 finds them all, the sum of a
    /// line of ASCII does not.
    pub(crate) bursts: bool,
    /// Whether headers of Modbus TCP are damaged, replies padded, and bytes
    /// interspersed: the reader has to find its way back in the stream.
    pub(crate) streams: bool,
}

impl Hostility {
    /// Returns all faults that a gateway can be proof against: no corruption that the
    /// check may miss, no copy that comes after the same request has been sent again.
    pub(crate) const fn fair(bursts: bool) -> Hostility {
        Hostility {
            copies: Duration::from_millis(20),
            bursts,
            streams: false,
        }
    }

    /// Draws the faults of a unit from now on.
    pub(crate) fn befall(&self, behaviour: &mut UnitBehaviour, rng: &mut Rng) {
        let ms =
            |rng: &mut Rng, from: u64, to: u64| Duration::from_millis(from + rng.below(to - from));
        let mut faults = vec![
            (Fault::Mute, 20),
            // Just too late, or after the request has been repeated several times, or
            // after it had been forgotten.
            (Fault::Late(ms(rng, 60, 400)), 30),
            (Fault::Late(ms(rng, 400, 12_000)), 8),
            (Fault::Cut, 20),
            (Fault::Flip, 20),
            (Fault::Twice, 15),
            (Fault::Foreign, 20),
            (Fault::WrongFunction, 15),
            (Fault::Short, 15),
            (Fault::WrongTransaction, 15),
            (Fault::Echo, 20),
            (Fault::Noise(1 + rng.below(20) as u8), 20),
            (Fault::Babble, 10),
            (Fault::Hiccup(ms(rng, 1, 80)), 15),
        ];
        if self.bursts {
            faults.push((Fault::Burst(16), 20));
        }
        if self.streams {
            faults.extend([
                (Fault::Padded, 15),
                (Fault::BadLength, 15),
                (Fault::BadHeader, 15),
                (Fault::Stray(1 + rng.below(20) as u8), 15),
            ]);
        }
        let latest = u64::try_from(self.copies.as_millis()).unwrap();
        faults.push((Fault::Again(ms(rng, 1, latest)), 20));
        // Another fault comes first each time: the first that strikes is taken.
        let turn = rng.below(faults.len() as u64) as usize;
        faults.rotate_left(turn);
        behaviour.faults = faults
            .into_iter()
            .map(|(fault, permille)| Chance { fault, permille })
            .collect();
    }
}

/// Returns whether these readings stood on the unit, all at one moment between these.
pub(crate) fn were_true(
    unit: &Unit,
    profile: &ProfileSpec,
    readings: &[Reading],
    from: i64,
    to: i64,
) -> bool {
    (from..=to).any(|ms| {
        let now = alink_gateway::base::Now {
            wall: Wall::from_millis(ms),
            ..Default::default()
        };
        readings.iter().all(|reading| {
            let point = &profile.points[usize::from(reading.point)];
            let at = point.address.as_modbus().unwrap();
            let word = |address| unit.value_at(now, at.table, address).map(u64::from);
            let there = match point.codec.width() {
                1 => word(at.start),
                _ => word(at.start)
                    .zip(word(at.start + 1))
                    .map(|(high, low)| high << 16 | low),
            };
            match reading.value {
                Value::UInt(n) => there == Some(n),
                Value::Bool(on) => there == Some(on.into()),
                _ => false,
            }
        })
    })
}
