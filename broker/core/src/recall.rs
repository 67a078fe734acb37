//! Reading a session's waiting messages back, a page at a time.

use std::{ops::ControlFlow, sync::Arc};

use crate::{Shelf, Shelves, message::Message, record};

/// A request for waiting messages of a session. Opaque outside; carried by value to where the shelves can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall {
    pub(crate) session: u64,
    pub(crate) from: u64,
    /// The first sequence number not to be read.
    pub(crate) to: u64,
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
}

/// Waiting messages of a session, oldest first.
#[derive(Debug)]
pub struct Page {
    pub(crate) session: u64,
    pub(crate) to: u64,
    pub(crate) entries: Vec<(u64, record::Waiting, Arc<Message>)>,
    /// Entries that could not be read and were left out.
    pub(crate) damaged: u64,
    /// The first sequence number that was not looked at; `None` if all were.
    pub(crate) next: Option<u64>,
    /// Whether reading failed as a whole.
    pub(crate) failed: bool,
}

/// Messages read back at once.
const ENTRIES_MAX: usize = 64;
/// Bytes read back at once, but for the last message.
const BYTES_MAX: usize = 64 * 1024;

impl Recall {
    pub(crate) const fn of_session(session: u64, from: u64, to: u64) -> Self {
        Self {
            session,
            from,
            to,
            entries_max: ENTRIES_MAX,
            bytes_max: BYTES_MAX,
        }
    }

    /// Reads the page. What cannot be read is left out and counted.
    ///
    /// # Errors
    /// When the shelves cannot be read at all; the page is then empty and the request may be repeated.
    pub fn read<S: Shelves>(&self, shelves: &S) -> (Page, Option<S::Error>) {
        let mut page = Page {
            session: self.session,
            to: self.to,
            entries: Vec::new(),
            damaged: 0,
            next: None,
            failed: false,
        };
        let mut bytes = 0;
        let mut missing_body = None;
        let scanned = shelves.scan(
            Shelf::Queue,
            &record::queue_key(self.session, self.from),
            Some(&record::queue_key(self.session, self.to)),
            &mut |key, value| {
                let Some((_, seq)) = record::read_queue_key(key) else {
                    page.damaged += 1;
                    return ControlFlow::Continue(());
                };
                if page.entries.len() >= self.entries_max || bytes >= self.bytes_max {
                    page.next = Some(seq);
                    return ControlFlow::Break(());
                }
                match record::read_queue_entry(value) {
                    Some((waiting, record::Body::Inline(message))) => {
                        bytes += message.len_bytes();
                        page.entries.push((seq, waiting, Arc::new(message)));
                    }
                    Some((waiting, record::Body::Stored(number))) => {
                        match shelves.get(Shelf::Bodies, &record::body_key(number)) {
                            Ok(Some(body)) => match record::read_body(&body) {
                                Some(message) => {
                                    bytes += message.len_bytes();
                                    page.entries.push((seq, waiting, Arc::new(message)));
                                }
                                None => page.damaged += 1,
                            },
                            Ok(None) => page.damaged += 1,
                            Err(error) => {
                                missing_body = Some(error);
                                page.damaged += 1;
                            }
                        }
                    }
                    None => page.damaged += 1,
                }
                ControlFlow::Continue(())
            },
        );
        let error = scanned.err();
        page.failed = error.is_some();
        (page, error.or(missing_body))
    }
}
