//! When a failure that repeats is told again.

use std::time::Duration;

use super::Mono;

/// The first gap between two tellings; it doubles.
const FIRST_GAP: Duration = Duration::from_secs(60);
/// The longest gap.
const LONGEST_GAP: Duration = Duration::from_secs(3600);

/// Something that may happen again and again: told the first time, then after
/// a minute, then at doubling gaps up to an hour, each time with how often it
/// happened since. What is left untold when it stops is not lost:
/// [`Repeats::sweep`] and [`Repeats::over`] give it out.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    untold: u64,
    told: Option<(Mono, Duration)>,
}

impl Repeats {
    /// It happened `n` times more; says how many to tell, if it is time.
    pub fn hit(&mut self, now: Mono, n: u64) -> Option<u64> {
        self.untold += n;
        match self.told {
            None => self.tell(now, FIRST_GAP),
            Some(_) => self.sweep(now),
        }
    }

    /// Time passes; says how many to tell that were left, if it is time.
    pub fn sweep(&mut self, now: Mono) -> Option<u64> {
        let (at, gap) = self.told?;
        if self.untold == 0 || now.since(at) < gap {
            return None;
        }
        self.tell(now, (gap * 2).min(LONGEST_GAP))
    }

    /// It is over, and the next time is a first time. Returns how many were
    /// never told.
    pub fn over(&mut self) -> u64 {
        std::mem::take(self).untold
    }

    fn tell(&mut self, now: Mono, gap: Duration) -> Option<u64> {
        self.told = Some((now, gap));
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn told_first_and_then_ever_more_rarely_with_the_count_between() {
        let mut repeats = Repeats::default();
        let told: Vec<_> = (0..1000u64)
            .filter_map(|t| Some((t, repeats.hit(s(t), 1)?)))
            .collect();
        assert_eq!(told, [(0, 1), (60, 60), (180, 120), (420, 240), (900, 480)]);
        assert_eq!(repeats.over(), 99);
        assert_eq!(repeats.hit(s(1000), 1), Some(1));
    }

    #[test]
    fn what_is_left_when_it_stops_is_told_when_its_time_comes() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.hit(s(0), 1), Some(1));
        assert_eq!(repeats.hit(s(10), 7), None);
        assert_eq!(repeats.sweep(s(59)), None);
        assert_eq!(repeats.sweep(s(60)), Some(7));
        assert_eq!(repeats.sweep(s(6000)), None, "nothing is left");
    }
}
