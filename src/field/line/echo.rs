//! Our own bytes, heard back through an adapter whose receiver stays on.
//!
//! [`Echo`] is given the bytes that are sent and the bytes that come. Bytes that come back
//! exactly as they were sent are taken out, in any protocol and however they were cut into
//! pieces. The first byte that differs ends that: everything is handed on then as it came, as
//! it may be the reply through an adapter that does not hear itself, and the echo counts as
//! missed.

/// What was sent and must come back.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    expected: Vec<u8>,
    /// How many bytes of it have come back so far.
    back: usize,
    came: u32,
    missed: u32,
}

impl Echo {
    /// Notes the bytes that are sent now. Bytes that were sent before and have not come back
    /// by now never will.
    pub fn sent(&mut self, bytes: &[u8]) {
        if self.is_due() {
            self.missed = self.missed.saturating_add(1);
        }
        self.expected.clear();
        self.expected.extend_from_slice(bytes);
        self.back = 0;
    }

    /// Takes our own bytes out of `heard`; the rest came from others.
    pub fn strip(&mut self, heard: &mut Vec<u8>) {
        let due = self.expected.get(self.back..).unwrap_or_default();
        let same = due.iter().zip(heard.iter()).take_while(|(a, b)| a == b);
        let same = same.count();
        if same < due.len() && same < heard.len() {
            // The byte is not ours, nor were the bytes before it that had looked like ours.
            let held = self.expected.get(..self.back).unwrap_or_default();
            heard.splice(..0, held.iter().copied());
            self.missed = self.missed.saturating_add(1);
            self.expected.clear();
            self.back = 0;
            return;
        }
        heard.drain(..same);
        let was_due = self.is_due();
        self.back += same;
        if was_due && !self.is_due() {
            self.came = self.came.saturating_add(1);
        }
    }

    /// Returns whether something that was sent has not come back yet.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.back < self.expected.len()
    }

    /// Returns how many requests came back whole since the last call.
    pub fn take_came(&mut self) -> u32 {
        std::mem::take(&mut self.came)
    }

    /// Returns how many requests did not come back since the last call.
    pub fn take_missed(&mut self) -> u32 {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns everything that is left of `heard`, shown in pieces of these lengths.
    fn left(echo: &mut Echo, heard: &[u8], pieces: &[usize]) -> Vec<u8> {
        let mut rest = heard;
        let mut left = Vec::new();
        for piece in pieces.iter().chain([&usize::MAX]) {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            let mut now = now.to_vec();
            echo.strip(&mut now);
            left.extend(now);
            rest = later;
        }
        left
    }

    #[test]
    fn an_echo_that_never_came_is_missed_when_the_next_is_due() {
        let mut echo = Echo::default();
        echo.sent(&[1, 3]);
        assert_eq!(echo.take_missed(), 0);
        echo.sent(&[2, 3]);
        assert_eq!((echo.take_missed(), echo.take_came()), (1, 0));
        assert!(left(&mut echo, &[2, 3], &[1]).is_empty());
        echo.sent(&[3, 3]);
        assert_eq!((echo.take_missed(), echo.take_came()), (0, 1));
        // Bytes of another sender, and then nothing more is due.
        assert_eq!(left(&mut echo, &[3, 4, 3], &[1]), [3, 4, 3]);
        assert_eq!((echo.take_missed(), echo.take_came()), (1, 0));
    }

    #[test]
    fn only_the_first_copy_is_ours() {
        // The reply to a write of a register is the same bytes as the request.
        let mut echo = Echo::default();
        echo.sent(&[1, 6, 0, 1]);
        assert_eq!(
            left(&mut echo, &[1, 6, 0, 1, 1, 6, 0, 1], &[3]),
            [1, 6, 0, 1]
        );
    }

    proptest! {
        #[test]
        fn what_follows_the_echo_comes_through_whole(
            sent in prop::collection::vec(any::<u8>(), 0..20),
            said in prop::collection::vec(any::<u8>(), 0..20),
            pieces in prop::collection::vec(0usize..6, 0..20),
        ) {
            let mut echo = Echo::default();
            echo.sent(&sent);
            let heard = [sent, said.clone()].concat();
            prop_assert_eq!(left(&mut echo, &heard, &pieces), said);
            prop_assert_eq!(echo.take_missed(), 0);
            prop_assert!(!echo.is_due());
        }

        #[test]
        fn what_is_not_the_echo_comes_through_whole(
            sent in prop::collection::vec(0u8..3, 1..20),
            at in any::<prop::sample::Index>(),
            said in prop::collection::vec(0u8..3, 0..20),
            pieces in prop::collection::vec(0usize..6, 0..20),
        ) {
            let mut echo = Echo::default();
            echo.sent(&sent);
            let mut heard = sent.clone();
            let altered = at.index(heard.len());
            heard[altered] ^= 0x80;
            heard.extend(said);
            prop_assert_eq!(left(&mut echo, &heard, &pieces), heard);
            prop_assert_eq!(echo.take_missed(), 1);
        }
    }
}
