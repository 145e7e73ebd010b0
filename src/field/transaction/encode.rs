//! Encodes the requests to one device: from a block of the plan to the request body, and what
//! its reply looks like from outside.

use std::sync::Arc;

use crate::base::UnitId;
use crate::spec::dlt645::{Edition, MeterAddress, WriteAccess};
use crate::spec::{BusAddress, DeviceSpec, ProfileSpec, Protocol, Table};

use crate::field::dlt645;
use crate::field::dlt645::ask::MeterOperation;
use crate::field::modbus::write::Write;
use crate::field::plan::ReadBlock;
use crate::field::plan::block_address::{BlockAddress, DatumAsked, EntryRange};
use crate::field::raw::alike_groups;
use crate::field::schedule::command::BusWrite;
use crate::field::stale::reply_shape::{RefusalShape, ReplyShape};
use crate::field::stale::stale_reply::StaleReplies;
use crate::field::transaction::request::RequestBody;

/// The function of DL/T 645 that reads an address: the probe of another table for a meter.
const READ_ADDRESS: u8 = 0x13;

/// The address of one device, and which of its replies are alike.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    address: BusAddress,
    like: Vec<usize>,
    /// What a meter wants to know before it is written to.
    access: Option<WriteAccess>,
}

impl Encoder {
    pub(crate) fn of(device: &DeviceSpec) -> Self {
        Encoder {
            address: device.address,
            access: device.access.clone(),
            like: match &device.profile.protocol {
                Protocol::Raw(questions) => alike_groups(questions),
                Protocol::Modbus | Protocol::Dlt645(_) => Vec::new(),
            },
        }
    }

    /// Returns the request body for what a block asks for.
    pub(crate) fn body(&self, asked: &BlockAddress) -> RequestBody {
        match asked {
            BlockAddress::Modbus(range) => RequestBody::Modbus(range.ask(self.unit())),
            BlockAddress::Dlt645(asked) => RequestBody::Dlt645(self.meter_request(asked)),
            BlockAddress::Raw(asked) => RequestBody::Raw(asked.question.clone()),
        }
    }

    /// Returns what a request that writes this is for, how its reply is told from others, and its
    /// body; `None` if there is no such request to this device.
    pub(crate) fn write(
        &self,
        write: &BusWrite,
    ) -> Option<(BlockAddress, ReplyShape, RequestBody)> {
        match (write, self.address) {
            (BusWrite::Entries { start, entries }, BusAddress::Modbus(unit)) => {
                let write = Write {
                    unit,
                    start: *start,
                    entries: entries.clone(),
                };
                let address = BlockAddress::Modbus(EntryRange::written(&write));
                let shape = ReplyShape::Modbus(write.shape());
                let fits = entries.fit(*start);
                fits.then_some((address, shape, RequestBody::Write(write)))
            }
            // More than one meter would take what a wildcard is told.
            (BusWrite::Datum { asked, data }, BusAddress::Dlt645(meter))
                if meter.is_one_meter() =>
            {
                let (DatumAsked::Item(_, item) | DatumAsked::MeterAddress(item)) = asked;
                let request = dlt645::MeterRequest {
                    address: meter,
                    operation: MeterOperation::Write {
                        id: item.id,
                        access: self.access.clone()?,
                        data: data.clone(),
                    },
                };
                let shape = ReplyShape::Dlt645 {
                    control: request.function(),
                    // The reply names no datum.
                    item: None,
                };
                let address = BlockAddress::Dlt645(*asked);
                Some((address, shape, RequestBody::Dlt645(request)))
            }
            (BusWrite::Question(asked), BusAddress::Raw(_)) => {
                let address = BlockAddress::Raw(asked.clone());
                let body = RequestBody::Raw(Arc::clone(&asked.question));
                Some((address.clone(), self.shape(&address), body))
            }
            (BusWrite::Entries { .. } | BusWrite::Datum { .. } | BusWrite::Question(_), _) => None,
        }
    }

    fn unit(&self) -> UnitId {
        // Only a device with a unit id has tables.
        self.address.unit().unwrap_or(UnitId(0))
    }

    fn meter_request(&self, asked: &DatumAsked) -> dlt645::MeterRequest {
        let operation = match asked {
            DatumAsked::Item(_, item) => MeterOperation::Read {
                id: item.id,
                length: item.length(),
            },
            DatumAsked::MeterAddress(_) => MeterOperation::ReadAddress,
        };
        dlt645::MeterRequest {
            // Only a meter is asked for data.
            address: self.address.meter().unwrap_or(MeterAddress::ANY),
            operation,
        }
    }

    /// Returns all that distinguishes the block's reply from the other replies of this
    /// device.
    pub(crate) fn shape(&self, asked: &BlockAddress) -> ReplyShape {
        match asked {
            BlockAddress::Modbus(range) => ReplyShape::Modbus(range.ask(self.unit()).shape()),
            BlockAddress::Dlt645(asked) => ReplyShape::Dlt645 {
                control: self.meter_request(asked).function(),
                item: match asked {
                    DatumAsked::Item(index, _) => Some(*index),
                    DatumAsked::MeterAddress(_) => None,
                },
            },
            BlockAddress::Raw(asked) => {
                let which = asked.index.index();
                ReplyShape::Raw(self.like.get(which).copied().unwrap_or(which))
            }
        }
    }

    /// Returns a request for nothing of interest whose reply is unmistakable, if there is
    /// such a request.
    pub(crate) fn of_another_table(
        &self,
        profile: &ProfileSpec,
        doubt: &StaleReplies,
        like: &ReadBlock,
    ) -> Option<ReadBlock> {
        let address = match &profile.protocol {
            Protocol::Modbus => {
                let free = |table: &Table| {
                    !doubt.covers_refusal(RefusalShape::Modbus(table.read_function()))
                };
                let table = [
                    Table::HoldingRegister,
                    Table::InputRegister,
                    Table::DiscreteInput,
                    Table::Coil,
                ]
                .into_iter()
                .find(free)?;
                BlockAddress::Modbus(EntryRange {
                    table,
                    start: 0,
                    count: 1,
                })
            }
            // 1997 has no second function, and of a protocol without a standard no second
            // function is known.
            Protocol::Dlt645(items) => {
                let first = *items.first()?;
                let can = first.id.edition() == Edition::Y2007
                    && !doubt.covers_refusal(RefusalShape::Dlt645(READ_ADDRESS));
                can.then_some(BlockAddress::Dlt645(DatumAsked::MeterAddress(first)))?
            }
            Protocol::Raw(_) => return None,
        };
        Some(ReadBlock {
            address,
            interval: like.interval,
            priority: like.priority,
            points: Vec::new(),
        })
    }
}
