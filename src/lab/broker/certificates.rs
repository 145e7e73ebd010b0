//! Certificates for a platform that speaks TLS: a CA of the lab's own, kept in a directory, and
//! a certificate for each run that it signs.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::Digest;

/// The file with the CA's certificate, which a gateway trusts by `ca_file`.
const CERTIFICATE: &str = "ca.pem";
/// The file with the CA's key.
const KEY: &str = "ca.key";

/// A CA that exists for training alone.
#[derive(Debug)]
pub struct Authority {
    file: PathBuf,
    fingerprint: Digest,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Takes the CA in this directory, or makes one there.
    ///
    /// # Errors
    /// The directory cannot be made or written, or a file in it is not what it should be.
    pub fn in_directory(folder: &Path) -> io::Result<Authority> {
        let (file, key_file) = (folder.join(CERTIFICATE), folder.join(KEY));
        let key = match fs::read_to_string(&key_file) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|e| wrong(&key_file, &e))?,
            Err(e) if e.kind() == ErrorKind::NotFound => make(folder, &file, &key_file)?,
            Err(e) => return Err(wrong(&key_file, &e)),
        };
        let certificate = CertificateDer::from_pem_file(&file).map_err(|e| wrong(&file, &e))?;
        Ok(Authority {
            fingerprint: Digest::of(&certificate),
            // What it signs needs nothing of its certificate but name and key.
            issuer: Issuer::new(of_authority(), key),
            file,
        })
    }

    /// Returns the file that a gateway trusts.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the SHA-256 of the CA's certificate, as openssl shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digits = self.fingerprint.to_string().to_uppercase();
        let pairs = digits.as_bytes().chunks(2);
        let pairs: Vec<_> = pairs.map(String::from_utf8_lossy).collect();
        pairs.join(":")
    }

    /// Returns the TLS settings of a server with these names, host names or addresses; no client
    /// certificate is asked for.
    ///
    /// # Errors
    /// A name that a certificate cannot be for.
    pub fn server(&self, names: Vec<String>) -> io::Result<Arc<rustls::ServerConfig>> {
        let key = new_key()?;
        let certificate = CertificateParams::new(names).and_then(|mut of_server| {
            of_server
                .distinguished_name
                .push(DnType::CommonName, "alink-lab platform");
            of_server.signed_by(&key, &self.issuer)
        });
        let certificate = certificate.map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        super::tls_of(vec![certificate.der().clone()], key)
    }
}

fn make(folder: &Path, file: &Path, key_file: &Path) -> io::Result<KeyPair> {
    let key = new_key()?;
    let certificate = of_authority().self_signed(&key).map_err(io::Error::other)?;
    fs::create_dir_all(folder).map_err(|e| wrong(folder, &e))?;
    fs::write(file, certificate.pem()).map_err(|e| wrong(file, &e))?;
    let mut private = fs::OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    let mut private = private.open(key_file).map_err(|e| wrong(key_file, &e))?;
    io::Write::write_all(&mut private, key.serialize_pem().as_bytes())?;
    Ok(key)
}

fn new_key() -> io::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)
}

fn of_authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "alink-lab CA, for training only");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn wrong(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}
