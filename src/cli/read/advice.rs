//! Why a value was not read, what that usually means, and what to do.

use std::time::Duration;

use crate::base::text::counted;
use crate::field::diagnostics::trouble::meaning;
use crate::field::survey::read::NotRead;
use crate::spec::{BusAddress, LineSpec};

/// What is known about a device that did not answer.
pub(in crate::cli) struct Silent<'a> {
    /// How long the first byte was waited for.
    pub wait: Duration,
    /// The line.
    pub line: &'a LineSpec,
    /// The address that was asked.
    pub address: BusAddress,
    /// The name of the device, if it is one of the configuration.
    pub device: Option<&'a str>,
}

/// Returns why there is no value, and what to do.
pub(in crate::cli) fn why(not_read: &NotRead, silent: &Silent<'_>) -> String {
    match not_read {
        NotRead::NoValue(refusal) => format!("the reply holds no value: {refusal}"),
        NotRead::Exception(code) => exception(*code),
        NotRead::Declined(word) => format!("the meter refuses: {word}"),
        NotRead::Silence => silence(silent),
        NotRead::Echo => {
            "nothing but the request itself came back: the adapter hears itself, and the device does not answer; check the unit, the power of the device, and its wires".into()
        }
        NotRead::Noise(bytes) => format!(
            "{} came that are no frame: speed or parity differ from those of the device, or two devices answer at once; --bytes shows them, --line tries other settings",
            counted(*bytes, "byte")
        ),
        NotRead::Other(from) => {
            let from = match from {
                BusAddress::Modbus(unit) | BusAddress::Raw(Some(unit)) => format!("unit {unit}"),
                BusAddress::Dlt645(meter) => format!("address {meter}"),
                BusAddress::Raw(None) => "another device".into(),
            };
            format!(
                "{from} answered instead: its reply was late, or another master asks on this line; ask again"
            )
        }
        NotRead::Unfit => {
            "the device answered something else than was asked for: the reply was late, or the device does not keep to the standard; ask again, or ask for fewer values".into()
        }
        NotRead::NotSent => {
            "the line was never quiet, and nothing was sent: another master asks on it, or it is noise; check its termination and bias, and whether A and B are swapped".into()
        }
        NotRead::Protocol => match silent.device {
            Some(name) => format!(
                "only the service asks in the protocol of this device: alink-gateway devices {name} shows its last values"
            ),
            None => "only the service asks in this protocol".into(),
        },
    }
}

/// Says what an exception usually means (Modbus Application Protocol V1.1b3 §7).
pub(in crate::cli) fn exception(code: u8) -> String {
    let what = match code {
        1 => {
            "the device cannot read this table; try another one: input instead of holding, or the other way round"
        }
        2 => {
            "the device has no such address; many manuals count from 1 or from 40001, and the address is one less then"
        }
        3 => {
            "the device does not let so much be read at once, or only a whole value; ask for fewer registers, or for all of the value"
        }
        4 => "the device cannot read it itself now; look at its display, or switch it off and on",
        5 | 6 => "the device is busy; ask again",
        8 => "the memory of the device is damaged",
        10 => "the gateway in front of the device is not set up for this unit",
        11 => {
            "the gateway in front of the device works, and the device does not answer it; check the unit, the settings of the gateway's line, and the power of the device"
        }
        _ => "the manual of the device says what it means",
    };
    format!("exception {code}, {}: {what}", meaning(code))
}

/// Says what silence usually means.
fn silence(silent: &Silent<'_>) -> String {
    let ms = silent.wait.as_millis();
    match (silent.line, silent.address) {
        (LineSpec::Tcp(tcp), _) if tcp.framing.is_none() => format!(
            "no reply within {ms} ms: the unit is another one (many devices want 1 or 255), the device behind a gateway does not answer, or it takes longer (--wait)"
        ),
        (_, BusAddress::Dlt645(_)) => format!(
            "no reply within {ms} ms: the address is another one, the meter has no power, A and B are swapped, or its speed or parity differs; --line tries others (2400 8E1, 1200 8E1, 9600 8E1), --wait waits longer"
        ),
        _ => format!(
            "no reply within {ms} ms: the unit is another one, the device has no power, A and B are swapped, or its speed or parity differs; --line tries others, --wait waits longer"
        ),
    }
}
