//! Frames, of which a segment consists: a frame is read whole, or it is dropped.
//!
//! ```text
//! frame    length of the body, u32 | CRC-32 of the length and the body, u32 | body
//! body     kind, u8 | …
//! texts    number of the first text, then each text        what values refer to
//! values   ordinal of the first value, count, then each    at most a few hundred
//! events   the same, of events of the thing model          in frames of their own
//! seal     what the segment holds                          the last frame, of a fixed size
//! ```
//!
//! A program that does not know a kind of frame passes over it and counts what is in it as lost,
//! so events never share a frame with values.
//!
//! Whole numbers are little-endian, or LEB128 where their size varies; signed ones are
//! zigzag-coded. Times and texts are written as differences and numbers, so that a value of
//! a large fleet takes about a dozen bytes. The CRC is CRC-32/ISO-HDLC, the one of Ethernet
//! and zip; it covers the length, so an area of zeros is no frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use crate::base::{DeviceName, ProductKey, StoredReading, StoredTime, StoredValue, Value, Wall};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// The bytes before the body of a frame.
pub(super) const FRAME_HEAD: usize = 8;
/// No frame has a longer body: a longer one is damage.
pub(super) const LONGEST_BODY: usize = 64 * 1024;
/// A frame of values is ended when its body is longer than this.
const FULL_BODY: usize = 16 * 1024;
/// The longest text that a reader accepts; the platform takes 10,240 bytes at most for a
/// text property ("Data types of TSL features").
const LONGEST_TEXT: usize = 16 * 1024;

const TEXTS: u8 = 1;
const VALUES: u8 = 2;
const SEAL: u8 = 3;
const EVENTS: u8 = 4;

/// The size of a seal with its head.
pub(super) const SEAL_BYTES: usize = FRAME_HEAD + 1 + 4 + 8 + 8;

/// Appends a frame with this body.
pub(super) fn push_frame(out: &mut Vec<u8>, body: &[u8]) {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&checksum(&len, body).to_le_bytes());
    out.extend_from_slice(body);
}

/// Returns the CRC of the parts in a row.
pub(super) fn checksum(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(first);
    digest.update(second);
    digest.finalize()
}

/// What stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrontFrame<'a> {
    /// A whole frame with this body.
    Frame(&'a [u8]),
    /// A frame of this size, head included, whose checksum is wrong.
    Damaged(usize),
    /// The beginning of a frame; the bytes end before it does.
    Short,
    /// No frame.
    Nothing,
}

/// Returns what stands at the front of these bytes.
pub(super) fn front(bytes: &[u8]) -> FrontFrame<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEAD>() else {
        return FrontFrame::Short;
    };
    let [a, b, c, d, e, f, g, h] = *head;
    let len_bytes = [a, b, c, d];
    let len = u32::from_le_bytes(len_bytes) as usize;
    if len == 0 || len > LONGEST_BODY {
        return FrontFrame::Nothing;
    }
    let Some(body) = rest.get(..len) else {
        return FrontFrame::Short;
    };
    match checksum(&len_bytes, body) == u32::from_le_bytes([e, f, g, h]) {
        true => FrontFrame::Frame(body),
        false => FrontFrame::Damaged(FRAME_HEAD + len),
    }
}

// --- numbers and texts ----------------------------------------------------------------------

pub(super) fn push_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7F) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn push_signed(out: &mut Vec<u8>, n: i64) {
    push_number(out, ((n << 1) ^ (n >> 63)) as u64);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads a body from its front to its end. Every method returns `None` if the bytes are not
/// what is read.
pub(super) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Body(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(self.signed()?),
            UINT => Value::UInt(self.number()?),
            FLOAT => Value::Float(f64::from_le_bytes(self.array()?)),
            SHORT_FLOAT => Value::Float(f32::from_le_bytes(self.array()?).into()),
            TEXT => Value::Text(self.text()?.to_owned()),
            _ => return None,
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let bytes = self.bytes(len).filter(|_| len <= LONGEST_TEXT)?;
        std::str::from_utf8(bytes).ok()
    }
}

// --- writing ----------------------------------------------------------------------------------

/// The texts that the frames of a segment have named so far, with their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct TextNumbers {
    numbers: BTreeMap<Arc<str>, u32>,
}

impl TextNumbers {
    /// Returns the number of a text. A new text is added to `fresh`.
    fn of(&mut self, text: &str, fresh: &mut Vec<Arc<str>>) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.numbers.insert(Arc::clone(&text), number);
        fresh.push(text);
        number
    }
}

/// Appends frames with these readings, the first of which has this ordinal within its
/// segment.
pub(super) fn push_readings(
    out: &mut Vec<u8>,
    texts: &mut TextNumbers,
    mut ordinal: u32,
    mut readings: &[StoredReading],
) {
    while !readings.is_empty() {
        let mut fresh = Vec::new();
        let first_text = texts.numbers.len();
        let mut values = Vec::new();
        let mut before = LastStamp::default();
        let mut count = 0;
        let kind = kind_of(readings.first());
        for reading in readings {
            if kind_of(Some(reading)) != kind {
                break;
            }
            push_reading(&mut values, reading, texts, &mut fresh, &mut before);
            count += 1;
            if values.len() > FULL_BODY {
                break;
            }
        }
        for (at, chunk) in fresh.chunks(256).enumerate() {
            let mut body = vec![TEXTS];
            push_number(&mut body, (first_text + at * 256) as u64);
            for text in chunk {
                push_text(&mut body, text);
            }
            push_frame(out, &body);
        }
        let mut body = vec![kind];
        push_number(&mut body, u64::from(ordinal));
        push_number(&mut body, count as u64);
        body.extend_from_slice(&values);
        push_frame(out, &body);
        ordinal = ordinal.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        readings = readings.get(count..).unwrap_or_default();
    }
}

/// Returns the kind of frame that a reading belongs in.
const fn kind_of(reading: Option<&StoredReading>) -> u8 {
    match reading {
        Some(StoredReading {
            value: StoredValue::Event(_),
            ..
        }) => EVENTS,
        _ => VALUES,
    }
}

/// The last times of either kind in a frame: the next time is written as the difference.
#[derive(Clone, Copy, Debug, Default)]
struct LastStamp {
    wall: i64,
    boot: i64,
}

const KIND_BITS: u8 = 0x07;
const SINCE_BOOT: u8 = 0x08;
const FALSE: u8 = 0;
const TRUE: u8 = 1;
const INT: u8 = 2;
const UINT: u8 = 3;
const FLOAT: u8 = 4;
/// A number that a float of 32 bits holds exactly, as most of the field's do.
const SHORT_FLOAT: u8 = 5;
const TEXT: u8 = 6;
/// An event: the number of its outputs, then the name and the value of each.
const EVENT: u8 = 7;

fn push_reading(
    out: &mut Vec<u8>,
    reading: &StoredReading,
    texts: &mut TextNumbers,
    fresh: &mut Vec<Arc<str>>,
    before: &mut LastStamp,
) {
    let kind = match &reading.value {
        StoredValue::Property(value) => kind(value),
        StoredValue::Event(_) => EVENT,
    };
    match reading.at {
        StoredTime::Wall(at) => {
            out.push(kind);
            push_signed(out, at.as_millis().wrapping_sub(before.wall));
            before.wall = at.as_millis();
        }
        StoredTime::SinceBoot(ms) => {
            out.push(kind | SINCE_BOOT);
            push_signed(out, ms.wrapping_sub(before.boot));
            before.boot = ms;
        }
    }
    for name in [
        reading.product_key.as_str(),
        reading.device_name.as_str(),
        &reading.identifier,
    ] {
        push_number(out, u64::from(texts.of(name, fresh)));
    }
    match &reading.value {
        StoredValue::Property(value) => push_value(out, value),
        StoredValue::Event(data) => {
            push_number(out, data.len() as u64);
            for (name, value) in data.iter() {
                push_number(out, u64::from(texts.of(name, fresh)));
                out.push(self::kind(value));
                push_value(out, value);
            }
        }
    }
}

/// Returns the number as a float of 32 bits, if that holds it exactly.
fn short(f: f64) -> Option<f32> {
    (f64::from(f as f32).to_bits() == f.to_bits()).then_some(f as f32)
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Int(_) => INT,
        Value::UInt(_) => UINT,
        Value::Float(f) if short(*f).is_some() => SHORT_FLOAT,
        Value::Float(_) => FLOAT,
        Value::Text(_) => TEXT,
    }
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(_) => {}
        Value::Int(n) => push_signed(out, *n),
        Value::UInt(n) => push_number(out, *n),
        Value::Float(f) => match short(*f) {
            Some(f) => out.extend_from_slice(&f.to_le_bytes()),
            None => out.extend_from_slice(&f.to_le_bytes()),
        },
        Value::Text(text) => push_text(out, text),
    }
}

/// What a segment holds, as its last frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// How many values the segment holds.
    pub values: u32,
    /// The earliest and the latest time of the wall clock among them; the earliest is later
    /// than the latest if there is none.
    pub times: (i64, i64),
}

impl Seal {
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut body = vec![SEAL];
        body.extend_from_slice(&self.values.to_le_bytes());
        body.extend_from_slice(&self.times.0.to_le_bytes());
        body.extend_from_slice(&self.times.1.to_le_bytes());
        let mut out = Vec::with_capacity(SEAL_BYTES);
        push_frame(&mut out, &body);
        out
    }

    /// Reads the seal that these bytes are.
    pub(super) fn read(bytes: &[u8]) -> Option<Seal> {
        match front(bytes) {
            FrontFrame::Frame(body) if bytes.len() == SEAL_BYTES => Seal::of(body),
            _ => None,
        }
    }

    fn of(body: &[u8]) -> Option<Seal> {
        let mut body = Body::new(body);
        body.byte().filter(|kind| *kind == SEAL)?;
        Some(Seal {
            values: u32::from_le_bytes(body.array()?),
            times: (
                i64::from_le_bytes(body.array()?),
                i64::from_le_bytes(body.array()?),
            ),
        })
    }
}

// --- reading ------------------------------------------------------------------------------------

/// The texts of a segment by their numbers, as far as its frames were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    texts: BTreeMap<u32, Arc<str>>,
    keys: BTreeMap<u32, ProductKey>,
    names: BTreeMap<u32, DeviceName>,
}

/// What a frame says.
#[derive(Debug, PartialEq)]
pub(super) enum FrameContent {
    /// Values from this ordinal on; `None` where a value's text was in a frame that is
    /// damaged.
    Values(u32, Vec<Option<StoredReading>>),
    /// Texts, which the reader has taken note of.
    Texts,
    /// The segment is whole.
    Seal(Seal),
    /// A kind of frame that this version does not know, or a body that is not what its kind
    /// promises.
    Unknown,
}

impl Texts {
    /// Reads the body of a frame.
    pub(super) fn read(&mut self, body: &[u8]) -> FrameContent {
        let content = match body.first() {
            Some(&TEXTS) => self.learn(body),
            Some(&(VALUES | EVENTS)) => self.values(body),
            Some(&SEAL) => Seal::of(body).map(FrameContent::Seal),
            _ => None,
        };
        content.unwrap_or(FrameContent::Unknown)
    }

    fn learn(&mut self, body: &[u8]) -> Option<FrameContent> {
        let mut body = Body::new(body);
        body.byte()?;
        let mut number = u32::try_from(body.number()?).ok()?;
        while !body.is_empty() {
            self.texts.insert(number, body.text()?.into());
            number = number.checked_add(1)?;
        }
        Some(FrameContent::Texts)
    }

    fn values(&mut self, body: &[u8]) -> Option<FrameContent> {
        let mut body = Body::new(body);
        body.byte()?;
        let first = u32::try_from(body.number()?).ok()?;
        let count = usize::try_from(body.number()?).ok()?;
        let mut before = LastStamp::default();
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(&mut body, &mut before)?);
        }
        body.is_empty()
            .then_some(FrameContent::Values(first, values))
    }

    fn value(
        &mut self,
        body: &mut Body<'_>,
        before: &mut LastStamp,
    ) -> Option<Option<StoredReading>> {
        let kind = body.byte()?;
        let at = match kind & SINCE_BOOT {
            0 => {
                before.wall = before.wall.wrapping_add(body.signed()?);
                StoredTime::Wall(Wall::from_millis(before.wall))
            }
            _ => {
                before.boot = before.boot.wrapping_add(body.signed()?);
                StoredTime::SinceBoot(before.boot)
            }
        };
        let mut number = || u32::try_from(body.number()?).ok();
        let (key, name, identifier) = (number()?, number()?, number()?);
        let mut is_known = true;
        let value = match kind & KIND_BITS {
            EVENT => {
                let count = body.number()?;
                let mut data = Vec::new();
                for _ in 0..count {
                    let name = u32::try_from(body.number()?).ok()?;
                    let kind = body.byte()?;
                    let value = body.value(kind)?;
                    match self.texts.get(&name) {
                        Some(name) => data.push((Arc::clone(name), value)),
                        None => is_known = false,
                    }
                }
                StoredValue::Event(data.into())
            }
            kind => StoredValue::Property(body.value(kind)?),
        };
        let names = (self.key(key), self.name(name), self.texts.get(&identifier));
        let (Some(product_key), Some(device_name), Some(identifier)) = names else {
            return Some(None);
        };
        Some(is_known.then(|| StoredReading {
            product_key,
            device_name,
            identifier: Arc::clone(identifier),
            at,
            value,
        }))
    }

    fn key(&mut self, number: u32) -> Option<ProductKey> {
        let text = self.texts.get(&number)?;
        let key = self.keys.entry(number);
        Some(key.or_insert_with(|| ProductKey::new(text)).clone())
    }

    fn name(&mut self, number: u32) -> Option<DeviceName> {
        let text = self.texts.get(&number)?;
        let name = self.names.entry(number);
        Some(name.or_insert_with(|| DeviceName::new(text)).clone())
    }
}
