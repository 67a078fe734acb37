//! Digital twins over MQTT and HTTP.
//!
//! The rules of a twin are in `twin_model`; this crate gives them hands. [`Service`] is a link plugin of a broker: it
//! takes requests from the twins' topics, stores what they change, and speaks on the twins' topics. It also is an HTTP
//! API, and the [`TwinGate`] that guards the topics.
//!
//! One wish travels like this: a route of `http` or a message of the link becomes an ask in the mailbox of the device's
//! partition (`worker`); there a `twin_model::Twin` is made of it, its record, its change and its pending entry go into
//! one batch (`keys`, `record`, `feed`), and when the store has that, the delta, the documents and the answer leave, in
//! this order and with the same version (`documents`, `topics`).
//!
//! What must stay absent: an answer that shows what is not committed; a message queued for a device that is offline.

mod ask;
mod cache;
mod change;
mod clock;
mod documents;
mod feed;
mod gate;
mod http;
mod keys;
mod metrics;
mod presence;
mod record;
mod service;
mod settings;
mod shared;
mod topics;
mod worker;

pub use clock::{Clock, SystemClock};
pub use gate::TwinGate;
pub use keys::keyspaces;
pub use service::{Service, StartError};
pub use settings::{RawChanges, RawHttp, RawLimits, RawRetry, RawTwin, Settings};
