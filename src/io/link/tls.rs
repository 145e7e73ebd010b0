//! TLS: which certificates are trusted, and failures in words an operator can act on.
//!
//! The system's roots are trusted, plus `ca_file` if given: the platform's port 8883 chains to
//! a root of its own that no system carries. Both are read again for each attempt, so a
//! repaired certificate store or file is used without a restart; attempts are at most five a
//! minute.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::events::LinkLogEvent;
use crate::base::text::excerpt;
use crate::base::utc::Utc;
use crate::base::{LinkDown, Wall};
use crate::io::files::bounded;
use crate::io::system::clock::Clock;

/// The largest file of certificates. All roots of Debian 12 (ca-certificates.crt) have 220 kB.
pub(in crate::io) const LARGEST_BUNDLE: u64 = 1 << 20;

/// Starts TLS on a connected stream, with SNI.
pub(super) async fn wrap(
    tcp: TcpStream,
    host: &str,
    ca_file: Option<PathBuf>,
    clock: &Clock,
    deadline: Instant,
) -> Result<(TlsStream<TcpStream>, Option<LinkLogEvent>), LinkDown> {
    let failed = LinkDown::Tls;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed(format!("“{host}” is not a name a certificate can be for")))?;
    // This reads a few hundred files and signatures: not on the thread of all tasks.
    let trusted = tokio::task::spawn_blocking(move || trust(ca_file.as_deref()))
        .await
        .map_err(|e| failed(format!("reading root certificates: {e}")))?;
    let (config, notice) = trusted.map_err(failed)?;
    match timeout_at(deadline, TlsConnector::from(config).connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok((stream, notice)),
        Ok(Err(error)) => Err(failed(words(&error, clock.now().wall))),
        Err(_) => Err(failed(
            "no answer to the TLS greeting in time: does this port speak TLS?".to_owned(),
        )),
    }
}

/// Returns the roots that the link trusts, for other users of TLS: the system's roots, good or
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
    let pem = bounded::read(path, LARGEST_BUNDLE).map_err(|e| format!("ca_file {name}: {e}"))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("ca_file {name}: {}", pem_words(&e)))?;
    if certificates.is_empty() {
        return Err(format!("ca_file {name}: holds no certificate"));
    }
    Ok(certificates)
}

/// Collects the roots. Bad entries of the system's store are skipped and counted; the
/// certificates that the operator names must be good.
fn trust(ca_file: Option<&Path>) -> Result<(Arc<ClientConfig>, Option<LinkLogEvent>), String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(system.certs);
    let skipped = unusable + system.errors.len();

    if let Some(path) = ca_file {
        let name = path.display();
        for certificate in of_file(path)? {
            roots.add(certificate).map_err(|e| match e {
                rustls::Error::InvalidCertificate(why) => {
                    format!("ca_file {name}: {}", certificate_words(&why))
                }
                _ => format!("ca_file {name}: a certificate in it cannot be used"),
            })?;
        }
    }
    if roots.is_empty() {
        return Err(
            "no root certificate to trust: install ca-certificates or name a ca_file".to_owned(),
        );
    }
    let notice = (skipped > 0).then(|| LinkLogEvent::RootsSkipped {
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

/// Returns what went wrong, for people; `wall` is this machine's time, because a certificate
/// cannot be checked with a clock that was never set.
fn words(error: &io::Error, wall: Wall) -> String {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    let Some(inner) = inner else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the other side closed the connection at the TLS greeting".to_owned()
            }
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
                "no root that this gateway trusts has signed the certificate: name its root as ca_file (the platform's port 8883 needs one)"
                    .to_owned()
            }
            CertificateError::NotValidForName => {
                "the certificate is for another host; is cloud.url right?".to_owned()
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<_> = presented.iter().take(3).map(|n| bare_name(n)).collect();
                let names = match names.is_empty() {
                    true => "no host at all".to_owned(),
                    false => names.join(", "),
                };
                format!("the certificate is for another host, {names}; is cloud.url right?")
            }
            other => format!(
                "the certificate is not acceptable: {}; is this the platform's endpoint?",
                certificate_words(other)
            ),
        },
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::PeerSentOversizedRecord => {
            "the other side does not speak TLS: is this a TLS port?".to_owned()
        }
        rustls::Error::AlertReceived(alert) => alert_words(*alert),
        rustls::Error::PeerIncompatible(_) => {
            "the other side offers nothing that TLS 1.2 or newer would accept: is it this old?"
                .to_owned()
        }
        rustls::Error::NoCertificatesPresented => {
            "the other side shows no certificate; is this the platform's endpoint?".to_owned()
        }
        _ => "the other side does not keep to TLS; is this the platform's endpoint?".to_owned(),
    }
}

/// Returns what went wrong with TLS elsewhere than at the platform, for people; `None` if it
/// was not TLS.
pub(in crate::io) fn trouble(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(why) => {
            let why = certificate_words(why);
            format!("the certificate is not acceptable: {why}")
        }
        rustls::Error::AlertReceived(alert) => alert_words(*alert),
        _ => "the other side does not keep to TLS".to_owned(),
    })
}

/// Returns a name of a certificate as people write it; rustls hands it over as
/// `DnsName("example.org")`.
fn bare_name(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .map_or(presented, |(_, rest)| rest);
    let bare = inner.trim_end_matches(')').trim_matches('"');
    excerpt(bare.as_bytes(), 80)
}

/// Returns why a certificate is not acceptable. The library's own words are for programmers.
fn certificate_words(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::BadEncoding => "it is not well-formed",
        E::Expired | E::ExpiredContext { .. } => "it has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet",
        E::Revoked => "it has been revoked",
        E::UnhandledCriticalExtension => "it demands something that this gateway does not know",
        E::UnknownIssuer => "no root that this gateway trusts has signed it",
        E::BadSignature => "its signature is wrong",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "it is not meant for a server",
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that is no longer safe, or not known to this gateway"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another host",
        _ => "it cannot be used",
    }
}

/// Returns in words why the other side ended a handshake (RFC 8446, section 6.2).
fn alert_words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let number = u8::from(alert);
    let said = match alert {
        A::HandshakeFailure | A::InsufficientSecurity => {
            "it finds no cipher in common (is it a server of another kind?)"
        }
        A::ProtocolVersion => "it speaks another version of TLS: 1.2 or newer is wanted",
        A::UnrecognisedName => "it knows no host of this name: is cloud.url right?",
        A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::CertificateRequired => {
            "it wants a certificate of the gateway, which the platform does not: is cloud.url right?"
        }
        A::AccessDenied => "it denies access",
        A::InternalError => "it has an internal error: tried again",
        A::CloseNotify | A::UserCanceled => "it closed the connection: tried again",
        _ => "is this the platform's endpoint?",
    };
    format!("the other side ended the handshake with TLS alert {number}: {said}")
}

/// Returns what is wrong with a PEM file.
fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a certificate in it has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => {
            "a line that begins with ----- is not the beginning of a certificate".to_owned()
        }
        pem::Error::Base64Decode(_) => "a certificate in it is damaged (not base64)".to_owned(),
        pem::Error::Io(e) => e.to_string(),
        pem::Error::NoItemsFound => "holds no certificate".to_owned(),
        _ => "it cannot be read as PEM".to_owned(),
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
    fn the_doctor_reads_the_cause_from_these_words() {
        use crate::doctor::{Cause, system_words::of_tls};
        for (error, cause) in [
            (CertificateError::NotValidYet, Cause::ClockUnset),
            (CertificateError::Expired, Cause::CertificateExpired),
            (CertificateError::UnknownIssuer, Cause::CaWrong),
            (CertificateError::NotValidForName, Cause::TlsFails),
        ] {
            let text = said(rustls::Error::InvalidCertificate(error));
            assert_eq!(of_tls(&text)[0], cause, "{text}");
        }
    }

    #[test]
    fn tls_elsewhere_is_told_in_words_too() {
        let error = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(
            trouble(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap(),
            "the certificate is not acceptable: no root that this gateway trusts has signed it"
        );
        assert_eq!(trouble(&io::ErrorKind::ConnectionRefused.into()), None);
    }

    #[test]
    fn what_a_library_calls_things_is_not_shown() {
        use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};
        let name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.example").unwrap(),
            presented: vec!["DnsName(\"b.example\")".into()],
        };
        for (error, wanted) in [
            (
                rustls::Error::AlertReceived(AlertDescription::HandshakeFailure),
                "alert 40: it finds no cipher in common",
            ),
            (
                rustls::Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "TLS 1.2 or newer",
            ),
            (
                rustls::Error::PeerMisbehaved(PeerMisbehaved::DuplicateEncryptedExtensions),
                "does not keep to TLS",
            ),
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "is this a TLS port?",
            ),
            (
                rustls::Error::InvalidCertificate(CertificateError::BadSignature),
                "its signature is wrong",
            ),
            (
                rustls::Error::InvalidCertificate(name),
                "for another host, b.example;",
            ),
        ] {
            let text = said(error);
            assert!(text.contains(wanted), "{text}");
            for odd in [
                "::",
                "{",
                "\"",
                "DnsName",
                "NoCipher",
                "Duplicate",
                "HandshakeFailure",
            ] {
                assert!(!text.contains(odd), "{odd}: {text}");
            }
        }
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
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        assert!(refused(&path).ends_with("has no end"), "{}", refused(&path));
    }
}
