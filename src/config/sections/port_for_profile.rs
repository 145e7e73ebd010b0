//! Checks whether a port can carry the requests of a profile of another protocol than Modbus.

use super::profile::Profile;
use crate::base::text::counted;
use crate::config::protocols::reply_bounds;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::spec::raw::check::CheckForm;
use crate::spec::raw::{Check, RawQuestion, ReplyEnd, Sum};
use crate::spec::{LineSpec, Protocol, SerialSpec};

/// Notes requests that the port cannot carry: Modbus TCP carries only what may stand in its
/// frames, and seven bits to a character carry only text.
pub(crate) fn check(
    s: &Section<'_>,
    line: Option<&LineSpec>,
    own: Option<&SerialSpec>,
    profile: Option<&Profile>,
    notes: &mut Notes,
) {
    let questions = profile.and_then(|p| match &p.spec.protocol {
        Protocol::Raw(questions) => Some((p, questions)),
        Protocol::Modbus | Protocol::Dlt645(_) => None,
    });
    match (line, questions) {
        (Some(line), Some((_, questions))) if line.framing().is_none() => {
            if let Some((said, wrong)) = questions.iter().find_map(|q| no_pdu(q)) {
                notes.error(s.at("port"), said, wrong);
            }
            return;
        }
        (Some(line), None) if line.framing().is_none() => notes.error(
            s.at("port"),
            "a Modbus TCP port",
            Expectation::wanted("a serial port, or a serial server: tcp: { …, framing: rtu }")
                .hint("Modbus TCP carries nothing but Modbus"),
        ),
        (Some(LineSpec::Serial(port)), _)
            if own.unwrap_or(port).data_bits == 7
                && !questions.is_some_and(|(p, _)| p.patterns.fit_seven_bits(&p.spec)) =>
        {
            notes.error(
                s.at("port"),
                "a port with 7 data bits",
                Expectation::wanted("8 data bits").hint("serial: { data_bits: 8 } in the device"),
            );
        }
        _ => {}
    }
    if let Some((_, questions)) = questions
        && line.is_some()
        && let Some(question) = questions.iter().find(|q| q.reply.end == ReplyEnd::Frame)
    {
        notes.error(
            s.at("port"),
            format!("request {}, whose reply has length: any", question.name),
            Expectation::wanted("a Modbus TCP port for it, or a reply with an end of its own: length: 9, until: or silence:")
                .hint("only a frame of Modbus TCP says how long it is"),
        );
    }
}

/// Returns why a request can travel in no frame of Modbus TCP, if that is so.
fn no_pdu(question: &RawQuestion) -> Option<(String, Expectation)> {
    let bytes = question.request.bytes();
    let name = &question.name;
    let hint = "in a frame of Modbus TCP send: is the function code and what belongs to it; unit and length are in the frame's header, and there is no checksum";
    let function = bytes.first().copied().unwrap_or_default();
    if !(1..0x80).contains(&function) {
        let said = format!("request {name}, which begins with {function:02X}");
        return Some((
            said,
            Expectation::wanted("a function code, 01 to 7F").hint(hint),
        ));
    }
    if bytes.len() > reply_bounds::MAX_PDU {
        let said = format!("request {name} of {}", counted(bytes.len(), "byte"));
        let wanted = format!("at most {} bytes", reply_bounds::MAX_PDU);
        return Some((said, Expectation::wanted(wanted).hint(hint)));
    }
    let sealed = Check {
        sum: Sum::Crc16Modbus,
        written: CheckForm::Low,
        from: 0,
    };
    let whole_frame = bytes
        .split_last_chunk::<2>()
        .is_some_and(|(before, check)| sealed.fits(before, check));
    if whole_frame {
        let said = format!("request {name}, which is a frame of Modbus RTU");
        return Some((
            said,
            Expectation::wanted("function and data alone").hint(hint),
        ));
    }
    let begins = question.reply.beginning().first();
    if begins.is_some_and(|first| *first != function) {
        let said = format!("request {name}, whose reply begins otherwise");
        let wanted = format!("a reply that begins with its function, {function:02X}");
        return Some((said, Expectation::wanted(wanted).hint(hint)));
    }
    None
}
