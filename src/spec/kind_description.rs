//! What people are told about a kind of device, and how it is told from others.
//!
//! Nothing here changes what is read or sent: a reload that changes only this asks no device anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Identification;

/// What people are told about a kind of device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindDescription {
    /// The name of the kind for people.
    pub title: Title,
    /// Whether something in the profile could not be checked against a second source.
    pub unverified: bool,
    /// What tells the kind from others.
    pub identification: Identification,
    /// The values of its parameters, by their names, that the profile is filled in with.
    pub parameters: BTreeMap<String, String>,
}

/// A name for people: one that serves every language, and one in Chinese.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Title {
    /// The name where there is none in the reader's language.
    pub general: Option<Arc<str>>,
    /// The name in Simplified Chinese.
    pub chinese: Option<Arc<str>>,
}

/// Who reads a title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TitleLanguage {
    /// TitleLanguage of any language but Chinese.
    #[default]
    Any,
    /// TitleLanguage of Chinese.
    Chinese,
}

impl Title {
    /// Returns the name for these readers, if there is one: for readers of Chinese the one in
    /// Chinese, or else the other.
    #[must_use]
    pub fn for_readers(&self, readers: TitleLanguage) -> Option<&str> {
        let chinese = self
            .chinese
            .as_ref()
            .filter(|_| readers == TitleLanguage::Chinese);
        chinese.or(self.general.as_ref()).map(|title| &**title)
    }
}

/// The unit of a number, as the configuration writes it: `kWh`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unit(pub Arc<str>);
