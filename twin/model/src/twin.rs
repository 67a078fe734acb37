//! Twin: what a device should be, what it says it is, and the rules by which both change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::apply::Applied;
use crate::event::Event;
use crate::rejection::{Rejection, Rejections};
use crate::section::Section;
use crate::sync::{Reach, SyncState, SyncStatus};
use crate::version::EntityTag;
use crate::{Delta, Document, Stamp, Timestamp, TwinId, Version};

mod apply;
mod shown;

/// Whether a twin is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// It never was.
    #[default]
    Never,
    /// It is.
    Live,
    /// It was removed; the version it had stays behind, so that it never goes back.
    Removed,
}

/// Everything a twin consists of besides its id, for records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinParts {
    /// Whether it is there.
    pub life: Life,
    /// The count of visible changes.
    pub version: Version,
    /// The count of changes to the tags.
    pub tags_version: Version,
    /// The latest stamp this twin was ever written with; a stamp of a leaf that is gone is covered by it too.
    pub stamp: Option<Stamp>,
    /// What the device should be.
    pub desired: Option<Arc<Section>>,
    /// What the device says it is.
    pub reported: Option<Arc<Section>>,
    /// What the back end notes about it.
    pub tags: Option<Arc<Section>>,
    /// What the device refused.
    pub rejections: Rejections,
    /// How far the device is from what it should be.
    pub sync: SyncState,
}

/// One twin. It is a value: a command makes a new one, and the old one is what was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    id: TwinId,
    parts: TwinParts,
}

impl Twin {
    /// The twin that never existed: what a command starts from when the store has no record.
    #[must_use]
    pub const fn never(id: TwinId) -> Self {
        let parts = TwinParts {
            life: Life::Never,
            version: Version::ZERO,
            tags_version: Version::ZERO,
            stamp: None,
            desired: None,
            reported: None,
            tags: None,
            rejections: Rejections::NONE,
            sync: SyncState {
                status: SyncStatus::InSync,
                since: Timestamp::from_millis(0),
            },
        };
        Self { id, parts }
    }

    /// Puts a twin together again.
    #[must_use]
    pub const fn from_parts(id: TwinId, parts: TwinParts) -> Self {
        Self { id, parts }
    }

    /// What it consists of.
    #[must_use]
    pub const fn parts(&self) -> &TwinParts {
        &self.parts
    }

    /// Whose twin, and which.
    #[must_use]
    pub const fn id(&self) -> &TwinId {
        &self.id
    }

    /// Whether it is there.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.parts.life
    }

    /// Whether it is there: neither unborn nor removed.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.parts.life == Life::Live
    }

    /// The count of visible changes.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.parts.version
    }

    /// The count of changes to the tags.
    #[must_use]
    pub const fn tags_version(&self) -> Version {
        self.parts.tags_version
    }

    /// What an HTTP `ETag` says about it.
    #[must_use]
    pub const fn entity_tag(&self) -> EntityTag {
        EntityTag {
            version: self.parts.version,
            tags_version: self.parts.tags_version,
        }
    }

    /// The latest stamp it was ever written with.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        self.parts.stamp
    }

    /// What the device should be.
    #[must_use]
    pub fn desired(&self) -> Option<&Section> {
        self.parts.desired.as_deref()
    }

    /// What the device says it is.
    #[must_use]
    pub fn reported(&self) -> Option<&Section> {
        self.parts.reported.as_deref()
    }

    /// What the back end notes about it.
    #[must_use]
    pub fn tags(&self) -> Option<&Section> {
        self.parts.tags.as_deref()
    }

    /// What the device refused, in the order of the paths.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.parts.rejections.iter()
    }

    /// How far the device is from what it should be.
    #[must_use]
    pub const fn sync(&self) -> SyncState {
        self.parts.sync
    }

    /// Everything that differs, refused or not: what a reader is shown.
    #[must_use]
    pub fn delta(&self) -> Delta {
        Delta::between(document(self.desired()), document(self.reported()))
    }

    /// What differs and was not refused: what the device is sent.
    #[must_use]
    pub fn open_delta(&self) -> Delta {
        Delta::without(
            document(self.desired()),
            document(self.reported()),
            &self.parts.rejections,
        )
    }

    /// Whether device and wish agree, refusals or not; `open` is what was not refused.
    fn agrees(&self, open: &Delta) -> bool {
        open.is_empty() && (self.parts.rejections.is_empty() || self.delta().is_empty())
    }

    /// Notes whether the device can be reached; no version moves. Answers the event when the sync status changed,
    /// and then the twin must be stored.
    pub fn settle(&mut self, now: Timestamp, reach: Reach) -> Option<Event> {
        let from = self.parts.sync.status;
        let open = self.open_delta();
        let to = SyncStatus::of(self.agrees(&open), &open, reach);
        self.parts.sync = self.parts.sync.becoming(to, now);
        (from != to).then_some(Event::SyncChanged { from, to })
    }
}

/// The content of a section that may be absent.
fn document(section: Option<&Section>) -> Option<&Document> {
    section.map(|section| &section.document)
}
