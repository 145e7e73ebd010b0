//! A secret that cannot be printed by accident.

use std::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// A device secret, product secret or password.
///
/// The type prints and serializes as `***`, and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// Returns the secret itself. Only signing may use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether the secret is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    /// Writes `***`; nothing (null) for an empty secret.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.is_empty() {
            true => to.serialize_none(),
            false => to.serialize_str("***"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serialized_secret_shows_nothing() {
        let json = |text: &str| serde_json::json!(Secret::new(text)).to_string();
        assert_eq!(
            (json("hunter2"), json("")),
            ("\"***\"".into(), "null".into())
        );
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
    }
}
