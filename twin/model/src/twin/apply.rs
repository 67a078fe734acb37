//! Apply: how a command changes a twin, all of it or nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Life, Twin, TwinParts, document};
use crate::command::{Command, NoChange, Write};
use crate::document::same;
use crate::event::Event;
use crate::metadata::LeafMeta;
use crate::rejection::{REJECTED_KEY, Rejections, Verdict, forbid, verdicts};
use crate::section::{Change, Planned};
use crate::sync::{SyncState, SyncStatus};
use crate::version::Condition;
use crate::{Delta, Limits, Path, Refused, StampClock, Timestamp, Version};

/// What a command made of a twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The twin afterwards.
    pub twin: Twin,
    /// What happened, in order: the sections, refusals, then the delta, then the sync status.
    pub events: Vec<Event>,
    /// Whether there is anything to store or to tell; `false` only under `NoChange::KeepVersion`.
    pub changed: bool,
}

impl Twin {
    /// Carries out one command: all of it, or nothing.
    ///
    /// `stamps` moves only when the command is carried out and changes something; its mark is stored with the twin.
    ///
    /// # Errors
    /// `Refused` says why the command was not carried out; twin and stamps are as they were.
    pub fn apply(&self, write: &Write, stamps: &mut StampClock, limits: &Limits) -> Result<Applied, Refused> {
        let (desired, reported) = match &write.command {
            Command::SetDesired(patch) => (Change::Merge(Cow::Borrowed(patch)), Change::Keep),
            Command::ReplaceDesired(document) => (Change::Replace(document), Change::Keep),
            Command::Report(patch) => (Change::Keep, Change::Merge(Cow::Borrowed(patch))),
            Command::Update(update) => (Change::from(&update.desired), Change::from(&update.reported)),
            Command::SetTags(patch) => {
                self.hold(&write.condition, self.tags_version())?;
                return self.set_tags(write, Change::Merge(Cow::Borrowed(patch)), stamps, limits);
            }
            Command::Remove => return self.remove(write, stamps),
        };
        self.hold(&write.condition, self.version())?;
        self.update(write, desired, reported, stamps, limits)
    }

    fn update(
        &self,
        write: &Write,
        desired: Change<'_>,
        reported: Change<'_>,
        stamps: &mut StampClock,
        limits: &Limits,
    ) -> Result<Applied, Refused> {
        let (reported, verdicts) = without_verdicts(reported, limits)?;
        desired.names().map_or(Ok(()), forbid)?;
        reported.names().map_or(Ok(()), forbid)?;
        let is_report = !matches!(reported, Change::Keep);
        let wish = desired.plan("desired", self.parts.desired.as_ref(), limits)?;
        let report = reported.plan("reported", self.parts.reported.as_ref(), limits)?;
        let rejections = self.rejections_after(&wish, &report, verdicts, write);
        let is_same =
            wish.changed.is_empty() && report.changed.is_empty() && rejections == self.parts.rejections;
        if self.keeps_version(write, is_same) {
            return Ok(self.unchanged());
        }
        let mut events = self.created();
        if !wish.changed.is_empty() {
            events.push(Event::DesiredChanged {
                changed: wish.changed.clone(),
            });
        }
        if is_report {
            events.push(Event::Reported {
                changed: report.changed.clone(),
            });
        }
        let meta = self.stamped(write, stamps);
        let twin = self.with(TwinParts {
            life: Life::Live,
            version: self.version().next(),
            stamp: Some(meta.stamp),
            desired: wish.stamped(&meta),
            reported: report.stamped(&meta),
            rejections,
            ..self.parts.clone()
        });
        Ok(twin.after(self, write, events))
    }

    /// Which refusals hold after the change: those of leaves that still differ and whose wish is as it was, and
    /// what the device says now.
    fn rejections_after(
        &self,
        wish: &Planned<'_>,
        report: &Planned<'_>,
        verdicts: Vec<Verdict>,
        write: &Write,
    ) -> Rejections {
        let mut rejections = self.parts.rejections.clone();
        if rejections.is_empty() && verdicts.is_empty() {
            return rejections;
        }
        let differing: BTreeSet<Path> = Delta::between(wish.document(), report.document())
            .leaves()
            .into_iter()
            .collect();
        let before = document(self.desired());
        let is_same_wish = |leaf: &Path| match (before, wish.document()) {
            (Some(before), Some(after)) => match (leaf.find(before.as_map()), leaf.find(after.as_map())) {
                (Some(before), Some(after)) => same(before, after),
                _ => false,
            },
            _ => false,
        };
        rejections.retain(|leaf| differing.contains(leaf) && is_same_wish(leaf));
        rejections.judge(verdicts, &differing, write.now);
        rejections
    }

    fn set_tags(
        &self,
        write: &Write,
        tags: Change<'_>,
        stamps: &mut StampClock,
        limits: &Limits,
    ) -> Result<Applied, Refused> {
        tags.names().map_or(Ok(()), forbid)?;
        let tags = tags.plan("tags", self.parts.tags.as_ref(), limits)?;
        if self.keeps_version(write, tags.changed.is_empty()) {
            return Ok(self.unchanged());
        }
        let mut events = self.created();
        if !tags.changed.is_empty() {
            events.push(Event::TagsChanged {
                changed: tags.changed.clone(),
            });
        }
        let meta = self.stamped(write, stamps);
        // Coming into being is a change that devices see, so it counts for them too.
        let version = if self.exists() {
            self.version()
        } else {
            self.version().next()
        };
        let twin = self.with(TwinParts {
            life: Life::Live,
            sync: self.sync_from(write.now),
            version,
            tags_version: self.tags_version().next(),
            stamp: Some(meta.stamp),
            tags: tags.stamped(&meta),
            ..self.parts.clone()
        });
        Ok(Applied {
            twin,
            events,
            changed: true,
        })
    }

    fn remove(&self, write: &Write, stamps: &mut StampClock) -> Result<Applied, Refused> {
        if !self.exists() {
            return Err(Refused::NotFound { id: self.id.clone() });
        }
        self.hold(&write.condition, self.version())?;
        let meta = self.stamped(write, stamps);
        let had_tags = self.tags().is_some();
        let twin = self.with(TwinParts {
            life: Life::Removed,
            version: self.version().next(),
            tags_version: if had_tags {
                self.tags_version().next()
            } else {
                self.tags_version()
            },
            stamp: Some(meta.stamp),
            desired: None,
            reported: None,
            tags: None,
            rejections: Rejections::NONE,
            sync: self.sync().becoming(SyncStatus::InSync, write.now),
        });
        let mut events = vec![Event::Removed { last: self.version() }];
        events.extend(twin.sync_changed_since(self));
        Ok(Applied {
            twin,
            events,
            changed: true,
        })
    }

    /// Whether the condition holds; `stored` is the version it speaks of.
    fn hold(&self, condition: &Condition, stored: Version) -> Result<(), Refused> {
        match condition {
            Condition::None => Ok(()),
            Condition::IfVersion(expected) if self.exists() => {
                if *expected == stored {
                    return Ok(());
                }
                Err(Refused::VersionConflict {
                    expected: *expected,
                    found: stored,
                })
            }
            Condition::IfVersion(expected) if *expected == stored || *expected == stored.next() => Ok(()),
            Condition::IfVersion(_) => {
                let next = stored.next();
                let problem = format!(
                    "the twin does not exist; to make it, leave version out or give {stored} or {next}"
                );
                Err(Refused::InvalidVersion { problem })
            }
            Condition::IfMatch(tags) if self.exists() && tags.contains(&self.entity_tag()) => Ok(()),
            Condition::IfMatch(_) => Err(Refused::EntityTagConflict {
                found: self.entity_tag(),
            }),
            Condition::IfExists if self.exists() => Ok(()),
            Condition::IfExists => Err(Refused::NotFound { id: self.id.clone() }),
            Condition::IfAbsent if self.exists() => Err(Refused::AlreadyExists { id: self.id.clone() }),
            Condition::IfAbsent => Ok(()),
        }
    }

    fn keeps_version(&self, write: &Write, is_same: bool) -> bool {
        self.exists() && is_same && write.no_change == NoChange::KeepVersion
    }

    fn unchanged(&self) -> Applied {
        Applied {
            twin: self.clone(),
            events: Vec::new(),
            changed: false,
        }
    }

    fn with(&self, parts: TwinParts) -> Self {
        Self {
            id: self.id.clone(),
            parts,
        }
    }

    fn created(&self) -> Vec<Event> {
        if self.exists() {
            Vec::new()
        } else {
            vec![Event::Created]
        }
    }

    /// One stamp for the whole command, above every leaf this twin ever had.
    fn stamped(&self, write: &Write, stamps: &mut StampClock) -> Arc<LeafMeta> {
        let stamp = stamps.next(write.now, self.stamp());
        Arc::new(LeafMeta {
            stamp,
            accepted_at: write.now,
            writer: write.writer.clone(),
        })
    }

    /// Finishes an update: what it means for the device, and for the sync status.
    fn after(mut self, before: &Self, write: &Write, mut events: Vec<Event>) -> Applied {
        let new_rejections = self.parts.rejections.new_since(&before.parts.rejections);
        events.extend(new_rejections.map(|each| Event::Rejected {
            path: each.path.clone(),
            reason: each.reason.clone(),
        }));
        let open = self.open_delta();
        let agrees = self.agrees(&open);
        self.parts.sync = before
            .sync_from(write.now)
            .becoming(SyncStatus::of(agrees, &open, write.reach), write.now);
        if agrees && !before.delta().is_empty() {
            events.push(Event::Converged);
        }
        if !open.is_empty() {
            events.push(Event::DeltaPending { delta: open });
        }
        events.extend(self.sync_changed_since(before));
        Applied {
            twin: self,
            events,
            changed: true,
        }
    }

    /// The sync state a command starts from; a twin that comes into being is in sync since then.
    fn sync_from(&self, now: Timestamp) -> SyncState {
        if self.exists() {
            self.sync()
        } else {
            SyncState {
                status: SyncStatus::InSync,
                since: now,
            }
        }
    }

    fn sync_changed_since(&self, before: &Self) -> Option<Event> {
        let (from, to) = (before.sync().status, self.sync().status);
        (from != to).then_some(Event::SyncChanged { from, to })
    }
}

/// Takes what the device refuses out of its report.
fn without_verdicts<'a>(report: Change<'a>, limits: &Limits) -> Result<(Change<'a>, Vec<Verdict>), Refused> {
    match report {
        Change::Merge(patch) if patch.as_map().contains_key(REJECTED_KEY) => {
            let (rest, value) = patch.without(REJECTED_KEY);
            let verdicts = value.map_or(Ok(Vec::new()), |value| verdicts(&value, limits))?;
            Ok((Change::Merge(Cow::Owned(rest)), verdicts))
        }
        other => Ok((other, Vec::new())),
    }
}
