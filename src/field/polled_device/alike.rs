//! A polled device whose replies cannot be told from those of others on its line.

use super::*;
use crate::field::plan::block_address::BlockAddress;

/// What the outcome of a question of a reply class means to the others of that reply class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::field) enum ClassOutcome {
    /// The device may owe a reply; it may also be given up.
    Owes {
        /// How long the device's replies are waited for.
        timeout: Duration,
        /// Whether the device is only tried now and then.
        given_up: bool,
    },
    /// The device has answered, and copies may come until then.
    Answered(Mono),
}

impl PolledDevice {
    /// Sets which of the device's questions share a reply class with others on the line.
    pub(in crate::field) fn set_reply_classes(&mut self, classes: Vec<Option<ReplyClass>>) {
        self.reply_classes = classes;
    }

    /// Returns the reply class of this block's reply, if others have it too.
    pub(super) fn shared_reply_class(&self, block: &ReadBlock) -> Option<ReplyClass> {
        self.reply_class(&block.address)
    }

    pub(super) fn reply_class(&self, asked: &BlockAddress) -> Option<ReplyClass> {
        match asked {
            BlockAddress::Raw(asked) => {
                let class = self.reply_classes.get(asked.index.index());
                class.copied().flatten()
            }
            // Their replies name the sender.
            BlockAddress::Modbus(_) | BlockAddress::Dlt645(_) => None,
        }
    }

    /// Returns whether the device's replies carry no number by a standard.
    pub(in crate::field) const fn has_unaddressed_replies(&self) -> bool {
        self.trust.has_unaddressed_replies()
    }

    /// Returns whether some reply of the device could be another device's.
    pub(in crate::field) fn shares_reply_class(&self) -> bool {
        self.reply_classes.iter().any(Option::is_some)
    }

    /// Returns whether the reply to this block could be another device's.
    pub(super) fn is_alike(&self, block: &ReadBlock) -> bool {
        let class = self.shared_reply_class(block);
        class.is_some_and(|class| self.shared_stale.covers(class))
    }

    /// Returns until when a try of the device would cost others more than it is worth.
    pub(super) fn defers_to_others_until(&self, now: Mono) -> Option<Mono> {
        let block = self.slots.get(self.attempt(now)?.slot())?.block();
        let class = self.shared_reply_class(block)?;
        match self.retries.is_confirmed() {
            true => self.shared_stale.try_from(class),
            false => self.shared_stale.ask_from(class),
        }
    }

    /// Returns, after [`PolledDevice::done`], what others of its reply class have to know,
    /// and until when copies of what the device owed may come if it owes nothing now.
    pub(in crate::field) fn tell(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
    ) -> (Option<(ReplyClass, ClassOutcome)>, Option<Mono>) {
        let copies = self.trust.copies_until(now);
        let cleared = self.trust.stale().is_clear().then_some(copies);
        let Some(class) = self.reply_class(&request.address) else {
            return (None, cleared);
        };
        let timeout = self.reply_wait.most();
        let set_aside = self
            .slots
            .get(request.block)
            .is_some_and(PollSlot::is_set_aside);
        let owes = ClassOutcome::Owes {
            timeout,
            given_up: set_aside || self.retries.is_confirmed(),
        };
        let told = match outcome {
            Outcome::Missed(_) | Outcome::Mismatched(_) => {
                self.shared_stale.tried(now, class, timeout);
                owes
            }
            _ if request.trusted => ClassOutcome::Answered(copies),
            _ => {
                self.shared_stale.reply_discarded(now, class);
                // The device's own reply to the last request may still come.
                match self.trust.stale().rests() {
                    true => owes,
                    false => ClassOutcome::Answered(copies),
                }
            }
        };
        (Some((class, told)), cleared)
    }

    /// Takes what a neighbour reports.
    pub(in crate::field) fn hear(
        &mut self,
        now: Mono,
        who: DeviceId,
        told: Option<(ReplyClass, ClassOutcome)>,
        cleared: Option<Mono>,
    ) {
        if let Some(until) = cleared {
            self.shared_stale.cleared(who, until);
        }
        let Some((class, told)) = told.filter(|(v, _)| self.reply_classes.contains(&Some(*v)))
        else {
            return;
        };
        match told {
            ClassOutcome::Owes { timeout, given_up } => {
                self.shared_stale.missed(now, class, who, timeout);
                if given_up {
                    self.shared_stale.tried(now, class, timeout);
                }
            }
            ClassOutcome::Answered(until) => self.shared_stale.answered(class, until),
        }
    }
}
