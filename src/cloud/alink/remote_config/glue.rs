//! The engine's side of `remote_config/mod.rs`: passes on what the platform says about its
//! configuration, and carries out what follows.

use crate::base::{Now, Wake};

use crate::cloud::alink::engine::stop::Stop;
use crate::cloud::alink::engine::{Ask, Cloud, Output};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::remote_config::{RemoteAction, RemoteResult};
use crate::cloud::alink::wire::code::Code;
use crate::cloud::alink::wire::payload::Malformed;
use crate::cloud::alink::wire::payload::remote;
use crate::cloud::alink::wire::payload::remote::{Announced, Pushed};
use crate::cloud::alink::wire::topic::{GatewayAsk, Identity, Order, Topic};

impl Cloud {
    /// Takes note that a remote task has ended.
    pub fn on_remote_task_done(&mut self, now: Now, done: RemoteResult) {
        self.remote.on_done(now, done);
    }

    /// Takes a configuration that the platform pushes.
    pub(crate) fn on_config_pushed(
        &mut self,
        now: Now,
        who: &Identity,
        topic: &str,
        payload: &[u8],
    ) {
        if *who != self.gateway {
            // Devices on a field bus have no configuration of the platform's.
            self.outbox.count().unknown_topics += 1;
            return;
        }
        self.outbox.count().orders += 1;
        match Pushed::parse(payload) {
            Some(pushed) => {
                self.remote.on_push(now, pushed);
                self.outbox.count().dropped_answers += self.remote.take_dropped();
            }
            // The URL in it must not get into the log.
            None => self.malformed(now, topic, b"", Malformed::NotAnObject),
        }
    }

    pub(crate) fn on_config_answered(&mut self, now: Now, code: Code, payload: &[u8]) {
        let file = Announced::answered(payload);
        self.remote.on_get_answered(now, code, file);
    }

    /// Returns when `remote_config/mod.rs` has something to do; never once all devices are
    /// logged out.
    pub(crate) fn remote_due(&self) -> Option<Wake> {
        (self.stop == Stop::No).then(|| self.remote.wake_at())?
    }

    /// Does one thing that `remote_config/mod.rs` wants; returns whether there was one.
    pub(crate) fn see_to_the_remote(&mut self, now: Now) -> bool {
        match self.remote.poll(now) {
            None => return false,
            Some(RemoteAction::Get) => {
                let id = self.pending.id();
                let body = remote::get(id);
                self.ask_gateway(now.mono, id, GatewayAsk::Config, body, Ask::Config);
            }
            Some(RemoteAction::Answer(body)) => {
                let topic = Topic::OrderReply(self.gateway.clone(), Order::Configure);
                self.publish(now.mono, topic, body);
            }
            Some(RemoteAction::Task(task)) => self.out.push_back(Output::RemoteTask(task)),
            Some(RemoteAction::Notice(news)) => self.outbox.tell(Notice::Remote(news)),
        }
        true
    }
}
