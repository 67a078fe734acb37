//! Waiting for one gate: not longer than its deadline, and unharmed by its panic.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    time::Duration,
};

use plugin_api::{GateError, Pending};

/// Why a gate gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it could not decide: {0}")]
    Failed(#[from] GateError),
    #[error("it panicked")]
    Panicked,
    #[error("it did not answer within {0:?}")]
    Late(Duration),
}

impl Fault {
    /// Notes in the log why this gate gave no verdict; the caller takes it as a no.
    pub(crate) fn told_of(&self, gate: &str) -> GateError {
        tracing::error!(gate, "the gate gave no verdict, which means no: {self}");
        GateError(format!("the gate {gate}: {self}"))
    }
}

/// Does what a gate may panic in.
pub(crate) fn unharmed<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Fault::Panicked)
}

/// Asks a gate and waits for its verdict.
///
/// A gate that answers at once needs no timer, and so no runtime either.
pub(crate) async fn judged<'a, T>(
    deadline: Duration,
    ask: impl FnOnce() -> Pending<'a, Result<T, GateError>>,
) -> Result<T, Fault> {
    let mut verdict = unharmed(ask)?;
    match poll_fn(|cx| Poll::Ready(poll_caught(&mut verdict, cx))).await {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => tokio::time::timeout(deadline, poll_fn(|cx| poll_caught(&mut verdict, cx)))
            .await
            .unwrap_or(Err(Fault::Late(deadline))),
    }
}

fn poll_caught<T>(
    verdict: &mut Pending<'_, Result<T, GateError>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Fault>> {
    match unharmed(|| verdict.as_mut().poll(cx)) {
        Ok(Poll::Ready(verdict)) => Poll::Ready(verdict.map_err(Fault::Failed)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(fault) => Poll::Ready(Err(fault)),
    }
}
