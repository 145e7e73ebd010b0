//! The words of a log filter: what they mean for notices and for libraries.

use tracing_subscriber::EnvFilter;

use crate::base::Level;

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

/// Whether this is a part of a library that shows secrets at low levels: ureq and its parts
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
