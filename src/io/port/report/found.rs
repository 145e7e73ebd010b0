//! What polling has found out about devices: told the operator, and of points that
//! are refused the hub as well.

use super::{HubGone, Report};
use crate::base::{DeviceId, FieldEvent, Mono};
use crate::field::notice::Notice;
use crate::field::reading::Finding;

impl Report {
    /// Something was found out about a device.
    pub(in crate::io::port) async fn found(
        &mut self,
        now: Mono,
        finding: &Finding,
    ) -> Result<(), HubGone> {
        let notice = match finding.clone() {
            Finding::Hole { device, hole } => Notice::HoleFound { device, hole },
            // Told as the points that are back, if it is told.
            Finding::HoleGone { .. } => return Ok(()),
            Finding::PointsRefused {
                device,
                points,
                at,
                code,
            } => Notice::PointsRefused {
                device,
                points: self.points(device, &points),
                at,
                code,
            },
            Finding::DatumRefused {
                device,
                points,
                word,
            } => Notice::DatumRefused {
                device,
                points: self.points(device, &points),
                word,
            },
            Finding::RepliesTwice { device } => Notice::RepliesTwice { device },
            Finding::OthersAsk { device } => Notice::OthersAsk { device },
            Finding::PointsBack { device, points } => Notice::PointsBack {
                device,
                points: self.points(device, &points),
            },
        };
        self.tell_or_gather(now, notice);
        match finding {
            Finding::PointsRefused { device, points, .. }
            | Finding::DatumRefused { device, points, .. } => {
                self.tell(FieldEvent::PointsRefused {
                    device: *device,
                    points: points.clone(),
                })
                .await
            }
            Finding::Hole { .. }
            | Finding::HoleGone { .. }
            | Finding::RepliesTwice { .. }
            | Finding::OthersAsk { .. }
            | Finding::PointsBack { .. } => Ok(()),
        }
    }

    /// Their ids, as configured.
    fn points(&self, device: DeviceId, points: &[u16]) -> String {
        let all = self.spec.device(device).map(|d| &d.profile.points);
        let name = |p: &u16| Some(all?.get(usize::from(*p))?.id.as_str());
        let names: Vec<&str> = points.iter().filter_map(name).collect();
        names.join(", ")
    }
}
