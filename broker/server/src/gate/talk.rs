//! Talk: an exchange with a gate under way, within its bounds. What is not clearly known is refused.

use std::sync::Arc;

use plugin_api::{Exchange, Login, Principal, Secret, Step};
use tokio::time::timeout;

use super::{Desk, LoginRefused};

/// Steps that one exchange may have.
const STEPS_MAX: u32 = 8;
/// Bytes of data in one step, in either direction.
const DATA_BYTES_MAX: usize = 16 * 1024;

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct Talk {
    exchange: Box<dyn Exchange>,
    steps_left: u32,
}

/// What a gate says.
#[derive(Debug)]
pub(crate) enum Said {
    /// The client has to say more; it is told this.
    More(Talk, Option<Vec<u8>>),
    /// It is this principal; it is told this last.
    Known(Arc<Principal>, Option<Vec<u8>>),
}

impl Desk {
    /// Begins an exchange by the method that the login names. `None` if no gate offers it.
    pub(crate) fn begin(&self, login: Login) -> Option<Talk> {
        let exchange = self.gates.authenticator.exchange(login)?;
        Some(Talk {
            exchange,
            steps_left: STEPS_MAX,
        })
    }

    /// Tells the gate what the client said.
    pub(crate) async fn tell(&self, talk: Talk, data: Option<Vec<u8>>) -> Result<Said, LoginRefused> {
        if is_too_long(data.as_deref()) {
            return Err(LoginRefused::Refused("too much data in one step".into()));
        }
        let Some(steps_left) = talk.steps_left.checked_sub(1) else {
            return Err(LoginRefused::Refused("too many steps".into()));
        };
        let step = timeout(self.deadline, talk.exchange.step(data.map(Secret::new)));
        let (said, data) = match step.await {
            Ok(Ok(Step::Continue { data, next })) => {
                let talk = Talk {
                    exchange: next,
                    steps_left,
                };
                (Ok(talk), data)
            }
            Ok(Ok(Step::Known { principal, data })) => (Err(principal), data),
            Ok(Ok(Step::Refused(why))) => return Err(LoginRefused::Refused(why)),
            Ok(Err(error)) => return Err(LoginRefused::Undecided(error.to_string())),
            Err(_) => return Err(LoginRefused::Undecided("the authenticators took too long".into())),
        };
        let data = data.map(|data| data.expose().to_vec());
        if is_too_long(data.as_deref()) {
            return Err(LoginRefused::Undecided("a gate says too much in one step".into()));
        }
        Ok(match said {
            Ok(talk) => Said::More(talk, data),
            Err(principal) => Said::Known(principal, data),
        })
    }
}

fn is_too_long(data: Option<&[u8]>) -> bool {
    data.is_some_and(|data| data.len() > DATA_BYTES_MAX)
}
