//! Floor 2: what other programs and spreadsheets know of devices, as a part of our configuration.
//!
//! Bytes of a file go in; an [`Imported`] comes out: profiles, ports and devices in one neutral
//! form, and [`remark`]s on everything that could not be carried over. [`writer`] writes the form
//! as YAML.
//!
//! Each dialect has a file: [`register_list`] (tables of spreadsheets), [`modpoll`], [`telegraf`],
//! [`home_assistant`], [`wb_mqtt_serial`], [`evcc`]. All make the same points, by the same words
//! for types, tables and addresses ([`table_words`], [`number`]).
//!
//! The room refuses to know the configuration's own reader, files, and the language of the user:
//! the remarks and the comments are English; `cli/import.rs` translates them.
//!
//! It has a YAML reader of its own ([`yaml`]), over the same parser as the configuration's: files
//! of others have tags (`!secret`), templates and several documents, which are mistakes in ours.
//! TOML is read by the `toml` crate, as figment was built without it, and tables by the `csv`
//! crate, for quoted line breaks. `encoding_rs` was a dependency already.
//!
//! # Invariants
//!
//! - Nothing is guessed silently: what is derived (a table from 40001, a unit id that the file
//!   does not give) is either a rule of the dialect or a remark.
//! - No point becomes writable: whether the platform may write is decided by the operator. The
//!   comments say what the source allowed.
//! - Bad input is a remark or a [`ImportRefusal`], never a panic; the size of a file, the number of its
//!   values and the depth of its nesting are bounded ([`LARGEST`], [`tree`]).
//! - What is written is valid: identifiers, names, numbers and addresses are checked before they
//!   become a part of the form. Comments hold no character that could end a line.

pub mod comment;
pub mod evcc;
pub mod home_assistant;
pub mod identifier;
pub mod json;
pub mod kind;
pub mod modpoll;
pub mod number;
pub mod point;
pub mod register_list;
pub mod remark;
pub mod source;
pub mod table;
pub mod table_words;
pub mod telegraf;
pub mod text;
pub mod toml;
pub mod tree;
pub mod wb_mqtt_serial;
pub mod writer;
pub mod yaml;

pub use kind::FileKind;
pub use point::{Imported, ImportedPoint};
pub use remark::{Remark, RemarkCause};

/// The largest file that is read, in bytes: the configuration's own bound.
pub const LARGEST: u64 = 4 << 20;

/// The most points that are carried over from one file, as many as a profile may have.
pub const MOST_POINTS: usize = 5000;

/// The most devices that are carried over, as many as a configuration may have.
pub const MOST_DEVICES: usize = 2000;

/// Why nothing of a file could be carried over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// It is no text.
    #[error("the file is no text: {0}")]
    NoText(&'static str),
    /// It is the file of a spreadsheet program, and no text of it.
    #[error(
        "this is the file of a spreadsheet program, or another archive: save the sheet as CSV there, and import that"
    )]
    Spreadsheet,
    /// It is a command line of modpoll.
    #[error(
        "this is a command line of modpoll, which asks once: alink-gateway read and poll ask the same, and a list of registers can be imported"
    )]
    CommandLine,
    /// It is none of the kinds.
    #[error("the file is of no kind that can be told: say which with --from")]
    Unknown,
    /// It is not well-formed.
    #[error("line {line}: the file is not {format}: {why}")]
    Malformed {
        /// The line; 0 if it is not known.
        line: u32,
        /// `YAML`, `TOML`, `JSON` or `CSV`.
        format: &'static str,
        /// The parser's reason.
        why: String,
    },
    /// It is larger than is read.
    #[error("the file has more values, or deeper nesting, than are read")]
    TooMuch,
    /// It holds nothing of the dialect.
    #[error("the file has no {0}")]
    Nothing(&'static str),
}

/// What the user says beside the file.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The dialect, if it is not to be recognised.
    pub kind: Option<FileKind>,
    /// The name of the profile, or of the first of several.
    pub profile: Option<String>,
    /// The name of the file without its folder, for names and comments.
    pub file: String,
}

/// Reads the bytes of a file.
///
/// # Errors
/// Why nothing could be carried over.
pub fn import(bytes: &[u8], wishes: &Wishes) -> Result<Imported, ImportRefusal> {
    if bytes.len() as u64 > LARGEST {
        return Err(ImportRefusal::TooMuch);
    }
    let (text, encoding) = text::decoded(bytes)?;
    let kind = match wishes.kind.or_else(|| kind::recognised(&text)) {
        Some(kind) => kind,
        None if kind::is_command(&text) => return Err(ImportRefusal::CommandLine),
        None => return Err(ImportRefusal::Unknown),
    };
    let mut imported = match kind {
        FileKind::RegisterList => register_list::read(&text)?,
        FileKind::Modpoll => modpoll::read(&text)?,
        FileKind::Telegraf => telegraf::read(&text)?,
        FileKind::HomeAssistant => home_assistant::read(&text)?,
        FileKind::WbMqttSerial => wb_mqtt_serial::read(&text)?,
        FileKind::Evcc => evcc::read(&text)?,
    };
    imported.kind = kind;
    imported.encoding = encoding;
    imported.complete(wishes);
    match imported.points() {
        0 if imported.remarks.is_empty() => Err(ImportRefusal::Nothing(kind.what())),
        _ => Ok(imported),
    }
}

#[cfg(test)]
mod tests;
