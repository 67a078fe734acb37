//! An exchange of one gate as the chain holds it: within its deadline, unharmed by its panic, and completed.

use std::{sync::Arc, time::Duration};

use plugin_api::{Exchange, GateError, Login, Pending, Secret, Step};

use crate::{device::Devices, judged::judged, policy::Policy};

/// An exchange with what the chain knows besides.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) exchange: Box<dyn Exchange>,
    pub(crate) chain: Chain,
}

/// What the chain does around every step.
#[derive(Debug)]
pub(crate) struct Chain {
    /// What the log calls the gate.
    pub(crate) gate: String,
    pub(crate) login: Login,
    pub(crate) deadline: Duration,
    pub(crate) devices: Devices,
    pub(crate) policy: Arc<Policy>,
}

impl Guarded {
    async fn go_on(self: Box<Self>, data: Option<Secret>) -> Result<Step, GateError> {
        let Self { exchange, chain } = *self;
        chain.policy.refresh_if_due().await;
        let step = judged(chain.deadline, || exchange.step(data)).await;
        Ok(match step.map_err(|fault| fault.told_of(&chain.gate))? {
            Step::Continue { data, next: exchange } => Step::Continue {
                data,
                next: Box::new(Self { exchange, chain }),
            },
            Step::Known { principal, data } => Step::Known {
                principal: Arc::new(chain.devices.complete(&principal, &chain.login)),
                data,
            },
            Step::Refused(why) => Step::Refused(why),
        })
    }
}

impl Exchange for Guarded {
    fn step(self: Box<Self>, data: Option<Secret>) -> Pending<'static, Result<Step, GateError>> {
        Box::pin(self.go_on(data))
    }
}
