//! What the end of a transaction proves about the device.
//!
//! No other module decides this. A refusal is proof of life: the unit had to understand the
//! request to refuse it (Modbus Application Protocol V1.1b3 §7). A good frame of the unit
//! within the time of its reply is proof of life too, whatever the frame contains. Exceptions
//! 0Ah and 0Bh are different: a gateway sends them on behalf of a unit that it cannot reach.
//! A spoiled or foreign frame proves nothing about the unit that was asked. The unit that
//! sent the frame, if it had been asked before, proves by [`LATE`] that it lives.

use crate::base::{LivenessEvidence, LivenessProof, MissReason};

use crate::field::receiver::Mismatch;
use crate::field::transaction::request::Outcome;

/// "Gateway path unavailable" (§7).
const GATEWAY_PATH_UNAVAILABLE: u8 = 0x0A;

/// "Gateway target device failed to respond" (§7).
const GATEWAY_TARGET_FAILED: u8 = 0x0B;

/// What a unit proves whose reply comes after the request was given up.
pub const LATE: LivenessEvidence = LivenessEvidence::Alive(LivenessProof::Late);

/// Returns what this outcome proves about the device that was asked.
#[must_use]
pub const fn evidence_of(outcome: &Outcome) -> LivenessEvidence {
    match outcome {
        Outcome::Answered(_) | Outcome::Confirmed => LivenessEvidence::Alive(LivenessProof::Answer),
        Outcome::Exception(code @ (GATEWAY_PATH_UNAVAILABLE | GATEWAY_TARGET_FAILED)) => {
            LivenessEvidence::Missed(MissReason::GatewayException(*code))
        }
        Outcome::Exception(code) => LivenessEvidence::Alive(LivenessProof::Exception(*code)),
        // The bits of a meter are no codes of Modbus: none of them says that another unit is
        // silent.
        Outcome::Refused(word) => LivenessEvidence::Alive(LivenessProof::Exception(word.bits)),
        Outcome::Mismatched(Mismatch::Exception { code, .. }) => {
            LivenessEvidence::Alive(LivenessProof::Exception(*code))
        }
        Outcome::Mismatched(Mismatch::Reply { .. } | Mismatch::OtherDatum) => {
            LivenessEvidence::Alive(LivenessProof::Mismatched)
        }
        Outcome::Missed(miss) => LivenessEvidence::Missed(*miss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::modbus::Data;

    #[test]
    fn the_table() {
        use LivenessEvidence::{Alive, Missed};
        let answer = Outcome::Answered(Data::Bits(vec![true]));
        assert_eq!(evidence_of(&answer), Alive(LivenessProof::Answer));
        for code in [0, 1, 2, 3, 4, 5, 6, 8, 9, 0x0C, 0xFF] {
            assert_eq!(
                evidence_of(&Outcome::Exception(code)),
                Alive(LivenessProof::Exception(code))
            );
        }
        for code in [0x0A, 0x0B] {
            assert_eq!(
                evidence_of(&Outcome::Exception(code)),
                Missed(MissReason::GatewayException(code))
            );
        }
        for miss in [
            MissReason::Silence,
            MissReason::Garbled,
            MissReason::Foreign,
            MissReason::ConnectionLost,
        ] {
            assert_eq!(evidence_of(&Outcome::Missed(miss)), Missed(miss));
        }
    }
}
