//! A file from the platform's storage, over HTTPS.
//!
//! **Decides** nothing: one GET, bounded in bytes and in time, in a thread that
//! may block. Trusts whom the link trusts. Plain HTTP is for a storage on this
//! very machine, in trials; a redirect leads to HTTPS or nowhere. No proxy: the
//! link uses none either. The URL carries its own permission and is in no
//! error.
//!
//! **Why** ureq: the file is small, asked for once a day at most, and a client
//! that blocks needs neither a runtime nor a connection pool. It brings seven small
//! packages and uses the rustls that is here.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

use super::link::tls;
use crate::base::Secret;
use crate::cloud::remote::{Content, Unfetched};

/// The platform's storage redirects nowhere; a mirror may, a little.
const REDIRECTS: u32 = 3;

/// Fetches what `url` names.
///
/// # Errors
/// [`Unfetched`], never with the URL.
pub async fn fetch(
    url: Secret,
    at_most: u64,
    within: Duration,
    ca_file: Option<PathBuf>,
) -> Result<Content, Unfetched> {
    let fetching = move || get(&url, at_most, within, ca_file.as_deref());
    tokio::task::spawn_blocking(fetching)
        .await
        .unwrap_or_else(|e| Err(Unfetched::Failed(e.to_string())))
}

fn get(
    url: &Secret,
    at_most: u64,
    within: Duration,
    ca_file: Option<&Path>,
) -> Result<Content, Unfetched> {
    let uri: Uri = url
        .expose()
        .parse()
        .map_err(|_| Unfetched::Refused("the url cannot be read".into()))?;
    let here = match uri.scheme_str() {
        Some("https") => false,
        Some("http") if is_here(&uri) => true,
        _ => return Err(Unfetched::Refused("the url is not https://".into())),
    };
    let mut config = Agent::config_builder()
        .timeout_global(Some(within))
        .https_only(!here)
        .max_redirects(if here { 0 } else { REDIRECTS })
        .proxy(None)
        .user_agent(concat!("alink-gateway/", env!("CARGO_PKG_VERSION")));
    if !here {
        let roots = tls::roots(ca_file).map_err(Unfetched::Failed)?;
        let roots: Vec<_> = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        config = config.tls_config(
            TlsConfig::builder()
                .root_certs(RootCerts::Specific(Arc::new(roots)))
                .unversioned_rustls_crypto_provider(provider)
                .build(),
        );
    }
    let agent = Agent::new_with_config(config.build());
    let answer = agent.get(uri).call().map_err(|e| because(&e))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(Unfetched::Refused(format!("HTTP status {status}")));
    }
    let mut bytes = Vec::new();
    answer
        .into_body()
        .into_reader()
        .take(at_most + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Unfetched::Failed(e.to_string()))?;
    if bytes.len() as u64 > at_most {
        return Err(Unfetched::TooLarge);
    }
    Ok(Content::new(bytes))
}

/// Whether it is this machine that is asked.
fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What went wrong, and whether it may be better the next time.
fn because(error: &Error) -> Unfetched {
    match error {
        // 403 is a URL that no longer holds.
        Error::StatusCode(status @ 400..500) if ![408, 429].contains(status) => {
            Unfetched::Refused(format!("HTTP status {status}"))
        }
        // These repeat the URL.
        Error::BadUri(_) => Unfetched::Refused("the url cannot be read".into()),
        Error::RequireHttpsOnly(_) => Unfetched::Refused("redirected to plain http".into()),
        Error::TooManyRedirects | Error::RedirectFailed => {
            Unfetched::Refused("redirected too often".into())
        }
        other => Unfetched::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match get(&Secret::new(url), 10, Duration::from_secs(5), None) {
            Err(Unfetched::Refused(why)) => why,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn only_https_is_asked_unless_it_is_this_machine() {
        for url in [
            "http://oss.example/file",
            "http://10.0.0.1/file",
            "http://localhost.example/",
            "http://127.0.0.1@oss.example/",
            "ftp://127.0.0.1/",
            "/etc/shadow",
        ] {
            assert_eq!(refused(url), "the url is not https://", "{url}");
        }
        for url in ["https://a b/", "file:///etc/shadow"] {
            assert_eq!(refused(url), "the url cannot be read", "{url}");
        }
        for (url, here) in [
            ("http://127.0.0.1:80/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/", true),
            ("http://192.168.0.1/", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }

    #[test]
    fn no_error_shows_the_url() {
        let url = "http://127.0.0.1:1/file?Signature=hunter2";
        let unreachable = get(&Secret::new(url), 10, Duration::from_secs(5), None);
        let said = format!("{unreachable:?}");
        assert!(matches!(unreachable, Err(Unfetched::Failed(_))), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
