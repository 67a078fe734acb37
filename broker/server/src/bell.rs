//! What wakes a shard's thread.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering, fence},
    },
    task::{Wake, Waker},
};

/// Rung by whoever has something for a shard; heard by its thread, once however often it was rung.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    waker: OnceLock<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Bell {
    /// Names the waker that is called from now on. Called once, by the shard's thread, before it first listens.
    pub(crate) fn attach(&self, waker: &Waker) {
        let _only_once = self.waker.set(waker.clone());
        // Pairs with the fence in `ring`: either the ringer sees the waker, or we see the bell rung.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            fence(Ordering::SeqCst);
            if let Some(waker) = self.waker.get() {
                waker.wake_by_ref();
            }
        }
    }

    /// Whether it was rung since the last call.
    pub(crate) fn heard(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }
}
