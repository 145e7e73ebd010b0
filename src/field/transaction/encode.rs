//! Encodes the requests to one device: from a block of the plan to the request body, its
//! length, and what its reply looks like from outside.

use crate::base::UnitId;
use crate::spec::dlt645::{Address, Edition, Id};
use crate::spec::raw::End;
use crate::spec::{DeviceSpec, ProfileSpec, Protocol, Table};

use crate::field::dlt645;
use crate::field::dlt645::ask::Wish;
use crate::field::dlt645::frame;
use crate::field::modbus::Shape;
use crate::field::plan::ReadBlock;
use crate::field::raw;
use crate::field::raw::likenesses;
use crate::field::stale::stale_reply::StaleReplies;
use crate::field::transaction::request::RequestBody;

/// The function of DL/T 645 that reads an address: the probe of another table for a meter.
const READ_ADDRESS: u8 = 0x13;

/// The address of one device, and which of its replies are alike.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    unit: UnitId,
    meter: Address,
    like: Vec<usize>,
}

impl Encoder {
    pub(crate) fn of(device: &DeviceSpec) -> Self {
        Encoder {
            unit: device.unit,
            meter: device.meter.unwrap_or(Address::ANY),
            like: match &device.profile.protocol {
                Protocol::Raw(questions) => likenesses(questions),
                Protocol::Modbus | Protocol::Dlt645(_) => Vec::new(),
            },
        }
    }

    /// Returns the request body for this block.
    pub(crate) fn speech(&self, profile: &ProfileSpec, block: &ReadBlock) -> RequestBody {
        let which = usize::from(block.start);
        match &profile.protocol {
            Protocol::Modbus => RequestBody::Modbus,
            Protocol::Dlt645(items) => {
                let item = items.get(which).filter(|_| !block.points.is_empty());
                let wish = match item {
                    Some(item) => Wish::Read {
                        id: item.id,
                        length: item.length(),
                    },
                    None => Wish::ReadAddress,
                };
                RequestBody::Meter(dlt645::MeterRequest {
                    address: self.meter,
                    wish,
                })
            }
            Protocol::Raw(questions) => questions
                .get(which)
                .map_or(RequestBody::Modbus, |q| RequestBody::Raw(q.clone())),
        }
    }

    /// Returns all that distinguishes the block's reply from the other replies of this
    /// device.
    pub(crate) fn shape(&self, profile: &ProfileSpec, block: &ReadBlock) -> Shape {
        let which = usize::from(block.start);
        let small = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        match &profile.protocol {
            Protocol::Modbus => block.ask(self.unit).shape(),
            // Every reply names its datum.
            Protocol::Dlt645(_) => match self.speech(profile, block) {
                RequestBody::Meter(ask) => Shape {
                    function: ask.function(),
                    bytes: small(which),
                },
                RequestBody::Modbus | RequestBody::Write(_) | RequestBody::Raw(_) => {
                    block.ask(self.unit).shape()
                }
            },
            Protocol::Raw(_) => Shape {
                function: 0,
                bytes: small(self.like.get(which).copied().unwrap_or(which)),
            },
        }
    }

    /// Returns a request for nothing of interest whose reply is unmistakable, if there is
    /// such a request.
    pub(crate) fn fence(
        &self,
        profile: &ProfileSpec,
        doubt: &StaleReplies,
        like: &ReadBlock,
    ) -> Option<ReadBlock> {
        let free = match &profile.protocol {
            Protocol::Modbus => [
                Table::HoldingRegister,
                Table::InputRegister,
                Table::DiscreteInput,
                Table::Coil,
            ]
            .into_iter()
            .find(|table| !doubt.covers_function(table.read_function()))?,
            // 1997 has no second function, and of a protocol without a standard no second
            // function is known.
            Protocol::Dlt645(items) => {
                let first = items.first()?;
                let can =
                    first.id.edition() == Edition::Y2007 && !doubt.covers_function(READ_ADDRESS);
                can.then_some(Table::HoldingRegister)?
            }
            Protocol::Raw(_) => return None,
        };
        Some(ReadBlock {
            table: free,
            start: 0,
            count: 1,
            interval: like.interval,
            priority: like.priority,
            points: Vec::new(),
        })
    }
}

/// Returns the bytes on a line of the request for this block, and of its reply; `None` where
/// the planner's own reckoning holds.
pub(crate) fn lengths(profile: &ProfileSpec, start: u16) -> Option<(usize, usize)> {
    let which = usize::from(start);
    match &profile.protocol {
        Protocol::Modbus => None,
        Protocol::Dlt645(items) => {
            let item = items.get(which)?;
            let id = match item.id {
                Id::Y1997(_) => 2,
                Id::Y2007(_) => 4,
            };
            // As many frames as the data need.
            let frames = item.bytes().div_ceil(frame::MAX_DATA - 5).max(1);
            let each = frame::len(id) + frame::WAKE_UPS;
            Some((frames * each, frames * each + item.bytes()))
        }
        Protocol::Raw(questions) => {
            let question = questions.get(which)?;
            let reply = match &question.reply.end {
                End::Length(n) => *n,
                // The length is not known; devices that answer in text send about this much.
                End::Terminator(_) | End::Silence(_) | End::Frame => 32.min(raw::reply::LONGEST),
            };
            Some((question.request.bytes().len(), reply))
        }
    }
}

/// Returns about how many bytes the reply has; for choosing the cheapest request.
pub(crate) fn reply_len(profile: &ProfileSpec, block: &ReadBlock) -> usize {
    match lengths(profile, block.start) {
        Some((_, reply)) => reply,
        None => block.ask(UnitId(0)).reply_len(),
    }
}
