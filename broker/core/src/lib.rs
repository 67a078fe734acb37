//! The rules of MQTT, as plain synchronous code.
//!
//! A [`Shard`] owns the clients, sessions and subscriptions of its share of the client ids. The outside calls
//! [`Shard::step`] with one [`Input`] at a time; everything that follows from it is left in [`Outputs`]: bytes for
//! connections, and duties such as "remember this batch" or "carry this mail to another shard". At the end of a round
//! the outside calls [`Shard::end_round`] and performs what was asked.
//!
//! Time is an argument ([`Moment`]), randomness is seeded, and there is no socket, disk, thread or clock in this crate:
//! its manifest has no runtime, its `clippy.toml` bans the rest. So the same rules run in a `World` on a virtual clock.

mod badge;
mod batch;
mod burst;
mod client;
mod counters;
mod entrance;
mod group;
mod hold;
mod input;
mod judge;
mod mail;
mod message;
mod moment;
mod mount;
mod output;
mod overload;
mod rate;
mod recall;
mod record;
mod recover;
mod session;
mod settings;
mod shard;
mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod topics;

pub use badge::Badge;
pub use batch::{Batch, Op, Shelf, Shelves, Visit};
pub use counters::Counters;
pub use entrance::{Entrance, EntranceId};
pub use group::{SharedStrategy, is_group_id};
pub use input::{Answer, Authentication, ConnectionId, Input, LinkId, LinkMessage, ShardId, To};
pub use judge::{AsksFirst, Judge};
pub use mail::Mail;
pub use message::{Expiry, Message};
pub use moment::{Moment, WallTime};
pub use mount::MountPoint;
pub use output::{Departure, Outbox, Output, Outputs, Question, Told};
pub use overload::{Ceiling, Overload};
pub use rate::Rate;
pub use recall::{Page, Recall};
pub use recover::{Recovered, recover};
pub use settings::Settings;
pub use shard::Shard;
