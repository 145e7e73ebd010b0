//! How a batch is written.

use crate::base::{DeviceId, RequestId};

use super::batch::{Batch, BatchId};
use super::waiting;
use crate::cloud::alink::publish::PublishQueue;
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::wire::payload;
use crate::cloud::alink::wire::payload::Properties;
use crate::cloud::alink::wire::topic::Topic;

impl PublishQueue {
    /// Writes a batch as a message: on its device's own topic if it is of one device.
    pub(crate) fn message(
        &self,
        ask: RequestId,
        id: BatchId,
        identities: &Identities,
    ) -> (Topic, Vec<u8>) {
        let content = self.content(id);
        match &content[..] {
            [(device, properties)] => (
                Topic::Post(identities.of(*device).clone()),
                payload::post(ask, properties),
            ),
            _ => {
                let several = content.into_iter();
                let devices = several.map(|(d, p)| (identities.of(d), p));
                (
                    Topic::Pack(identities.gateway().clone()),
                    payload::pack_post(ask, devices),
                )
            }
        }
    }

    /// Returns the content of a batch: the properties of each device.
    fn content(&self, id: BatchId) -> Vec<(DeviceId, Properties)> {
        let parts = self.batches.get(id).map(Batch::parts);
        let devices = parts.into_iter().flatten().map(|(device, part)| {
            let mut all = Properties::default();
            for (_, reading) in part {
                all.append(&waiting::property(&self.spec, reading));
            }
            (*device, all)
        });
        devices.collect()
    }
}
