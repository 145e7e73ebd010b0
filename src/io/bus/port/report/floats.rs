//! Reports floats that are implausible throughout, and that it is over.

use super::{HubGone, Report};
use crate::base::{DeviceId, FieldEvent, ImplausibleFloats, LogEvent, Mono};
use crate::field::decode::float::is_float;
use crate::field::diagnostics::events::FieldLogEvent;
use crate::field::diagnostics::implausible_floats::{
    FloatsJudgement, Implausible, ImplausiblePoint,
};
use crate::spec::PointSpec;

/// How many points are named with their values.
const NAMED: usize = 3;

impl Report {
    /// Reports what is thought of the floats of this device, if that has changed.
    pub(super) async fn judge_floats(
        &mut self,
        now: Mono,
        device: DeviceId,
    ) -> Result<(), HubGone> {
        let points = self.spec.device(device).map(|d| &d.profile.points);
        let count = |points: &Vec<PointSpec>| points.iter().filter(|p| is_float(&p.codec)).count();
        let Some(judgement) = self.floats.judge(device, points.map_or(0, count)) else {
            return Ok(());
        };
        let (notice, implausible) = match judgement {
            FloatsJudgement::Implausible(found) => {
                let notice = self.implausible(device, &found);
                let floats = ImplausibleFloats {
                    points: found.points.iter().map(|p| p.point).collect(),
                    words: notice.sentence(),
                };
                (Some(notice), Some(floats))
            }
            FloatsJudgement::Plausible { again } => {
                let notice = FieldLogEvent::FloatsPlausible { device };
                (again.then_some(notice), None)
            }
        };
        if let Some(notice) = notice {
            self.tell_or_gather(now, notice);
        }
        self.tell(FieldEvent::FloatsJudged {
            device,
            implausible,
        })
        .await
    }

    fn implausible(&self, device: DeviceId, found: &Implausible) -> FieldLogEvent {
        let all = self.spec.device(device).map(|d| &d.profile.points);
        let name = |p: &ImplausiblePoint| {
            let point = all.and_then(|all| all.get(usize::from(p.point)));
            point.map_or_else(String::new, |point| point.id.clone())
        };
        let some = |value: &dyn Fn(&ImplausiblePoint) -> String| {
            let named = found.points.iter().take(NAMED);
            let named: Vec<String> = named.map(|p| format!("{} {}", name(p), value(p))).collect();
            let named = named.join(", ");
            match found.points.len().saturating_sub(NAMED) {
                0 => named,
                more => format!("{named} and {more} more"),
            }
        };
        let otherwise = |p: &ImplausiblePoint| format!("{:.6}", p.otherwise.unwrap_or_default());
        let otherwise = |p: &ImplausiblePoint| {
            let number = otherwise(p);
            number
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        };
        let names: Vec<String> = found.points.iter().map(name).collect();
        FieldLogEvent::FloatsImplausible {
            device,
            points: names.join(", "),
            seen: some(&|p| format!("{:.2e}", p.seen)),
            order: found.order.letters(),
            other: found.other.map(|order| (order.letters(), some(&otherwise))),
        }
    }
}
