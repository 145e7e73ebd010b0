//! Everything the gateway knows about Alibaba Cloud IoT Platform ("Alink"), without a
//! network.
//!
//! **Decides**
//!
//! | room | what |
//! |---|---|
//! | [`connect`] | when to connect |
//! | [`session`] | which devices log in and out, in which batches, and what a refusal means |
//! | [`registration`] | the identity of the gateway, and which devices need a secret first |
//! | [`topology`] | which devices belong to the gateway |
//! | `publish` | how readings are sent and when they are settled |
//! | `event_posts` | how events of the thing model are sent and when they are settled |
//! | [`upstream`] | how much of the platform's limits the configuration will take |
//! | `history` | how stored readings are sent, what an outage has left |
//! | [`clock`] | what time it is, for timestamps |
//! | [`remote_config`] | which file from the platform becomes a configuration |
//! | `orders` | what the platform's orders and commands mean, and their answers |
//! | `requests` | what all requests need: pace, deadlines, the search of a refused batch |
//! | [`engine`] | composes them |
//! | [`events`] | log events and counters |
//! | [`thing_model`] | what the console imports for a profile |
//! | [`wire`] | topics, bodies, codes and signatures |
//!
//! Each of these owns its state. A part is handed what it needs (`requests/context.rs`) and
//! returns what it wants; only the engine uses more than one of them. `connect.rs` is
//! a file of its own because it is used before there is an engine.
//!
//! The log-in scheduler is in `session/scheduler.rs`. Of the engine, `inbound.rs` takes
//! messages, `outbound.rs` writes requests, `stop.rs` ends, and `reload.rs` is what another
//! configuration changes in all rooms.
//!
//! **Refuses to know** sockets, clocks, tasks; buses. The reason for which a device is wanted
//! offline is carried to the log-out's event and decides nothing.
//!
//! **Contract**: that of [`engine::Cloud`], at the top of its file.
//!
//! **Invariants**, each held by `tests/engines/session.rs`:
//! - never more than `session.batch` devices in a message, nor a log-in that could make
//!   more than `session.online` devices online; only devices that may still be shown from
//!   before the connection can be too many, while they are logged out;
//! - never two log-ins or log-outs under way for one device;
//! - a device may have several posts under way, but no value is sent again while the reply
//!   to its last transmission may still come in time, and within the live readings and within
//!   the backlog the older value of a property leaves first (this invariant and the next
//!   five are held by `tests/engines/delivery.rs`);
//! - how many values are delivered depends on the pace of messages, not on the time that
//!   replies take, up to `post.in_flight` of them;
//! - a reply that accepts a post settles it, whenever the reply comes; no value counts as
//!   delivered whose device turns out to have lost its session meanwhile;
//! - refused posts slow down posts and nothing else, and never stop them;
//! - live readings wait for the backlog no longer than one message in ten, and values for events
//!   of the thing model no longer than one in three (`tests/engines/thing_events/delivery.rs`);
//! - an event is delivered, refused by itself, in the store, waits, or is counted as dropped; no
//!   more than 1,000 wait;
//! - readings waiting and in posts are `post.queue` at the most, and a quarter of that
//!   accepted and not yet counted; for each post four transmissions are remembered;
//! - no post for a device whose session is not `In`;
//! - an id is never used twice on a connection;
//! - every request has a deadline; while the link is up and a device is not in the state
//!   that is wanted of it, there is a next wake-up, unless it waits for one of the online
//!   devices to leave;
//! - no healthy device is submitted more than three times for the sake of finding a bad
//!   one, nor more than `session.logins_per_minute` times in 60 s;
//! - no limit of the connection's pace is exceeded in any second, and no more than
//!   `session.logins_per_second` devices are submitted in one second;
//! - a device that may be online and is not wanted is asked to be logged out until the
//!   platform has answered, or the connection is gone;
//! - a configuration loaded anew takes back nothing that is under way and makes no request
//!   for a device that it does not change, except for devices whose requests were called
//!   malformed (460);
//! - no log-in waits for the topology to be known, and no device gets a retry block for
//!   6401 before it has been added, unless the policy is to leave the topology alone;
//! - no device asks for a secret that could not be kept, and a secret that was given is
//!   used and handed out to be kept, however late it came;
//! - never more than half of the topology is deleted;
//! - no configuration of the platform is adopted that is not wanted, or is not the file
//!   that was announced;
//! - an order of the platform is obeyed and answered as often as it comes, and changes
//!   something once; answers keep the pace and are bounded;
//! - whatever the platform sends, it occupies no more than this: 512 answers to orders, 512 to
//!   pushed configurations, 32 to synchronous calls and 256 to other commands, each with an id of
//!   64 bytes, a topic of 512 and data of 32 KiB at most; for ten minutes 1,000 replies to
//!   commands, with data of 1 MiB together; 256 bytes of its message text; 10,000 series of like
//!   log events, and 8,192 log events waiting to be handed out, 20 a second after that; anything
//!   beyond is dropped and counted (`tests/timing/floods.rs`);
//! - a command is handed out once, however often its message comes, and each message is
//!   answered once at most; with a link, a session and a place, exactly once
//!   (`tests/engines/recovery/commands.rs`);
//! - every reading taken is delivered, or waits, or is counted as dropped;
//! - no reading leaves with a time that is not confirmed, once the system has said that its
//!   clock is not synchronised (`clock`).
//!
//! (The invariants about the topology and orders are held by `tests/engines/topology.rs`, and for
//! each code, cell by cell, by `tests/engines/codes.rs`.)
//!
//! **Why** a device that was removed from the topology in the console is added again: the
//! configuration says that it belongs here, and a removal that is not undone is more often
//! a mistake than a decision; `topology: leave` is for the deliberate removals.
//! **Why** a log-in is tried before the topology is known: nearly always the log-in is
//! accepted, and a platform that is slow with one answer must not keep a plant offline.
//! **Why** log-ins and log-outs have a gate each: the platform's 429 counts log-ins ("too
//! many subDeviceOnline msg in one minute"); a device that fell silent must not be shown
//! online for a minute because others logged in too often.
//! **Why** an unanswered request is repeated sooner than a refused one: at QoS 0 a lost
//! message is an everyday event and says nothing about the state of the platform, while a
//! refusal does. The deadline follows the replies of this very connection, so that a loss
//! costs seconds. An answer that comes after the deadline counts all the same if no newer
//! request was made for that device.
//! **Why** a post is given up sooner if one sent after it has been answered: then it is
//! lost rather than late. A platform that suddenly becomes slow must not be sent everything
//! twice.
//! **Why** 429 halves the pace of posts and does not stop them: every value not sent
//! meanwhile is a value that waits, and a minute without posts fills most of a queue.
//! **Why** devices prove their sessions all the time: a pack is accepted for a device
//! without a session, so a session that ended silently would never be missed.
//! **Why** 460 for a batch is searched: each part of the batch is another request, and the
//! odd name of a single device must not keep 49 others offline; a device whose lone request
//! gets 460 has a retry block of a minute, longer each time up to an hour, and not beyond
//! the connection or the next reload.
//!
//! **Why** a message with the id of another command is refused: the reply that is kept would
//! say of the wrong command that it is done, and to carry it out would break the rule that an
//! id is done once.
//!
//! Not done here: to decide whether a command is carried out, beyond the configuration's word on
//! the platform's commands, and to carry it out.

pub mod clock;
pub mod connect;
pub mod engine;
pub(crate) mod event_posts;
pub mod events;
pub(crate) mod history;
pub(crate) mod orders;
pub(crate) mod publish;
pub mod registration;
pub mod remote_config;
pub(crate) mod requests;
pub mod session;
pub mod thing_model;
pub mod topology;
pub mod upstream;
pub mod wire;
