//! The files that say who may come in and what they may do, and when they last changed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::watched_file::Refresh;

/// How long a change of a file may go unseen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Policy {
    files: Vec<Arc<dyn Refresh>>,
    epoch: Arc<AtomicU64>,
    /// When the files were looked at, or somebody went to do it.
    looked_at: Mutex<Option<Instant>>,
}

impl Policy {
    pub(crate) fn new(files: Vec<Arc<dyn Refresh>>) -> Self {
        Self {
            files,
            epoch: Arc::default(),
            looked_at: Mutex::default(),
        }
    }

    /// Grows with every change.
    pub(crate) fn epoch(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.epoch)
    }

    /// Looks at all files now. Blocks on the disk. Says whether anything changed.
    pub(crate) fn refresh(&self) -> bool {
        let changed = self.files.iter().filter(|file| file.refresh()).count() > 0;
        if changed {
            // After the content: whoever reads the new epoch gets verdicts of the new content.
            self.epoch.fetch_add(1, Ordering::Release);
        }
        changed
    }

    /// Looks at all files if the last look is a while ago, away from the threads that must not block.
    pub(crate) async fn refresh_if_due(self: &Arc<Self>) {
        if self.files.is_empty() || !self.go_and_look() {
            return;
        }
        let policy = Arc::clone(self);
        if tokio::task::spawn_blocking(move || policy.refresh())
            .await
            .is_err()
        {
            tracing::error!("looking at the files of [auth] panicked; what they said before stays in force");
        }
    }

    /// Looks at all files again and again.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.refresh_if_due().await;
        }
    }

    /// Whether a look is due; the one who is told so does it.
    fn go_and_look(&self) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked_at.is_none_or(|before| before.elapsed() >= LOOK_EVERY);
        if due {
            *looked_at = Some(Instant::now());
        }
        due
    }
}
