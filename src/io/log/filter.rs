//! The words of a log filter: what they mean for notices and for libraries.

use tracing_subscriber::EnvFilter;

use crate::base::Level;

/// The target of everything that is not named.
pub(super) const ALL: &str = "all";
/// The target of the gateway itself.
pub(super) const GATEWAY: &str = "alink_gateway";
/// The libraries in the program that write log records, by the names of their targets. A test
/// compares them with `Cargo.lock`.
const LIBRARIES: [&str; 8] = [
    "mio",
    "mio_serial",
    "rumqttc",
    "rustls",
    "tokio_modbus",
    "tokio_serial",
    "ureq",
    "ureq_proto",
];
/// The words that are a level.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not in the syntax of `EnvFilter`.
    #[error("log filter {said:?}: {why}")]
    Filter {
        /// The filter that was given.
        said: String,
        /// The parser's error.
        why: String,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up")]
    Twice,
}

/// Returns every target whose level can be set: `all`, the gateway, and the libraries that
/// write log records.
pub fn targets() -> impl Iterator<Item = &'static str> {
    [ALL, GATEWAY].into_iter().chain(LIBRARIES)
}

/// Returns the targets in a filter that nothing writes records for. Directives about spans and
/// fields are passed over.
#[must_use]
pub fn unknown_targets(filter: &str) -> Vec<&str> {
    let directives = filter.split(',').map(str::trim);
    let plain = directives.filter(|d| !d.contains(['[', ']', '{', '}', '"']));
    let libraries = plain.map(|d| {
        let target = d.split('=').next().unwrap_or_default();
        target.split("::").next().unwrap_or_default()
    });
    libraries
        .filter(|library| {
            let is_level = LEVELS
                .iter()
                .any(|level| level.eq_ignore_ascii_case(library));
            // EnvFilter takes a target for the beginning of one.
            let is_known = targets().any(|known| known != ALL && known.starts_with(library));
            !is_level && !is_known
        })
        .collect()
}

/// Parses a filter in the syntax of `EnvFilter`.
pub(super) fn parse_words(words: &str) -> Result<EnvFilter, InitError> {
    EnvFilter::try_new(words).map_err(|e| InitError::Filter {
        said: words.to_owned(),
        why: e.to_string(),
    })
}

/// Returns the level of notices in a filter: the last bare level or `alink_gateway=…`.
pub(super) fn level_of(filter: &str) -> Level {
    filter
        .split(',')
        .filter_map(|directive| {
            let directive = directive.trim();
            let word = directive
                .strip_prefix("alink_gateway=")
                .unwrap_or(directive);
            match word.to_ascii_lowercase().as_str() {
                "off" | "error" => Some(Level::Error),
                "warn" => Some(Level::Warn),
                "info" => Some(Level::Info),
                "debug" | "trace" => Some(Level::Debug),
                _ => None,
            }
        })
        .next_back()
        .unwrap_or(Level::Info)
}

/// Returns the filter for libraries that belongs to this filter. At `info` libraries are logged
/// from `warn` on. rumqttc's codec logs each error it also returns, and the link reports those
/// errors itself, so the codec is logged only when named.
pub(super) fn library_filter(filter: &str) -> String {
    let quiet = match filter.trim() {
        "" | "info" => "warn,alink_gateway=info",
        asked => asked,
    };
    if quiet.contains("rumqttc") {
        quiet.to_owned()
    } else {
        format!("{quiet},rumqttc=off")
    }
}

/// Returns whether this is a part of a library that shows secrets at low levels: ureq and its parts
/// write down each address they fetch, and the signature in the address of a remote
/// configuration lets any reader of the log read that file.
pub(super) fn shows_secrets(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    library == "ureq" || library.starts_with("ureq_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_in_the_lock_file_that_log() {
        let lock = include_str!("../../../Cargo.lock");
        let field = |package: &str, name: &str| {
            let line = package.lines().find(|l| l.starts_with(name))?;
            line.split('"').nth(1).map(str::to_owned)
        };
        let logs = |package: &&str| {
            let needs = package.split_once("dependencies = [").unwrap_or_default().1;
            let mut needs = needs.split('"').filter_map(|n| n.split(' ').next());
            needs.any(|n| n == "log" || n == "tracing")
        };
        let mut libraries: Vec<String> = lock
            .split("[[package]]")
            .filter(logs)
            .filter_map(|package| field(package, "name = "))
            // Ours, and those that carry the records of others.
            .filter(|n| !["alink-gateway", "tracing-log", "tracing-subscriber"].contains(&&**n))
            .map(|name| name.replace('-', "_"))
            .collect();
        libraries.sort();
        assert_eq!(libraries, LIBRARIES);
        assert!(targets().all(|t| t == ALL || unknown_targets(t).is_empty()));
    }

    #[test]
    fn targets_that_nothing_writes_records_for_are_found() {
        for (filter, unknown) in [
            ("", vec![]),
            ("info", vec![]),
            (
                "WARN,rustls=debug, rumqttc::state=trace ,tokio=debug",
                vec![],
            ),
            ("info,rutsls=debug", vec!["rutsls"]),
            ("hyper,all=debug", vec!["hyper", "all"]),
            ("[{url}]=trace,rustls[span{a=\"b\"}]=debug", vec![]),
        ] {
            assert_eq!(unknown_targets(filter), unknown, "{filter}");
        }
    }

    #[test]
    fn notices_follow_the_bare_level_or_our_own_target() {
        for (filter, level) in [
            ("", Level::Info),
            ("info", Level::Info),
            ("DEBUG", Level::Debug),
            ("trace", Level::Debug),
            ("warn,tokio_modbus=trace", Level::Warn),
            ("rustls=debug", Level::Info),
            ("error,alink_gateway=debug", Level::Debug),
            ("off", Level::Error),
        ] {
            assert_eq!(level_of(filter), level, "{filter:?}");
        }
    }

    #[test]
    fn libraries_are_quiet_by_default_and_heard_when_named() {
        assert_eq!(
            library_filter("info"),
            "warn,alink_gateway=info,rumqttc=off"
        );
        assert_eq!(library_filter("debug"), "debug,rumqttc=off");
        assert_eq!(library_filter("info,rumqttc=debug"), "info,rumqttc=debug");
        for filter in ["info", "debug", "info,rumqttc=debug"] {
            assert!(EnvFilter::try_new(library_filter(filter)).is_ok());
        }
    }
}
