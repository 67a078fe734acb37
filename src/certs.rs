//! A development authority and certificates under it, so that mutual TLS can be tried in a minute.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// What to make.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) folder: &'a Path,
    /// Names and addresses the server's certificate is for.
    pub(crate) hosts: &'a [String],
    /// Names of devices, one certificate each.
    pub(crate) devices: &'a [String],
}

/// Why no certificates were made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertsError {
    #[error("{path}: {why}")]
    File { path: String, why: io::Error },
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("{0:?} cannot be a device's name in a certificate file: use letters, digits and : _ . -")]
    Name(String),
}

/// Makes `ca.pem`, `server.pem`, and a certificate for each device, with their keys. An authority that stands there already
/// is used again, so that devices can be added later.
pub(crate) fn make(order: &Order<'_>) -> Result<Vec<String>, CertsError> {
    let in_folder = |name: &str| order.folder.join(name);
    for name in order.devices {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":_.-".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(fits) {
            return Err(CertsError::Name(name.clone()));
        }
    }
    fs::create_dir_all(order.folder).map_err(file_fault(order.folder))?;
    let mut made = Vec::new();
    if !in_folder("ca.pem").exists() {
        let key = KeyPair::generate()?;
        let authority = authority_params()?.self_signed(&key)?;
        write(&in_folder("ca.pem"), &authority.pem(), 0o644)?;
        write(&in_folder("ca.key"), &key.serialize_pem(), 0o600)?;
        made.push("ca".to_owned());
    }
    let read = |name: &str| fs::read_to_string(in_folder(name)).map_err(file_fault(&in_folder(name)));
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem")?, KeyPair::from_pem(&read("ca.key")?)?)?;
    if !in_folder("server.pem").exists() {
        let hosts = order.hosts.to_vec();
        issue(
            order.folder,
            "server",
            "twinmq",
            hosts,
            ExtendedKeyUsagePurpose::ServerAuth,
            &issuer,
        )?;
        made.push("server".to_owned());
    }
    for device in order.devices {
        issue(
            order.folder,
            device,
            device,
            Vec::new(),
            ExtendedKeyUsagePurpose::ClientAuth,
            &issuer,
        )?;
        made.push(device.clone());
    }
    Ok(made)
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
        .distinguished_name
        .push(DnType::CommonName, "TwinMQ development CA");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn issue(
    folder: &Path,
    file: &str,
    common_name: &str,
    hosts: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(), CertsError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, issuer)?;
    write(&folder.join(format!("{file}.pem")), &certificate.pem(), 0o644)?;
    write(&folder.join(format!("{file}.key")), &key.serialize_pem(), 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(file_fault(path))
}

fn file_fault(path: &Path) -> impl FnOnce(io::Error) -> CertsError + use<> {
    let path = path.display().to_string();
    |why| CertsError::File { path, why }
}
