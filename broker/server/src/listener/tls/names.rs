//! Which certificate a client gets: the one for the name it asks for (SNI), else the first.

use std::sync::Arc;

use rustls::{
    client::verify_server_name,
    pki_types::ServerName,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct ByName {
    /// For clients that ask for no name, or for one that no other is for.
    pub(super) first: Arc<CertifiedKey>,
    /// For these names, in lower case, or for those in the certificate.
    pub(super) named: Vec<(Option<Vec<String>>, Arc<CertifiedKey>)>,
}

impl ByName {
    fn find(&self, asked: &str) -> Option<&Arc<CertifiedKey>> {
        let is_for = |(names, certified): &&(Option<Vec<String>>, Arc<CertifiedKey>)| match names {
            Some(names) => names.iter().any(|name| matches(name, asked)),
            None => holds(certified, asked),
        };
        self.named.iter().find(is_for).map(|(_, certified)| certified)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let found = asked.and_then(|asked| self.find(&asked)).unwrap_or(&self.first);
        Some(Arc::clone(found))
    }
}

/// A star stands for one label.
fn matches(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => asked.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => name == asked,
    }
}

/// Whether the certificate says that it is for this name.
fn holds(certified: &CertifiedKey, asked: &str) -> bool {
    let parsed = certified.end_entity_cert().and_then(ParsedCertificate::try_from);
    match (parsed, ServerName::try_from(asked)) {
        (Ok(parsed), Ok(asked)) => verify_server_name(&parsed, &asked).is_ok(),
        (Err(_), _) | (_, Err(_)) => false,
    }
}
