//! Words and rules of a digital twin, pure: no clock, no socket, no disk, no thread.
//!
//! A [`Twin`] belongs to a device. It holds what the device should be (`desired`), what the device says it is
//! (`reported`), what the back end notes about it (`tags`), and for every leaf when and by whom it was written.
//! What desired asks for and reported does not show is the [`Delta`].
//!
//! The life of a wish:
//!
//! 1. Bytes become an [`UpdateRequest`], a [`Patch`] or a [`Document`], held to the [`Limits`]; what cannot be right
//!    is [`Refused`] with the place and the reason.
//! 2. [`Twin::apply`] carries out a [`Command`] under a [`Condition`]: all of it or nothing. The answer is the twin
//!    afterwards and the [`Event`]s in order. The caller stores it together with the mark of the [`StampClock`].
//! 3. The [`Reconciler`] says when a device is sent its delta again, until it reports the wish, refuses it
//!    ([`REJECTED_KEY`]) or the retries are used up; [`Twin::settle`] keeps the sync status in step.
//!
//! What must stay absent: any reading of a clock, any hash map whose order differs from run to run, any topic or
//! HTTP path. Time comes in as a [`Timestamp`] (for people) or a [`Moment`] (for deadlines).

pub use command::{Command, NoChange, Update, Write};
pub use delta::Delta;
pub use document::Document;
pub use error::{Node, Refused};
pub use event::Event;
pub use limits::Limits;
pub use metadata::{Form, LeafMeta, Metadata, Writer};
pub use name::{DeviceName, TwinId, TwinName};
pub use patch::Patch;
pub use path::Path;
pub use reconcile::{Input, Moment, Output, Reconciler, RetryPolicy};
pub use rejection::{REJECTED_KEY, Rejection, Rejections};
pub use request::{ClientToken, UpdateRequest};
pub use section::{Section, SectionChange};
pub use stamp::{NodeId, Stamp, StampClock};
pub use sync::{Reach, SyncState, SyncStatus};
pub use timestamp::Timestamp;
pub use twin::{Applied, Life, Twin, TwinParts};
pub use version::{Condition, EntityTag, NotAnEntityTag, Version};

mod command;
mod delta;
mod document;
mod error;
mod event;
mod limits;
mod metadata;
mod name;
mod number;
mod patch;
mod path;
mod reconcile;
mod rejection;
mod request;
mod section;
mod stamp;
mod sync;
mod timestamp;
mod twin;
mod version;
