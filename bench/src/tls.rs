//! TLS 1.3 as the clients of a run speak it: a certificate made for the run, and one connection inside TLS.

use std::fs;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rcgen::generate_simple_self_signed;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The name that the certificate is for.
const NAME: &str = "localhost";

/// What the broker shows, and the clients that trust nothing else.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) clients: Arc<ClientConfig>,
}

impl Certificate {
    /// Writes a new one into the folder.
    ///
    /// # Errors
    /// The folder takes no file.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let made = generate_simple_self_signed([NAME.to_owned()]).context("cannot make a certificate")?;
        let (file, key_file) = (folder.join("server.pem"), folder.join("server.key"));
        fs::write(&file, made.cert.pem())?;
        fs::write(&key_file, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        // One suite, so that every broker does the same work.
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            ..default_provider()
        };
        let mut clients = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connect is a whole handshake.
        clients.resumption = Resumption::disabled();
        Ok(Self {
            file,
            key_file,
            clients: Arc::new(clients),
        })
    }
}

/// The client's side of one TLS connection.
#[derive(Debug)]
pub(crate) struct Tls(Box<ClientConnection>);

impl Tls {
    pub(crate) fn new(clients: Arc<ClientConfig>) -> Result<Self> {
        let connection = ClientConnection::new(clients, NAME.try_into()?)?;
        Ok(Self(Box::new(connection)))
    }

    /// Reads and writes in blocking mode, the handshake before all else.
    pub(crate) fn over<'a>(&'a mut self, socket: &'a mut TcpStream) -> impl Read + Write + 'a {
        rustls::Stream::new(&mut *self.0, socket)
    }

    /// Hands what is inside `sealed`, which came from the socket, to `sink`.
    ///
    /// # Errors
    /// Bytes that are no TLS, the end of the connection, and what `sink` refuses.
    pub(crate) fn open(
        &mut self,
        mut sealed: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while !sealed.is_empty() {
            self.0.read_tls(&mut sealed)?;
            self.0.process_new_packets()?;
            let mut reader = self.0.reader();
            loop {
                let len = match reader.fill_buf() {
                    Ok([]) => bail!("the broker ended TLS"),
                    Ok(plain) => {
                        sink(plain)?;
                        plain.len()
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                reader.consume(len);
            }
        }
        Ok(())
    }

    /// Seals as much of `plain` as there is room for, in one piece.
    pub(crate) fn seal(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.writer().write_vectored(plain)
    }

    /// Writes what is sealed; an error of the kind `WouldBlock` when the socket does not take all of it.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
    use tempfile::TempDir;

    use super::*;

    /// A server that shows what stands in the files, and clients that trust `clients`.
    fn pair(shown: &Certificate, trusted: &Certificate) -> (ServerConnection, Tls) {
        let chain = vec![CertificateDer::from_pem_file(&shown.file).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&shown.key_file).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let server = ServerConnection::new(Arc::new(config)).unwrap();
        (server, Tls::new(Arc::clone(&trusted.clients)).unwrap())
    }

    /// Carries bytes to and fro until neither side has more to say.
    fn settle(server: &mut ServerConnection, client: &mut Tls, sink: &mut Vec<u8>) -> Result<()> {
        loop {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.flush(&mut there)?;
            let mut rest = there.as_slice();
            while !rest.is_empty() {
                server.read_tls(&mut rest)?;
                server.process_new_packets()?;
            }
            while server.wants_write() {
                server.write_tls(&mut back)?;
            }
            // As the network may cut it.
            for piece in back.chunks(1000) {
                client.open(piece, |plain| {
                    sink.extend_from_slice(plain);
                    Ok(())
                })?;
            }
            if there.is_empty() && back.is_empty() {
                return Ok(());
            }
        }
    }

    #[test]
    fn what_is_sealed_on_one_side_is_opened_on_the_other() {
        let folder = TempDir::new().unwrap();
        let certificate = Certificate::make(folder.path()).unwrap();
        let (mut server, mut client) = pair(&certificate, &certificate);
        let mut opened = Vec::new();
        settle(&mut server, &mut client, &mut opened).unwrap();
        assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));

        let message: Vec<u8> = (0..40_000_u32).flat_map(u32::to_be_bytes).collect();
        for piece in message.chunks(20_000) {
            server.writer().write_all(piece).unwrap();
            settle(&mut server, &mut client, &mut opened).unwrap();
        }
        assert!(opened == message);

        let parts: [&[u8]; 3] = [b"one ", b"", b"two"];
        assert_eq!(client.seal(&parts.map(IoSlice::new)).unwrap(), 7);
        settle(&mut server, &mut client, &mut opened).unwrap();
        let mut answer = [0; 7];
        server.reader().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"one two");
    }

    #[test]
    fn a_broker_with_another_certificate_is_refused() {
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [ours, other] = folders
            .each_ref()
            .map(|folder| Certificate::make(folder.path()).unwrap());
        let (mut server, mut client) = pair(&other, &ours);
        assert!(settle(&mut server, &mut client, &mut Vec::new()).is_err());
    }

    #[test]
    fn the_end_of_tls_is_the_end_of_the_connection() {
        let folder = TempDir::new().unwrap();
        let certificate = Certificate::make(folder.path()).unwrap();
        let (mut server, mut client) = pair(&certificate, &certificate);
        settle(&mut server, &mut client, &mut Vec::new()).unwrap();
        server.send_close_notify();
        let mut sealed = Vec::new();
        server.write_tls(&mut sealed).unwrap();
        assert!(
            client.open(&sealed, |_| Ok(())).is_err(),
            "nothing comes any more"
        );
    }
}
