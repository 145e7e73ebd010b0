//! The character encodings of texts.

use serde::Serialize;

/// A character encoding that devices are known to write text in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8, and so ASCII.
    #[default]
    Utf8,
    /// GBK, and so GB 2312.
    Gbk,
    /// GB 18030.
    Gb18030,
    /// Big5.
    Big5,
    /// Shift JIS.
    ShiftJis,
    /// EUC-KR.
    EucKr,
    /// ISO/IEC 8859-1: each byte is the character with its number.
    Latin1,
    /// Windows code page 1250, central European.
    Windows1250,
    /// Windows code page 1251, Cyrillic.
    Windows1251,
    /// Windows code page 1252, western European.
    Windows1252,
    /// UTF-16, two bytes each, the more significant first.
    Utf16,
}

impl Encoding {
    /// All encodings, with the word the configuration has for each.
    pub const ALL: [(&'static str, Encoding); 11] = [
        ("utf-8", Encoding::Utf8),
        ("gbk", Encoding::Gbk),
        ("gb18030", Encoding::Gb18030),
        ("big5", Encoding::Big5),
        ("shift-jis", Encoding::ShiftJis),
        ("euc-kr", Encoding::EucKr),
        ("latin1", Encoding::Latin1),
        ("windows-1250", Encoding::Windows1250),
        ("windows-1251", Encoding::Windows1251),
        ("windows-1252", Encoding::Windows1252),
        ("utf-16", Encoding::Utf16),
    ];

    /// Returns whether FFh is a character of its own, and so does not end a text.
    #[must_use]
    pub const fn has_ff(self) -> bool {
        matches!(
            self,
            Encoding::Latin1
                | Encoding::Windows1250
                | Encoding::Windows1251
                | Encoding::Windows1252
        )
    }
}
