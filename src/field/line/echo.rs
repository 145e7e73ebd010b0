//! Our own bytes, heard back through an adapter whose receiver stays on.
//!
//! [`Echo`] is told what is sent and shown what comes; what comes back exactly
//! as it was sent is taken out, whatever is said on the line and however it was
//! cut into pieces. The first byte that differs ends that: everything is handed
//! on then as it came, for it may be the reply through an adapter that does not
//! hear itself, and it is counted.

/// What was sent and must come back.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    expected: Vec<u8>,
    /// How much of it has come back so far.
    back: usize,
    came: u32,
    missed: u32,
}

impl Echo {
    /// These bytes are sent now. What was sent before and has not come back by
    /// now never will.
    pub fn sent(&mut self, bytes: &[u8]) {
        if self.is_due() {
            self.missed = self.missed.saturating_add(1);
        }
        self.expected.clear();
        self.expected.extend_from_slice(bytes);
        self.back = 0;
    }

    /// Takes out of `heard` what is ours; the rest is what others said.
    pub fn strip(&mut self, heard: &mut Vec<u8>) {
        let due = self.expected.get(self.back..).unwrap_or_default();
        let same = due.iter().zip(heard.iter()).take_while(|(a, b)| a == b);
        let same = same.count();
        if same < due.len() && same < heard.len() {
            // Not ours, nor was what had looked like it.
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

    /// Whether something that was sent has not come back yet.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.back < self.expected.len()
    }

    /// How many times what was sent came back whole, since this was last asked.
    pub fn take_came(&mut self) -> u32 {
        std::mem::take(&mut self.came)
    }

    /// How many times what was sent did not come back, since this was last asked.
    pub fn take_missed(&mut self) -> u32 {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that is left of `heard`, shown in pieces of these lengths.
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
        // Another's bytes, and then nothing more is due.
        assert_eq!(left(&mut echo, &[3, 4, 3], &[1]), [3, 4, 3]);
        assert_eq!((echo.take_missed(), echo.take_came()), (1, 0));
    }

    #[test]
    fn only_the_first_copy_is_ours() {
        // The reply to the writing of a register is the request once more.
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
