//! How the engine takes what the platform says: to whom it belongs, or why it
//! belongs to nobody. The hearing half of `engine.rs`.

use crate::base::text::excerpt;
use crate::base::{DeviceId, Now};

use super::alink::{Malformed, Reply};
use super::ask::Found;
use super::engine::{Ask, Cloud};
use super::notice::Notice;
use super::topic::{GatewayAsk, Topic};
use super::verdict::News;

/// Topics whose malformed messages are told; beyond, they are counted only.
const TOLD_TOPICS: usize = 64;
/// Bytes of a malformed message shown to the operator.
const SHOWN: usize = 120;

impl Cloud {
    /// A message arrived.
    pub fn on_message(&mut self, now: Now, topic: &str, payload: &[u8]) {
        let Some(parsed) = Topic::parse(topic) else {
            self.diary.counters.unknown_topics += 1;
            return;
        };
        match &parsed {
            Topic::Session(..)
            | Topic::Post(_)
            | Topic::Pack(_)
            | Topic::Gateway(..)
            | Topic::OrderReply(..)
            | Topic::CommandReply(_)
            | Topic::Inform(_)
            | Topic::Ntp(_) => {
                // Our own words, from a broker that is generous with wildcards.
                self.diary.counters.unknown_topics += 1;
                return;
            }
            Topic::NtpReply(_) => return self.on_time_told(now, topic, payload),
            Topic::SessionReply(..)
            | Topic::PostReply(_)
            | Topic::PackReply(_)
            | Topic::GatewayReply(..)
            | Topic::Error(_) => {}
            Topic::Order(who, order) => return self.on_order(now, who, *order, topic, payload),
            Topic::Command(command) => {
                return self.on_command(now, command.clone(), topic, payload);
            }
        }
        let reply = match Reply::parse(payload) {
            Ok(reply) => reply,
            // It may hold secrets, which are not for the log.
            Err(why)
                if parsed.is_secret()
                    || matches!(&parsed, Topic::GatewayReply(_, GatewayAsk::Config)) =>
            {
                return self.malformed(now, topic, b"", why);
            }
            Err(why) => return self.malformed(now, topic, payload, why),
        };
        let named: Vec<DeviceId> = reply
            .named
            .iter()
            .filter_map(|who| self.ids.get(who).copied())
            .collect();
        if let Topic::Error(_) = parsed {
            self.diary.counters.strangers += (reply.named.len() - named.len()) as u64;
            for id in named {
                self.sessions
                    .kicked(now.mono, id, &reply, News::Notice, &mut self.diary);
            }
            return self.follow(now.mono);
        }
        let Some(id) = reply.id else {
            self.diary.counters.unknown_replies += 1;
            return;
        };
        let found = self.asks.close(now.mono, &parsed, id);
        if matches!(found, Found::Open(_) | Found::Overdue(_)) {
            self.sessions.heard = now.mono;
        }
        match found {
            Found::Open(Ask::Session(errand)) => {
                self.sessions
                    .answered(now.mono, errand, &reply, &named, &mut self.diary);
            }
            Found::Open(Ask::Post(parcel)) => {
                let gone = self
                    .posts
                    .answered(now.mono, parcel, &reply, &named, &mut self.diary);
                for id in gone {
                    self.sessions
                        .kicked(now.mono, id, &reply, News::Post, &mut self.diary);
                }
            }
            Found::Open(Ask::Admit(chore)) => {
                self.admission_answered(now.mono, chore, &reply, &named, payload);
            }
            Found::Open(Ask::Topology(ask)) => self.topology_answered(now.mono, ask, &reply),
            Found::Open(Ask::Config) => self.on_config_answered(now, reply.code, payload),
            Found::Overdue(Ask::Session(errand)) => {
                self.diary.counters.late_replies += 1;
                self.sessions
                    .late(now.mono, errand, &reply, &named, &mut self.diary);
            }
            Found::Overdue(Ask::Post(parcel)) => {
                self.diary.counters.late_replies += 1;
                self.posts.late(now.mono, &parcel, &reply, &mut self.diary);
            }
            Found::Overdue(Ask::Admit(chore)) if !parsed.is_secret() => {
                self.diary.counters.late_replies += 1;
                self.admission_late(now.mono, &chore, &reply);
            }
            // Asked again by now; but a secret that was handed out is taken.
            Found::Overdue(Ask::Admit(_) | Ask::Topology(_) | Ask::Config) | Found::Late => {
                self.diary.counters.late_replies += 1;
                if parsed.is_secret() {
                    self.take_late_secrets(now.mono, payload);
                }
            }
            Found::Unknown => self.diary.counters.unknown_replies += 1,
        }
        self.follow(now.mono);
    }

    fn on_time_told(&mut self, now: Now, topic: &str, payload: &[u8]) {
        match self.stamps.answered(now.mono, payload) {
            Ok(news) => self.clock_news(now, news),
            Err(()) => self.malformed(now, topic, payload, Malformed::NoTime),
        }
    }

    pub(super) fn malformed(&mut self, now: Now, topic: &str, payload: &[u8], why: Malformed) {
        self.diary.counters.malformed += 1;
        if !self.malformed.contains_key(topic) && self.malformed.len() >= TOLD_TOPICS {
            return;
        }
        let repeats = self.malformed.entry(topic.to_owned()).or_default();
        if let Some(times) = repeats.hit(now.mono, 1) {
            self.diary.tell(Notice::Malformed {
                topic: excerpt(topic.as_bytes(), SHOWN),
                why: format!("{why}: {}", excerpt(payload, SHOWN)),
                times,
            });
        }
    }
}
