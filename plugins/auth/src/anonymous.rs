//! Letting in those who present nothing, where the settings say so.

use std::{future::ready, sync::Arc};

use plugin_api::{Authenticate, GateError, Login, Pending, Principal, Transport, Verdict};

use crate::{ANONYMOUS, Anonymous, login};

/// Knows everybody who presents nothing, from where the settings allow it.
///
/// Silent about a login that presents something: a name that nothing can check must not come in as nobody.
#[derive(Debug)]
pub(crate) struct AnonymousGate {
    from: Anonymous,
}

impl AnonymousGate {
    pub(crate) const NAME: &str = "anonymous";

    pub(crate) fn new(from: Anonymous) -> Self {
        Self { from }
    }

    fn judge(&self, login: &Login) -> Verdict {
        if login::has_credentials(login) {
            return Verdict::Silent;
        }
        let welcome = match (self.from, login.transport) {
            (Anonymous::Never, _) => false,
            (Anonymous::PublicAddress, Transport::Mqtt) => true,
            // HTTP can operate the broker: never without a credential from elsewhere.
            (Anonymous::Loopback | Anonymous::PublicAddress, _) => login::is_loopback(login),
        };
        if welcome {
            Verdict::Known(Arc::new(Principal::named(ANONYMOUS)))
        } else {
            Verdict::Refused(format!(
                "no credentials, and auth.anonymous = {:?} does not let it in",
                self.from.word()
            ))
        }
    }
}

impl Authenticate for AnonymousGate {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        Box::pin(ready(Ok(self.judge(&login))))
    }
}
