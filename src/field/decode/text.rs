//! Text as devices write it: in their encoding, padded, with whatever the memory
//! around it holds.

use std::borrow::Cow;

use encoding_rs as coding;

use super::refusal::NoValueReason;
use crate::spec::Encoding;

/// Returns the text in a field of fixed size. The text ends at NUL, and at FFh where FFh is
/// no character, as memory that was never written holds FFh. Control characters are left out,
/// and blanks at the end.
///
/// # Errors
/// The bytes are no text in this encoding.
pub(crate) fn padded(bytes: &[u8], encoding: Encoding) -> Result<String, NoValueReason> {
    let mut text = decoded(ended(bytes, encoding), encoding)?.into_owned();
    text.retain(|c| !c.is_control());
    text.truncate(
        text.trim_end_matches(|c: char| c.is_ascii_whitespace())
            .len(),
    );
    Ok(text)
}

/// Returns the part in front of the byte that ends the text.
fn ended(bytes: &[u8], encoding: Encoding) -> &[u8] {
    if encoding == Encoding::Utf16 {
        let units = bytes.chunks_exact(2);
        let end = units.take_while(|u| !matches!(u, [0, 0] | [0xFF, 0xFF]));
        return bytes.get(..2 * end.count()).unwrap_or(bytes);
    }
    let is_end = |b: &u8| *b == 0 || (*b == 0xFF && !encoding.has_ff());
    let end = bytes.iter().position(is_end).unwrap_or(bytes.len());
    let text = bytes.get(..end).unwrap_or(bytes);
    // Where FFh is a character, only a rest that is all FFh is no text.
    let rest = text.iter().rev().take_while(|b| **b == 0xFF).count();
    match encoding.has_ff() {
        true => text.get(..text.len() - rest).unwrap_or(text),
        false => text,
    }
}

/// Returns the characters that the bytes stand for.
///
/// # Errors
/// The bytes stand for no characters.
pub(crate) fn decoded(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, NoValueReason> {
    let by = match encoding {
        Encoding::Utf8 => coding::UTF_8,
        Encoding::Gbk => coding::GBK,
        Encoding::Gb18030 => coding::GB18030,
        Encoding::Big5 => coding::BIG5,
        Encoding::ShiftJis => coding::SHIFT_JIS,
        Encoding::EucKr => coding::EUC_KR,
        Encoding::Windows1250 => coding::WINDOWS_1250,
        Encoding::Windows1251 => coding::WINDOWS_1251,
        Encoding::Windows1252 => coding::WINDOWS_1252,
        Encoding::Utf16 => coding::UTF_16BE,
        // The encoding of the standard itself: what the WHATWG calls Latin-1 is code page
        // 1252.
        Encoding::Latin1 => return Ok(bytes.iter().map(|b| char::from(*b)).collect()),
    };
    by.decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or(NoValueReason::NotText)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], encoding: Encoding) -> Result<String, NoValueReason> {
        padded(bytes, encoding)
    }

    #[test]
    fn every_encoding_reads_what_iconv_writes() {
        // From `printf … | iconv -f UTF-8 -t … | xxd`.
        for (encoding, bytes, text) in [
            (Encoding::Utf8, &b"\xe7\x94\xb5\xe8\xa1\xa8"[..], "电表"),
            (Encoding::Gbk, b"\xb5\xe7\xb1\xed", "电表"),
            (Encoding::Gb18030, b"\xb5\xe7\x81\x30\x84\x36", "电¥"),
            (Encoding::Big5, b"\xb9\x71", "電"),
            (Encoding::ShiftJis, b"\x93\x64", "電"),
            (Encoding::EucKr, b"\xc7\xd1", "한"),
            (Encoding::Latin1, b"\xe4\xff.", "äÿ."),
            (Encoding::Windows1250, b"\xe8", "č"),
            (Encoding::Windows1251, b"\xff\xe4", "яд"),
            (Encoding::Windows1252, b"\x80", "€"),
            (Encoding::Utf16, b"\x75\x35\x88\x68", "电表"),
        ] {
            assert_eq!(read(bytes, encoding).as_deref(), Ok(text), "{encoding:?}");
        }
    }

    #[test]
    fn text_ends_where_memory_was_not_written() {
        for (bytes, encoding, text) in [
            (&b"AB\0CD"[..], Encoding::Gbk, "AB"),
            (b"\xb5\xe7\xff\xff", Encoding::Gbk, "电"),
            (b"AB  \xff\xff", Encoding::Utf8, "AB"),
            (b"AB\xff\xff", Encoding::Windows1251, "AB"),
            (b"\xffAB", Encoding::Windows1251, "яAB"),
            (b"\x00A\x00\x00\x00B", Encoding::Utf16, "A"),
            (b"\x00A\xff\xff", Encoding::Utf16, "A"),
            (b"A\r\nB\x07 \r\n", Encoding::Utf8, "AB"),
            (b"", Encoding::Gbk, ""),
        ] {
            assert_eq!(read(bytes, encoding).as_deref(), Ok(text), "{bytes:02x?}");
        }
        for (bytes, encoding) in [
            // Half a character.
            (&b"\xb5"[..], Encoding::Gbk),
            (b"\xc3\x28", Encoding::Utf8),
            (b"\xd8\x00\x00A", Encoding::Utf16),
        ] {
            assert_eq!(
                read(bytes, encoding),
                Err(NoValueReason::NotText),
                "{bytes:02x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(text in "[ -~一-鿿]{0,20}[!-~]") {
            for (encoding, by) in [(Encoding::Gbk, coding::GBK), (Encoding::Gb18030, coding::GB18030)] {
                let (bytes, _, unknown) = by.encode(&text);
                if !unknown {
                    prop_assert_eq!(read(&bytes, encoding), Ok(text.clone()));
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic_or_leave_control_characters(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for (_, encoding) in Encoding::ALL {
                if let Ok(text) = read(&bytes, encoding) {
                    prop_assert!(!text.chars().any(char::is_control));
                }
            }
        }
    }
}
