//! Reading a login: what the peer presents, and where it came from.

use plugin_api::Login;

/// AWS device SDKs put telemetry into the user name, beside a client certificate and without a password.
const AWS_SDK_TELEMETRY: &str = "?SDK=";

/// The user name the peer claims, if it claims one.
pub(crate) fn user_name(login: &Login) -> Option<&str> {
    let name = login.username.as_deref()?;
    let telemetry = name.starts_with(AWS_SDK_TELEMETRY) && login.password.is_none();
    (!telemetry).then_some(name)
}

/// Whether the peer presented anything that says who it is.
pub(crate) fn has_credentials(login: &Login) -> bool {
    user_name(login).is_some() || login.password.is_some() || login.certificate.is_some()
}

/// Whether the peer is on this machine: both ends are loopback, so that a listener behind a proxy does not count.
pub(crate) fn is_loopback(login: &Login) -> bool {
    login.loopback && login.peer.is_loopback()
}
