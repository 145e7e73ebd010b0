//! A segment: one file of the store, written from its front to its end once and then only
//! read, thinned out or removed as a whole.
//!
//! The first 64 bytes keep this layout in every version of the format:
//!
//! ```text
//!  0  "ALNKRDGS"            8  version, u16      10  zero, u16      12  generation, u32
//! 16  number, u64          24  last number, u64  32  values in the segment before, u32
//! 36  zero, u32            40  id of the machine's start, 16 bytes  56  zero, u32
//! 60  CRC-32 of the bytes before
//! ```
//!
//! A process that starts never writes to an old segment: what a power cut has left at its end
//! stays as it is.

use std::collections::VecDeque;
use std::sync::Arc;

use super::BootId;
use super::disk::{Disk, DiskError};
use super::frame::{
    FRAME_HEAD, FrameContent, FrontFrame, LONGEST_BODY, SEAL_BYTES, Seal, Texts, checksum, front,
};
use super::settled::Marks;
use crate::base::{DeviceName, ProductKey, StoredReading, StoredTime};

pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"ALNKRDGS";
/// The version of the format that this program writes, and the latest that it reads.
pub(super) const VERSION: u16 = 1;
/// How much of a file is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub number: u64,
    /// The last of the numbers that this segment stands for: greater than its own once
    /// segments were put together.
    pub last: u64,
    pub generation: u32,
    /// How many values the segment before this one holds, so that a missing file is a gap
    /// of known size.
    pub before: u32,
    pub boot: BootId,
}

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Ours(Header),
    /// Of a later version of the format.
    Newer(u16),
    Damaged,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.before.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.boot.0);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&checksum(&out, &[]).to_le_bytes());
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&out);
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> HeaderRead {
        Header::whole(bytes).unwrap_or(HeaderRead::Damaged)
    }

    fn whole(bytes: &[u8]) -> Option<HeaderRead> {
        let (head, crc) = bytes.get(..HEADER_BYTES)?.split_last_chunk::<4>()?;
        let is_whole = checksum(head, &[]) == u32::from_le_bytes(*crc);
        let (magic, head) = head.split_first_chunk::<8>()?;
        if !is_whole || *magic != MAGIC {
            return None;
        }
        let (version, head) = head.split_first_chunk::<2>()?;
        let version = u16::from_le_bytes(*version);
        if version > VERSION {
            return Some(HeaderRead::Newer(version));
        }
        let head = head.get(2..)?;
        let (generation, head) = head.split_first_chunk::<4>()?;
        let (number, head) = head.split_first_chunk::<8>()?;
        let (last, head) = head.split_first_chunk::<8>()?;
        let (before, head) = head.split_first_chunk::<4>()?;
        let (boot, _) = head.get(4..)?.split_first_chunk::<16>()?;
        Some(HeaderRead::Ours(Header {
            number: u64::from_le_bytes(*number),
            last: u64::from_le_bytes(*last),
            generation: u32::from_le_bytes(*generation),
            before: u32::from_le_bytes(*before),
            boot: BootId(*boot),
        }))
    }
}

/// The end of the names of segments.
const SUFFIX: &str = ".readings";

/// Returns the name of the file of the segment with this number.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:012}{SUFFIX}")
}

/// Returns the number of the segment in the file of this name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// The earliest and the latest time of the wall clock in a segment, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times(pub i64, pub i64);

impl Times {
    pub(super) const NONE: Times = Times(i64::MAX, i64::MIN);

    pub(super) fn add(&mut self, at: StoredTime) {
        if let StoredTime::Wall(at) = at {
            self.0 = self.0.min(at.as_millis());
            self.1 = self.1.max(at.as_millis());
        }
    }
}

/// What the store knows of a segment without reading it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    header: Header,
    /// How many values were written, damaged ones included.
    values: u32,
    /// How many bytes of the file may be read.
    bytes: u64,
    times: Times,
    /// Which values need not be sent any more.
    marks: Marks,
}

impl Segment {
    /// Returns a segment without any value.
    pub(super) fn new(header: Header) -> Self {
        Segment {
            header,
            values: 0,
            bytes: 0,
            times: Times::NONE,
            marks: Marks::default(),
        }
    }

    pub(super) const fn header(&self) -> Header {
        self.header
    }

    pub(super) const fn values(&self) -> u32 {
        self.values
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn times(&self) -> Times {
        self.times
    }

    pub(super) const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Returns how many values are still to be delivered.
    pub(super) fn left(&self) -> u32 {
        self.values.saturating_sub(self.marks.count())
    }

    /// Returns whether a value need not be sent any more.
    pub(super) fn is_settled(&self, ordinal: u32) -> bool {
        self.marks.has(ordinal)
    }

    /// Marks a value as one that need not be sent any more; returns whether there is such a
    /// value and it was to be sent until now.
    pub(super) fn settle(&mut self, ordinal: u32) -> bool {
        ordinal < self.values && self.marks.set(ordinal)
    }

    /// Takes over what the journal says of this segment.
    pub(super) fn set_marks(&mut self, marks: Marks) {
        self.marks = marks.below(self.values);
    }

    /// Takes note of bytes that were written, with these readings.
    pub(super) fn grew(&mut self, bytes: u64, readings: &[StoredReading]) {
        self.bytes += bytes;
        let more = u32::try_from(readings.len()).unwrap_or(u32::MAX);
        self.values = self.values.saturating_add(more);
        for reading in readings {
            self.times.add(reading.at);
        }
    }

    /// Takes note that there were at least this many values, even if the file has lost its
    /// end.
    pub(super) fn held(&mut self, values: u32) {
        self.values = self.values.max(values);
    }

    /// Returns the frame that ends the segment.
    pub(super) fn seal(&self) -> Vec<u8> {
        let seal = Seal {
            values: self.values,
            times: (self.times.0, self.times.1),
        };
        seal.frame()
    }
}

/// What was found in a file that was read from its front to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// How many values were written, as far as can be known.
    pub values: u32,
    /// How many of them are in damaged frames.
    pub lost: u32,
    /// The bytes at the end that are no frame: the power failed while they were written, or
    /// they are damaged.
    pub torn: u64,
}

/// Returns what is known of a segment whose header was read; reads all of the file only if
/// it was not sealed.
pub(super) fn examine<D: Disk>(
    disk: &mut D,
    header: Header,
    bytes: u64,
) -> Result<(Segment, Scanned), DiskError> {
    let name = file_name(header.number);
    let mut segment = Segment {
        bytes,
        ..Segment::new(header)
    };
    let seal_at = bytes.saturating_sub(SEAL_BYTES as u64);
    if let Some(seal) = Seal::read(&disk.read(&name, seal_at, SEAL_BYTES)?) {
        segment.values = seal.values;
        segment.times = Times(seal.times.0, seal.times.1);
        return Ok((segment, Scanned::default()));
    }
    let mut scanned = Scanned::default();
    let mut reader = SegmentReader::new(header);
    loop {
        match reader.next(disk, bytes)? {
            Step::Value(ordinal, value) => {
                scanned.values = scanned.values.max(ordinal.saturating_add(1));
                match value {
                    Some(reading) => segment.times.add(reading.at),
                    None => scanned.lost += 1,
                }
            }
            Step::End { torn } => {
                scanned.torn = torn;
                break;
            }
        }
    }
    segment.values = scanned.values;
    Ok((segment, scanned))
}

/// The next thing in a segment.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The value of this ordinal; `None` if it is damaged.
    Value(u32, Option<StoredReading>),
    /// There is nothing more, but this many bytes that are no frame.
    End { torn: u64 },
}

/// Reads a segment from its front to its end, also while it grows.
#[derive(Clone, Debug)]
pub(super) struct SegmentReader {
    name: String,
    header: Header,
    /// The offset in the file of the bytes in `buffer`, from `at` on.
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
    texts: Texts,
    /// The ordinal of the next value.
    ordinal: u32,
    values: VecDeque<Option<StoredReading>>,
    /// Values of damaged frames before `values`.
    lost: u32,
}

impl SegmentReader {
    pub(super) fn new(header: Header) -> Self {
        SegmentReader {
            name: file_name(header.number),
            header,
            offset: HEADER_BYTES as u64,
            buffer: Vec::new(),
            at: 0,
            texts: Texts::default(),
            ordinal: 0,
            values: VecDeque::new(),
            lost: 0,
        }
    }

    /// Returns whether this reader reads that segment.
    pub(super) fn is_of(&self, header: &Header) -> bool {
        self.header == *header
    }

    /// Returns the ordinal of the next value.
    pub(super) const fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Returns the next value; `end` is how much of the file may be read.
    pub(super) fn next<D: Disk>(&mut self, disk: &mut D, end: u64) -> Result<Step, DiskError> {
        loop {
            if self.lost > 0 {
                self.lost -= 1;
                return Ok(self.step(None));
            }
            if let Some(value) = self.values.pop_front() {
                return Ok(self.step(value));
            }
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let (size, content) = match front(rest) {
                FrontFrame::Frame(body) => (FRAME_HEAD + body.len(), Some(self.texts.read(body))),
                FrontFrame::Damaged(size) => (size, None),
                FrontFrame::Short => match self.fill(disk, end)? {
                    true => continue,
                    false => {
                        return Ok(Step::End {
                            torn: self.torn(end),
                        });
                    }
                },
                FrontFrame::Nothing => {
                    return Ok(Step::End {
                        torn: self.torn(end),
                    });
                }
            };
            self.at += size;
            if let Some(FrameContent::Values(first, values)) = content
                && let Some(lost) = first.checked_sub(self.ordinal)
            {
                self.lost = lost;
                self.values = values.into();
            }
        }
    }

    fn step(&mut self, value: Option<StoredReading>) -> Step {
        let ordinal = self.ordinal;
        self.ordinal = ordinal.saturating_add(1);
        Step::Value(ordinal, value)
    }

    /// Returns how many bytes before `end` were not understood.
    fn torn(&self, end: u64) -> u64 {
        end.saturating_sub(self.offset + self.at as u64)
    }

    /// Reads more of the file; returns whether there was more.
    fn fill<D: Disk>(&mut self, disk: &mut D, end: u64) -> Result<bool, DiskError> {
        let have = self.offset + self.buffer.len() as u64;
        let want = end.saturating_sub(have).min(READ_BYTES as u64);
        // A frame that is longer than any is damage, which `front` finds.
        debug_assert!(self.buffer.len() - self.at <= FRAME_HEAD + LONGEST_BODY);
        if want == 0 {
            return Ok(false);
        }
        let more = disk.read(&self.name, have, want as usize)?;
        self.buffer.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        self.buffer.extend_from_slice(&more);
        Ok(!more.is_empty())
    }
}

/// Returns which point of which device a value is of.
pub(super) fn point_of(reading: &StoredReading) -> (ProductKey, DeviceName, Arc<str>) {
    (
        reading.product_key.clone(),
        reading.device_name.clone(),
        Arc::clone(&reading.identifier),
    )
}
