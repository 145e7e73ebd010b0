//! The neutral form of YAML, JSON and TOML: maps in the order of the file, lists and texts.
//!
//! A file may have [`MOST`] values and nesting of [`DEPTH`].

use super::ImportRefusal;

/// The deepest nesting that is read.
pub const DEPTH: usize = 48;

/// The most values of one file.
pub const MOST: usize = 200_000;

/// A value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The line where it begins, 1-based; 0 if it is not known.
    pub line: u32,
    /// What it is.
    pub is: TreeValue,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeValue {
    /// Nothing, or null.
    Nothing,
    /// A text, a number or a boolean, as it is written.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// A map in the order of the file.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Tree> {
        let found = self.entries().iter().find(|(k, _)| k == key);
        found
            .map(|(_, value)| value)
            .filter(|v| v.is != TreeValue::Nothing)
    }

    /// Returns the value of the first of these keys that is there.
    #[must_use]
    pub fn any(&self, keys: &[&str]) -> Option<&Tree> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// Returns the text of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.is {
            TreeValue::Text(text) => Some(text),
            TreeValue::Nothing | TreeValue::List(_) | TreeValue::Map(_) => None,
        }
    }

    /// Returns the list of a key; a single value is a list of one.
    #[must_use]
    pub fn list(&self, key: &str) -> &[Tree] {
        self.get(key).map_or(&[], Tree::as_list)
    }

    /// Returns the elements, or the value itself as the only one.
    #[must_use]
    pub fn as_list(&self) -> &[Tree] {
        match &self.is {
            TreeValue::List(list) => list,
            TreeValue::Nothing => &[],
            TreeValue::Text(_) | TreeValue::Map(_) => std::slice::from_ref(self),
        }
    }

    /// Returns the entries, if it is a map.
    #[must_use]
    pub fn entries(&self) -> &[(String, Tree)] {
        match &self.is {
            TreeValue::Map(entries) => entries,
            TreeValue::Nothing | TreeValue::Text(_) | TreeValue::List(_) => &[],
        }
    }

    /// Returns what is written, in short, for a remark.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.is {
            TreeValue::Nothing => String::new(),
            TreeValue::Text(text) => text.clone(),
            TreeValue::List(list) => {
                let parts = list.iter().take(6).map(|t| t.as_text().unwrap_or("…"));
                parts.collect::<Vec<_>>().join(", ")
            }
            TreeValue::Map(entries) => {
                let keys = entries.iter().take(6).map(|(key, _)| key.as_str());
                keys.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// How many values may still come.
#[derive(Debug)]
pub struct ValueAllowance(usize);

impl Default for ValueAllowance {
    fn default() -> ValueAllowance {
        ValueAllowance(MOST)
    }
}

impl ValueAllowance {
    /// Counts one value at this depth.
    ///
    /// # Errors
    /// There is none left.
    pub fn take(&mut self, depth: usize) -> Result<(), ImportRefusal> {
        if depth > DEPTH {
            return Err(ImportRefusal::TooMuch);
        }
        self.0 = self.0.checked_sub(1).ok_or(ImportRefusal::TooMuch)?;
        Ok(())
    }
}
