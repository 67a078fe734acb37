//! TLS of a listener: certificates, and whether clients must show one.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};

use crate::{
    error::StartError,
    settings::{ClientCertificate, Tls},
};

mod names;

use names::ByName;

/// What clients may call MQTT by ALPN. Not asking for a protocol is fine, too.
pub(super) const PROTOCOLS: [&str; 2] = ["mqtt", "x-amzn-mqtt-ca"];

/// Reads the files that the settings of a listener name, MQTT or not; ALPN is set for MQTT.
///
/// # Errors
/// When one cannot be read or does not fit, naming the key of the setting and the file.
pub fn server_config(listener: &str, tls: &Tls) -> Result<Arc<ServerConfig>, StartError> {
    let fault = |key: &'static str, file: &Path, why: String| StartError::Certificate {
        listener: listener.into(),
        key,
        file: file.into(),
        why,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let first = Files {
        keys: ("tls.certificate", "tls.key"),
        certificate: &tls.certificate,
        key: &tls.key,
    };
    let first = Arc::new(
        first
            .read(&provider)
            .map_err(|(key, file, why)| fault(key, file, why))?,
    );
    let mut named = Vec::new();
    for more in &tls.named {
        let files = Files {
            keys: ("tls.named.certificate", "tls.named.key"),
            certificate: &more.certificate,
            key: &more.key,
        };
        let certified = files
            .read(&provider)
            .map_err(|(key, file, why)| fault(key, file, why))?;
        named.push((more.names.clone(), Arc::new(certified)));
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|why| fault("tls.certificate", &tls.certificate, why.to_string()))?;
    let builder = match &tls.client_ca {
        Some(file) => {
            let verifier = client_verifier(file, tls.client_certificate, provider)
                .map_err(|why| fault("tls.client_ca", file, why))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName { first, named }));
    set_protocols(&mut config, &PROTOCOLS);
    Ok(Arc::new(config))
}

/// What peers may ask for by ALPN.
pub(super) fn set_protocols(config: &mut ServerConfig, protocols: &[&str]) {
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
}

/// A certificate and its key, as the settings name them.
struct Files<'a> {
    /// The keys of the settings.
    keys: (&'static str, &'static str),
    certificate: &'a Path,
    key: &'a Path,
}

/// Key of the setting, file, and what is wrong.
type Fault<'a> = (&'static str, &'a Path, String);

impl<'a> Files<'a> {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Fault<'a>> {
        let (at_certificate, at_key) = self.keys;
        let chain =
            read_certificates(self.certificate).map_err(|why| (at_certificate, self.certificate, why))?;
        let key = PrivateKeyDer::from_pem_file(self.key)
            .map_err(|why| (at_key, self.key, explain(why, "private key")))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|why| {
            let why = match why {
                rustls::Error::InconsistentKeys(_) => {
                    format!("this key does not belong to the certificate of `{at_certificate}`")
                }
                other => other.to_string(),
            };
            (at_key, self.key, why)
        })
    }
}

fn client_verifier(
    file: &Path,
    demand: ClientCertificate,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots
            .add(certificate)
            .map_err(|why| format!("a certificate in it cannot serve as an authority: {why}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match demand {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional | ClientCertificate::None => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|why| why.to_string())
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| explain(why, "certificate"))?;
    if certificates.is_empty() {
        return Err(
            "there is no certificate in this file; PEM text with `-----BEGIN CERTIFICATE-----` is expected"
                .into(),
        );
    }
    Ok(certificates)
}

fn explain(why: rustls::pki_types::pem::Error, what: &str) -> String {
    match why {
        rustls::pki_types::pem::Error::Io(why) => format!("cannot be read: {why}"),
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("there is no {what} in this file; PEM text is expected")
        }
        other => format!("is no {what} in PEM text: {other}"),
    }
}
