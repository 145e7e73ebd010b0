//! The kinds of files, and how each is recognised by its content.

/// A kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A table of registers with a header, as spreadsheets and manuals have it.
    #[default]
    RegisterList,
    /// The table of modpoll: rows `device`, `poll` and `ref`.
    Modpoll,
    /// Telegraf's `inputs.modbus`.
    Telegraf,
    /// Home Assistant's `modbus:`.
    HomeAssistant,
    /// A template or the configuration of wb-mqtt-serial.
    WbMqttSerial,
    /// A template or a custom meter of evcc.
    Evcc,
}

/// All kinds, with the words of `--from`.
pub const KINDS: [(&str, FileKind); 6] = [
    ("csv", FileKind::RegisterList),
    ("modpoll", FileKind::Modpoll),
    ("telegraf", FileKind::Telegraf),
    ("home-assistant", FileKind::HomeAssistant),
    ("wb-mqtt-serial", FileKind::WbMqttSerial),
    ("evcc", FileKind::Evcc),
];

impl FileKind {
    /// Returns the word of `--from`.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(word, _)| *word)
    }

    /// Returns what a file of this kind is looked through for.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            FileKind::RegisterList => "row with a name and an address",
            FileKind::Modpoll => "row that begins with ref",
            FileKind::Telegraf => "table [[inputs.modbus]]",
            FileKind::HomeAssistant => "section modbus:",
            FileKind::WbMqttSerial => "list of channels",
            FileKind::Evcc => "key register:",
        }
    }
}

/// Returns whether the first line is a call of modpoll, the program of proconX or the one in
/// Python.
#[must_use]
pub fn is_command(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|l| !l.is_empty() && !l.starts_with('#'));
    let words = line.unwrap_or_default().split_whitespace();
    let mut words = words.skip_while(|word| ["$", "sudo"].contains(word));
    let program = words.next().unwrap_or_default();
    let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
    matches!(program, "modpoll" | "modpoll.exe") && words.any(|word| word.starts_with('-'))
}

/// Returns the kind of a text, or `None` if it is none of them.
#[must_use]
pub fn recognised(text: &str) -> Option<FileKind> {
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty());
    let first = lines().find(|l| !l.starts_with('#') && !l.starts_with("//"))?;
    if lines().any(|l| l.starts_with("[[inputs.modbus")) {
        return Some(FileKind::Telegraf);
    }
    if first.starts_with('{') || first.starts_with("/*") {
        return Some(FileKind::WbMqttSerial);
    }
    let cell = |line: &str| {
        let cell = line.split([',', ';', '\t']).next();
        cell.map(|c| c.trim().trim_matches('"').to_ascii_lowercase())
    };
    if lines().any(|l| cell(l).is_some_and(|c| c == "ref") && l.contains([',', ';', '\t'])) {
        return Some(FileKind::Modpoll);
    }
    // The key may stand in a list (`- register:`), and in a block of text of a template.
    let key = |line: &str| line.trim_start_matches("- ").trim_start().to_owned();
    if lines().any(|l| key(l).starts_with("register:")) {
        return Some(FileKind::Evcc);
    }
    let top = |word: &str| {
        let mut all = text.lines();
        all.any(|l| {
            l.strip_prefix(word).is_some_and(|rest| {
                rest.trim_start().starts_with(['#', '\r']) || rest.trim().is_empty()
            })
        })
    };
    let list = |word: &str| lines().any(|l| l.trim_start_matches("- ").trim_start() == word);
    if top("modbus:")
        || ["sensors:", "binary_sensors:", "switches:", "climates:"]
            .iter()
            .any(|w| list(w))
    {
        return Some(FileKind::HomeAssistant);
    }
    if is_command(text) {
        return None;
    }
    let is_table = |line: &str| line.contains([',', ';', '\t', '|']);
    lines()
        .take(30)
        .any(is_table)
        .then_some(FileKind::RegisterList)
}
