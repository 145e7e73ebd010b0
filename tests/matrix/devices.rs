//! The simulated devices: their values, their answers, the faults of the answers, and
//! the requests they received.

use std::collections::BTreeSet;
use std::time::Duration;

use alink_gateway::base::{Mono, Now, Rng, Wall};
use alink_gateway::lab::bus::frame;
use alink_gateway::lab::bus::protocol::{Saying, ascii, meter};
use alink_gateway::lab::bus::{Life, Unit};
use alink_gateway::spec::Table;

use super::kinds::{Kind, LONGEST, Style, Way};

/// From the end of a request to the beginning of the reply, as a rule; half of it more
/// at most.
pub(crate) const TURNAROUND: Duration = Duration::from_millis(8);

/// The bytes in front of a reply with [`Kind::Garbage`].
const GARBAGE: [u8; 3] = [0x00, 0xFF, 0x55];

/// The distance between the addresses of two requests of one device: so far that they
/// are never read together.
const APART: u16 = 200;

/// The registers that one request reads.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// First address.
    pub(crate) start: u16,
    /// How many registers.
    pub(crate) count: u16,
    /// Where the points are; the first is at `start`, the last ends the item.
    pub(crate) points: Vec<u16>,
}

impl Item {
    /// Builds the item with this index: its length differs from that of the others, or
    /// does not.
    pub(crate) fn new(index: usize, way: Way, alike: bool, long: bool) -> Item {
        let index = u16::try_from(index).unwrap();
        let start = index * APART;
        let points: Vec<u16> = match way {
            Way::Meter2007 | Way::Meter1997 | Way::Raw => vec![start],
            _ if long => (0..7).map(|n| start + 10 * n).collect(),
            _ if alike => vec![start, start + 4],
            _ => vec![start, start + 4 + index],
        };
        Item {
            start,
            count: points[points.len() - 1] - start + 1,
            points,
        }
    }
}

/// A device.
pub(crate) struct Device {
    unit: Unit,
    pub(crate) alive: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) style: Style,
}

impl Device {
    pub(crate) fn new(seed: u64, items: Vec<Item>, style: Style) -> Device {
        Device {
            unit: Unit::new(Life::Fleeting, seed),
            alive: true,
            items,
            style,
        }
    }

    fn register(&self, at: Wall, address: u16) -> u16 {
        let now = Now {
            wall: at,
            ..Now::default()
        };
        let there = self.unit.truth(now, Table::HoldingRegister, address);
        there.unwrap_or_default()
    }

    /// Returns the value of the point at this address at this time.
    pub(crate) fn truth(&self, at: Wall, way: Way, address: u16) -> u64 {
        let wide =
            u64::from(self.register(at, address)) << 16 | u64::from(self.register(at, address + 1));
        match way {
            Way::Meter2007 | Way::Meter1997 => wide % 100_000_000,
            Way::Raw => wide % 100_000,
            _ => self.register(at, address).into(),
        }
    }
}

/// A request as the device decodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) function: u8,
    /// First address; number of the datum or of the question.
    pub(crate) start: u32,
    pub(crate) count: u16,
}

/// A request that reached a device.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) at: Mono,
    pub(crate) wall: Wall,
    pub(crate) device: usize,
    pub(crate) asked: Asked,
    /// The request of the plan that this is, if it is one.
    pub(crate) item: Option<usize>,
    /// How long it occupies the line, if that is known already.
    pub(crate) takes: Option<Duration>,
    /// The reply, in words.
    pub(crate) reply: String,
}

/// The reaction of a device to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Says(Saying),
    Closes(Duration),
}

/// All devices on one line.
pub(crate) struct Devices {
    pub(crate) way: Way,
    pub(crate) all: Vec<Device>,
    /// The fault that strikes now …
    pub(crate) fault: Option<Kind>,
    /// … and the requests it strikes, by device and item.
    pub(crate) culprits: BTreeSet<(usize, usize)>,
    pub(crate) log: Vec<Logged>,
    /// After how long a gateway answers for a dead device by exception 0Bh, if it does.
    pub(crate) excused: Option<Duration>,
    /// From the end of a request to the beginning of the reply, at least.
    pub(crate) turnaround: Duration,
    pub(crate) rng: Rng,
}

/// A reply before it is framed.
#[derive(Clone, Debug)]
enum Reply {
    Nothing,
    /// Registers; digits of a meter; characters of a raw device.
    Data(Vec<u8>),
    Refused(u8),
    /// A refusal of another function than was asked for.
    RefusedOther(u8),
}

impl Devices {
    /// Returns the reaction of this device to these bytes; none, if they are not for
    /// it.
    pub(crate) fn hear(&mut self, now: Now, device: usize, heard: &[u8]) -> Vec<Does> {
        match self.decode(device, heard) {
            Some((asked, number)) => self.answer(now, device, asked, number, heard.len()),
            None => Vec::new(),
        }
    }

    /// Decodes a request for this device, and its number where it has one.
    fn decode(&self, device: usize, heard: &[u8]) -> Option<(Asked, u16)> {
        let own = device + 1;
        let modbus = |unit: u8, pdu: &[u8]| {
            let [function, a, b, c, d] = *pdu else {
                return None;
            };
            (usize::from(unit) == own).then_some(Asked {
                function,
                start: u16::from_be_bytes([a, b]).into(),
                count: u16::from_be_bytes([c, d]),
            })
        };
        let asked = match self.way {
            Way::Rtu | Way::RtuOverTcp => {
                let (unit, pdu) = frame::open(heard)?;
                modbus(unit, pdu)?
            }
            Way::Ascii | Way::AsciiOverTcp => {
                let (unit, pdu) = ascii::open(heard)?;
                modbus(unit, &pdu)?
            }
            Way::Tcp => {
                let mut inbox = heard.to_vec();
                let message = frame::Mbap::take(&mut inbox).ok()??;
                let asked = modbus(message.unit, &message.pdu)?;
                return Some((asked, message.transaction));
            }
            Way::Meter2007 | Way::Meter1997 => {
                let (address, function, data) = meter::open(heard)?;
                let mine = meter_address(own);
                let meant = address.iter().zip(&mine).all(|(a, m)| *a == 0xAA || a == m);
                let start = data.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
                meant.then_some(Asked {
                    function,
                    start,
                    count: 0,
                })?
            }
            Way::Raw => {
                let text = std::str::from_utf8(heard).ok()?;
                let body = text.strip_suffix('\r')?;
                let (body, sum) = body.split_at_checked(body.len().checked_sub(2)?)?;
                let question = body.strip_prefix(&format!("#{own:02}R"))?;
                (sum == raw_sum(body)).then_some(Asked {
                    function: b'R',
                    start: question.parse().ok()?,
                    count: 0,
                })?
            }
        };
        Some((asked, 0))
    }

    /// Returns the item for which this is exactly the request.
    fn item_of(&self, device: usize, asked: &Asked) -> Option<usize> {
        let items = &self.all[device].items;
        let (way, function) = (self.way, reads(self.way));
        if asked.function != function {
            return None;
        }
        items.iter().enumerate().position(|(n, item)| match way {
            Way::Meter2007 | Way::Meter1997 => asked.start == datum(way, n),
            Way::Raw => usize::try_from(asked.start) == Ok(n),
            _ => asked.start == u32::from(item.start) && asked.count == item.count,
        })
    }

    /// Returns the item of which this requests a part or the whole.
    fn within(&self, device: usize, asked: &Asked) -> Option<usize> {
        match self.way {
            Way::Meter2007 | Way::Meter1997 | Way::Raw => self.item_of(device, asked),
            _ if asked.function != 3 || asked.count == 0 => None,
            _ => {
                let end = asked.start + u32::from(asked.count);
                let holds = |i: &Item| {
                    u32::from(i.start) <= asked.start && end <= u32::from(i.start + i.count)
                };
                self.all[device].items.iter().position(holds)
            }
        }
    }

    fn answer(
        &mut self,
        now: Now,
        device: usize,
        asked: Asked,
        number: u16,
        request: usize,
    ) -> Vec<Does> {
        let planned = self.item_of(device, &asked);
        let within = self.within(device, &asked);
        // A request that fails is divided: its parts are in the plan.
        let divided = within.is_some_and(|i| self.culprits.contains(&(device, i)));
        let fault = self.fault.filter(|kind| match kind {
            Kind::TooLong => asked.count > LONGEST,
            _ => {
                let item = within.filter(|i| self.culprits.contains(&(device, *i)));
                // Its first register is the one that fails.
                item.is_some_and(|i| match self.way {
                    Way::Meter2007 | Way::Meter1997 | Way::Raw => true,
                    _ => asked.start == u32::from(self.all[device].items[i].start),
                })
            }
        });
        let jitter = u64::try_from(self.turnaround.as_micros()).unwrap() / 2;
        let after = self.turnaround + Duration::from_micros(self.rng.below(jitter + 1));
        let healthy = match within {
            Some(item) => self.data(device, item, &asked, now.wall),
            None => self.strange(device, &asked),
        };
        let does = if self.all[device].alive {
            self.spoil(fault, device, &asked, number, after, healthy)
        } else {
            match self.excused {
                Some(wait) => {
                    let bytes = self.frame(device, &asked, number, &Reply::Refused(0x0B));
                    vec![Does::Says(Saying { after: wait, bytes })]
                }
                None => Vec::new(),
            }
        };
        let takes = self.takes(request, &does);
        let reply = match does.as_slice() {
            [] => "nothing".into(),
            [Does::Closes(_), ..] => "closes".into(),
            [Does::Says(said), ..] => format!("{:02x?}", said.bytes),
        };
        self.log.push(Logged {
            at: now.mono,
            wall: now.wall,
            device,
            item: planned.or(within.filter(|_| divided)),
            asked,
            takes,
            reply,
        });
        does
    }

    /// Returns how long this occupies the line; unknown without a reply.
    fn takes(&self, request: usize, does: &[Does]) -> Option<Duration> {
        let [Does::Says(said), ..] = does else {
            return None;
        };
        let characters = match self.way {
            Way::Tcp => 0,
            _ => request + said.bytes.len() + 7,
        };
        let micros = characters as u64 * 11 * 1_000_000 / u64::from(self.way.baud());
        Some(said.after + Duration::from_micros(micros))
    }

    fn data(&self, device: usize, item: usize, asked: &Asked, at: Wall) -> Reply {
        let this = &self.all[device];
        let start = this.items[item].start;
        let value = this.truth(at, self.way, start);
        Reply::Data(match self.way {
            Way::Meter2007 | Way::Meter1997 => {
                let digits = [value, value / 100, value / 10_000, value / 1_000_000];
                let bytes = digits.map(|d| (d / 10 % 10 * 16 + d % 10) as u8);
                bytes.to_vec()
            }
            Way::Raw => format!("{value:05}").into_bytes(),
            _ => {
                let first = u16::try_from(asked.start).unwrap();
                let all = first..first + asked.count;
                all.flat_map(|a| this.register(at, a).to_be_bytes())
                    .collect()
            }
        })
    }

    /// Returns the reply to a request for something the device does not have.
    fn strange(&self, device: usize, asked: &Asked) -> Reply {
        let unknown = asked.function != reads(self.way);
        match (self.way, self.all[device].style) {
            (_, Style::Silent) | (Way::Raw, _) => Reply::Nothing,
            (Way::Meter2007 | Way::Meter1997, Style::Refuses) => Reply::Refused(2),
            (_, Style::Refuses) => Reply::Refused(if unknown { 1 } else { 2 }),
        }
    }

    fn spoil(
        &mut self,
        fault: Option<Kind>,
        device: usize,
        asked: &Asked,
        number: u16,
        after: Duration,
        healthy: Reply,
    ) -> Vec<Does> {
        let says = |after, bytes| vec![Does::Says(Saying { after, bytes })];
        let refused = |code| self.frame(device, asked, number, &Reply::Refused(code));
        let good = self.frame(device, asked, number, &healthy);
        if good.is_empty() {
            return Vec::new();
        }
        match fault {
            None | Some(Kind::Nothing) => says(after, good),
            Some(Kind::Silence | Kind::TooLong) => Vec::new(),
            Some(Kind::BadChecksum) => says(after, self.bad_checksum(good)),
            Some(Kind::WrongLength) => {
                let Reply::Data(data) = &healthy else {
                    return says(after, good);
                };
                let less = if self.way.is_modbus() { 2 } else { 1 };
                let short = data[..data.len() - less.min(data.len())].to_vec();
                says(
                    after,
                    self.frame(device, asked, number, &Reply::Data(short)),
                )
            }
            Some(Kind::WrongFunction) => {
                let mut other = asked.clone();
                match self.way {
                    Way::Meter2007 | Way::Meter1997 => other.start += 1,
                    Way::Raw => other.function = b'!',
                    _ => other.function += 1,
                }
                says(after, self.frame(device, &other, number, &healthy))
            }
            Some(Kind::ForeignUnit) => says(after, self.frame(device + 1, asked, number, &healthy)),
            Some(Kind::OtherException) => {
                let other = Reply::RefusedOther(2);
                says(after, self.frame(device, asked, number, &other))
            }
            Some(Kind::Refused) => says(after, refused(2)),
            Some(Kind::Busy) => says(after, refused(6)),
            Some(Kind::Failure) => says(after, refused(4)),
            Some(Kind::Late) => says(
                self.way.timeout() + Duration::from_millis(150) + after,
                good,
            ),
            Some(Kind::Truncated) => says(after, good[..good.len() / 2].to_vec()),
            Some(Kind::Doubled) => says(after, [good.clone(), good].concat()),
            Some(Kind::Garbage) => says(after, [&GARBAGE[..], &good].concat()),
            Some(Kind::WrongTransaction) => {
                let other = number.wrapping_add(77);
                says(after, self.frame(device, asked, other, &healthy))
            }
            Some(Kind::ExceptionLength) => {
                let mut bytes = refused(2);
                bytes[5] += 1;
                says(after, bytes)
            }
            Some(Kind::Closed) => vec![Does::Closes(after)],
        }
    }

    /// Returns the same frame with a wrong checksum.
    fn bad_checksum(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let from_the_end = match self.way {
            Way::Ascii | Way::AsciiOverTcp => 3,
            Way::Meter2007 | Way::Meter1997 | Way::Raw => 2,
            _ => 1,
        };
        let at = bytes.len() - from_the_end;
        bytes[at] = match (self.way, bytes[at]) {
            (Way::Ascii | Way::AsciiOverTcp | Way::Raw, b'0') => b'1',
            (Way::Ascii | Way::AsciiOverTcp | Way::Raw, _) => b'0',
            (_, byte) => byte ^ 0x5A,
        };
        bytes
    }

    /// Returns the bytes of a reply; none of [`Reply::Nothing`].
    fn frame(&self, device: usize, asked: &Asked, number: u16, reply: &Reply) -> Vec<u8> {
        let own = device + 1;
        match self.way {
            Way::Meter2007 | Way::Meter1997 => {
                let id = asked.start.to_le_bytes();
                let id = &id[..if self.way == Way::Meter1997 { 2 } else { 4 }];
                let control = asked.function;
                let (control, data) = match reply {
                    Reply::Nothing => return Vec::new(),
                    Reply::Data(data) => (control | 0x80, [id, data].concat()),
                    Reply::Refused(word) => (control | 0xC0, vec![*word]),
                    Reply::RefusedOther(word) => ((control + 1) | 0xC0, vec![*word]),
                };
                let sealed = meter::seal(meter_address(own), control, &data);
                [vec![0xFE; 2], sealed].concat()
            }
            Way::Raw => {
                let Reply::Data(data) = reply else {
                    return Vec::new();
                };
                let data = std::str::from_utf8(data).unwrap();
                let begins = match asked.function {
                    b'R' => '>',
                    _ => '!',
                };
                let body = format!("{begins}{own:02}{}{data}", asked.start);
                let sum = raw_sum(&body);
                format!("{body}{sum}\r").into_bytes()
            }
            way => {
                let unit = u8::try_from(own).unwrap();
                let function = asked.function;
                let pdu = match reply {
                    Reply::Nothing => return Vec::new(),
                    Reply::Data(data) => {
                        let length = u8::try_from(data.len()).unwrap();
                        [&[function, length], &data[..]].concat()
                    }
                    Reply::Refused(code) => vec![function | 0x80, *code],
                    Reply::RefusedOther(code) => vec![(function + 1) | 0x80, *code],
                };
                match way {
                    Way::Tcp => frame::Mbap {
                        transaction: number,
                        unit,
                        pdu,
                    }
                    .seal(),
                    Way::Ascii | Way::AsciiOverTcp => ascii::seal(unit, &pdu),
                    _ => frame::seal(unit, &pdu),
                }
            }
        }
    }
}

impl Way {
    pub(crate) const fn is_modbus(self) -> bool {
        !matches!(self, Way::Meter2007 | Way::Meter1997 | Way::Raw)
    }
}

/// Returns the function by which data are read.
const fn reads(way: Way) -> u8 {
    match way {
        Way::Meter2007 => 0x11,
        Way::Meter1997 => 0x01,
        Way::Raw => b'R',
        _ => 3,
    }
}

/// Returns the identifier of the item with this number.
pub(crate) const fn datum(way: Way, item: usize) -> u32 {
    let n = item as u32;
    match way {
        Way::Meter2007 => 0x0001_0000 + 0x0001_0000 * n,
        _ => 0x9010 + 0x10 * n,
    }
}

/// Returns the address of this meter as it travels: its number in the last digits.
fn meter_address(own: usize) -> [u8; 6] {
    let own = u8::try_from(own).unwrap();
    [own / 10 * 16 + own % 10, 0x34, 0x12, 0, 0, 0]
}

fn raw_sum(body: &str) -> String {
    let sum: u32 = body.bytes().map(u32::from).sum();
    format!("{:02X}", sum % 256)
}
