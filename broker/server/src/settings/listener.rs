//! `[[listener]]`: an address to listen on, with or without TLS.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf};

use plugin_api::Problem;
use serde::{Deserialize, Serialize};

use super::Section;

/// One `[[listener]]` as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// Its name, for logs.
    pub name: String,
    /// Address and port, as in `127.0.0.1:1883`; port 0 takes any free one.
    pub bind: String,
    /// Connections at a time at this listener; 0 means no limit besides that of the broker.
    #[serde(default)]
    pub connections_max: u32,
    /// TLS, if it is to be spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RawTls>,
}

/// `[listener.tls]` as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// PEM file with the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities of client certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificate {
    /// They are not asked for one.
    #[default]
    None,
    /// They may show one.
    Optional,
    /// They have to.
    Required,
}

/// One listener, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The address.
    pub bind: SocketAddr,
    /// Connections at a time.
    pub connections_max: u32,
    /// TLS, if spoken.
    pub tls: Option<Tls>,
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
}

pub(super) fn check(listeners: Vec<RawListener>, problems: &mut Vec<Problem>) -> Vec<Listener> {
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    let mut checked = Vec::new();
    for (place, raw) in listeners.into_iter().enumerate() {
        let path = format!("listener[{place}]");
        let mut section = Section {
            name: &path,
            problems,
        };
        if raw.name.is_empty() {
            section.problem("name", "nothing".into(), "a name, for example \"mqtt\"");
        }
        if !names.insert(raw.name.clone()) {
            section.problem(
                "name",
                format!("\"{}\" again", raw.name),
                "a name that no other listener has",
            );
        }
        let Some(bind) = raw.check_bind(&mut section) else {
            continue;
        };
        if bind.port() != 0 && !addresses.insert(bind) {
            section.problem(
                "bind",
                format!("\"{bind}\" again"),
                "an address that no other listener has",
            );
        }
        let connections_max = if raw.connections_max == 0 {
            u32::MAX
        } else {
            raw.connections_max
        };
        let tls = raw.tls.map(|tls| tls.check(&mut section));
        checked.push(Listener {
            name: raw.name,
            bind,
            connections_max,
            tls,
        });
    }
    checked
}

impl RawListener {
    fn check_bind(&self, section: &mut Section<'_>) -> Option<SocketAddr> {
        let bind = self.bind.parse().ok();
        if bind.is_none() {
            let allowed = "an IP address and a port, for example \"127.0.0.1:1883\" or \"[::]:8883\"";
            section.problem("bind", format!("\"{}\"", self.bind), allowed);
        }
        bind
    }
}

impl RawTls {
    /// Checks the TLS settings of a listener that belongs to another section, such as HTTP's.
    pub fn check_in(self, section: &str, problems: &mut Vec<Problem>) -> Tls {
        self.check(&mut Section {
            name: section,
            problems,
        })
    }

    fn check(self, section: &mut Section<'_>) -> Tls {
        match (self.client_certificate, &self.client_ca) {
            (ClientCertificate::None, Some(_)) => section.problem(
                "tls.client_certificate",
                "\"none\" together with tls.client_ca".into(),
                "\"required\" or \"optional\", or no tls.client_ca",
            ),
            (ClientCertificate::Optional | ClientCertificate::Required, None) => section.problem(
                "tls.client_ca",
                "nothing, though client certificates are asked for".into(),
                "the PEM file with the authorities of client certificates",
            ),
            _ => {}
        }
        for (key, file) in [("tls.certificate", &self.certificate), ("tls.key", &self.key)] {
            if file.as_os_str().is_empty() {
                section.problem(key, "nothing".into(), "the path of a PEM file");
            }
        }
        let Self {
            certificate,
            key,
            client_ca,
            client_certificate,
        } = self;
        Tls {
            certificate,
            key,
            client_ca,
            client_certificate,
        }
    }
}
