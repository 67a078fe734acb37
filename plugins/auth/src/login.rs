//! Reading a login: what the peer presents, and where it came from.

use std::net::{IpAddr, Ipv4Addr};

use plugin_api::Login;

use crate::{CertificateName, certificate};

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
    user_name(login).is_some() || login.password.is_some() || has_certificate(login)
}

/// Whether the peer has shown a certificate, here or to a proxy that is believed.
pub(crate) fn has_certificate(login: &Login) -> bool {
    login.certificate.is_some() || login.common_name.is_some()
}

/// The one name of this kind in the certificate, if the peer has shown one.
pub(crate) fn certificate_name(login: &Login, kind: CertificateName) -> Option<Result<String, &'static str>> {
    match (&login.certificate, &login.common_name, kind) {
        (Some(certificate), _, _) => Some(certificate::name_in(certificate, kind)),
        (None, Some(name), CertificateName::CommonName) => Some(certificate::usable(name.clone())),
        (None, Some(_), CertificateName::Uri | CertificateName::Dns) => Some(Err(
            "the proxy tells its common name only (auth.certificate_name)",
        )),
        (None, None, _) => None,
    }
}

/// Whether the peer is on this machine: both ends are loopback, so that a listener behind a proxy does not count.
pub(crate) fn is_loopback(login: &Login) -> bool {
    login.loopback && login.peer.is_loopback()
}

/// Where it comes from. Who comes by a Unix socket is on this machine.
pub(crate) fn address(login: &Login) -> IpAddr {
    login.peer.ip().unwrap_or(Ipv4Addr::LOCALHOST.into())
}
