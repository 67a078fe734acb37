//! `[listener.tls]`: certificates of a listener, and whether clients must show one.

use std::path::PathBuf;

use plugin_api::Check;
use serde::Deserialize;

/// `[listener.tls]` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// PEM file with the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate: `none`, `optional` or `required`.
    pub client_certificate: Option<String>,
    /// Certificates for clients that ask for another name.
    #[serde(default)]
    pub named: Vec<RawNamed>,
}

/// One `[[listener.tls.named]]` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNamed {
    /// PEM file with the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// For which names, as in `mqtt.example.org` or `*.example.org`. By default those in the certificate.
    pub names: Option<Vec<String>>,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificate {
    /// They are not asked for one.
    #[default]
    None,
    /// They may show one.
    Optional,
    /// They have to.
    Required,
}

/// TLS of a listener. The files are read when the broker starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities of client certificates; set exactly if these are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub client_certificate: ClientCertificate,
    /// Certificates for clients that ask for another name; for all others there is the first one.
    pub named: Vec<Named>,
}

/// A certificate for some names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// For which names, in lower case; without it for those in the certificate.
    pub names: Option<Vec<String>>,
}

const CLIENT_CERTIFICATES: [(&str, ClientCertificate); 3] = [
    ("none", ClientCertificate::None),
    ("optional", ClientCertificate::Optional),
    ("required", ClientCertificate::Required),
];

impl RawTls {
    /// Checks the TLS settings of a listener, MQTT or not.
    pub fn check(self, check: &mut Check<'_>) -> Tls {
        let client_certificate = check.choice(
            "tls.client_certificate",
            self.client_certificate,
            ClientCertificate::default(),
            &CLIENT_CERTIFICATES,
        );
        match (client_certificate, &self.client_ca) {
            (ClientCertificate::None, Some(_)) => check.problem(
                "tls.client_certificate",
                "\"none\" together with tls.client_ca",
                "\"required\" or \"optional\", or no tls.client_ca",
            ),
            (ClientCertificate::Optional | ClientCertificate::Required, None) => check.problem(
                "tls.client_ca",
                "nothing, though client certificates are asked for",
                "the PEM file with the authorities of client certificates",
            ),
            _ => {}
        }
        for (key, file) in [("tls.certificate", &self.certificate), ("tls.key", &self.key)] {
            if file.as_os_str().is_empty() {
                check.problem(key, "nothing", "the path of a PEM file");
            }
        }
        Tls {
            certificate: self.certificate,
            key: self.key,
            client_ca: self.client_ca,
            client_certificate,
            named: self.named.into_iter().map(|named| named.check(check)).collect(),
        }
    }
}

impl RawNamed {
    fn check(self, check: &mut Check<'_>) -> Named {
        for (key, file) in [
            ("tls.named.certificate", &self.certificate),
            ("tls.named.key", &self.key),
        ] {
            if file.as_os_str().is_empty() {
                check.problem(key, "nothing", "the path of a PEM file");
            }
        }
        let names = self.names.map(|names| {
            names
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect::<Vec<_>>()
        });
        for name in names.iter().flatten() {
            let bare = name.strip_prefix("*.").unwrap_or(name);
            let fits = |label: &str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            if !bare.split('.').all(fits) {
                let allowed = "a DNS name, for example \"mqtt.example.org\" or \"*.example.org\"";
                check.problem("tls.named.names", format!("{name:?}"), allowed);
            }
        }
        Named {
            certificate: self.certificate,
            key: self.key,
            names,
        }
    }
}
