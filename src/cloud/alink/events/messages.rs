//! The sentences of this room's log events.

use std::time::Duration;

use crate::base::{LinkDown, LogEvent};

use crate::cloud::alink::events::Notice;
use crate::cloud::alink::wire::code::Code;

/// Returns one sentence: what happened, why, what happens next.
pub(crate) fn sentence(notice: &Notice) -> String {
    match notice {
        Notice::Connected { after: 0 } => "connected to the platform".into(),
        Notice::Connected { after } => {
            format!("connected to the platform after {after} failed attempts")
        }
        Notice::Disconnected {
            why,
            lasted,
            times: n,
            retry_in,
        } => {
            if lasted.is_none() && *why == LinkDown::Closed {
                return format!(
                    "the platform closed the connection before it accepted us{}: too many attempts in a minute, or not an MQTT port; next attempt in {}",
                    times(*n),
                    span(*retry_in)
                );
            }
            let lasted = lasted.map_or(String::new(), |d| {
                format!("connection ended after {}: ", span(d))
            });
            format!(
                "{lasted}{}{}; next attempt in {}",
                link_words(why),
                times(*n),
                span(*retry_in)
            )
        }
        Notice::KickedSuspected { sessions } => format!(
            "the platform ended the connection shortly after it began, {sessions} times in a row: look for another client using this gateway's certificate (a second copy of this program, or a cloned box); if there is none, the broker is at fault; if it goes on we try every few minutes only, so that one of the two can work"
        ),
        Notice::SubscribeRefused { filters, fatal } => format!(
            "the broker refused to subscribe us to {}{}",
            filters.join(", "),
            if *fatal {
                ": its messages cannot reach us; check the broker's access rules"
            } else {
                "; the platform delivers most of these unasked"
            }
        ),
        Notice::LoggedIn {
            devices, online, ..
        } => match devices.len() {
            1 => format!("online on the platform ({online} in all)"),
            n => format!("{n} devices online on the platform ({online} in all)"),
        },
        Notice::LoggedOut {
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
                "{n} devices logged out of the platform: {} ({online} still online)",
                reason.kind()
            ),
        },
        Notice::Barred {
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
                format!("code {code}: it hangs under another gateway")
            } else {
                code.words_with(message)
            },
            if *n > 1 {
                format!(" ({n} times in a row)")
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
        Notice::SessionLost { .. } => {
            "the platform has no session for it (code 520); it is logged in again".into()
        }
        Notice::LogoutRefused {
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
        Notice::RequestRefused { message, devices } => format!(
            "a request about {devices} devices was refused, {}; it is not sent again unchanged{}",
            Code(460).words_with(message),
            advice(Code(460))
        ),
        Notice::Throttled { what: "post", wait } => format!(
            "the platform throttles us (code 429): posts go at half their pace, and are back at the full one within {}",
            span(*wait)
        ),
        Notice::Throttled { what, wait } => {
            format!(
                "the platform throttles us (code 429): no {what} for {}",
                span(*wait)
            )
        }
        Notice::Full {
            online,
            wait,
            ours: false,
        } => format!(
            "the platform takes no more sub-devices (code 428) with {online} online; the others log in as soon as one leaves, and one is tried within {}{}",
            span(*wait),
            advice(Code(428))
        ),
        Notice::Full { online, .. } => format!(
            "{online} devices online is the configured limit; the others wait until one leaves"
        ),
        Notice::Trouble {
            code,
            message,
            times: n,
        } => {
            format!(
                "trouble on the platform, {}{}; retried with growing waits",
                code.words_with(message),
                times(*n)
            )
        }
        Notice::Unanswered { what, times: n } => {
            format!("{what} not answered in time{}; asked again", times(*n))
        }
        Notice::Malformed {
            topic,
            why,
            times: n,
        } => format!(
            "a message on {topic} could not be read and was dropped{}: {why}",
            times(*n)
        ),
        Notice::QueueFull { dropped } => {
            format!("the queue of readings is full: {dropped} of the oldest dropped")
        }
        Notice::PostRefused {
            code,
            message,
            dropped,
            ..
        } => {
            format!(
                "{dropped} readings refused and dropped, {}{}",
                code.words_with(message),
                advice(*code)
            )
        }
        Notice::TooLarge {
            property, bytes, ..
        } => {
            format!("{property} takes {bytes} bytes, more than a message may have; dropped")
        }
        Notice::Over { of, total, lasted } => over(of, *total, *lasted),
        Notice::Topology(event) => event.sentence(),
        Notice::Clock(news) => news.sentence(),
        Notice::Remote(news) => news.sentence(),
        Notice::Stopped {
            unconfirmed: 0,
            readings: 0,
        } => "stopped: nothing of ours is online any more".into(),
        Notice::Stopped {
            unconfirmed,
            readings,
        } => format!(
            "stopped: {unconfirmed} log-outs not confirmed (their sessions end with the connection), {readings} readings not delivered"
        ),
    }
}

/// Returns the sentence for a repeated event that has not happened for a while, with its
/// count.
fn over(of: &Notice, total: u64, lasted: Duration) -> String {
    let within = span(lasted.max(Duration::from_secs(1)));
    match of {
        Notice::QueueFull { .. } => {
            format!(
                "the queue of readings is no longer full: {total} dropped in all within {within}"
            )
        }
        Notice::PostRefused { .. } => {
            format!("no more readings are refused: {total} dropped in all within {within}")
        }
        Notice::Clock(_) => {
            format!("values no longer wait for the time: {total} dropped in all within {within}")
        }
        Notice::Unanswered { what, .. } => {
            format!("{what} answered in time again: {total} times not, in all within {within}")
        }
        Notice::Trouble { .. } => {
            format!("no more trouble on the platform: {total} refusals in all within {within}")
        }
        Notice::Malformed { topic, .. } => {
            format!(
                "no more messages on {topic} that cannot be read: {total} in all within {within}"
            )
        }
        _ => format!("no more of this lately: {total} times in all within {within}"),
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

fn times(n: u64) -> String {
    if n > 1 {
        format!(" ({n} times since last told)")
    } else {
        String::new()
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
        LinkDown::Protocol(e) => format!("the other side broke the protocol: {e}; is this an MQTT port?"),
        LinkDown::Io(e) => format!("the connection broke: {e}"),
        LinkDown::Ours => "disconnected by us".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_losing_the_link_says_what_to_check() {
        for why in [
            LinkDown::Unreachable("x".into()),
            LinkDown::Refused(2),
            LinkDown::Refused(4),
            LinkDown::Refused(5),
            LinkDown::NoConnack,
        ] {
            let words = link_words(&why);
            assert!(words.contains("check") || words.contains('?'), "{words}");
        }
    }
}
