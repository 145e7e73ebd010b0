//! Packets of MQTT 3.1.1 out of bytes, and how long they may be.

use bytes::BytesMut;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::mqttbytes::v4::{Codec, Packet};
use tokio_util::codec::Decoder;

use crate::base::LinkDown;
use crate::base::text::counted;

/// Largest packet, either way: the platform's limit of a message is 256 KB
/// ("Limits").
pub(super) const PACKET_MAX: usize = 256 * 1024;

/// Returns the codec with this limit.
pub(super) fn codec() -> Codec {
    Codec {
        max_incoming_size: PACKET_MAX,
        max_outgoing_size: PACKET_MAX,
    }
}

/// Returns the next packet of `bytes`, if it is complete.
pub(super) fn decode(codec: &mut Codec, bytes: &mut BytesMut) -> Result<Option<Packet>, LinkDown> {
    codec.decode(bytes).map_err(|error| match error {
        // The codec knows the codes of §3.2.2.3 only; a newer one is still a
        // refusal and not a broken packet.
        PacketError::InvalidConnectReturnCode(code) => LinkDown::Refused(code),
        PacketError::PayloadSizeLimitExceeded(size) => broken(&format!(
            "a packet of {}, where {PACKET_MAX} are allowed",
            counted(size, "byte")
        )),
        other => broken(&other.to_string()),
    })
}

/// Returns the end of a connection whose other end breaks the protocol.
pub(super) fn broken(what: &str) -> LinkDown {
    LinkDown::Protocol(what.to_owned())
}
