//! An authority of certificates for a story, and TLS clients that trust it.

use std::{fs, net::TcpStream, path::PathBuf, sync::Arc};

use broker::settings::{RawNamed, RawTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;

use crate::{
    client::{Client, SOON},
    house::House,
};

pub(crate) type Session = StreamOwned<ClientConnection, TcpStream>;

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self {
            issuer,
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn identify(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            key,
        }
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn tls(&self, client_certificate: &str) -> RawTls {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "broker");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let asked = client_certificate != "none";
        RawTls {
            certificate: self.file("server.pem", &certificate.pem()),
            key: self.file("server.key", &key.serialize_pem()),
            client_ca: asked.then(|| self.file("ca.pem", &self.issuer.pem())),
            client_certificate: Some(client_certificate.into()),
            named: Vec::new(),
        }
    }

    /// A server's certificate for this name, beside the first one.
    pub(crate) fn named(&self, name: &str, names: Option<&[&str]>) -> RawNamed {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = name.replace('*', "any");
        RawNamed {
            certificate: self.file(&format!("{file}.pem"), &certificate.pem()),
            key: self.file(&format!("{file}.key"), &key.serialize_pem()),
            names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    pub(crate) fn dial(&self, house: &House, identity: Option<Identity>) -> Client {
        Client::over(Box::new(self.wire(house, identity)))
    }

    /// A TLS session with the broker, begun with the first byte.
    pub(crate) fn wire(&self, house: &House, identity: Option<Identity>) -> Session {
        self.wire_to("localhost", house, identity)
    }

    /// One that asks for this name, and trusts no certificate for another.
    pub(crate) fn wire_to(&self, name: &str, house: &House, identity: Option<Identity>) -> Session {
        self.session(name, &["x-amzn-mqtt-ca"], house, identity)
    }

    /// One that asks for these protocols by ALPN.
    pub(crate) fn wire_for(&self, protocols: &[&str], house: &House, identity: Option<Identity>) -> Session {
        self.session("localhost", protocols, house, identity)
    }

    fn session(&self, name: &str, protocols: &[&str], house: &House, identity: Option<Identity>) -> Session {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(house.address()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let session = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
        StreamOwned::new(session, socket)
    }
}
