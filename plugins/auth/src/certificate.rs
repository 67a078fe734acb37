//! Identity from the certificate that TLS has verified.

use std::{future::ready, sync::Arc};

use plugin_api::{Authenticate, GateError, Login, Pending, Principal, Verdict};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{login, name};

/// Which name of a certificate its holder is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject.
    CommonName,
    /// The URI among the subject alternative names.
    Uri,
    /// The DNS name among the subject alternative names.
    Dns,
}

/// Knows the holder of a certificate.
///
/// Silent without one. A certificate that does not hold exactly one usable name is refused: choosing among several
/// would let its issuer and its reader disagree about who someone is.
#[derive(Debug)]
pub(crate) struct CertificateGate {
    name: CertificateName,
}

impl CertificateGate {
    pub(crate) const NAME: &str = "certificate";

    pub(crate) fn new(name: CertificateName) -> Self {
        Self { name }
    }
}

impl Authenticate for CertificateGate {
    fn authenticate(&self, login: Login) -> Pending<'_, Result<Verdict, GateError>> {
        let verdict = match login::certificate_name(&login, self.name) {
            None => Verdict::Silent,
            Some(Ok(name)) => Verdict::Known(Arc::new(Principal::named(&name))),
            Some(Err(fault)) => {
                Verdict::Refused(format!("the certificate does not say who it is for: {fault}"))
            }
        };
        Box::pin(ready(Ok(verdict)))
    }
}

/// The one name of this kind in a certificate.
pub(crate) fn name_in(der: &[u8], kind: CertificateName) -> Result<String, &'static str> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "it cannot be read")?;
    let mut names = match kind {
        CertificateName::CommonName => common_names(&certificate),
        CertificateName::Uri => alternative_names(&certificate, |name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })?,
        CertificateName::Dns => alternative_names(&certificate, |name| match name {
            GeneralName::DNSName(dns) => Some(*dns),
            _ => None,
        })?,
    };
    let name = names
        .pop()
        .ok_or("it holds no name of the configured kind (auth.certificate_name)")?;
    if !names.is_empty() {
        return Err("it holds several names of the configured kind (auth.certificate_name)");
    }
    usable(name)
}

/// A name, if somebody can be known by it.
pub(crate) fn usable(name: String) -> Result<String, &'static str> {
    match name::fault_of(&name) {
        None => Ok(name),
        Some(_) => Err("its name is empty, too long, reserved or not plain text"),
    }
}

fn common_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    // One that is no text counts as an empty name, which is refused, and not as absent.
    certificate
        .subject()
        .iter_common_name()
        .map(|name| name.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn alternative_names(
    certificate: &X509Certificate<'_>,
    pick: impl for<'n> Fn(&'n GeneralName<'n>) -> Option<&'n str>,
) -> Result<Vec<String>, &'static str> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| "its alternative names cannot be read")?;
    Ok(extension.map_or_else(Vec::new, |names| {
        names
            .value
            .general_names
            .iter()
            .filter_map(pick)
            .map(str::to_owned)
            .collect()
    }))
}
