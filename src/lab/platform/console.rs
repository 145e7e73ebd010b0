//! What a person does at the console of the platform, and faults.
//!
//! Each verb returns whether it had an effect.

use serde_json::{Value as Json, json};

use super::{Account, Certificate, ChangeChannel, Conn, Device, Fault, Platform, State};
use crate::base::{Now, Secret};
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::Code;

/// `status` of `thing/topo/change`. The page contradicts itself about the last two; the
/// header of the C SDK and newer texts have them like this.
#[derive(Clone, Copy)]
enum Change {
    Created = 0,
    Deleted = 1,
    Enabled = 2,
    Disabled = 8,
}

/// An action at the console, as plain data: each stands for the verb of its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// [`Platform::disable`]
    Disable(Device),
    /// [`Platform::enable`]
    Enable(Device),
    /// [`Platform::delete`]
    Delete(Device),
    /// [`Platform::forget`]
    Forget(Device),
    /// [`Platform::create_again`]
    CreateAgain {
        /// Under which gateway.
        gateway: Device,
        /// Which sub-device.
        device: Device,
    },
    /// [`Platform::change_secret`]
    ChangeSecret {
        /// The device.
        device: Device,
        /// The new secret.
        secret: Secret,
    },
    /// [`Platform::add_topology`]
    AddTopology {
        /// Under which gateway.
        gateway: Device,
        /// Which sub-device.
        device: Device,
    },
    /// [`Platform::remove_topology`]
    RemoveTopology(Device),
    /// [`Platform::ask_to_add`]
    AskToAdd {
        /// Which gateway is asked.
        gateway: Device,
        /// Which sub-device.
        device: Device,
    },
    /// [`Platform::downlink`]
    Downlink {
        /// To which gateway.
        gateway: Device,
        /// MQTT topic.
        topic: String,
        /// What it says.
        payload: String,
    },
}

impl Platform {
    /// Takes an event out of the thing models, or puts it back: an event that no model has is
    /// refused.
    pub fn without_event(&mut self, id: &str, is_without: bool) {
        match is_without {
            true => self.unknown_events.insert(id.to_owned()),
            false => self.unknown_events.remove(id),
        };
    }

    /// Adds a device that hangs under no gateway. A device that is known gets a new
    /// secret.
    pub fn register(&mut self, certificate: Certificate) {
        let device = certificate.device();
        let above = self.accounts.remove(&device).and_then(|a| a.above);
        self.accounts.insert(
            device,
            Account {
                secret: certificate.secret,
                state: State::Enabled,
                above,
            },
        );
    }

    /// Ends the session as if the device had logged in elsewhere: the session of a
    /// sub-device ends with the taken-over code, the connection of a gateway is closed.
    pub fn kick(&mut self, now: Now, device: &Device) -> bool {
        self.now = now.mono;
        if self.sessions.contains_key(device) {
            self.end_session(now, device, Code(self.switches.taken_over), true);
            return true;
        }
        self.cut(now, device, "kicked by the same device")
    }

    /// Disables a device: its session or connection ends, and it is refused from then
    /// on.
    pub fn disable(&mut self, now: Now, device: &Device) -> bool {
        self.set_state(now, device, State::Disabled)
    }

    /// Deletes a device: its session or connection ends, and its record and topology
    /// are removed.
    pub fn delete(&mut self, now: Now, device: &Device) -> bool {
        self.set_state(now, device, State::Deleted)
    }

    /// Enables a device again.
    pub fn enable(&mut self, now: Now, device: &Device) -> bool {
        self.now = now.mono;
        let Some(account) = self.accounts.get_mut(device) else {
            return false;
        };
        if account.state != State::Disabled {
            return false;
        }
        account.state = State::Enabled;
        if let Some(conn) = self.above(device) {
            for notice in self.switches.change_channels.clone() {
                match notice {
                    ChangeChannel::Thing => self.tell_thing(now, conn, device, "enable"),
                    ChangeChannel::ExtError => {}
                    ChangeChannel::TopologyChange => {
                        self.tell_change(now, conn, device, Change::Enabled)
                    }
                }
            }
        }
        true
    }

    /// Puts a device under a gateway, as if it had been added in the console.
    pub fn add_topology(&mut self, now: Now, gateway: &Device, sub: &Device) -> bool {
        self.now = now.mono;
        let Some(account) = self.accounts.get_mut(sub) else {
            return false;
        };
        account.above = Some(gateway.clone());
        if let Some(conn) = self.connection(gateway) {
            self.tell_change(now, conn, sub, Change::Created);
        }
        true
    }

    /// Takes a device from under its gateway; its session ends with 6401.
    pub fn remove_topology(&mut self, now: Now, sub: &Device) -> bool {
        self.now = now.mono;
        let conn = self.above(sub);
        let had = self.accounts.get_mut(sub).and_then(|a| a.above.take());
        if had.is_none() {
            return false;
        }
        if let Some(conn) = conn {
            let change = Change::Deleted;
            self.throw_out(now, conn, sub, Code::NO_TOPOLOGY, None, change);
        }
        true
    }

    /// Asks a gateway to add a device to its topology by itself
    /// (`thing/topo/add/notify`).
    pub fn ask_to_add(&mut self, now: Now, gateway: &Device, sub: &Device) -> bool {
        self.now = now.mono;
        let Some(conn) = self.connection(gateway) else {
            return false;
        };
        let params = Json::Array(vec![reply::pair(sub)]);
        let payload = reply::order(self.fresh_id(), "thing.topo.add.notify", params);
        let topic = format!("/sys/{gateway}/thing/topo/add/notify");
        self.tell(now, conn, topic, payload);
        true
    }

    /// Gives a device another secret; it stays in the topology.
    pub fn change_secret(&mut self, device: &Device, secret: Secret) -> bool {
        let account = self.accounts.get_mut(device);
        account.map(|a| a.secret = secret).is_some()
    }

    /// Deletes a device without a trace: it is unknown (6100) and no longer deleted
    /// (521).
    pub fn forget(&mut self, now: Now, device: &Device) -> bool {
        let was = self.delete(now, device);
        self.accounts.remove(device);
        was
    }

    /// Creates a deleted device again, with its old secret, and puts it under a
    /// gateway, which receives a notice of the new relation.
    pub fn create_again(&mut self, now: Now, gateway: &Device, device: &Device) -> bool {
        let Some(account) = self.accounts.get_mut(device) else {
            return false;
        };
        if account.state != State::Deleted {
            return false;
        }
        account.state = State::Enabled;
        self.add_topology(now, gateway, device)
    }

    /// Sends a gateway a message on any topic, if the rules of delivery let it arrive;
    /// returns whether the gateway is connected.
    pub fn downlink(&mut self, now: Now, gateway: &Device, topic: &str, payload: &[u8]) -> bool {
        self.now = now.mono;
        let Some(conn) = self.connection(gateway) else {
            return false;
        };
        self.tell(now, conn, topic.to_owned(), payload.to_vec());
        true
    }

    /// Carries out an action at the console.
    pub fn act(&mut self, now: Now, act: Act) -> bool {
        match act {
            Act::Disable(device) => self.disable(now, &device),
            Act::Enable(device) => self.enable(now, &device),
            Act::Delete(device) => self.delete(now, &device),
            Act::Forget(device) => self.forget(now, &device),
            Act::CreateAgain { gateway, device } => self.create_again(now, &gateway, &device),
            Act::ChangeSecret { device, secret } => self.change_secret(&device, secret),
            Act::AddTopology { gateway, device } => self.add_topology(now, &gateway, &device),
            Act::RemoveTopology(device) => self.remove_topology(now, &device),
            Act::AskToAdd { gateway, device } => self.ask_to_add(now, &gateway, &device),
            Act::Downlink {
                gateway,
                topic,
                payload,
            } => self.downlink(now, &gateway, &topic, payload.as_bytes()),
        }
    }

    /// Cuts the connection of a gateway.
    pub fn drop_connection(&mut self, now: Now, gateway: &Device) -> bool {
        self.now = now.mono;
        self.cut(now, gateway, "dropped by order")
    }

    /// Switches a fault on or off.
    pub fn fault(&mut self, now: Now, fault: Fault) {
        self.now = now.mono;
        match fault {
            Fault::Kick(device) => {
                self.kick(now, &device);
            }
            Fault::Cut(gateway) => {
                self.drop_connection(now, &gateway);
            }
            Fault::LoseSession(whose) => {
                let all = || self.sessions.keys().cloned().collect();
                let lost: Vec<Device> = whose.map_or_else(all, |one| vec![one]);
                lost.iter()
                    .for_each(|device| self.lose_session(now, device));
            }
            ends @ (Fault::Flap { .. } | Fault::Rival { .. } | Fault::Heal) => {
                self.faults.set(now.mono, ends);
                self.arrange_ends(now);
            }
            lasting => self.faults.set(now.mono, lasting),
        }
    }

    fn set_state(&mut self, now: Now, device: &Device, state: State) -> bool {
        self.now = now.mono;
        let above = self.above(device);
        let Some(account) = self.accounts.get_mut(device) else {
            return false;
        };
        account.state = state;
        let (code, order, change) = match state {
            State::Deleted => {
                account.above = None;
                (Code::DELETED, "delete", Change::Deleted)
            }
            State::Disabled | State::Enabled => (Code::FORBIDDEN, "disable", Change::Disabled),
        };
        if let Some(conn) = above {
            self.throw_out(now, conn, device, code, Some(order), change);
        }
        self.cut(now, device, "disabled or deleted at the console");
        // Disabled is shown instead of Online, whichever gateway had it online last.
        self.shown_online.remove(device);
        true
    }

    /// Sends a gateway the notices that one of its devices left the topology, in the
    /// configured order.
    fn throw_out(
        &mut self,
        now: Now,
        conn: Conn,
        device: &Device,
        code: Code,
        order: Option<&str>,
        change: Change,
    ) {
        let online = self.sessions.contains_key(device);
        for notice in self.switches.change_channels.clone() {
            match (notice, order) {
                (ChangeChannel::Thing, Some(order)) => self.tell_thing(now, conn, device, order),
                (ChangeChannel::Thing, None) => {}
                (ChangeChannel::ExtError, _) if online => self.tell_error(now, conn, device, code),
                (ChangeChannel::ExtError, _) => {}
                (ChangeChannel::TopologyChange, _) => self.tell_change(now, conn, device, change),
            }
        }
        self.end_session(now, device, code, false);
    }

    fn tell_thing(&mut self, now: Now, conn: Conn, device: &Device, order: &str) {
        let id = self.fresh_id();
        let payload = reply::order(id, &format!("thing.{order}"), json!({}));
        self.tell(now, conn, format!("/sys/{device}/thing/{order}"), payload);
    }

    fn tell_change(&mut self, now: Now, conn: Conn, device: &Device, change: Change) {
        let Some(gateway) = self.links.get(&conn).map(|l| l.gateway.clone()) else {
            return;
        };
        let params = json!({ "status": change as u8, "subList": [reply::pair(device)] });
        let payload = reply::order(self.fresh_id(), "thing.topo.change", params);
        let topic = format!("/sys/{gateway}/thing/topo/change");
        self.tell(now, conn, topic, payload);
    }

    /// Returns the connection of the gateway under which a device hangs.
    fn above(&self, device: &Device) -> Option<Conn> {
        self.connection(self.gateway_of(device)?)
    }

    fn cut(&mut self, now: Now, gateway: &Device, why: &'static str) -> bool {
        let Some(conn) = self.connection(gateway) else {
            return false;
        };
        self.close(now, conn, why);
        true
    }
}
