//! Downloads a file from the platform's storage, over HTTPS.
//!
//! **Decides** nothing but where a file may come from: one GET, bounded in bytes and in time,
//! in a thread that may block. Trusts the same certificates as the link. Public addresses only,
//! and those of [`Sources`]; a redirect leads to HTTPS and to an address that is allowed, or is
//! refused. No proxy: the link uses none either. The URL carries its own permission and is in
//! no error.
//!
//! **Why** addresses are checked: the sender of a configuration says where it is, and a gateway
//! stands in networks that the sender may not reach. The addresses of a host are checked where
//! they are resolved, so that a name cannot lead elsewhere the second time.
//!
//! **Why** ureq: the file is small, requested once a day at most, and a client that blocks
//! needs neither a runtime nor a connection pool. It brings seven small packages and uses the
//! rustls that is already here.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use crate::base::Secret;
use crate::cloud::remote_config::{FetchFailure, FileContent};
use crate::io::link::tls;
use crate::spec::network::is_public;
use crate::spec::{CloudSpec, HostList};

/// How many redirects are followed: the platform's storage makes none; a mirror may make a few.
const REDIRECTS: u32 = 3;
/// Why an address is refused.
const NOT_ALLOWED: &str =
    "the url leads to no address that is public or in remote_config.downloads";

/// Where a file may come from besides public addresses.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whether from this very machine, over plain HTTP too: a laboratory.
    pub laboratory: bool,
    /// The hosts that are allowed besides, over HTTPS.
    pub listed: HostList,
}

impl Sources {
    /// Returns the sources that this installation allows.
    #[must_use]
    pub fn of(cloud: &CloudSpec) -> Self {
        Sources {
            laboratory: cloud.broker.is_laboratory(),
            listed: cloud.remote.downloads.clone(),
        }
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        let here = self.laboratory && address.to_canonical().is_loopback();
        here || is_public(address) || self.listed.allows(host, address)
    }
}

/// A resolver that returns only addresses that are allowed.
#[derive(Debug)]
struct AllowedResolver {
    sources: Sources,
    resolver: DefaultResolver,
}

impl Resolver for AllowedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        let host = host_of(uri);
        let mut allowed = self.empty();
        for address in found.iter() {
            if self.sources.allows(host, address.ip()) {
                allowed.push(*address);
            }
        }
        match allowed.is_empty() {
            true => Err(Error::Other(NOT_ALLOWED.into())),
            false => Ok(allowed),
        }
    }
}

/// Fetches the file at `url`.
///
/// # Errors
/// [`FetchFailure`], never with the URL.
pub async fn fetch(
    url: Secret,
    at_most: u64,
    within: Duration,
    ca_file: Option<PathBuf>,
    sources: Sources,
) -> Result<FileContent, FetchFailure> {
    let fetching = move || get(&url, at_most, within, ca_file.as_deref(), sources);
    tokio::task::spawn_blocking(fetching)
        .await
        .unwrap_or_else(|e| Err(FetchFailure::Failed(e.to_string())))
}

fn get(
    url: &Secret,
    at_most: u64,
    within: Duration,
    ca_file: Option<&Path>,
    sources: Sources,
) -> Result<FileContent, FetchFailure> {
    let uri: Uri = url
        .expose()
        .parse()
        .map_err(|_| FetchFailure::Refused("the url cannot be read".into()))?;
    let here = match uri.scheme_str() {
        Some("https") => false,
        Some("http") if sources.laboratory && is_here(&uri) => true,
        _ => return Err(FetchFailure::Refused("the url is not https://".into())),
    };
    // A name is checked when it is resolved, and may lead elsewhere the next time.
    if let Ok(address) = host_of(&uri).parse()
        && !sources.allows(host_of(&uri), address)
    {
        return Err(FetchFailure::Refused(NOT_ALLOWED.into()));
    }
    let mut config = Agent::config_builder()
        .timeout_global(Some(within))
        .https_only(!here)
        .max_redirects(if here { 0 } else { REDIRECTS })
        .proxy(None)
        .user_agent(concat!("alink-gateway/", env!("CARGO_PKG_VERSION")));
    if !here {
        let roots = tls::roots(ca_file).map_err(FetchFailure::Failed)?;
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
    let resolver = AllowedResolver {
        sources,
        resolver: DefaultResolver::default(),
    };
    let agent = Agent::with_parts(config.build(), DefaultConnector::default(), resolver);
    let answer = agent.get(uri).call().map_err(|e| because(&e))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(FetchFailure::Refused(format!("HTTP status {status}")));
    }
    let mut bytes = Vec::new();
    answer
        .into_body()
        .into_reader()
        .take(at_most + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| FetchFailure::Failed(e.to_string()))?;
    if bytes.len() as u64 > at_most {
        return Err(FetchFailure::TooLarge);
    }
    Ok(FileContent::new(bytes))
}

fn host_of(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns whether the URL names this machine.
fn is_here(uri: &Uri) -> bool {
    let host = host_of(uri);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns what went wrong, and whether another attempt may succeed.
fn because(error: &Error) -> FetchFailure {
    match error {
        // 403 means a URL that is no longer valid.
        Error::StatusCode(status @ 400..500) if ![408, 429].contains(status) => {
            FetchFailure::Refused(format!("HTTP status {status}"))
        }
        // These errors repeat the URL.
        Error::BadUri(_) => FetchFailure::Refused("the url cannot be read".into()),
        Error::RequireHttpsOnly(_) => FetchFailure::Refused("redirected to plain http".into()),
        Error::TooManyRedirects | Error::RedirectFailed => {
            FetchFailure::Refused("redirected too often".into())
        }
        Error::Io(e) => FetchFailure::Failed(tls::trouble(e).unwrap_or_else(|| e.to_string())),
        other => FetchFailure::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(laboratory: bool) -> Sources {
        Sources {
            laboratory,
            listed: HostList::none(),
        }
    }

    fn ask(url: &str, sources: Sources) -> Result<FileContent, FetchFailure> {
        get(&Secret::new(url), 10, Duration::from_secs(5), None, sources)
    }

    fn refused(url: &str, laboratory: bool) -> String {
        match ask(url, sources(laboratory)) {
            Err(FetchFailure::Refused(why)) => why,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn only_https_is_asked_unless_it_is_this_machine_in_a_laboratory() {
        for url in [
            "http://oss.example/file",
            "http://10.0.0.1/file",
            "http://localhost.example/",
            "http://127.0.0.1@oss.example/",
            "ftp://127.0.0.1/",
            "/etc/shadow",
        ] {
            assert_eq!(refused(url, true), "the url is not https://", "{url}");
        }
        for url in [
            "http://127.0.0.1:1/x",
            "http://[::1]:1/",
            "http://localhost:1/",
        ] {
            assert_eq!(refused(url, false), "the url is not https://", "{url}");
            let asked = ask(url, sources(true));
            assert!(
                matches!(asked, Err(FetchFailure::Failed(_))),
                "{url} {asked:?}"
            );
        }
        for url in ["https://a b/", "file:///etc/shadow"] {
            assert_eq!(refused(url, true), "the url cannot be read", "{url}");
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
    fn addresses_that_are_not_public_are_not_asked_however_they_are_written() {
        for url in [
            "https://127.0.0.1:1/",
            "https://[::1]:1/",
            "https://[::ffff:127.0.0.1]:1/",
            "https://169.254.169.254/",
            "https://10.0.0.1/",
            "https://[fd00::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://0.0.0.0/",
        ] {
            assert_eq!(refused(url, false), NOT_ALLOWED, "{url}");
        }
        // Names, and spellings of addresses that only a resolver reads.
        for url in [
            "https://localhost:1/",
            "https://127.1:1/",
            "https://2130706433:1/",
        ] {
            match ask(url, sources(false)) {
                Err(FetchFailure::Failed(why)) => {
                    assert!(why.contains(NOT_ALLOWED), "{url}: {why}")
                }
                other => panic!("{url}: {other:?}"),
            }
        }
        let mut listed = sources(false);
        listed.listed.allow("127.0.0.0/8");
        let asked = ask("https://127.1:1/", listed.clone());
        assert!(matches!(&asked, Err(FetchFailure::Failed(why)) if !why.contains(NOT_ALLOWED)));
        assert!(listed.allows("x", "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn no_error_shows_the_url() {
        let url = "http://127.0.0.1:1/file?Signature=hunter2";
        let unreachable = ask(url, sources(true));
        let said = format!("{unreachable:?}");
        assert!(
            matches!(unreachable, Err(FetchFailure::Failed(_))),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}
