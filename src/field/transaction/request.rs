//! One request: what the schedule asks the port to do, and its possible outcomes.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, MissReason, Mono};
use crate::spec::raw::RawQuestion;
use crate::spec::{BusAddress, SerialSpec};

use crate::field::dlt645;
use crate::field::dlt645::ask::ErrorWord;
use crate::field::modbus::write::{ModbusRequest, RawPdu, Write};
use crate::field::modbus::{Data, ReadRequest};
use crate::field::plan::block_address::BlockAddress;
use crate::field::receiver::Mismatch;
use crate::field::stale::reply_shape::ReplyShape;

/// One request to one device, and what to make of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The device that is asked.
    pub device: DeviceId,
    /// The address of the device.
    pub to: BusAddress,
    /// What is read, in the planner's words; for a command, what it writes.
    pub address: BlockAddress,
    /// The body of the request, in its protocol.
    pub body: RequestBody,
    /// Settings the line must have meanwhile, if they are not the port's own.
    pub serial: Option<Arc<SerialSpec>>,
    /// Indices of the points that the request carries; none for a command, or for a probe
    /// whose values are dropped.
    pub points: Vec<u16>,
    /// The longest wait from the last byte of the request until the first of the reply.
    pub timeout: Duration,
    /// Whether its last reply was spoilt: the rest of a frame that is begun is waited for no
    /// longer this time than good replies have needed.
    pub was_spoilt: bool,
    /// Extra quiet time before the request.
    pub turnaround: Duration,
    /// Whether a matching reply can only be the reply to this request. If not, the reply
    /// proves that the unit lives, and its values are dropped.
    pub trusted: bool,
    /// When the request was handed out.
    pub asked: Mono,
    /// Since when its poll slot had been waiting for the line.
    pub(crate) since: Option<Mono>,
    /// What its reply looks like from outside.
    pub(crate) shape: ReplyShape,
    /// Which block of the device the request is for; used by the schedule.
    pub(crate) block: usize,
    /// Whether the request reads the whole block.
    pub(crate) whole: bool,
    /// Whether its value is given up: its reply cannot be told from an older one and there is
    /// no time for a probe.
    pub(crate) gives_up: bool,
    /// Why the request is made although it is not due by the plan.
    pub(crate) probe: Option<Probe>,
    /// Whether the request is a command's.
    pub(crate) is_command: bool,
}

/// Why a request is made that the plan does not have at this time.
///
/// The first three reasons are the need for a reply that no abandoned request could have
/// caused ([`crate::field::stale::stale_reply`]). Probes that read a part of a request are paid
/// from a fiftieth of the line's time; whole ones are tries or samples, which have budgets of
/// their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// One entry of another table. Its value is dropped.
    OtherTable,
    /// The first points of a request. Their values are dropped.
    Shorter,
    /// A request and one register more.
    Longer,
    /// Another request, or a part of one, for a sign of life from a device that did not
    /// answer, or to see whether two devices answer. Its values are dropped.
    Life,
}

impl Request {
    /// Returns why the request is made although the plan does not have it at this time, if
    /// so.
    #[must_use]
    pub const fn probe(&self) -> Option<Probe> {
        self.probe
    }

    /// Returns whether the request asks for nothing of interest, only for an unmistakable reply.
    #[must_use]
    pub const fn is_of_another_table(&self) -> bool {
        matches!(self.probe, Some(Probe::OtherTable))
    }

    /// Returns whether the request is made for an unmistakable reply.
    pub(crate) const fn is_unmistakable(&self) -> bool {
        match self.probe {
            Some(Probe::OtherTable | Probe::Shorter | Probe::Longer) => true,
            Some(Probe::Life) | None => false,
        }
    }

    /// Returns whether the request is a command's: it is sent once, and its sender is told its end.
    #[must_use]
    pub const fn is_command(&self) -> bool {
        self.is_command
    }

    /// Returns whether the request writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match &self.body {
            RequestBody::Write(_) => true,
            RequestBody::Dlt645(ask) => ask.is_write(),
            RequestBody::Raw(question) => question.request.takes_value(),
            RequestBody::Modbus(_) => false,
        }
    }

    /// Returns what Modbus TCP sends: a request of Modbus, or a question that is carried
    /// there. `None` for what needs a line of its own.
    #[must_use]
    pub fn modbus_request(&self) -> Option<ModbusRequest> {
        match &self.body {
            RequestBody::Modbus(ask) => Some(ModbusRequest::Read(*ask)),
            RequestBody::Write(write) => Some(ModbusRequest::Write(write.clone())),
            RequestBody::Raw(question) => Some(ModbusRequest::Raw(RawPdu {
                unit: question.carried?,
                question: Arc::clone(question),
            })),
            RequestBody::Dlt645(_) => None,
        }
    }

    /// Returns the entries that are read or written, where the protocol is Modbus.
    #[must_use]
    pub fn entries(&self) -> Option<ReadRequest> {
        Some(self.address.entries()?.ask(self.to.unit()?))
    }

    /// Returns whether the request reads all that is read together, and not for once a part.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }
}

/// The body of a request, in its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// A read of Modbus.
    Modbus(ReadRequest),
    /// A write of Modbus.
    Write(Write),
    /// A request of DL/T 645.
    Dlt645(dlt645::MeterRequest),
    /// A question of a protocol without a standard.
    Raw(Arc<RawQuestion>),
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply that was asked for.
    Answered(Data),
    /// The device confirms that it has written what it was told.
    Confirmed,
    /// An exception with this code came back.
    Exception(u8),
    /// A meter of DL/T 645 refused, for these reasons.
    Refused(ErrorWord),
    /// A good frame of the unit that was asked came within the time of the reply, and was not
    /// the reply; the reply did not come.
    Mismatched(Mismatch),
    /// No reply.
    Missed(MissReason),
}
