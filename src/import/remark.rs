//! What the user is told beside the result, and the report that is made of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::base::text::{counted, is_display_control};

/// Where something stands in the file that is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileLocation {
    /// The line, 1-based; 0 if it is not known.
    pub line: u32,
    /// The name of the entry.
    pub entry: String,
}

impl FileLocation {
    /// Makes a place.
    #[must_use]
    pub fn new(line: u32, entry: &str) -> FileLocation {
        let entry = entry.to_owned();
        FileLocation { line, entry }
    }
}

/// What became of an entry with a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryOutcome {
    /// It is not in the result.
    Lost,
    /// It is in the result, without something.
    Reduced,
    /// It is in the result, and a person has to look at it.
    ToCheck,
}

/// What there is to say about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemarkCause {
    /// A name or an address is missing.
    Incomplete,
    /// The address is no number that can be an address.
    Address,
    /// The value does not fit behind its address.
    BeyondTable,
    /// The table of the register is not told or not known.
    Table,
    /// The type is not known.
    Type,
    /// The registers that are listed are not as many as the type has, or not beside each other.
    Registers,
    /// The factor or the addend is no number.
    Factor,
    /// A number that may be a factor or a number of decimals.
    Precision,
    /// A number of decimals was taken for a factor.
    Decimals,
    /// A spreadsheet has written the digits as 1.23E+11.
    Scientific,
    /// The meter address has too few digits and got zeros in front.
    MeterZeros,
    /// The data identifier has too few digits and got zeros in front.
    IdentifierZeros,
    /// The meter address or data identifier is none.
    MeterDigits,
    /// A point of a meter has no format.
    NoFormat,
    /// It is an expression, a template or a condition.
    Expression,
    /// It is only written.
    WriteOnly,
    /// It is made of several values.
    Composite,
    /// It is switched off in the file.
    Disabled,
    /// It is several registers joined, each of which is a point.
    Parts,
    /// It is there under a condition.
    Condition,
    /// Its protocol is not carried over.
    Protocol,
    /// The port of the file is none that can be carried over.
    Port,
    /// The unit id is none.
    Unit,
    /// The unit id is that of the entry above.
    UnitAbove,
    /// The bit is none of a register.
    Bit,
    /// The head of a column is not known, and what is in it is left out.
    Column,
    /// The bits count from 1.
    BitsFromOne,
    /// There are more points than one profile has.
    TooMany,
    /// A setting of the entry that is left out.
    Setting,
    /// Settings or actions beside the values.
    Actions,
    /// The devices use a template that is a file of its own.
    OtherTemplate,
    /// The states are not numbers.
    States,
    /// The word for access, or the state for on and off, has no counterpart.
    OnOff,
    /// A number of the style 40001.
    Notation,
    /// The addresses may count from 1.
    FromOne,
    /// The type is not told, and one is assumed.
    TypeAssumed,
    /// The table is not told, and one is assumed.
    TableAssumed,
    /// The length of a text is not told.
    Length,
    /// The order of the bytes within a word is unusual.
    Order,
    /// The type had another meaning in older versions of the program.
    FloatOrNumber,
    /// The identifier was made of the address, as the name has no Latin letters.
    IdentifierMade,
    /// The identifier got a number, as another point has it.
    IdentifierTaken,
    /// A secret or another file is named.
    Elsewhere,
    /// There is no port in the file.
    NoPort,
    /// There is no device in the file.
    NoDevice,
}

impl RemarkCause {
    /// Returns what became of the entry.
    #[must_use]
    pub const fn outcome(self) -> EntryOutcome {
        match self {
            RemarkCause::Incomplete
            | RemarkCause::Address
            | RemarkCause::BeyondTable
            | RemarkCause::Table
            | RemarkCause::Type
            | RemarkCause::Length
            | RemarkCause::Registers
            | RemarkCause::Bit
            | RemarkCause::Scientific
            | RemarkCause::MeterDigits
            | RemarkCause::NoFormat
            | RemarkCause::Expression
            | RemarkCause::WriteOnly
            | RemarkCause::Composite
            | RemarkCause::Disabled
            | RemarkCause::Protocol
            | RemarkCause::Unit
            | RemarkCause::TooMany
            | RemarkCause::OtherTemplate
            | RemarkCause::Actions => EntryOutcome::Lost,
            RemarkCause::Factor
            | RemarkCause::Precision
            | RemarkCause::Setting
            | RemarkCause::Column
            | RemarkCause::States
            | RemarkCause::OnOff => EntryOutcome::Reduced,
            RemarkCause::Port
            | RemarkCause::Parts
            | RemarkCause::Condition
            | RemarkCause::MeterZeros
            | RemarkCause::IdentifierZeros
            | RemarkCause::Notation
            | RemarkCause::FromOne
            | RemarkCause::BitsFromOne
            | RemarkCause::UnitAbove
            | RemarkCause::Decimals
            | RemarkCause::TypeAssumed
            | RemarkCause::TableAssumed
            | RemarkCause::Order
            | RemarkCause::FloatOrNumber
            | RemarkCause::IdentifierMade
            | RemarkCause::IdentifierTaken
            | RemarkCause::Elsewhere
            | RemarkCause::NoPort
            | RemarkCause::NoDevice => EntryOutcome::ToCheck,
        }
    }

    /// Returns why it is so.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            RemarkCause::Incomplete => "the entry has no name or no address",
            RemarkCause::Address => {
                "this is no address of a register: 0 to 65535, 0x0000 to 0xFFFF, or of the style 40001"
            }
            RemarkCause::BeyondTable => {
                "the value has more registers than there are behind its address, or than one reply has"
            }
            RemarkCause::Table => "which of the four tables the register is in is not told",
            RemarkCause::Type => "the gateway has no such type",
            RemarkCause::Length => "the length of the text is not told",
            RemarkCause::Registers => {
                "the registers that are listed are not as many as the type has, or not beside each other"
            }
            RemarkCause::Factor => {
                "this is no number to multiply with or to add; the point has none now"
            }
            RemarkCause::Precision => {
                "this may be a factor, a divisor or a number of decimals; the point has no factor now"
            }
            RemarkCause::Decimals => {
                "this is a number of decimals and was taken for a factor: two decimals are 0.01"
            }
            RemarkCause::Scientific => {
                "a spreadsheet has shortened the number, and its last digits are lost"
            }
            RemarkCause::MeterZeros => {
                "a meter address has twelve digits: a spreadsheet drops zeros in front, and they are put back"
            }
            RemarkCause::IdentifierZeros => {
                "a data identifier has eight digits: a spreadsheet drops zeros in front, and they are put back"
            }
            RemarkCause::MeterDigits => {
                "this is no meter address (twelve digits) and no data identifier (eight hexadecimal digits)"
            }
            RemarkCause::NoFormat => "the value of a meter needs a format, such as XXXXXX.XX",
            RemarkCause::Expression => {
                "an expression, a template or a condition is not computed here"
            }
            RemarkCause::WriteOnly => "it is written and never read",
            RemarkCause::Composite => "it is made of several values, or of a structure",
            RemarkCause::Disabled => "it is switched off in the file",
            RemarkCause::Parts => "the value is several registers joined; each of them is a point",
            RemarkCause::Condition => {
                "the entry is there only under a condition, which is not computed here"
            }
            RemarkCause::Protocol => "only Modbus is carried over",
            RemarkCause::Port => "the gateway has no such port, or not with this setting",
            RemarkCause::Unit => "this is no unit id: 1 to 247 on a serial line, 0 to 255 on TCP",
            RemarkCause::UnitAbove => {
                "the entry has no unit id, and that of the entry above it is taken"
            }
            RemarkCause::Bit => {
                "this is no bit of a register, 0 to 15, or the type has more than 16 bits"
            }
            RemarkCause::Column => "this head is not known, and the column is left out",
            RemarkCause::BitsFromOne => {
                "a bit has the number 16, so the bits count from 1, and each got a number less by one"
            }
            RemarkCause::TooMany => {
                "a configuration has 2,000 devices at most, and a profile 5,000 points"
            }
            RemarkCause::Setting => "the gateway has nothing that corresponds to this setting",
            RemarkCause::Actions => {
                "settings that are written at a start, and actions, are not carried over"
            }
            RemarkCause::OtherTemplate => {
                "its channels are in a template, which is a file of its own"
            }
            RemarkCause::States => "states of the gateway are numbers with titles",
            RemarkCause::OnOff => {
                "on and off are other values than 1 and 0; the point has the number"
            }
            RemarkCause::Notation => {
                "of the style 40001: the first digit is the table, and the rest counts from 1"
            }
            RemarkCause::FromOne => {
                "no address is 0: the list may count from 1, and then every address is one too high"
            }
            RemarkCause::TypeAssumed => {
                "the list has no type; an unsigned number is assumed, as wide as the entry's registers"
            }
            RemarkCause::TableAssumed => {
                "the list does not tell the table; holding registers are assumed"
            }
            RemarkCause::Order => {
                "bytes are swapped within each register; programs disagree about what that is called"
            }
            RemarkCause::FloatOrNumber => {
                "Telegraf up to 1.36 took this type for a whole number with a factor, and since 1.37 for a float, which the point is"
            }
            RemarkCause::IdentifierMade => {
                "the name has no Latin letters, so the identifier is made of the address"
            }
            RemarkCause::IdentifierTaken => {
                "another point has this identifier, or the platform reserves it, so it got a suffix"
            }
            RemarkCause::Elsewhere => "the value is in another file",
            RemarkCause::NoPort => "the file has no port, and the result an example of one",
            RemarkCause::NoDevice => "the file has no device, and the result an example of one",
        }
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            RemarkCause::Incomplete
            | RemarkCause::Address
            | RemarkCause::Table
            | RemarkCause::Registers
            | RemarkCause::Bit => "correct the entry and import again, or write the point by hand",
            RemarkCause::BeyondTable => "look the address and the type up in the device's manual",
            RemarkCause::Type | RemarkCause::Composite => {
                "write the point by hand: alink-gateway.yaml(5) lists types, parts and text"
            }
            RemarkCause::Factor | RemarkCause::Precision => {
                "write scale: and offset: of the point by hand"
            }
            RemarkCause::Scientific => {
                "read the digits off the device or its papers, and format the column as text"
            }
            RemarkCause::MeterZeros | RemarkCause::IdentifierZeros => {
                "compare with the device or the standard, and format the column as text"
            }
            RemarkCause::MeterDigits => "read it off the device or its papers",
            RemarkCause::NoFormat => {
                "add a column format, or use data: with a name of the standard"
            }
            RemarkCause::Expression => "write down the value that it has for your device",
            RemarkCause::WriteOnly => {
                "if the device gives it back, write a point with write: by hand"
            }
            RemarkCause::Disabled => "switch it on in the file, if you want it",
            RemarkCause::Parts => "parts: makes one number of them, with their weights",
            RemarkCause::Condition => "delete the point if your device does not have it",
            RemarkCause::Protocol => {
                "write these devices by hand: DL/T 645 and protocol: raw may fit"
            }
            RemarkCause::Port => "correct the port in the result",
            RemarkCause::Unit | RemarkCause::UnitAbove => "correct the unit id and import again",
            RemarkCause::TooMany => "split the file",
            RemarkCause::Setting => "look whether the device needs it",
            RemarkCause::Actions => "services: in the profile writes points on demand",
            RemarkCause::OtherTemplate => "import the template as well",
            RemarkCause::States => "write values: of the point by hand",
            RemarkCause::Column => "write into the points by hand what matters of it",
            RemarkCause::OnOff => "compare with the number, or write values: for its titles",
            RemarkCause::Notation | RemarkCause::Decimals | RemarkCause::BitsFromOne => {
                "compare one value with the device's display"
            }
            RemarkCause::FromOne => {
                "compare one value with the device's display, and subtract 1 from all if it is off by one"
            }
            RemarkCause::Length => {
                "add a column count with how many registers it has, or write STRING[16] for 16 characters, and import again"
            }
            RemarkCause::TypeAssumed => "look the types up in the device's manual",
            RemarkCause::TableAssumed => "if the device refuses them, write table: input",
            RemarkCause::Order => "compare one value with the device's display",
            RemarkCause::FloatOrNumber => {
                "compare one value with the device's display, and write type: u32 if it makes no sense"
            }
            RemarkCause::IdentifierMade | RemarkCause::IdentifierTaken => {
                "give it the identifier of the thing model"
            }
            RemarkCause::Elsewhere => "write the value down in the result",
            RemarkCause::NoPort => "write the device file or host of your port",
            RemarkCause::NoDevice => "write the unit ids or meter addresses of your devices",
        }
    }
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub at: FileLocation,
    /// What was seen there.
    pub seen: String,
    /// What there is to say.
    pub finding: RemarkCause,
    /// How many entries that is true of; only the first of them is named.
    pub entries: usize,
}

/// The most entries that the report lists for one finding.
const MOST_LISTED: usize = 20;

/// Writes the report, a finding after the other: those first by which entries are lost.
#[must_use]
pub fn report(file: &str, remarks: &[Remark]) -> String {
    let mut by_finding: BTreeMap<(EntryOutcome, RemarkCause), Vec<&Remark>> = BTreeMap::new();
    for remark in remarks {
        let key = (remark.finding.outcome(), remark.finding);
        by_finding.entry(key).or_default().push(remark);
    }
    let mut text = String::new();
    for ((fate, finding), all) in by_finding {
        let many: usize = all.iter().map(|remark| remark.entries).sum();
        let entries = counted(many, "entry");
        let head = match fate {
            EntryOutcome::Lost => format!("not carried over: {entries}"),
            EntryOutcome::Reduced => format!("carried over in part: {entries}"),
            EntryOutcome::ToCheck => format!("to be checked: {entries}"),
        };
        let _ = writeln!(
            text,
            "{head}\n  why  {}\n  do   {}",
            finding.why(),
            finding.advice()
        );
        for remark in all.iter().take(MOST_LISTED) {
            let _ = writeln!(text, "    {}", listed(file, remark));
        }
        let rest = many.saturating_sub(all.len().min(MOST_LISTED));
        if rest > 0 {
            let _ = writeln!(text, "    and {}", counted(rest, "more entry"));
        }
        text.push('\n');
    }
    text
}

/// Writes one entry: `registers.csv:14  Voltage L1  (40001)`.
fn listed(file: &str, remark: &Remark) -> String {
    let mut text = clean(file, 60);
    if remark.at.line > 0 {
        let _ = write!(text, ":{}", remark.at.line);
    }
    if !remark.at.entry.is_empty() {
        let _ = write!(text, "  {}", clean(&remark.at.entry, 60));
    }
    if !remark.seen.is_empty() {
        let _ = write!(text, "  ({})", clean(&remark.seen, 80));
    }
    text
}

/// Returns text of the file on one line, without characters that move a cursor or end a comment
/// line, and not longer than `most` characters.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let shown = |c: char| match c.is_whitespace() || c.is_control() || is_display_control(c) {
        true => ' ',
        false => c,
    };
    let words: String = text.chars().take(most * 4).map(shown).collect();
    let words: Vec<&str> = words.split_whitespace().collect();
    let joined = words.join(" ");
    match joined.chars().count() > most {
        true => joined.chars().take(most).chain(['…']).collect(),
        false => joined,
    }
}
