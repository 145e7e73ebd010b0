//! Reports what polling has found out about devices: to the operator, and findings about
//! failing points to the hub as well.

use super::{HubGone, Report};
use crate::base::{DeviceId, FieldEvent, Mono, RequestFailure};
use crate::field::diagnostics::events::FieldLogEvent;
use crate::field::polled_device::adaptive_plan::DeviceFinding;
use crate::spec::DeviceSpec;

impl Report {
    /// Reports a finding about a device.
    pub(in crate::io::bus::port) async fn found(
        &mut self,
        now: Mono,
        finding: &DeviceFinding,
    ) -> Result<(), HubGone> {
        let notice = match finding.clone() {
            DeviceFinding::Hole { device, hole } => FieldLogEvent::HoleFound { device, hole },
            // The return of the points is reported instead, if anything is.
            DeviceFinding::HoleGone { .. } => return Ok(()),
            DeviceFinding::PointsRefused {
                device,
                points,
                address,
                code,
            } => FieldLogEvent::PointsRefused {
                device,
                points: self.points(device, &points),
                what: address.to_string(),
                code,
            },
            DeviceFinding::DatumRefused {
                device,
                points,
                word,
            } => FieldLogEvent::DatumRefused {
                device,
                points: self.points(device, &points),
                word,
            },
            DeviceFinding::PointsFail {
                device,
                points,
                address,
                how,
                code,
            } => FieldLogEvent::PointsFail {
                device,
                points: self.points(device, &points),
                what: address.to_string(),
                how,
                code,
            },
            DeviceFinding::LongRequestsFail {
                device,
                range,
                most,
            } => FieldLogEvent::LongRequestsFail {
                device,
                what: range.to_string(),
                count: range.count,
                most,
            },
            DeviceFinding::LongRequestsAnswered { device } => {
                FieldLogEvent::LongRequestsAnswered { device }
            }
            DeviceFinding::RepliesRepeated { device } => FieldLogEvent::RepliesRepeated { device },
            DeviceFinding::AddressShared { device } => {
                let place = self.spec.device(device).and_then(DeviceSpec::place);
                let Some(place) = place else {
                    return Ok(());
                };
                FieldLogEvent::AddressShared { device, place }
            }
            DeviceFinding::OtherMaster { device } => FieldLogEvent::OtherMaster { device },
            DeviceFinding::PointsBack { device, points } => FieldLogEvent::PointsBack {
                device,
                points: self.points(device, &points),
            },
        };
        self.tell_or_gather(now, notice);
        let (device, points, how) = match finding {
            DeviceFinding::PointsRefused { device, points, .. }
            | DeviceFinding::DatumRefused { device, points, .. } => {
                (*device, points, RequestFailure::Refused)
            }
            DeviceFinding::PointsFail {
                device,
                points,
                how,
                ..
            } => (*device, points, *how),
            DeviceFinding::Hole { .. }
            | DeviceFinding::HoleGone { .. }
            | DeviceFinding::LongRequestsFail { .. }
            | DeviceFinding::LongRequestsAnswered { .. }
            | DeviceFinding::RepliesRepeated { .. }
            | DeviceFinding::AddressShared { .. }
            | DeviceFinding::OtherMaster { .. }
            | DeviceFinding::PointsBack { .. } => return Ok(()),
        };
        self.tell(FieldEvent::PointsFailing {
            device,
            points: points.clone(),
            how,
        })
        .await
    }

    /// Returns the ids of the points, as configured.
    fn points(&self, device: DeviceId, points: &[u16]) -> String {
        let all = self.spec.device(device).map(|d| &d.profile.points);
        let name = |p: &u16| Some(all?.get(usize::from(*p))?.id.as_str());
        let names: Vec<&str> = points.iter().filter_map(name).collect();
        names.join(", ")
    }
}
