//! The Modbus framing of the lab.
//!
//! It is written apart from the codec of the product on purpose and shares no line with
//! it: the checksum is computed bit by bit from its definition, and lengths come from
//! the received bytes. Where the two disagree, one of them is wrong, and a test fails.

/// The most bytes of an RTU frame (Modbus over Serial Line V1.02 §2.5.1).
pub const RTU_MAX: usize = 256;

/// Computes the CRC-16/MODBUS: reflected polynomial A001h, initial value FFFFh, low
/// byte first on the wire (Modbus over Serial Line V1.02 §6.2.2).
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for &byte in bytes {
        crc ^= u16::from(byte);
        for _ in 0..8 {
            let carry = crc & 1 == 1;
            crc >>= 1;
            if carry {
                crc ^= 0xA001;
            }
        }
    }
    crc
}

/// Writes an RTU frame: unit, PDU, checksum.
#[must_use]
pub fn seal(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    let crc = crc(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame
}

/// Returns unit and PDU of an RTU frame; `None` unless length and checksum are right.
#[must_use]
pub fn open(frame: &[u8]) -> Option<(u8, &[u8])> {
    if frame.len() < 4 || frame.len() > RTU_MAX {
        return None;
    }
    let (body, sum) = frame.split_at(frame.len() - 2);
    let said = u16::from_le_bytes([sum[0], sum[1]]);
    (crc(body) == said).then(|| (body[0], &body[1..]))
}

/// A Modbus TCP message (Modbus Messaging on TCP/IP V1.0b §3.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbap {
    /// Chosen by the client, repeated by the server.
    pub transaction: u16,
    /// The device behind the endpoint.
    pub unit: u8,
    /// Function and data.
    pub pdu: Vec<u8>,
}

impl Mbap {
    /// Writes the message as bytes of a connection.
    #[must_use]
    pub fn seal(&self) -> Vec<u8> {
        let length = u16::try_from(self.pdu.len() + 1).unwrap_or(u16::MAX);
        let mut out = Vec::with_capacity(self.pdu.len() + 7);
        out.extend_from_slice(&self.transaction.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.push(self.unit);
        out.extend_from_slice(&self.pdu);
        out
    }

    /// Takes one message from the front of `inbox`; `Ok(None)` while more bytes are
    /// needed.
    ///
    /// # Errors
    /// The bytes cannot be Modbus TCP: another protocol id than 0, or a length outside
    /// 2–254. A server closes such a connection.
    pub fn take(inbox: &mut Vec<u8>) -> Result<Option<Mbap>, NotMbap> {
        let Some(head) = inbox.first_chunk::<7>() else {
            return Ok(None);
        };
        let [t0, t1, p0, p1, l0, l1, unit] = *head;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if (p0, p1) != (0, 0) || !(2..=254).contains(&length) {
            return Err(NotMbap);
        }
        if inbox.len() < 6 + length {
            return Ok(None);
        }
        let pdu = inbox[7..6 + length].to_vec();
        inbox.drain(..6 + length);
        Ok(Some(Mbap {
            transaction: u16::from_be_bytes([t0, t1]),
            unit,
            pdu,
        }))
    }
}

/// The bytes on a connection are not Modbus TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMbap;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_agrees_with_published_values() {
        // CRC catalogue (Koopman, Cook): check value of CRC-16/MODBUS.
        assert_eq!(crc(b"123456789"), 0x4B37);
        // Modbus over Serial Line V1.02 §6.2.2 works through 02 07 → 1241h
        // ("12" first in its register, low byte 41h first on the wire).
        assert_eq!(crc(&[0x02, 0x07]), 0x1241);
        // The example most manuals print: read two registers from unit 1.
        assert_eq!(
            seal(1, &[3, 0, 0, 0, 2]),
            [0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B]
        );
    }

    #[test]
    fn a_frame_opens_only_whole() {
        let frame = seal(17, &[3, 0, 0x6B, 0, 3]);
        assert_eq!(open(&frame), Some((17, &[3, 0, 0x6B, 0, 3][..])));
        for cut in 0..frame.len() {
            assert_eq!(open(&frame[..cut]), None);
        }
        let glued = [frame.clone(), frame.clone()].concat();
        assert_eq!(open(&glued), None);
        for bit in 0..frame.len() * 8 {
            let mut bent = frame.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&bent), None);
        }
    }

    #[test]
    fn messages_are_taken_one_by_one_from_any_split() {
        let one = Mbap {
            transaction: 1,
            unit: 9,
            pdu: vec![3, 0, 0, 0, 1],
        };
        let two = Mbap {
            transaction: 2,
            unit: 8,
            pdu: vec![4, 0, 0, 0, 1],
        };
        let stream = [one.seal(), two.seal()].concat();
        let mut inbox = Vec::new();
        let mut got = Vec::new();
        for byte in stream {
            inbox.push(byte);
            got.extend(Mbap::take(&mut inbox).unwrap());
        }
        assert_eq!(got, [one, two]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_is_not_modbus_is_called_that() {
        assert_eq!(Mbap::take(&mut b"GET / HTTP/1.1".to_vec()), Err(NotMbap));
        assert_eq!(Mbap::take(&mut vec![0, 1, 0, 0, 0, 1, 1]), Err(NotMbap));
        assert_eq!(Mbap::take(&mut vec![0, 1, 0, 0, 1, 0, 1]), Err(NotMbap));
    }
}
