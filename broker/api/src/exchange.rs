//! Exchanges: who a peer is, found out in several steps by a method that a gate offers (MQTT 5.0, section 4.12).

use std::{fmt, sync::Arc};

use crate::{GateError, Pending, Principal, Secret};

/// One exchange under way. It is begun by [`crate::Authenticate::exchange`], and may be dropped after any step.
///
/// The broker bounds the number of steps, the time for all of them, and the bytes of each.
pub trait Exchange: fmt::Debug + Send {
    /// Takes what the peer said, at first what it said when it connected or began anew. It may have said nothing. Runs
    /// outside the threads that carry messages.
    ///
    /// # Errors
    /// When the gate could not decide; the peer is then refused.
    fn step(self: Box<Self>, data: Option<Secret>) -> Pending<'static, Result<Step, GateError>>;
}

/// What follows from what a peer said.
#[derive(Debug)]
pub enum Step {
    /// It has to say more.
    Continue {
        /// What it is told.
        data: Option<Secret>,
        /// Takes its answer.
        next: Box<dyn Exchange>,
    },
    /// It is this principal.
    Known {
        /// Who it is.
        principal: Arc<Principal>,
        /// What it is told last.
        data: Option<Secret>,
    },
    /// It is refused. The text is for the log; the peer is not told.
    Refused(String),
}
