//! Troubles of a device that repeat: reported once, and then ever more rarely with their
//! count.

use std::collections::BTreeMap;

use crate::base::{DeviceId, Mono, RateLimit};

use crate::field::diagnostics::events::FieldLogEvent;
use crate::field::diagnostics::trouble::Trouble;

/// Counts troubles and decides when a trouble is worth reporting. Bounded by what can be
/// configured: devices, their requests and their points.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    seen: BTreeMap<(DeviceId, Trouble), SeenTrouble>,
}

#[derive(Clone, Debug, Default)]
struct SeenTrouble {
    repeats: RateLimit,
    detail: String,
}

impl Troubles {
    /// Notes that the trouble happened once more. `Some` if it is time to report it.
    pub fn note(
        &mut self,
        now: Mono,
        device: DeviceId,
        trouble: Trouble,
        detail: impl FnOnce() -> String,
    ) -> Option<FieldLogEvent> {
        let seen = self.seen.entry((device, trouble)).or_default();
        let times = seen.repeats.hit(now, 1)?;
        seen.detail = detail();
        Some(FieldLogEvent::DeviceTrouble {
            device,
            trouble,
            times,
            detail: seen.detail.clone(),
        })
    }

    /// Returns what was counted and not reported, of troubles that are over, or have gone on
    /// long enough to be reported again.
    pub fn sweep(&mut self, now: Mono) -> Vec<FieldLogEvent> {
        let due = |(&(device, trouble), seen): (&(DeviceId, Trouble), &mut SeenTrouble)| {
            let times = seen.repeats.take_due(now)?.untold;
            let detail = seen.detail.clone();
            Some(FieldLogEvent::DeviceTrouble {
                device,
                trouble,
                times,
                detail,
            })
        };
        self.seen.iter_mut().filter_map(due).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_first_and_then_counted() {
        let mut troubles = Troubles::default();
        let mut told = Vec::new();
        for second in 0..=200u64 {
            let now = Mono::from_micros(second * 1_000_000);
            if let Some(FieldLogEvent::DeviceTrouble { times, .. }) =
                troubles.note(now, DeviceId(1), Trouble::Garbled, String::new)
            {
                told.push((second, times));
            }
        }
        assert_eq!(told, [(0, 1), (60, 60), (180, 120)]);
        // The trouble stops; the remaining count is reported when the trouble is over, and
        // once.
        let at = |second: u64| Mono::from_micros(second * 1_000_000);
        assert_eq!(troubles.sweep(at(259)), []);
        let left = troubles.sweep(at(260));
        assert!(
            matches!(left[..], [FieldLogEvent::DeviceTrouble { times: 20, .. }]),
            "{left:?}"
        );
        assert_eq!(troubles.sweep(at(4000)), []);
        let other = troubles.note(Mono::START, DeviceId(2), Trouble::Garbled, String::new);
        assert!(other.is_some(), "each device has its own");
    }
}
