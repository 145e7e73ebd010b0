//! TLS: whom we trust, and failures in words an operator can act on.
//!
//! The system's roots, plus `ca_file` if given: the platform's port 8883 chains
//! to a root of its own that no system carries. Both are read again
//! for each attempt, so a repaired certificate store or file is used without a
//! restart; attempts are at most five a minute.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::notice::LinkNotice;
use crate::base::utc::Utc;
use crate::base::{LinkDown, Wall};
use crate::io::clock::Clock;
use crate::io::file;

/// A file of certificates is never larger. All roots of Debian 12
/// (ca-certificates.crt) have 220 kB.
pub(in crate::io) const LARGEST_BUNDLE: u64 = 1 << 20;

/// Speaks TLS on a connected stream, with SNI.
pub(super) async fn wrap(
    tcp: TcpStream,
    host: &str,
    ca_file: Option<PathBuf>,
    clock: &Clock,
    deadline: Instant,
) -> Result<(TlsStream<TcpStream>, Option<LinkNotice>), LinkDown> {
    let failed = LinkDown::Tls;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed(format!("{host:?} is not a name a certificate can be for")))?;
    // A few hundred files and signatures: not on the thread of all tasks.
    let trusted = tokio::task::spawn_blocking(move || trust(ca_file.as_deref()))
        .await
        .map_err(|e| failed(format!("reading root certificates: {e}")))?;
    let (config, notice) = trusted.map_err(failed)?;
    match timeout_at(deadline, TlsConnector::from(config).connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok((stream, notice)),
        Ok(Err(error)) => Err(failed(words(&error, clock.now().wall))),
        Err(_) => Err(failed(
            "no answer to our greeting in time: does this port speak TLS?".to_owned(),
        )),
    }
}

/// Whom the link trusts, for others who speak TLS: the system's roots, good or
/// not, and those of `ca_file`.
///
/// # Errors
/// If `ca_file` cannot be used.
pub(in crate::io) fn roots(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = ca_file {
        roots.extend(of_file(path)?);
    }
    Ok(roots)
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = path.display();
    let pem = file::read(path, LARGEST_BUNDLE).map_err(|e| format!("ca_file {name}: {e}"))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("ca_file {name}: {e}"))?;
    if certificates.is_empty() {
        return Err(format!("ca_file {name}: holds no certificate"));
    }
    Ok(certificates)
}

/// Collects the roots. What a system store holds besides good certificates is
/// skipped and counted; what the operator names must be good.
fn trust(ca_file: Option<&Path>) -> Result<(Arc<ClientConfig>, Option<LinkNotice>), String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    let skipped = unusable + system.errors.len();

    if let Some(path) = ca_file {
        let name = path.display();
        for certificate in of_file(path)? {
            roots
                .add(certificate)
                .map_err(|e| format!("ca_file {name}: {e}"))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "no root certificate to trust: install ca-certificates or name a ca_file".to_owned(),
        );
    }
    let notice = (skipped > 0).then(|| LinkNotice::RootsSkipped {
        skipped,
        usable: roots.len(),
    });
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok((Arc::new(config), notice))
}

/// What went wrong, for people; `wall` is what our clock says, because a
/// certificate cannot be checked by a clock that was never set.
fn words(error: &io::Error, wall: Wall) -> String {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the other side hung up at our greeting".to_owned(),
            _ => format!("{error}; check the network and the firewall"),
        };
    };
    let here = Utc::of(wall);
    match inner {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidYet => format!(
                "the certificate is not valid yet; the clock here says {here}: it is probably unset"
            ),
            CertificateError::NotValidYetContext { not_before, .. } => format!(
                "the certificate is not valid before {}; the clock here says {here}: it is probably unset",
                Utc::of(stamp(*not_before))
            ),
            CertificateError::Expired => format!(
                "the certificate has expired; the clock here says {here}: if that is wrong, it may be unset"
            ),
            CertificateError::ExpiredContext { not_after, .. } => format!(
                "the certificate expired on {}; the clock here says {here}: if that is wrong, it may be unset",
                Utc::of(stamp(*not_after))
            ),
            CertificateError::UnknownIssuer => {
                "nobody we trust has signed the certificate: name its root as ca_file (the platform's port 8883 needs one)"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is for another host: {certificate}; is cloud.url right?")
            }
            other => format!("the certificate is not acceptable: {other}; is this the platform's endpoint?"),
        },
        rustls::Error::InvalidMessage(_) => {
            format!("the other side does not speak TLS: {inner}")
        }
        other => format!("{other}; is this a TLS port?"),
    }
}

fn stamp(time: UnixTime) -> Wall {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Wall::from_millis(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: rustls::Error) -> String {
        let wall = Wall::from_millis(3_600_000);
        words(&io::Error::new(io::ErrorKind::InvalidData, error), wall)
    }

    #[test]
    fn an_unset_clock_is_suspected_when_a_certificate_is_out_of_its_time() {
        let day = |n: u64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(n * 86_400));
        let early = CertificateError::NotValidYetContext {
            time: day(0),
            not_before: day(20_000),
        };
        assert_eq!(
            said(rustls::Error::InvalidCertificate(early)),
            "the certificate is not valid before 2024-10-04 00:00:00 UTC; \
             the clock here says 1970-01-01 01:00:00 UTC: it is probably unset"
        );
        let late = CertificateError::ExpiredContext {
            time: day(0),
            not_after: day(20_000),
        };
        assert!(said(rustls::Error::InvalidCertificate(late)).contains("may be unset"));
    }

    #[test]
    fn a_ca_file_that_cannot_be_used_is_an_error_and_not_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let refused = |path: &Path| trust(Some(path)).map(|_| ()).unwrap_err();
        assert!(refused(&path).contains("ca.pem"), "{}", refused(&path));
        std::fs::write(&path, "nothing of the kind\n").unwrap();
        assert!(refused(&path).contains("holds no certificate"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(refused(&path).contains("ca.pem"));
    }
}
