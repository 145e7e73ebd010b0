//! What distinguishes one reply of a device from another, in the words of its protocol.

use crate::field::modbus::ModbusReplyShape;
use crate::spec::ItemIndex;

/// All that distinguishes one reply of a device from its other replies. Two requests of one
/// shape cannot be told apart by their replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplyShape {
    /// Of Modbus: function and length.
    Modbus(ModbusReplyShape),
    /// Of DL/T 645: every reply names its datum.
    Dlt645 {
        /// The control code of the request.
        control: u8,
        /// The datum; `None` for the address of the meter.
        item: Option<ItemIndex>,
    },
    /// Of a protocol without a standard: one of the device's kinds of replies that look alike.
    Raw(usize),
}

/// What distinguishes one refusal of a device from another: less than distinguishes its other
/// replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalShape {
    /// An exception to this function of Modbus.
    Modbus(u8),
    /// A refusal of this control code of DL/T 645.
    Dlt645(u8),
    /// A refusal of a question of a protocol without a standard.
    Raw,
}

impl ReplyShape {
    /// Returns what a refusal of the request looks like.
    #[must_use]
    pub const fn refusal(self) -> RefusalShape {
        match self {
            ReplyShape::Modbus(shape) => RefusalShape::Modbus(shape.function),
            ReplyShape::Dlt645 { control, .. } => RefusalShape::Dlt645(control),
            ReplyShape::Raw(_) => RefusalShape::Raw,
        }
    }
}
