//! The form of a reply: where it ends and which bytes must be in it.

use serde::Serialize;
use std::time::Duration;

use super::Check;

/// The most bytes of a reply.
pub const LONGEST: usize = 1024;

/// The marks by which a reply is told from other bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplyMarks {
    /// How the reply ends.
    pub end: ReplyEnd,
    /// The bytes that must stand in the reply. If they include the very first byte, bytes before
    /// it are noise; otherwise the reply begins with the first byte received.
    pub fixed: Vec<Fixed>,
    /// The checksum of the reply, which covers everything before it.
    pub check: Option<Check>,
    /// How many bytes stand behind the checksum, the terminator included.
    pub behind_check: usize,
    /// A byte that may stand in front of the reply any number of times and has no meaning: it
    /// wakes the receiver up.
    pub preamble: Option<u8>,
}

/// How a reply ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ReplyEnd {
    /// After this many bytes; 1–1024.
    Length(usize),
    /// With these bytes, which belong to it; at least one.
    Terminator(Vec<u8>),
    /// When the line has been quiet for this long.
    Silence(Duration),
    /// With the frame that carries the reply ([`super::RawQuestion::carried`]).
    Frame,
}

/// Bytes that must stand at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fixed {
    /// The position of the first byte, from the beginning of the reply.
    pub at: usize,
    /// The bytes; at least one.
    pub bytes: Vec<u8>,
}

impl ReplyMarks {
    /// Returns the bytes with which every reply begins, as far as they are fixed.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        self.fixed
            .iter()
            .find(|f| f.at == 0)
            .map_or(&[], |f| &f.bytes)
    }

    /// Returns whether these bytes as a whole are a reply.
    #[must_use]
    pub fn fits(&self, reply: &[u8]) -> bool {
        let ends = match &self.end {
            ReplyEnd::Length(n) => reply.len() == *n,
            ReplyEnd::Terminator(t) => !t.is_empty() && reply.ends_with(t),
            ReplyEnd::Silence(_) | ReplyEnd::Frame => !reply.is_empty(),
        };
        let is_there = |f: &Fixed| {
            let from = reply.get(f.at..).unwrap_or_default();
            !f.bytes.is_empty() && from.starts_with(&f.bytes)
        };
        reply.len() <= LONGEST && ends && self.fixed.iter().all(is_there) && self.is_whole(reply)
    }

    fn is_whole(&self, reply: &[u8]) -> bool {
        let Some(check) = self.check else {
            return true;
        };
        let parts = || {
            let to = reply.len().checked_sub(self.behind_check)?;
            let from = to.checked_sub(check.len())?;
            Some((reply.get(..from)?, reply.get(from..to)?))
        };
        parts().is_some_and(|(before, written)| check.fits(before, written))
    }

    /// Returns whether no reply of this shape can be a reply of the other shape.
    #[must_use]
    pub fn differs_from(&self, other: &ReplyMarks) -> bool {
        let lengths =
            matches!((&self.end, &other.end), (ReplyEnd::Length(a), ReplyEnd::Length(b)) if a != b);
        let clash = |a: &Fixed, b: &Fixed| {
            let from = a.at.max(b.at);
            let to = (a.at + a.bytes.len()).min(b.at + b.bytes.len());
            (from..to).any(|i| a.bytes.get(i - a.at) != b.bytes.get(i - b.at))
        };
        lengths
            || self
                .fixed
                .iter()
                .any(|a| other.fixed.iter().any(|b| clash(a, b)))
    }

    /// Returns whether a checksum or fixed bytes tell a reply from noise.
    #[must_use]
    pub fn can_tell(&self) -> bool {
        self.check.is_some() || !self.fixed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::raw::check::{CheckForm, Sum};

    fn shape(end: ReplyEnd) -> ReplyMarks {
        ReplyMarks {
            end,
            fixed: vec![Fixed {
                at: 1,
                bytes: b"01".to_vec(),
            }],
            check: None,
            behind_check: 0,
            preamble: None,
        }
    }

    #[test]
    fn only_what_fits_whole_is_a_reply() {
        let ended = shape(ReplyEnd::Terminator(b"\r".to_vec()));
        for (reply, fits) in [
            (&b">01+1\r"[..], true),
            (b">01\r", true),
            (b">02+1\r", false),
            (b">01+1", false),
            (b">0", false),
            (b"", false),
        ] {
            assert_eq!(ended.fits(reply), fits, "{reply:?}");
        }
        let counted = shape(ReplyEnd::Length(4));
        assert!(counted.fits(b">01x") && !counted.fits(b">01") && !counted.fits(b">01xx"));
        let quiet = shape(ReplyEnd::Silence(Duration::from_millis(20)));
        assert!(quiet.fits(b">01") && !quiet.fits(b"") && !quiet.fits(&[b'0'; 2000]));
    }

    #[test]
    fn a_checksum_stands_where_it_is_said_to_stand() {
        let checked = ReplyMarks {
            check: Some(Check {
                sum: Sum::Sum8,
                written: CheckForm::Hex,
                from: 0,
            }),
            behind_check: 1,
            ..shape(ReplyEnd::Terminator(b"\r".to_vec()))
        };
        // The reply of the worked example in ICP DAS I-7000 manuals, "checksum".
        let good = b"!01200600AA\r".to_vec();
        assert!(checked.fits(&good));
        for bit in 0..good.len() * 8 {
            let mut bent = good.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let same = bent.eq_ignore_ascii_case(&good);
            assert_eq!(checked.fits(&bent), same, "{bent:?}");
        }
        assert!(!checked.fits(b"01\r"));
    }

    #[test]
    fn empty_words_fit_nothing() {
        assert!(!shape(ReplyEnd::Terminator(vec![])).fits(b">01"));
        let nothing = ReplyMarks {
            fixed: vec![Fixed {
                at: 9,
                bytes: vec![],
            }],
            ..shape(ReplyEnd::Length(3))
        };
        assert!(!nothing.fits(b">01"));
    }
}
