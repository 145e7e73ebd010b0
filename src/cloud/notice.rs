//! What this room tells the operator, and what it counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{About, DeviceId, Level, LinkDown, Mono, Tell};

use super::code::Code;

/// Something about the cloud worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The platform accepted our connection.
    Connected {
        /// Attempts that failed before.
        after: u32,
    },
    /// An attempt to connect failed, or the connection ended.
    Disconnected {
        /// Why.
        why: LinkDown,
        /// How long it had been up; `None` for a failed attempt.
        lasted: Option<Duration>,
        /// Times it happened since this was last told.
        times: u64,
        /// Until the next attempt.
        retry_in: Duration,
    },
    /// Connections end soon after they begin, again and again.
    KickedSuspected {
        /// How many in a row.
        sessions: u32,
    },
    /// The broker refused subscriptions.
    SubscribeRefused {
        /// Topic filters.
        filters: Vec<String>,
        /// Whether replies can still arrive.
        fatal: bool,
    },
    /// These devices are online now.
    LoggedIn {
        /// Which.
        devices: Vec<DeviceId>,
        /// Their names, for the journal.
        names: String,
        /// How many are online in all.
        online: usize,
    },
    /// These devices are offline now, as we wished.
    LoggedOut {
        /// Which.
        devices: Vec<DeviceId>,
        /// Their names, for the journal.
        names: String,
        /// How many are online in all.
        online: usize,
    },
    /// The platform refused one device; it is tried again later, alone.
    Barred {
        /// Which.
        device: DeviceId,
        /// With this code.
        code: Code,
        /// And these words.
        message: String,
        /// Whether its session was ended of the platform's own accord.
        kicked: bool,
        /// Tried again after this.
        retry_in: Duration,
        /// How often in a row.
        times: u32,
    },
    /// The platform says the device has no session although we logged it in.
    SessionLost {
        /// Which.
        device: DeviceId,
    },
    /// A log-out was refused for one device.
    LogoutRefused {
        /// Which.
        device: DeviceId,
        /// With this code.
        code: Code,
        /// And these words.
        message: String,
        /// Tried again after this.
        retry_in: Duration,
    },
    /// The platform refused a message as malformed: our bug.
    RequestRefused {
        /// Its words.
        message: String,
        /// How many devices the message was about.
        devices: usize,
    },
    /// The platform throttles us (429).
    Throttled {
        /// What was throttled: `log-in`, `log-out` or `post`.
        what: &'static str,
        /// Silent for this long.
        wait: Duration,
    },
    /// The platform takes no more sub-devices (428), or the configured limit is
    /// reached.
    Full {
        /// Online now.
        online: usize,
        /// Log-ins resume after this, or when a device leaves.
        wait: Duration,
        /// Whether the limit is ours.
        ours: bool,
    },
    /// The platform has trouble of its own (500, 6313, …).
    Trouble {
        /// Its code.
        code: Code,
        /// And words.
        message: String,
        /// Times since this was last told.
        times: u64,
    },
    /// Requests stay unanswered.
    Unanswered {
        /// Which kind: `log-in`, `log-out` or `post`.
        what: &'static str,
        /// Times since this was last told.
        times: u64,
    },
    /// A message from the cloud could not be read; told once per topic.
    Malformed {
        /// Where it came.
        topic: String,
        /// What was wrong, and the first bytes.
        why: String,
    },
    /// The memory queue is full; the oldest readings are dropped.
    QueueFull {
        /// Readings dropped since this was last told.
        dropped: u64,
    },
    /// The platform refused a device's readings; they are dropped.
    PostRefused {
        /// Whose.
        device: DeviceId,
        /// With this code.
        code: Code,
        /// And these words.
        message: String,
        /// Readings dropped since this was last told.
        dropped: u64,
    },
    /// One value is larger than a whole message may be; it is dropped.
    TooLarge {
        /// Whose.
        device: DeviceId,
        /// Which property.
        property: String,
        /// Bytes.
        bytes: usize,
    },
    /// The gateway stops: what is not on the platform is lost.
    Stopped {
        /// Devices whose log-out was not confirmed.
        unconfirmed: usize,
        /// Readings not delivered.
        readings: usize,
    },
}

/// A span as people say it.
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

fn code_words(code: Code, message: &str) -> String {
    let mut out = format!("code {code}: {}", code.meaning());
    if !message.is_empty() {
        out.push_str(&format!(
            " (\"{}\")",
            crate::base::text::excerpt(message.as_bytes(), 200)
        ));
    }
    out
}

fn advice(code: Code) -> String {
    match code.advice() {
        "" => String::new(),
        a => format!("; {a}"),
    }
}

/// What failed, and what to check.
fn link_words(why: &LinkDown) -> String {
    match why {
        LinkDown::Unreachable(e) => format!("broker unreachable: {e}; check the network, the broker's name and port, and the firewall"),
        LinkDown::Tls(e) => format!("TLS failed: {e}; check the system's clock, the host name, and whether ca_file is needed"),
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

impl Tell for Notice {
    fn level(&self) -> Level {
        match self {
            Notice::Connected { .. } | Notice::LoggedIn { .. } | Notice::LoggedOut { .. } => {
                Level::Info
            }
            Notice::Disconnected {
                why: LinkDown::Ours,
                ..
            } => Level::Info,
            Notice::Disconnected {
                why: LinkDown::Refused(2 | 4 | 5),
                ..
            } => Level::Error,
            Notice::SubscribeRefused { fatal: true, .. }
            | Notice::KickedSuspected { .. }
            | Notice::RequestRefused { .. }
            | Notice::Full { .. }
            | Notice::QueueFull { .. }
            | Notice::PostRefused { .. }
            | Notice::TooLarge { .. } => Level::Error,
            Notice::Barred { code, .. } => match code.0 {
                401 | 427 | 460 | 521 | 527 | 6100 | 6287 => Level::Error,
                _ => Level::Warn,
            },
            Notice::Stopped {
                unconfirmed: 0,
                readings: 0,
            } => Level::Info,
            Notice::Disconnected { .. }
            | Notice::SubscribeRefused { .. }
            | Notice::SessionLost { .. }
            | Notice::LogoutRefused { .. }
            | Notice::Throttled { .. }
            | Notice::Trouble { .. }
            | Notice::Unanswered { .. }
            | Notice::Malformed { .. }
            | Notice::Stopped { .. } => Level::Warn,
        }
    }

    fn event(&self) -> &'static str {
        match self {
            Notice::Connected { .. } => "cloud-connected",
            Notice::Disconnected { lasted: None, .. } => "cloud-connect-failed",
            Notice::Disconnected { .. } => "cloud-disconnected",
            Notice::KickedSuspected { .. } => "cloud-kicked-suspected",
            Notice::SubscribeRefused { .. } => "cloud-subscribe-refused",
            Notice::LoggedIn { .. } => "device-online",
            Notice::LoggedOut { .. } => "device-offline",
            Notice::Barred { .. } => "device-barred",
            Notice::SessionLost { .. } => "device-session-lost",
            Notice::LogoutRefused { .. } => "device-logout-refused",
            Notice::RequestRefused { .. } => "cloud-request-refused",
            Notice::Throttled { .. } => "cloud-throttled",
            Notice::Full { .. } => "cloud-full",
            Notice::Trouble { .. } => "cloud-trouble",
            Notice::Unanswered { .. } => "cloud-unanswered",
            Notice::Malformed { .. } => "cloud-malformed",
            Notice::QueueFull { .. } => "post-queue-full",
            Notice::PostRefused { .. } => "post-refused",
            Notice::TooLarge { .. } => "post-too-large",
            Notice::Stopped { .. } => "cloud-stopped",
        }
    }

    fn about(&self) -> About {
        match self {
            Notice::LoggedIn { devices, .. } | Notice::LoggedOut { devices, .. } => {
                match devices[..] {
                    [one] => About::Device(one),
                    _ => About::Gateway,
                }
            }
            Notice::Barred { device, .. }
            | Notice::SessionLost { device }
            | Notice::LogoutRefused { device, .. }
            | Notice::PostRefused { device, .. }
            | Notice::TooLarge { device, .. } => About::Device(*device),
            _ => About::Gateway,
        }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Notice::LoggedIn { names, online, .. } | Notice::LoggedOut { names, online, .. } => {
                vec![("DEVICES", names.clone()), ("ONLINE", online.to_string())]
            }
            Notice::Barred { code, times, .. } => {
                vec![("CODE", code.to_string()), ("TIMES", times.to_string())]
            }
            Notice::LogoutRefused { code, .. } => vec![("CODE", code.to_string())],
            Notice::PostRefused { code, dropped, .. } => {
                vec![("CODE", code.to_string()), ("DROPPED", dropped.to_string())]
            }
            Notice::Trouble { code, times, .. } => {
                vec![("CODE", code.to_string()), ("TIMES", times.to_string())]
            }
            Notice::RequestRefused { .. } => vec![("CODE", "460".into())],
            Notice::Throttled { .. } => vec![("CODE", "429".into())],
            Notice::Full { ours: false, .. } => vec![("CODE", "428".into())],
            Notice::Disconnected {
                why: LinkDown::Refused(rc),
                ..
            } => vec![("CONNACK", rc.to_string())],
            Notice::Malformed { topic, .. } => vec![("TOPIC", topic.clone())],
            Notice::QueueFull { dropped } => vec![("DROPPED", dropped.to_string())],
            Notice::TooLarge { property, .. } => vec![("PROPERTY", property.clone())],
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
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
                let lasted = lasted.map_or(String::new(), |d| format!("after {}: ", span(d)));
                format!(
                    "{lasted}{}{}; next attempt in {}",
                    link_words(why),
                    times(*n),
                    span(*retry_in)
                )
            }
            Notice::KickedSuspected { sessions } => format!(
                "the connection was ended shortly after it began {sessions} times in a row: look for another client using this gateway's certificate (a second copy of this program, or a cloned box)"
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
                devices,
                names,
                online,
            } => match devices.len() {
                1 => format!("online on the platform ({online} in all)"),
                n => format!("{n} devices online on the platform ({online} in all): {names}"),
            },
            Notice::LoggedOut {
                devices,
                names,
                online,
            } => match devices.len() {
                1 => format!("logged out of the platform ({online} still online)"),
                n => format!(
                    "{n} devices logged out of the platform ({online} still online): {names}"
                ),
            },
            Notice::Barred {
                code,
                message,
                kicked,
                retry_in,
                times: n,
                ..
            } => format!(
                "{} by the platform, {}{}; tried again in {}{}",
                if *kicked {
                    "taken offline"
                } else {
                    "log-in refused"
                },
                code_words(*code, message),
                if *n > 1 {
                    format!(" ({n} times in a row)")
                } else {
                    String::new()
                },
                span(*retry_in),
                advice(*code),
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
                    code_words(*code, message),
                    span(*retry_in)
                )
            }
            Notice::RequestRefused { message, devices } => format!(
                "a request about {devices} devices was refused, {}; it is not sent again unchanged{}",
                code_words(Code(460), message),
                advice(Code(460))
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
                "the platform takes no more sub-devices (code 428) with {online} online; log-ins resume when one leaves, or in {}{}",
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
                    code_words(*code, message),
                    times(*n)
                )
            }
            Notice::Unanswered { what, times: n } => {
                format!(
                    "{what} not answered in time{}; asked again with growing waits",
                    times(*n)
                )
            }
            Notice::Malformed { topic, why } => {
                format!(
                    "message on {topic} could not be read and is ignored, as will be others there: {why}"
                )
            }
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
                    code_words(*code, message),
                    advice(*code)
                )
            }
            Notice::TooLarge {
                property, bytes, ..
            } => {
                format!("{property} takes {bytes} bytes, more than a message may have; dropped")
            }
            Notice::Stopped {
                unconfirmed: 0,
                readings: 0,
            } => "everything logged out".into(),
            Notice::Stopped {
                unconfirmed,
                readings,
            } => format!(
                "stopped: {unconfirmed} log-outs not confirmed (their sessions end with the connection), {readings} readings not delivered"
            ),
        }
    }
}

/// Everything this room counts. Each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages published.
    pub published: u64,
    /// Log-in messages among them.
    pub login_messages: u64,
    /// Log-out messages among them.
    pub logout_messages: u64,
    /// Post messages among them, packs included.
    pub post_messages: u64,
    /// Log-ins accepted, in devices.
    pub logged_in: u64,
    /// Log-outs accepted, in devices.
    pub logged_out: u64,
    /// Replies that refused something.
    pub refused: u64,
    /// Devices barred.
    pub barred: u64,
    /// Replies with code 429.
    pub throttled: u64,
    /// Requests whose reply did not come in time.
    pub unanswered: u64,
    /// Replies that came after their deadline, or twice.
    pub late_replies: u64,
    /// Replies to nothing we asked.
    pub unknown_replies: u64,
    /// Messages on topics we do not know.
    pub unknown_topics: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Sessions ended by the platform.
    pub kicked: u64,
    /// Notices of the platform about devices we do not have.
    pub strangers: u64,
    /// Filters refused by the broker.
    pub subscribe_refused: u64,
    /// Readings taken into the queue.
    pub readings: u64,
    /// Readings the platform accepted.
    pub delivered: u64,
    /// Readings sent again.
    pub resent: u64,
    /// Readings dropped because the queue was full.
    pub dropped_queue_full: u64,
    /// Readings dropped because the platform refused them.
    pub dropped_refused: u64,
    /// Readings dropped because one alone exceeds a message.
    pub dropped_too_large: u64,
    /// Readings dropped because their device or point is not configured.
    pub dropped_unknown: u64,
    /// Readings dropped because the gateway stopped.
    pub dropped_at_stop: u64,
}

/// Decides when a repeated failure is told again: the first time, then after
/// a minute, then at doubling gaps up to an hour, with the count in between.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    untold: u64,
    told: Option<(Mono, Duration)>,
}

impl Repeats {
    /// It happened `n` times more; says how many to tell, if it is time.
    pub(super) fn hit(&mut self, now: Mono, n: u64) -> Option<u64> {
        self.untold += n;
        let gap = match self.told {
            None => Duration::from_secs(60),
            Some((at, gap)) if now.since(at) >= gap => (gap * 2).min(Duration::from_secs(3600)),
            Some(_) => return None,
        };
        self.told = Some((now, gap));
        Some(std::mem::take(&mut self.untold))
    }

    /// It is over; the next time is a first time.
    pub(super) fn over(&mut self) {
        *self = Repeats::default();
    }
}

/// The room's diary: counters, and notices waiting to be handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Diary {
    pub(super) counters: Counters,
    pub(super) notices: VecDeque<Notice>,
}

impl Diary {
    /// To be told.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_failures_are_told_first_and_then_ever_more_rarely_with_their_count() {
        let mut repeats = Repeats::default();
        let mut told = Vec::new();
        for second in 0..1000u64 {
            if let Some(n) = repeats.hit(Mono::from_micros(second * 1_000_000), 1) {
                told.push((second, n));
            }
        }
        assert_eq!(told, [(0, 1), (60, 60), (180, 120), (420, 240), (900, 480)]);
        repeats.over();
        assert_eq!(repeats.hit(Mono::from_micros(1_000_000_000), 1), Some(1));
    }

    #[test]
    fn a_bar_names_code_meaning_time_and_advice() {
        let notice = Notice::Barred {
            device: DeviceId(3),
            code: Code(6287),
            message: "invalid sign".into(),
            kicked: false,
            retry_in: Duration::from_secs(600),
            times: 1,
        };
        assert_eq!(
            notice.sentence(),
            "log-in refused by the platform, code 6287: signature refused (\"invalid sign\"); tried again in 10 min; check the device's secret"
        );
        assert_eq!(notice.level(), Level::Error);
        assert_eq!(notice.about(), About::Device(DeviceId(3)));
    }

    #[test]
    fn every_way_of_losing_the_link_says_what_to_check() {
        for why in [
            LinkDown::Unreachable("x".into()),
            LinkDown::Tls("x".into()),
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
