//! `sign:` and `sign_from:`: signs that are not part of the number as it is written.

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::{choice, whole};
use crate::spec::{Digits, Number, Sign};

/// The values of `sign:`.
pub(crate) const SIGNS: [(&str, Sign); 1] = [("highest-bit", Sign::HighestBit)];

const KEYS: [&str; 4] = ["address", "bit", "positive", "negative"];

/// A sign, and the address of its register if it has one.
#[derive(Clone, Copy)]
pub(crate) struct FoundSign {
    pub(crate) sign: Sign,
    pub(crate) address: Option<u16>,
}

/// Reads the keys for the sign of a number of this kind.
pub(crate) fn read(s: &Section<'_>, kind: Number, notes: &mut Notes) -> Option<FoundSign> {
    if kind.digits() == Digits::Floating {
        return None;
    }
    let own = s.read("sign", choice(&SIGNS), notes);
    let (Some(node), None) = (s.node("sign_from"), s.node("sign")) else {
        if s.node("sign_from").is_some() {
            let wrong = Expectation::wanted("either sign or sign_from");
            notes.error(s.at("sign"), "sign with sign_from", wrong);
        }
        if s.node("parts").is_some() && s.node("sign").is_some() {
            let wrong = Expectation::wanted("no sign here")
                .hint("a sum has the sign of another register: sign_from");
            notes.error(s.at("sign"), "sign with parts", wrong);
        }
        return own.map(|sign| FoundSign {
            sign,
            address: None,
        });
    };
    if kind.digits() == Digits::Signed {
        let wrong = Expectation::wanted("an unsigned type, or bcd");
        notes.error(
            node.origin,
            "sign_from with a signed type",
            wrong.hint("the number would have two signs"),
        );
        return None;
    }
    from(node, notes)
}

/// Reads the address of a register that is 0 or 1, or a section that says more.
fn from(node: &Node, notes: &mut Notes) -> Option<FoundSign> {
    let address = whole(0..=65535u16);
    if let NodeContent::Text(text) = &node.is {
        return match address(text) {
            Ok(_) if notes.quoted_number(node) => None,
            Ok(at) => found(at, u16::MAX, 0, 1),
            Err(_) => {
                let wrong = Expectation::wanted("the address of the register with the sign, 0 to 65535")
                    .hint("0 there is positive and 1 negative; or { address: 7, bit: 3 }, or { address: 7, positive: 1, negative: 2 }");
                notes.error(
                    node.origin,
                    crate::config::reader::section::shown(text),
                    wrong,
                );
                None
            }
        };
    }
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let wanted = || Expectation::wanted("the address of the register with the sign, 0 to 65535");
    let at = s.need("address", address, wanted, notes);
    let bit = s.read("bit", whole(0..=15u8), notes);
    let most = if bit.is_some() { 1 } else { u16::MAX };
    let negative = s.read("negative", whole(0..=most), notes).unwrap_or(1);
    let positive = s.read("positive", whole(0..=most), notes);
    let positive = positive.unwrap_or(u16::from(negative == 0));
    if positive == negative {
        let wrong = Expectation::wanted("two different numbers");
        let said = format!("{positive} for positive and for negative");
        notes.error(node.origin, said, wrong);
        return None;
    }
    let shift = bit.map_or(0, u32::from);
    let mask = bit.map_or(u16::MAX, |_| 1 << shift);
    found(at?, mask, positive << shift, negative << shift)
}

fn found(address: u16, mask: u16, positive: u16, negative: u16) -> Option<FoundSign> {
    Some(FoundSign {
        sign: Sign::Register {
            // Counted from the point's address as soon as that is known.
            at: 0,
            mask,
            positive,
            negative,
        },
        address: Some(address),
    })
}
