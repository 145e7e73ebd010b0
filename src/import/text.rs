//! Bytes to text: what spreadsheets of several countries save.

use encoding_rs::{GB18030, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ImportRefusal;

/// How the files of spreadsheet programs begin: a ZIP archive (xlsx, ods), and the compound file
/// of older ones (xls; MS-CFB 2.2).
const SPREADSHEETS: [&[u8]; 2] = [b"PK\x03\x04", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"];

/// Decodes a file, and names the encoding if it is not UTF-8. A byte order mark decides; without
/// one, text that is valid UTF-8 is UTF-8, NUL bytes in every second place are UTF-16, and the
/// rest is GB18030 (GBK and GB2312 are parts of it) if it is valid there, or Windows-1252.
///
/// # Errors
/// What keeps the bytes from being text.
pub fn decoded(bytes: &[u8]) -> Result<(String, Option<&'static str>), ImportRefusal> {
    if SPREADSHEETS.iter().any(|head| bytes.starts_with(head)) {
        return Err(ImportRefusal::Spreadsheet);
    }
    let (text, name) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (of_utf8(rest)?, None),
        [0xFF, 0xFE, rest @ ..] => (of(UTF_16LE, rest)?, Some("UTF-16LE")),
        [0xFE, 0xFF, rest @ ..] => (of(UTF_16BE, rest)?, Some("UTF-16BE")),
        _ => match std::str::from_utf8(bytes) {
            Ok(_) if seldom_zero(bytes) => (of_utf8(bytes)?, None),
            _ if zeros(bytes, 1) => (of(UTF_16LE, bytes)?, Some("UTF-16LE")),
            _ if zeros(bytes, 0) => (of(UTF_16BE, bytes)?, Some("UTF-16BE")),
            _ => match of(GB18030, bytes) {
                Ok(text) if is_chinese(&text) => (text, Some("GB18030")),
                _ => (of(WINDOWS_1252, bytes)?, Some("Windows-1252")),
            },
        },
    };
    let odd = |c: char| c == '\0' || (c.is_control() && !c.is_whitespace());
    match text.chars().any(odd) {
        true => Err(ImportRefusal::NoText("it holds control characters")),
        false => Ok((text.replace("\r\n", "\n").replace('\r', "\n"), name)),
    }
}

fn of_utf8(bytes: &[u8]) -> Result<String, ImportRefusal> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|_| ImportRefusal::NoText("its mark says UTF-8, and it is not"))
}

fn of(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Result<String, ImportRefusal> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    match had_errors {
        true => Err(ImportRefusal::NoText("it is in no encoding that is known")),
        false => Ok(text.into_owned()),
    }
}

fn seldom_zero(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
}

/// Returns whether most bytes at even (0) or odd (1) places are NUL, as in UTF-16 of Latin text.
fn zeros(bytes: &[u8], odd: usize) -> bool {
    let places = bytes.iter().skip(odd).step_by(2);
    let zeros = places.clone().filter(|b| **b == 0).count();
    zeros > 0 && zeros * 2 > places.count()
}

/// Returns whether what is not ASCII is mostly Chinese: Western text also decodes as GB18030, to
/// rare characters between Latin letters.
fn is_chinese(text: &str) -> bool {
    let foreign = text.chars().filter(|c| !c.is_ascii());
    let common = |c: &char| matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' | '℃' | '°' | '×' | '·' | '²' | '³' | 'φ' | 'Ω' | '—' | '…' | '“' | '”');
    let all = foreign.clone().count();
    let mut chars = text.chars().peekable();
    let mut alone = 0;
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let behind = chars.peek().copied().unwrap_or(' ');
        let is_letter = |c: char| c.is_ascii_lowercase();
        alone += usize::from(!c.is_ascii() && (is_letter(before) || is_letter(behind)));
        before = c;
    }
    foreign.filter(common).count() * 10 >= all * 9 && alone * 2 <= all
}
