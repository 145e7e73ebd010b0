//! The only source of chance for engines: a seeded generator, so that the same seed gives
//! the same run.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for jitter and for
/// simulated devices. It must never be used for keys.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates the generator of a seed. The same seed always gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a whole number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The high half of a 128-bit product: its modulo bias is negligible at the bounds used
        // here.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns true `permille` times in a thousand.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.below(1000) < u64::from(permille)
    }

    /// Returns a span between half of `span` and the whole of it ("equal jitter"). A retry is
    /// therefore never immediate, and many devices do not retry at the same moment.
    pub fn jitter(&mut self, span: Duration) -> Duration {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros - self.below(micros / 2 + 1))
    }

    /// Creates a separate generator for one part of the program, so that the draws of one part
    /// do not shift the draws of another.
    pub fn fork(&mut self) -> Rng {
        Rng(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let mut rng = Rng::new(7);
        let span = Duration::from_secs(10);
        for _ in 0..1000 {
            let d = rng.jitter(span);
            assert!(d >= span / 2 && d <= span, "{d:?}");
        }
    }

    #[test]
    fn first_draws_match_the_published_sequence() {
        // SplitMix64 with seed 1234567, as listed with the reference C code
        // (prng.di.unimi.it/splitmix64.c; values widely reproduced).
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }
}
