//! Shown: a twin as the JSON that devices and apps read.

use serde_json::{Map, Value, json};

use super::Twin;
use crate::Delta;
use crate::command::Update;
use crate::metadata::Form;
use crate::section::{Section, SectionChange};

impl Twin {
    /// `{"desired": .., "reported": ..}`, each only when there is one.
    #[must_use]
    pub fn state(&self) -> Value {
        let content = |section: &Section| section.document.to_value();
        pair(self.desired().map(content), self.reported().map(content))
    }

    /// As `state`, and `"delta"` when something differs, refused or not: what a `get` is answered.
    #[must_use]
    pub fn state_with_delta(&self) -> Value {
        let mut state = self.state();
        let delta = self.delta();
        if let (Value::Object(map), false) = (&mut state, delta.is_empty()) {
            map.insert("delta".to_owned(), delta.to_value());
        }
        state
    }

    /// `{"desired": .., "reported": ..}` with the metadata of every leaf.
    #[must_use]
    pub fn metadata(&self, form: Form) -> Value {
        let shown =
            |section: &Section| Value::Object(section.metadata.shown(section.document.as_map(), form));
        pair(self.desired().map(shown), self.reported().map(shown))
    }

    /// `{"state": .., "metadata": .., "version": ..}`: one half of a `documents` message.
    #[must_use]
    pub fn snapshot(&self, form: Form) -> Value {
        json!({ "state": self.state(), "metadata": self.metadata(form), "version": self.version().number() })
    }

    /// The metadata of those leaves of desired that a delta holds.
    #[must_use]
    pub fn metadata_of_delta(&self, delta: &Delta, form: Form) -> Value {
        Value::Object(named(self.desired(), delta.as_map(), form))
    }

    /// `{"desired": .., "reported": ..}` with the metadata of the leaves an update named, read from the twin it
    /// made: what `accepted` shows. Removed leaves have none.
    #[must_use]
    pub fn metadata_of(&self, update: &Update, form: Form) -> Value {
        let of = |change: &SectionChange, section| {
            let names = match change {
                SectionChange::Keep | SectionChange::Clear => return None,
                SectionChange::Merge(patch) => patch.as_map(),
                SectionChange::Replace(document) => document.as_map(),
            };
            Some(Value::Object(named(section, names, form)))
        };
        pair(
            of(&update.desired, self.desired()),
            of(&update.reported, self.reported()),
        )
    }
}

fn named(section: Option<&Section>, names: &Map<String, Value>, form: Form) -> Map<String, Value> {
    section
        .map(|section| section.metadata.shown(names, form))
        .unwrap_or_default()
}

fn pair(desired: Option<Value>, reported: Option<Value>) -> Value {
    let sections = [("desired", desired), ("reported", reported)];
    sections
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}
