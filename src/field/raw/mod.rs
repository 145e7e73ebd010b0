//! Devices without a standard: what to send, how a reply ends, what must be in
//! it, and where the values stand.
//! [`template`] is the request, [`check`] the checksums, [`reply`] what a reply looks like,
//! [`receive`] how it is found on the line, [`part`] where its values are and how they are
//! written.
//!
//! A protocol without a published standard proves little about its replies. The configured
//! form is therefore demanded to the letter (length, terminator, fixed bytes, checksum), a
//! reply begins where the line begins to speak or with its fixed first bytes, and what does
//! not fit is no value. Without fixed bytes and without a checksum nothing can be told from
//! noise; the configuration has to warn of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::field::stale::shared_stale_reply::ReplyClass;
use crate::spec::raw::RawQuestion;

pub mod part;
pub mod receive;

pub use crate::spec::raw::{Check, Fixed, ReplyEnd, ReplyMarks, ReplyPart, Sum, Template};
pub use crate::spec::raw::{check, reply, template};
pub use receive::Receiver;

/// Returns for each question a number that it shares with the questions whose replies cannot
/// be told from its own, directly or through others.
#[must_use]
pub fn alike_groups(questions: &[Arc<RawQuestion>]) -> Vec<usize> {
    let mut like: Vec<usize> = (0..questions.len()).collect();
    for (i, a) in questions.iter().enumerate() {
        for (j, b) in questions.iter().enumerate().skip(i + 1) {
            // The header of a frame says which request its reply belongs to.
            let told_apart = a.carried.is_some() || b.carried.is_some();
            if !told_apart && !a.reply.differs_from(&b.reply) && like[i] != like[j] {
                let (keep, drop) = (like[i].min(like[j]), like[i].max(like[j]));
                like.iter_mut()
                    .filter(|l| **l == drop)
                    .for_each(|l| *l = keep);
            }
        }
    }
    like
}

/// Returns for each question of each device of a line its reply class: a number that it
/// shares with all questions whose replies cannot be told from its own. `None` where those
/// are its own device's only.
#[must_use]
pub fn reply_classes(devices: &[&[Arc<RawQuestion>]]) -> Vec<Vec<Option<ReplyClass>>> {
    let all: Vec<Arc<RawQuestion>> = devices.concat();
    let likes = alike_groups(&all);
    let owners = devices.iter().enumerate();
    let owners: Vec<usize> = owners
        .flat_map(|(i, qs)| qs.iter().map(move |_| i))
        .collect();
    let mut whose: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (like, owner) in likes.iter().zip(&owners) {
        whose.entry(*like).or_default().insert(*owner);
    }
    let class = |like: &usize| {
        let shared = whose.get(like).is_some_and(|devices| devices.len() > 1);
        let number = u32::try_from(*like).unwrap_or(u32::MAX);
        shared.then_some(ReplyClass(number))
    };
    let mut reply_classes = likes.iter().map(class);
    let take = |qs: &&[Arc<RawQuestion>]| reply_classes.by_ref().take(qs.len()).collect();
    devices.iter().map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(begins: &[u8], end: ReplyEnd) -> Arc<RawQuestion> {
        let bytes = begins.to_vec();
        let fixed = Some(Fixed { at: 0, bytes }).filter(|f| !f.bytes.is_empty());
        Arc::new(RawQuestion {
            name: "q".into(),
            request: Template::parse("01", None).unwrap(),
            reply: ReplyMarks {
                end,
                fixed: fixed.into_iter().collect(),
                check: None,
                behind_check: 0,
                preamble: None,
            },
            carried: None,
        })
    }

    #[test]
    fn questions_are_alike_if_a_reply_to_one_could_be_one_to_the_other() {
        let a = question(b">01", ReplyEnd::Length(9));
        let b = question(b">02", ReplyEnd::Length(9));
        let long = question(b">01", ReplyEnd::Length(12));
        let any = question(b"", ReplyEnd::Terminator(b"\r".to_vec()));
        let of = |all: &[&Arc<RawQuestion>]| {
            let all: Vec<_> = all.iter().map(|q| Arc::clone(q)).collect();
            alike_groups(&all)
        };
        assert_eq!(of(&[&a, &b, &long]), [0, 1, 2]);
        assert_eq!(of(&[&a, &b, &a]), [0, 1, 0]);
        // A reply that is like both makes the two alike: a late reply goes round.
        assert_eq!(of(&[&a, &b, &any]), [0, 0, 0]);
    }

    #[test]
    fn a_frame_says_which_question_it_answers() {
        let carried = |q: Arc<RawQuestion>| {
            Arc::new(RawQuestion {
                carried: Some(crate::base::UnitId(1)),
                ..RawQuestion::clone(&q)
            })
        };
        let one = [
            carried(question(b"F", ReplyEnd::Frame)),
            carried(question(b"F", ReplyEnd::Frame)),
        ];
        assert_eq!(alike_groups(&one), [0, 1]);
        assert_eq!(reply_classes(&[&one, &one]), [[None, None], [None, None]]);
    }

    #[test]
    fn devices_share_a_voice_where_their_replies_cannot_be_told_apart() {
        let plain = question(b">", ReplyEnd::Terminator(b"\r".to_vec()));
        let own = |unit: &str| question(format!("!{unit}").as_bytes(), ReplyEnd::Length(9));
        let alone = question(b"?", ReplyEnd::Length(3));
        let one = [Arc::clone(&plain), own("01")];
        let two = [own("02"), Arc::clone(&plain)];
        // Two questions that are alike within one device concern only that device.
        let three = [Arc::clone(&alone), alone];
        assert_eq!(
            reply_classes(&[&one, &two, &three, &[]]),
            [
                vec![Some(ReplyClass(0)), None],
                vec![None, Some(ReplyClass(0))],
                vec![None, None],
                vec![],
            ]
        );
    }
}
