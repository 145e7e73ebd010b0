//! From text to trees of words that know where they were written. Problems are reported in words
//! that an electrician can act on.

pub(crate) mod amount;
pub(crate) mod contents;
pub(crate) mod environment;
pub(crate) mod foreign_words;
pub(crate) mod layers;
pub(crate) mod problem;
pub(crate) mod section;
pub(crate) mod source;
pub(crate) mod suggestions;
pub(crate) mod tree;
pub(crate) mod word_parsers;
pub(crate) mod yaml;
