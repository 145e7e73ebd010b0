//! The sentences of this room's log events.

use std::time::Duration;

use crate::base::text::{counted, plural, since_reported, times};
use crate::base::{LinkDown, LogEvent, LogSubject};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::wire::code::Code;

/// Returns one sentence: what happened, why, what happens next.
pub(crate) fn sentence(notice: &CloudLogEvent) -> String {
    match notice {
        CloudLogEvent::Connected { after: 0 } => "gateway: connected to the platform".into(),
        CloudLogEvent::Connected { after } => {
            format!("gateway: connected to the platform after {after} failed attempts")
        }
        CloudLogEvent::Disconnected {
            why,
            lasted,
            times: n,
            retry_in,
        } => {
            if lasted.is_none() && *why == LinkDown::Closed {
                return format!(
                    "connection: closed by the platform before it was accepted{}: too many attempts in a minute, or not an MQTT port; next attempt in {}",
                    since_reported(*n),
                    span(*retry_in)
                );
            }
            let happened = lasted.map_or("not established".to_owned(), |d| {
                format!("ended after {}", span(d))
            });
            format!(
                "connection: {happened}{}: {}; next attempt in {}",
                since_reported(*n),
                link_words(why),
                span(*retry_in)
            )
        }
        CloudLogEvent::TakeoverSuspected { sessions } => format!(
            "connection: ended by the platform shortly after it began, {} in a row: look for another client that uses this gateway's certificate (a second copy of this program, or a cloned box); if there is none, the broker is at fault; if this continues, the gateway tries every few minutes only, so that one of the two clients can work",
            times((*sessions).into())
        ),
        CloudLogEvent::SubscribeRefused { filters, fatal } => format!(
            "connection: the broker refused to subscribe the gateway to {}{}",
            filters.join(", "),
            if *fatal {
                ": messages on these topics cannot reach the gateway; check the broker's access rules"
            } else {
                "; the platform delivers most of these messages without a subscription"
            }
        ),
        CloudLogEvent::DesiredFailed {
            is_deletion,
            code,
            message,
            ..
        } => {
            let (what, next) = match is_deletion {
                false => ("not told by the platform", "asked for again"),
                true => (
                    "taken, and not deleted by the platform",
                    "taken and deleted again",
                ),
            };
            let why = code.map_or("no answer".to_owned(), |code| code.words_with(message));
            format!("desired values: {what}: {why}; {next} when the device comes online again")
        }
        CloudLogEvent::LoggedIn {
            devices, online, ..
        } => match devices.len() {
            1 => format!("online on the platform ({online} in all)"),
            n => format!(
                "{} online on the platform ({online} in all)",
                counted(n, "device")
            ),
        },
        CloudLogEvent::LoggedOut {
            devices,
            online,
            reason,
            ..
        } => match devices.len() {
            1 => format!(
                "logged out of the platform: {} ({online} still online)",
                reason.sentence()
            ),
            n => format!(
                "{} logged out of the platform: {} ({online} still online)",
                counted(n, "device"),
                reason.kind()
            ),
        },
        CloudLogEvent::DeviceRefused {
            code,
            message,
            what,
            kicked,
            retry_in,
            times: n,
            ..
        } => format!(
            "{} by the platform, {}{}; tried again in {}{}",
            if *kicked {
                "taken offline".to_owned()
            } else {
                format!("{what} refused")
            },
            if *what == "topology" && *code == Code::NO_RELATION {
                // The platform's word for "this device may not be added by this gateway".
                format!("code {code}: it belongs to another gateway")
            } else {
                code.words_with(message)
            },
            if *n > 1 {
                format!(" ({} in a row)", times((*n).into()))
            } else {
                String::new()
            },
            span(*retry_in),
            if *what == "topology" && *code == Code::NO_RELATION {
                "; remove it from the other gateway, or from this configuration".into()
            } else {
                advice(*code)
            },
        ),
        CloudLogEvent::SessionLost { .. } => {
            "session lost: the platform has none for this device (code 520); the gateway logs it in again".into()
        }
        CloudLogEvent::LogoutRefused {
            code,
            message,
            retry_in,
            ..
        } => {
            format!(
                "log-out refused, {}; tried again in {}",
                code.words_with(message),
                span(*retry_in)
            )
        }
        CloudLogEvent::RequestRefused { message, devices } => format!(
            "gateway: a request about {} was refused by the platform, {}; it is not sent again unchanged{}",
            counted(*devices, "device"),
            Code(460).words_with(message),
            advice(Code(460))
        ),
        CloudLogEvent::Throttled { what: "post", wait } => format!(
            "gateway: throttled by the platform (code 429): values are sent at half their pace, and at the full one again within {}",
            span(*wait)
        ),
        CloudLogEvent::Throttled { what, wait } => {
            format!(
                "gateway: throttled by the platform (code 429): no {what} for {}",
                span(*wait)
            )
        }
        CloudLogEvent::Full {
            online,
            wait,
            ours: false,
        } => format!(
            "gateway: the platform accepts no more sub-devices (code 428) than the {online} that are online; the others log in as soon as one leaves, and one is tried within {}{}",
            span(*wait),
            advice(Code(428))
        ),
        CloudLogEvent::Full { online, .. } => format!(
            "gateway: {} {} online, the configured limit; the others wait until one leaves",
            counted(*online, "device"),
            plural(*online, "is", "are")
        ),
        CloudLogEvent::Trouble {
            code,
            message,
            times: n,
        } => {
            format!(
                "gateway: a request failed on the platform, {}{}; tried again with growing waits",
                code.words_with(message),
                since_reported(*n)
            )
        }
        CloudLogEvent::Unanswered { what, times: n } => {
            format!("gateway: {what} not answered by the platform in time{}; sent again", since_reported(*n))
        }
        CloudLogEvent::Malformed {
            topic,
            why,
            times: n,
        } => format!(
            "gateway: a message on {topic} could not be read and was dropped{}: {why}",
            since_reported(*n)
        ),
        CloudLogEvent::QueueFull { dropped } => {
            format!("gateway: the queue of values is full: {dropped} of the oldest dropped")
        }
        CloudLogEvent::PostRefused {
            code,
            message,
            dropped,
            ..
        } => {
            format!(
                "{} refused by the platform and dropped, {}{}",
                counted(*dropped, "value"),
                code.words_with(message),
                advice(*code)
            )
        }
        CloudLogEvent::ThingEventRefused {
            device,
            who,
            event,
            code,
            message,
            dropped,
        } => {
            let whose = match device {
                Some(_) => String::new(),
                None => format!("{who}: "),
            };
            format!(
                "{whose}event {event} refused by the platform and dropped ({dropped}), {}; compare \
                 the event and its outputs with the thing model",
                code.words_with(message),
            )
        }
        CloudLogEvent::ThingEventsDropped { dropped } => {
            format!("gateway: too many events wait to be sent: {dropped} of the oldest dropped")
        }
        CloudLogEvent::StoredValuesRefused {
            who,
            code,
            message,
            dropped,
        } => {
            format!(
                "gateway: {} of {who}, which is not configured any more, refused by the platform and dropped, {}{}",
                counted(*dropped, "stored value"),
                code.words_with(message),
                advice(*code)
            )
        }
        CloudLogEvent::StoredValuesHeld {
            device,
            who,
            code,
            message,
            retry_in,
        } => {
            let whose = match device {
                Some(_) => "stored values".to_owned(),
                None => format!("gateway: stored values of {who}, which is not configured any more,"),
            };
            let why = match code {
                Some(code) => format!("refused by the platform, {}", code.words_with(message)),
                None => "not answered by the platform".to_owned(),
            };
            format!(
                "{whose} {why}; they stay in the store and are sent again in {}{}",
                span(*retry_in),
                code.map_or_else(String::new, advice)
            )
        }
        CloudLogEvent::TooLarge {
            property, bytes, ..
        } => {
            let bytes = counted(*bytes, "byte");
            format!("{property} takes {bytes}, more than a message may have; dropped")
        }
        CloudLogEvent::Over { of, total, lasted } => over(of, *total, *lasted),
        CloudLogEvent::Topology(event) => event.sentence(),
        CloudLogEvent::Clock(news) => news.sentence(),
        CloudLogEvent::Remote(news) => news.sentence(),
        CloudLogEvent::Stopped {
            unconfirmed: 0,
            readings: 0,
        } => "gateway: stopped: all of its devices are logged out".into(),
        CloudLogEvent::Stopped {
            unconfirmed,
            readings,
        } => {
            let devices = match unconfirmed {
                0 => "all of its devices are logged out".to_owned(),
                n => {
                    let session = plural(*n, "its session ends", "those sessions end");
                    let log_outs = counted(*n, "log-out");
                    format!("{log_outs} not confirmed ({session} with the connection)")
                }
            };
            let values = match readings {
                0 => String::new(),
                1 => ", a value or event not delivered".to_owned(),
                n => format!(", {} and events not delivered", counted(*n, "value")),
            };
            format!("gateway: stopped: {devices}{values}")
        }
    }
}

/// Returns the sentence for a repeated event that has not happened for a while, with its
/// count.
fn over(of: &CloudLogEvent, total: u64, lasted: Duration) -> String {
    let within = span(lasted.max(Duration::from_secs(1)));
    match of {
        CloudLogEvent::QueueFull { .. } => {
            format!(
                "gateway: the queue of values is no longer full: {total} dropped in all within {within}"
            )
        }
        CloudLogEvent::ThingEventRefused { event, .. } => {
            format!("event {event} is no longer refused: {total} dropped in all within {within}")
        }
        CloudLogEvent::ThingEventsDropped { .. } => format!(
            "gateway: no longer too many events wait: {total} dropped in all within {within}"
        ),
        CloudLogEvent::PostRefused { .. } => {
            format!("no more values are refused: {total} dropped in all within {within}")
        }
        CloudLogEvent::Clock(_) => {
            format!(
                "clock: values no longer wait for the time: {total} dropped in all within {within}"
            )
        }
        CloudLogEvent::Unanswered { what, .. } => {
            format!(
                "gateway: {what} answered by the platform in time again: {} not, in all within {within}",
                times(total)
            )
        }
        CloudLogEvent::Trouble { .. } => {
            format!(
                "gateway: requests no longer fail on the platform: {} in all within {within}",
                counted(total, "failure")
            )
        }
        CloudLogEvent::Malformed { topic, .. } => {
            format!(
                "gateway: no more messages on {topic} that cannot be read: {total} in all within {within}"
            )
        }
        _ => {
            let subject = match of.subject() {
                LogSubject::Gateway => "gateway: ",
                LogSubject::Port(_) | LogSubject::Device(_) => "",
            };
            format!(
                "{subject}no more {} lately: {} in all within {within}",
                of.kind().name(),
                times(total)
            )
        }
    }
}

/// Returns a span of time in everyday units.
fn span(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{} ms", d.as_millis()),
        1..120 => format!("{s} s"),
        _ => format!("{} min", s / 60),
    }
}

fn advice(code: Code) -> String {
    match code.advice() {
        "" => String::new(),
        a => format!("; {a}"),
    }
}

/// Returns what failed, and what to check.
#[must_use]
pub fn link_words(why: &LinkDown) -> String {
    match why {
        LinkDown::Unreachable(e) => format!("broker unreachable: {e}; check the network, the broker's name and port, and the firewall"),
        // What to check depends on the cause: `io/link/tls.rs` says it.
        LinkDown::Tls(e) => format!("TLS failed: {e}"),
        LinkDown::Refused(1) => "CONNECT refused, code 1: protocol version not accepted; is this the platform's MQTT endpoint?".into(),
        LinkDown::Refused(2) => "CONNECT refused, code 2: client id rejected; check product_key, device_name and keepalive (30-1200 s)".into(),
        LinkDown::Refused(3) => "CONNECT refused, code 3: platform unavailable, or too many connections".into(),
        LinkDown::Refused(4) => "CONNECT refused, code 4: bad user name or password; check the gateway's product_key, device_name and secret, and that it exists and is enabled".into(),
        LinkDown::Refused(5) => "CONNECT refused, code 5: not authorised; check that the gateway is enabled and belongs to this instance and region".into(),
        LinkDown::Refused(n) => format!("CONNECT refused, code {n}, which MQTT 3.1.1 does not define"),
        LinkDown::NoConnack => "no answer to CONNECT in time; is this an MQTT port, and TLS or plain as configured?".into(),
        LinkDown::Closed => "the platform closed the connection; another client with the same certificate, or the device disabled or deleted?".into(),
        LinkDown::PingTimeout => "the platform stopped answering pings".into(),
        LinkDown::Protocol(e) => format!("the other side violated the protocol: {e}; is this an MQTT port?"),
        LinkDown::Io(e) => format!("the connection broke: {e}"),
        LinkDown::Ours => "disconnected by the gateway".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_losing_the_link_says_what_to_check() {
        for (why, advice) in [
            (
                LinkDown::Unreachable("no route".into()),
                "no route; check the network, the broker's name and port, and the firewall",
            ),
            (
                LinkDown::Refused(1),
                "is this the platform's MQTT endpoint?",
            ),
            (
                LinkDown::Refused(2),
                "check product_key, device_name and keepalive (30-1200 s)",
            ),
            (
                LinkDown::Refused(4),
                "check the gateway's product_key, device_name and secret, and that it exists and \
                 is enabled",
            ),
            (
                LinkDown::Refused(5),
                "check that the gateway is enabled and belongs to this instance and region",
            ),
            (
                LinkDown::NoConnack,
                "is this an MQTT port, and TLS or plain as configured?",
            ),
            (
                LinkDown::Closed,
                "another client with the same certificate, or the device disabled or deleted?",
            ),
            (
                LinkDown::Protocol("x".into()),
                "violated the protocol: x; is this an MQTT port?",
            ),
        ] {
            let words = link_words(&why);
            assert!(words.ends_with(advice), "{words}");
        }
    }
}
