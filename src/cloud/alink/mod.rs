//! Everything known about Alibaba Cloud IoT Platform ("Alink"), without a network.
//!
//! **Decides**
//!
//! | room | what |
//! |---|---|
//! | [`connect`] | when to connect |
//! | [`session`] | which devices are logged in and out, in which batches, and what a refusal means; the log-in scheduler is in `session/scheduler.rs` |
//! | [`registration`] | as whom the gateway connects, and who needs a secret first |
//! | [`topology`] | which devices belong to the gateway on the platform, and what the platform's orders mean |
//! | `publish` | how readings travel and when they are settled |
//! | [`clock`] | what time it is, for timestamps |
//! | [`remote_config`] | which file from the platform becomes a configuration |
//! | `pace` | how fast the gateway may speak |
//! | `reload` | what another configuration changes of all that |
//! | [`engine`] | composes them: `inbound.rs` takes what comes, `outbound.rs` puts what goes, `pending.rs` matches replies, `outbox.rs` counts |
//! | [`wire`] | topics, bodies, codes and signatures |
//!
//! **Refuses to know** sockets, clocks, tasks; buses; why a device is wanted
//! online or offline.
//!
//! **Contract**: that of [`engine::Cloud`], at the top of its file.
//!
//! **Invariants**, each held by `tests/session.rs`:
//! - never more than `session.batch` devices in a message, nor a log-in that could
//!   make more than `session.online` devices online; only those that may still be
//!   shown from before the connection can be too many, while they are logged out;
//! - never two log-ins or log-outs under way for one device;
//! - a device may have several posts under way, but no value is sent again while
//!   the reply to its last sending may still come in time, and within what is live
//!   and within the backlog the older value of a property leaves first (these and
//!   the next five by `tests/delivery.rs`);
//! - how many values get through follows the pace of messages, not the time
//!   replies take, up to `post.in_flight` of them;
//! - a reply that accepts a post settles it, whenever it comes; nothing counts as
//!   delivered whose device turns out to have lost its session meanwhile;
//! - refused posts slow down posts and nothing else, and never stop them;
//! - live readings wait for the backlog no longer than one message in ten;
//! - readings waiting and in posts are `post.queue` at the most, and a quarter of
//!   that accepted and not yet counted; for each post four sendings are remembered;
//! - no post for a device whose session is not `In`;
//! - an id is never used twice on a connection;
//! - every ask has a deadline; while the link is up and a device is not what it
//!   is wanted to be, there is a next wake-up, unless it waits for one of those
//!   online to leave;
//! - no healthy device is submitted more than three times for the sake of
//!   finding a bad one, nor more than `session.logins_per_minute` times in 60 s;
//! - nothing of the connection's pace is exceeded in any second, and no more
//!   than `session.logins_per_second` devices are submitted in one;
//! - a device that may be online and is not wanted is asked to be logged out
//!   until the platform has answered, or the connection is gone;
//! - a configuration loaded anew takes back nothing that is under way and asks
//!   for no device that it does not change, but for those whose requests were called
//!   malformed (460);
//! - no log-in waits for the topology to be known, and nobody is barred with 6401
//!   before having been added, unless the policy is to leave it;
//! - nobody asks for a secret that could not be kept, and one that was given is
//!   used and handed out to be kept, however late it came;
//! - never more than half of the topology is deleted;
//! - no configuration of the platform's is adopted that is not wanted, or is not
//!   the file that was announced;
//! - an order of the platform's is obeyed and answered as often as it comes, and
//!   changes something once; answers keep the pace and are bounded;
//! - whatever the platform sends, it occupies no more than this: 512 answers to orders, 512
//!   to pushed configurations, 40 to commands, each with an id of 64 bytes and a topic of
//!   512 at most; 256 bytes of its words; 10,000 series of like notices, and 8,192 notices
//!   waiting to be told, 20 a second after that; what exceeds that is dropped and counted
//!   (`tests/floods.rs`);
//! - every reading taken is delivered, or waits, or is counted as dropped;
//! - no reading leaves with a time nobody vouches for, once it is said that the
//!   system's clock is not synchronised (`stamp`).
//!
//! (Those about the topology and orders by `tests/roll.rs`, cell by cell for each
//! code by `tests/codes.rs`.)
//!
//! **Why** who was removed from the topology in the console is added again: the
//! configuration says that it belongs here, and a removal that nobody undoes is
//! more often a mistake than a decision; `topology: leave` is for the others.
//! **Why** a log-in is tried before the topology is known: nearly always it is
//! right, and a platform slow with one answer must not keep a plant offline.
//! **Why** log-ins and log-outs have a gate each: the platform's 429 counts
//! log-ins ("too many subDeviceOnline msg in one minute"); a device that fell
//! silent must not look alive for a minute because others logged in too often.
//! **Why** an unanswered ask is repeated sooner than a refused one: at QoS 0 a
//! lost message is an everyday event and says nothing about the platform's
//! mood, while a refusal does. The deadline follows the replies of this very
//! connection, so that a loss costs seconds, and an answer that comes after it
//! counts all the same if nothing newer has been asked for that device.
//! **Why** a post is given up sooner if one sent after it has been answered: then
//! it is lost rather than late. A platform that becomes slow all at once must not
//! be sent everything twice.
//! **Why** 429 halves the pace of posts and does not silence them: every value not
//! sent meanwhile is a value that waits, and a minute's silence is most of a queue.
//! **Why** devices prove their sessions all the time: a pack is accepted for a
//! device without one, so a session that ended silently would never be missed.
//! **Why** 460 for a batch is searched: each part of it is another request, and
//! one device's odd name must not keep 49 offline; a lone 460 is barred for a
//! minute, longer each time up to an hour, and not beyond the connection or the
//! next reload.
//!
//! Rooms left free: carrying out commands (`command` only answers that they are
//! not supported), and the spool
//! (which will take what [`engine::Cloud`] settles or drops).

pub mod clock;
pub(crate) mod command;
pub mod connect;
pub mod engine;
pub mod events;
pub(crate) mod inbound;
pub(crate) mod messages;
pub(crate) mod outbound;
pub mod outbox;
pub(crate) mod pace;
pub(crate) mod pending;
pub(crate) mod publish;
pub mod registration;
pub(crate) mod reload;
pub mod remote_config;
pub mod session;
pub(crate) mod stop;
pub mod topology;
pub mod wire;
