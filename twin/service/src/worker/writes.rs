//! Writes: a command carried out, with everything it causes put into the round.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use plugin_api::LinkPublish;
use twin_model::{
    Command, Condition, Event, Input, Life, NoChange, Reach, Refused, SectionChange, Twin, TwinId, Version,
    Write, Writer,
};

use super::Worker;
use crate::ask::Failure;
use crate::documents::{self, Stub};
use crate::{change, keys, metrics};

/// What a write made of a twin.
pub(super) struct Written {
    pub(super) before: Version,
    pub(super) after: Arc<Twin>,
    pub(super) messages: Vec<LinkPublish>,
}

impl Worker {
    /// A write under the present circumstances.
    pub(super) fn write_by(
        &self,
        id: &TwinId,
        writer: &str,
        command: Command,
        condition: Condition,
        no_change: NoChange,
    ) -> Write {
        // Whatever is written gives the device another chance.
        let reach = match self.reach(id) {
            Reach::Exhausted => Reach::Online,
            reach => reach,
        };
        Write {
            now: self.now,
            writer: Writer::new(writer),
            reach,
            condition,
            no_change,
            command,
        }
    }

    /// Carries out a write: twin, change and messages go into the round, in the order delta, documents.
    pub(super) fn write(&mut self, id: &TwinId, write: &Write, stub: &Stub) -> Result<Written, Failure> {
        let section = section(&write.command);
        let before = self.twin(id)?;
        self.hold_to_number(&before)?;
        let applied = match before.apply(write, &mut self.stamps, &self.shared.settings.limits) {
            Ok(applied) => applied,
            Err(refused) => {
                metrics::update(section, result(&refused));
                return Err(refused.into());
            }
        };
        if !applied.changed {
            metrics::update(section, "unchanged");
            return Ok(Written {
                before: before.version(),
                after: before,
                messages: Vec::new(),
            });
        }
        // A removal makes room, and nothing else does: each change also goes into the feed.
        if adds(&write.command)
            && let Err(full) = self.shared.store.admit()
        {
            metrics::update(section, "no_room");
            return Err(full.into());
        }
        metrics::update(section, "accepted");
        self.round.changes.push(change::of_write(
            &applied.twin,
            &applied.events,
            write.writer.as_str(),
            write.now,
        ));
        let shown = self.twins.snapshot(id);
        let after = self.keep(&before, applied.twin);
        let is_shown = after.version() != before.version();
        if is_shown {
            self.refresh(id);
        }
        let mut messages = Vec::new();
        let delta = applied.events.iter().find_map(|event| match event {
            Event::DeltaPending { delta } => Some(delta),
            _ => None,
        });
        match delta {
            Some(delta) => messages.extend(self.delta_messages(&after, delta, stub)),
            None if is_shown => self.reconcile(Input::Changed {
                twin: id.clone(),
                open: false,
            }),
            None => {}
        }
        if is_shown && after.exists() {
            let previous = before
                .exists()
                .then(|| shown.unwrap_or_else(|| documents::snapshot(&before)));
            let current = documents::snapshot(&after);
            let payload = documents::documents(previous.as_deref(), &current, stub);
            messages.extend(self.documents_messages(&after, &payload));
            self.twins.put_snapshot(id, current);
        }
        Ok(Written {
            before: before.version(),
            after,
            messages,
        })
    }

    /// Refuses the first write of a twin when its device has had too many. They are counted then only: it is rare.
    fn hold_to_number(&self, twin: &Twin) -> Result<(), Failure> {
        let max = self.shared.settings.twins_per_device_max;
        if twin.life() != Life::Never {
            return Ok(());
        }
        let mut ids = BTreeSet::new();
        let span = keys::twins_of(&twin.id().device);
        let (from, to) = keys::span(&span);
        self.shared
            .store
            .scan(self.shared.spaces.state, from, to, &mut |key, _| {
                ids.extend(keys::twin_of(key));
                if ids.len() < max {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        ids.extend(self.under_way(&twin.id().device));
        if ids.len() < max {
            Ok(())
        } else {
            Err(Failure::TooManyTwins(ids.len()))
        }
    }
}

/// Whether a command makes the store grow.
const fn adds(command: &Command) -> bool {
    match command {
        Command::SetDesired(_)
        | Command::ReplaceDesired(_)
        | Command::Report(_)
        | Command::Update(_)
        | Command::SetTags(_) => true,
        Command::Remove => false,
    }
}

const fn section(command: &Command) -> &'static str {
    match command {
        Command::SetDesired(_) | Command::ReplaceDesired(_) => "desired",
        Command::Report(_) => "reported",
        Command::Update(update) => match (&update.desired, &update.reported) {
            (SectionChange::Keep, SectionChange::Keep) => "both",
            (_, SectionChange::Keep) => "desired",
            (SectionChange::Keep, _) => "reported",
            (_, _) => "both",
        },
        Command::SetTags(_) => "tags",
        Command::Remove => "whole",
    }
}

const fn result(refused: &Refused) -> &'static str {
    match refused.code() {
        404 => "not_found",
        409 => "conflict",
        413 => "too_large",
        _ => "invalid",
    }
}
