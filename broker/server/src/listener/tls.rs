//! TLS of a listener: certificates, and whether clients must show one.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{
    error::StartError,
    settings::{ClientCertificate, Tls},
};

/// Protocols clients may ask for by ALPN. Not asking is fine, too.
const PROTOCOLS: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];

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
    let chain =
        read_certificates(&tls.certificate).map_err(|why| fault("tls.certificate", &tls.certificate, why))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|why| fault("tls.key", &tls.key, explain(why, "private key")))?;
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
    let mut config = builder.with_single_cert(chain, key).map_err(|why| {
        let why = match why {
            rustls::Error::InconsistentKeys(_) => {
                "this key does not belong to the certificate of `tls.certificate`".into()
            }
            other => other.to_string(),
        };
        fault("tls.key", &tls.key, why)
    })?;
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
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
