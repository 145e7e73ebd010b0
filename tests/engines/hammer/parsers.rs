//! For every frame parser a second, slow one, written from the standards: among all
//! pieces of the bytes on the line there must be one that is whole, well-formed and
//! says what the parser accepted. With a corpus of frames, and functions that make a
//! bent frame fit again.

use alink_gateway::base::{Rng, UnitId};
use alink_gateway::field::dlt645::ask::DataIdentifier;
use alink_gateway::field::modbus::{Data, ReadRequest, Reply};
use alink_gateway::field::modbus::{ascii, rtu, tcp};
use alink_gateway::field::{dlt645, raw};
use alink_gateway::spec::Table;

/// Returns the published frames of one protocol.
fn published(protocol: &str) -> Vec<Vec<u8>> {
    let frames: Vec<Vec<u8>> = include_str!("../../vectors/frames.txt")
        .lines()
        .filter_map(|line| line.split('|').next()?.strip_prefix(protocol))
        .filter(|rest| rest.starts_with(' '))
        .map(|hex| {
            let byte = |b| u8::from_str_radix(b, 16).unwrap();
            hex.split_whitespace().map(byte).collect()
        })
        .collect();
    assert!(!frames.is_empty());
    frames
}

/// Hands over a burst in pieces of random length.
fn pieces<'a>(burst: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let mut rest = burst;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let n = 1 + rng.below(rest.len() as u64) as usize;
        let (piece, after) = rest.split_at(n);
        out.push(piece);
        rest = after;
    }
    out
}

/// Returns every piece of every burst.
fn windows(bursts: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    bursts.iter().flat_map(|b| {
        (0..b.len()).flat_map(move |from| (from + 1..=b.len()).map(move |to| &b[from..to]))
    })
}

// --- Modbus ---------------------------------------------------------------

const ASK: ReadRequest = ReadRequest {
    unit: UnitId(17),
    table: Table::HoldingRegister,
    start: 0x6B,
    count: 3,
};

/// Returns unit and PDUs whose frames make the corpus fit [`ASK`].
fn fitting() -> Vec<(u8, Vec<u8>)> {
    vec![
        (17, vec![3, 6, 0xAE, 0x41, 0x56, 0x52, 0x43, 0x40]),
        (17, vec![3, 6, 0, 0, 0, 1, 0xFF, 0xFF]),
        (17, vec![3, 4, 0, 0, 0, 1]),
        (17, vec![4, 6, 0, 0, 0, 1, 0xFF, 0xFF]),
        (18, vec![3, 6, 0, 0, 0, 1, 0xFF, 0xFF]),
        (17, vec![0x83, 2]),
        (17, vec![3, 0, 0x6B, 0, 3]),
    ]
}

/// Returns whether unit and PDU are the reply, by Modbus Application Protocol V1.1b3
/// §6.3 and §7 alone.
fn says(unit: u8, pdu: &[u8], reply: &Reply) -> bool {
    let right = match reply {
        Reply::Answer(Data::Registers(words)) => {
            let data: Vec<u8> = words
                .iter()
                .flat_map(|w| [(w >> 8) as u8, *w as u8])
                .collect();
            words.len() == 3 && pdu == [&[3, 6], &data[..]].concat()
        }
        Reply::Exception(code) => pdu == [0x83, *code],
        _ => false,
    };
    unit == 17 && right
}

/// Computes the checksum bit by bit from the definition (Modbus over Serial Line V1.02
/// §6.2.2).
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFFu16;
    for bit in bytes.iter().flat_map(|b| (0..8).map(move |i| b >> i & 1)) {
        let carry = (crc ^ u16::from(bit)) & 1 == 1;
        crc >>= 1;
        if carry {
            crc ^= 0xA001;
        }
    }
    crc.to_le_bytes()
}

pub(crate) fn reseal_rtu(frame: &mut Vec<u8>) {
    frame.truncate(frame.len().saturating_sub(2));
    let sum = crc(frame);
    frame.extend(sum);
}

/// Returns the frames to begin with.
pub(crate) fn rtu_corpus() -> Vec<Vec<u8>> {
    let mut corpus = published("rtu");
    corpus.extend(fitting().into_iter().map(|(unit, pdu)| {
        let mut frame = [&[unit], &pdu[..]].concat();
        let sum = crc(&frame);
        frame.extend(sum);
        frame
    }));
    corpus
}

/// Returns whether a reply was accepted; the reply was on the line then.
pub(crate) fn rtu(bursts: &[Vec<u8>], rng: &mut Rng) -> bool {
    let mut receiver = rtu::Receiver::new(ASK);
    let Some(rtu::ListeningEnd::Reply(reply)) = bursts.iter().find_map(|burst| {
        let pieces = pieces(burst, rng);
        let taken = pieces.into_iter().find_map(|p| receiver.push(p));
        taken.or_else(|| receiver.silence())
    }) else {
        return false;
    };
    let found = windows(bursts).any(|w| {
        w.len() > 3 && {
            let (body, sum) = w.split_at(w.len() - 2);
            says(body[0], &body[1..], &reply) && sum == crc(body)
        }
    });
    assert!(found, "{reply:?}");
    true
}

fn hexadecimal(body: &[u8]) -> Vec<u8> {
    let sum: u32 = body.iter().map(|b| u32::from(*b)).sum();
    let digits: String = body.iter().map(|b| format!("{b:02X}")).collect();
    format!(":{digits}{:02X}\r\n", (256 - sum % 256) % 256).into_bytes()
}

/// Makes the LRC right, where there is room for it.
pub(crate) fn reseal_ascii(frame: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(frame).into_owned();
    let digits = text.trim_start_matches(':').trim_end();
    let byte = |i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok();
    let body: Option<Vec<u8>> = (0..(digits.len() / 2).saturating_sub(1))
        .map(byte)
        .collect();
    if let Some(body) = body {
        *frame = hexadecimal(&body);
    }
}

/// Returns the frames to begin with.
pub(crate) fn ascii_corpus() -> Vec<Vec<u8>> {
    let mut corpus = published("ascii");
    let body = |(unit, pdu): (u8, Vec<u8>)| hexadecimal(&[&[unit], &pdu[..]].concat());
    corpus.extend(fitting().into_iter().map(body));
    corpus
}

/// Returns whether a reply was accepted; the reply was on the line then.
pub(crate) fn ascii(bursts: &[Vec<u8>], rng: &mut Rng) -> bool {
    let mut receiver = ascii::Receiver::new(ASK);
    let Some(rtu::ListeningEnd::Reply(reply)) = bursts.iter().find_map(|burst| {
        let pieces = pieces(burst, rng);
        let taken = pieces.into_iter().find_map(|p| receiver.push(p));
        taken.or_else(|| receiver.silence())
    }) else {
        return false;
    };
    // Only one text says this: the frame, in capitals or not, up to its CR, behind
    // either of its first characters.
    let pdu = match &reply {
        Reply::Answer(Data::Registers(w)) if w.len() == 3 => {
            let data = w.iter().flat_map(|w| [(w >> 8) as u8, *w as u8]);
            [vec![3, 6], data.collect()].concat()
        }
        Reply::Exception(code) => vec![0x83, *code],
        other => panic!("{other:?}"),
    };
    let frame = hexadecimal(&[&[17], &pdu[..]].concat());
    let frame = &frame[1..frame.len() - 1];
    let found = windows(bursts).any(|w| match w.split_first() {
        Some((b':' | b'>', rest)) => rest.eq_ignore_ascii_case(frame),
        _ => false,
    });
    assert!(found, "{reply:?}");
    true
}

pub(crate) fn reseal_mbap(frame: &mut [u8]) {
    let length = frame.len().saturating_sub(6) as u16;
    if let Some(place) = frame.get_mut(4..6) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Returns the frames to begin with.
pub(crate) fn mbap_corpus() -> Vec<Vec<u8>> {
    let mut corpus = published("mbap");
    for transaction in 0..3u8 {
        corpus.extend(fitting().into_iter().map(|(unit, pdu)| {
            let head = [0, transaction, 0, 0, 0, pdu.len() as u8 + 1, unit];
            [&head, &pdu[..]].concat()
        }));
    }
    corpus
}

/// Returns whether a reply was accepted; the reply was on the line then.
pub(crate) fn mbap(bursts: &[Vec<u8>], rng: &mut Rng) -> bool {
    let mut stream = tcp::Stream::new();
    stream.send(ASK);
    stream.send(ASK);
    let wire = bursts.concat();
    let mut completed = Vec::new();
    for piece in pieces(&wire, rng) {
        completed.extend(stream.push(piece));
    }
    completed.extend(stream.silence());
    assert!(completed.len() <= 1, "{completed:?}");
    let Some(tcp::Completed { id: 1, reply }) = completed.pop() else {
        return false;
    };
    if reply == Reply::Stranger {
        return false;
    }
    // The bytes contain its own number, protocol 0, and behind a length the reply.
    let stands = (0..wire.len()).any(|at| {
        let rest = &wire[at..];
        let end = 7 + match &reply {
            Reply::Exception(_) => 2,
            _ => ASK.reply_len(),
        };
        rest.starts_with(&[0, 1, 0, 0]) && rest.len() >= end && says(rest[6], &rest[7..end], &reply)
    });
    assert!(stands, "{reply:?}");
    true
}

// --- DL/T 645 -------------------------------------------------------------

/// Makes length, checksum and end right, where there is room for them.
pub(crate) fn reseal_dlt645(frame: &mut [u8]) {
    let woken = frame.iter().take_while(|b| **b == 0xFE).count();
    let Some(length) = frame.len().checked_sub(woken + 12) else {
        return;
    };
    frame[woken + 9] = length as u8;
    let end = frame.len() - 2;
    let sum: u32 = frame[woken..end].iter().map(|b| u32::from(*b)).sum();
    frame[end..].copy_from_slice(&[sum as u8, 0x16]);
}

/// Returns the frames to begin with.
pub(crate) fn dlt645_corpus() -> Vec<Vec<u8>> {
    published("dlt645")
}

/// Returns whether a reply was accepted; the reply was on the line then.
pub(crate) fn dlt645(bursts: &[Vec<u8>], rng: &mut Rng) -> bool {
    let address = dlt645::MeterAddress::parse("000000000161").unwrap();
    let ask = dlt645::MeterRequest::read(address, DataIdentifier::Y2007(0x0001_0000), Some(4));

    let mut receiver = dlt645::Receiver::new(ask.clone());
    let Some(dlt645::receive::ListeningEnd::Reply(reply)) = bursts.iter().find_map(|burst| {
        let pieces = pieces(burst, rng);
        let taken = pieces.into_iter().find_map(|p| receiver.push(p));
        taken.or_else(|| receiver.silence())
    }) else {
        return false;
    };
    let shifted = |data: &[u8]| data.iter().map(|b| b.wrapping_add(0x33)).collect();
    let rest: Vec<u8> = match &reply {
        dlt645::Reply::Answer(part) => {
            // All four bytes, or fewer in a frame that says that more follow.
            let length = part.data.len();
            assert!(if part.more { length < 4 } else { length == 4 });
            assert_eq!(part.from, address);
            let control = if part.more { 0xB1 } else { 0x91 };
            let head = [control, 4 + length as u8, 0x33, 0x33, 0x34, 0x33];
            let data: Vec<u8> = shifted(&part.data);
            [&head, &data[..]].concat()
        }
        dlt645::Reply::Refusal(word) => vec![0xD1, 1, word.bits.wrapping_add(0x33)],
        dlt645::Reply::Stranger => panic!("a stranger"),
    };
    let mut frame = [&[0x68, 0x61, 1, 0, 0, 0, 0, 0x68], &rest[..]].concat();
    let sum: u32 = frame.iter().map(|b| u32::from(*b)).sum();
    frame.extend([sum as u8, 0x16]);
    assert!(windows(bursts).any(|w| w == frame), "{reply:?}");
    true
}

// --- without a standard ---------------------------------------------------

/// Makes the sum right, where there is room for it.
pub(crate) fn reseal_raw(frame: &mut Vec<u8>) {
    if let Some(end) = frame.len().checked_sub(3) {
        let sum: u32 = frame[..end].iter().map(|b| u32::from(*b)).sum();
        let written = format!("{:02X}\r", sum % 256);
        frame.truncate(end);
        frame.extend(written.bytes());
    }
}

/// Returns the frames to begin with.
pub(crate) fn raw_corpus() -> Vec<Vec<u8>> {
    published("raw")
}

/// Returns whether a reply was accepted; the reply was on the line then.
pub(crate) fn raw(bursts: &[Vec<u8>], rng: &mut Rng) -> bool {
    let shape = raw::ReplyMarks {
        end: raw::ReplyEnd::Terminator(b"\r".to_vec()),
        fixed: vec![raw::Fixed {
            at: 0,
            bytes: b"!01".to_vec(),
        }],
        check: Some(raw::Check {
            sum: raw::Sum::Sum8,
            written: raw::check::CheckForm::Hex,
            from: 0,
        }),
        behind_check: 1,
        preamble: None,
    };
    let mut receiver = raw::Receiver::new((shape.clone(), b"$012B7\r"));
    let Some(raw::receive::ListeningEnd::Reply(reply)) = bursts.iter().find_map(|burst| {
        let pieces = pieces(burst, rng);
        let taken = pieces.into_iter().find_map(|p| receiver.push(p));
        taken.or_else(|| receiver.silence())
    }) else {
        return false;
    };
    assert!(windows(bursts).any(|w| w == reply), "not on the line");
    let (body, sum) = reply.split_at(reply.len() - 3);
    let right: u32 = body.iter().map(|b| u32::from(*b)).sum();
    let written = format!("{:02x}\r", right % 256);
    assert!(body.starts_with(b"!01") && sum.eq_ignore_ascii_case(written.as_bytes()));
    true
}
