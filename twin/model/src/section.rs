//! Section: the content of desired, reported or tags, with its metadata.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::document::{content, differences};
use crate::metadata::{LeafMeta, Metadata};
use crate::{Document, Limits, Patch, Path, Refused};

/// A document and when and by whom each of its leaves was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Section {
    /// The content.
    pub document: Document,
    /// One entry per leaf of the content.
    pub metadata: Metadata,
}

/// What a write does to one section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionChange {
    /// Nothing.
    #[default]
    Keep,
    /// Changes what the patch names.
    Merge(Patch),
    /// Puts this document in its place.
    Replace(Document),
    /// Removes the section.
    Clear,
}

/// A `SectionChange` on loan, as the rules work with it.
#[derive(Clone)]
pub(crate) enum Change<'a> {
    Keep,
    Merge(Cow<'a, Patch>),
    Replace(&'a Document),
    Clear,
}

impl<'a> From<&'a SectionChange> for Change<'a> {
    fn from(change: &'a SectionChange) -> Self {
        match change {
            SectionChange::Keep => Self::Keep,
            SectionChange::Merge(patch) => Self::Merge(Cow::Borrowed(patch)),
            SectionChange::Replace(document) => Self::Replace(document),
            SectionChange::Clear => Self::Clear,
        }
    }
}

/// A section after a change that is not stamped yet.
pub(crate) struct Planned<'a> {
    change: Change<'a>,
    before: Option<&'a Arc<Section>>,
    document: Option<Cow<'a, Document>>,
    /// Where the content differs from before; the root when an empty section came or went.
    pub(crate) changed: Vec<Path>,
}

impl<'a> Change<'a> {
    /// What the change names; `None` when it names nothing in particular.
    pub(crate) fn names(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Merge(patch) => Some(patch.as_map()),
            Self::Replace(document) => Some(document.as_map()),
        }
    }

    /// Works out the content and holds it to the size limit. A section that is too large already may shrink.
    pub(crate) fn plan(
        self,
        what: &'static str,
        before: Option<&'a Arc<Section>>,
        limits: &Limits,
    ) -> Result<Planned<'a>, Refused> {
        let old = before.map(|section| &section.document);
        let document = self.outcome(old);
        let changed = changes(old, document.as_deref());
        if let Some(document) = document.as_deref().filter(|_| !changed.is_empty()) {
            hold_to_size(what, document, old, limits)?;
        }
        Ok(Planned {
            change: self,
            before,
            document,
            changed,
        })
    }

    fn outcome(&self, before: Option<&'a Document>) -> Option<Cow<'a, Document>> {
        match self {
            Self::Keep => before.map(Cow::Borrowed),
            Self::Merge(patch) if patch.is_empty() => before.map(Cow::Borrowed),
            Self::Merge(patch) => Some(Cow::Owned(
                patch.applied_to(before.unwrap_or(&Document::default())),
            )),
            Self::Replace(document) => Some(Cow::Borrowed(document)),
            Self::Clear => None,
        }
    }
}

impl Planned<'_> {
    /// The content after the change.
    pub(crate) fn document(&self) -> Option<&Document> {
        self.document.as_deref()
    }

    /// The section with the new content, and the metadata of every leaf the change named.
    pub(crate) fn stamped(self, meta: &Arc<LeafMeta>) -> Option<Arc<Section>> {
        let mut metadata = match &self.change {
            Change::Keep => return self.before.cloned(),
            Change::Merge(_) => self
                .before
                .map(|section| section.metadata.clone())
                .unwrap_or_default(),
            Change::Replace(_) | Change::Clear => Metadata::default(),
        };
        let document = self.document?.into_owned();
        if let Some(names) = self.change.names() {
            metadata.touch(names, document.as_map(), meta);
        }
        Some(Arc::new(Section { document, metadata }))
    }
}

fn changes(before: Option<&Document>, after: Option<&Document>) -> Vec<Path> {
    let empty = Map::new();
    let changed = differences(content(before, &empty), content(after, &empty));
    if changed.is_empty() && before.is_some() != after.is_some() {
        vec![Path::root()]
    } else {
        changed
    }
}

fn hold_to_size(
    what: &'static str,
    document: &Document,
    before: Option<&Document>,
    limits: &Limits,
) -> Result<(), Refused> {
    let (bytes, bytes_max) = (document.bytes(), limits.section_bytes_max);
    if bytes <= bytes_max || before.is_some_and(|before| bytes < before.bytes()) {
        return Ok(());
    }
    Err(Refused::TooLarge {
        what,
        bytes,
        bytes_max,
        limit: "section_bytes_max",
    })
}
