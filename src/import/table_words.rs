//! Words for tables, types and orders, as manuals, spreadsheets and programs have them.

use super::point::{ByteForm, LetterOrder};
use crate::spec::Table;

/// Returns the table that a word or a function code means.
#[must_use]
pub fn table(text: &str) -> Option<Table> {
    let text = normalized(text);
    let code = text
        .trim_start_matches("fc")
        .trim_start_matches("0x")
        .trim_start_matches('0');
    match code {
        "1" | "5" | "15" | "0f" | "f" => return Some(Table::Coil),
        "2" => return Some(Table::DiscreteInput),
        "3" | "6" | "16" | "10" => return Some(Table::HoldingRegister),
        "4" => return Some(Table::InputRegister),
        _ => {}
    }
    let is = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if is(&["discrete", "离散", "digitalinput", "diskret", "contact"]) {
        Some(Table::DiscreteInput)
    } else if is(&["coil", "线圈", "spule"]) {
        Some(Table::Coil)
    } else if is(&["holding", "保持", "halte", "4x"]) {
        Some(Table::HoldingRegister)
    } else if is(&["inputreg", "input", "输入", "eingang", "3x"]) {
        Some(Table::InputRegister)
    } else if is(&["0x"]) {
        Some(Table::Coil)
    } else if is(&["1x"]) {
        Some(Table::DiscreteInput)
    } else {
        None
    }
}

/// A type with the order that its name says.
pub type TypeWithOrder = (ByteForm, Option<LetterOrder>);

/// Returns the shape that a word for a type means; `width` is the number of registers, if it is
/// known, for words that leave it open (`float`, `signed`). A tail such as `-ABCD` or `_swapped`
/// is the order.
#[must_use]
pub fn shape(text: &str, width: Option<u16>) -> Option<TypeWithOrder> {
    let mut word = normalized(text);
    let mut found = None;
    for (tail, of) in [
        ("abcd", LetterOrder::Abcd),
        ("cdab", LetterOrder::Cdab),
        ("badc", LetterOrder::Badc),
        ("dcba", LetterOrder::Dcba),
        ("bigendian", LetterOrder::Abcd),
        ("littleendian", LetterOrder::Dcba),
        ("wordswap", LetterOrder::Cdab),
        ("swapped", LetterOrder::Cdab),
        ("swap", LetterOrder::Cdab),
        ("inverse", LetterOrder::Cdab),
    ] {
        if let Some(rest) = word.strip_suffix(tail).filter(|rest| !rest.is_empty()) {
            word = rest.to_owned();
            found = Some(of);
            break;
        }
    }
    if let Some((_, characters)) = text_type(&word) {
        let told = characters.map(|n| n.div_ceil(2));
        let registers = width.or(told).filter(|n| (1..=125).contains(n))?;
        let form = ByteForm::Text {
            registers,
            characters: 2,
        };
        return Some((form, found));
    }
    let wide = |narrow: &'static str, double: &'static str, four: &'static str| match width {
        Some(2) => double,
        Some(4) => four,
        _ => narrow,
    };
    let name = match word.as_str() {
        "u8" | "uint8" | "byte" | "unsigned8" | "uint8l" | "uint8h" => "u8",
        "i8" | "s8" | "int8" | "sint8" | "sbyte" | "char" | "int8l" | "int8h" => "i8",
        "u16"
        | "uint16"
        | "unsigned16"
        | "ushort"
        | "uword"
        | "word"
        | "unsigned16bit"
        | "16bituint"
        | "无符号16位"
        | "无符号16位整型"
        | "uint16t"
        | "uinteger16"
        | "16bitunsigned" => "u16",
        "i16"
        | "s16"
        | "int16"
        | "sint16"
        | "signed16"
        | "short"
        | "sword"
        | "signed16bit"
        | "16bitint"
        | "有符号16位"
        | "有符号16位整型"
        | "int16t"
        | "integer16"
        | "16bitsigned" => "i16",
        "u24" | "uint24" => "u24",
        "i24" | "s24" | "int24" => "i24",
        "u32"
        | "uint32"
        | "unsigned32"
        | "ulong"
        | "udword"
        | "dword"
        | "udint"
        | "unsigned32bit"
        | "32bituint"
        | "无符号32位"
        | "无符号32位整型"
        | "uint32t"
        | "uinteger32"
        | "32bitunsigned" => "u32",
        "i32"
        | "s32"
        | "int32"
        | "sint32"
        | "signed32"
        | "long"
        | "sdword"
        | "dint"
        | "signed32bit"
        | "32bitint"
        | "有符号32位"
        | "有符号32位整型"
        | "int32t"
        | "integer32"
        | "32bitsigned" => "i32",
        "u48" | "uint48" => "u48",
        "i48" | "int48" => "i48",
        "u64" | "uint64" | "unsigned64" | "ulonglong" | "uqword" | "qword" | "ulint" => "u64",
        "i64" | "s64" | "int64" | "sint64" | "signed64" | "longlong" | "sqword" | "lint" => "i64",
        "f16" | "float16" | "half" => "f16",
        "f32" | "float32" | "real" | "real32" | "fp32" | "single" | "ieee754" | "float32ieee"
        | "ieeefloat" | "32bitfloat" | "单精度浮点" | "浮点型" | "浮点数" | "浮点" => {
            "f32"
        }
        "f64" | "float64" | "double" | "real64" | "fp64" | "lreal" | "float64ieee"
        | "64bitfloat" | "双精度浮点" => "f64",
        "float" => wide("f32", "f32", "f64"),
        "int" | "signed" | "integer" | "sint" | "有符号" | "整型" => wide("i16", "i32", "i64"),
        "uint" | "unsigned" | "unsignedint" | "无符号" => wide("u16", "u32", "u64"),
        "bcd8" => "bcd8",
        "bcd16" => "bcd16",
        "bcd24" => "bcd24",
        "bcd32" => "bcd32",
        "bcd48" => "bcd48",
        "bcd64" => "bcd64",
        "bcd" => wide("bcd16", "bcd32", "bcd64"),
        "bool" | "boolean" | "bit" | "bool8" | "bool16" | "布尔" | "开关量" => {
            return Some((ByteForm::Bool, found));
        }
        _ => chinese(&word, width)?,
    };
    Some((ByteForm::Number(name), found))
}

/// Returns whether a word for a type means a text, with its length or without one.
#[must_use]
pub fn is_text(text: &str) -> bool {
    text_type(text).is_some()
}

/// Returns the word for a text, and how many characters it has if that stands behind the word:
/// `ascii`, `STRING[8]`, `CHAR(8)`, `string16`. `char` alone is a number of eight bits.
fn text_type(text: &str) -> Option<(&'static str, Option<u16>)> {
    const WORDS: [&str; 7] = [
        "string",
        "text",
        "ascii",
        "str",
        "varchar",
        "char",
        "字符串",
    ];
    let word = normalized(text);
    let rest = |known: &&'static str| word.strip_prefix(known).map(|rest| (*known, rest));
    let (known, rest) = WORDS.iter().find_map(rest)?;
    let digits = rest
        .trim_end_matches("characters")
        .trim_end_matches("chars");
    match (known, digits) {
        ("char", "") => None,
        (_, "") => Some((known, None)),
        _ => Some((known, Some(digits.parse().ok()?))),
    }
}

/// Returns the type that a Chinese word says in any order: `32位有符号`, `有符号整型`,
/// `无符号长整型`, `16位BCD码`. `width` is the number of registers, where the word leaves it open.
fn chinese(word: &str, width: Option<u16>) -> Option<&'static str> {
    let is = |part: &str| word.contains(part);
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let told = digits.parse::<u16>().ok();
    let bits = match (told, width) {
        (Some(bits), _) if is("位") || is("bit") => bits,
        (Some(_), _) => return None,
        (None, _) if is("双精度") => 64,
        (None, _) if is("单精度") || is("长整") || is("双字") => 32,
        (None, _) if is("短整") => 16,
        (None, Some(width @ (1 | 2 | 4))) => width * 16,
        (None, _) if is("浮点") => 32,
        (None, _) => 16,
    };
    let of = |all: [&'static str; 4]| match bits {
        8 => Some(all[0]),
        16 => Some(all[1]),
        32 => Some(all[2]),
        64 => Some(all[3]),
        _ => None,
    };
    if is("浮点") || is("精度") || is("实数") {
        return of(["", "f16", "f32", "f64"]).filter(|name| !name.is_empty());
    }
    if is("bcd") {
        return of(["bcd8", "bcd16", "bcd32", "bcd64"]);
    }
    if is("无符号") {
        return of(["u8", "u16", "u32", "u64"]);
    }
    let is_signed = is("有符号") || is("带符号") || is("整型") || is("整数") || is("整形");
    if is_signed {
        return of(["i8", "i16", "i32", "i64"]);
    }
    is("双字").then_some("u32")
}

/// Returns the order that a word means: `ABCD`, `CDAB`, `big endian`, `little`, `swap`.
#[must_use]
pub fn order(text: &str) -> Option<LetterOrder> {
    let word = normalized(text);
    let word = word.trim_start_matches("float").trim_start_matches("long");
    Some(match word {
        "abcd" | "ab" | "abcdefgh" | "1234" | "3210" | "big" | "bigendian" | "be" | "high"
        | "highfirst" | "msw" | "mswbe" | "大端" | "高字在前" => LetterOrder::Abcd,
        "cdab"
        | "ghefcdab"
        | "3412"
        | "1032"
        | "wordswap"
        | "swap"
        | "swapped"
        | "word"
        | "midlittle"
        | "littleendianbyteswap"
        | "low"
        | "lowfirst"
        | "lsw"
        | "lswbe"
        | "低字在前" => LetterOrder::Cdab,
        "mswle" | "badc" | "ba" | "badcfehg" | "2143" | "2301" | "byteswap" | "byte" | "midbig"
        | "bigendianbyteswap" => LetterOrder::Badc,
        "lswle" | "dcba" | "hgfedcba" | "4321" | "0123" | "little" | "littleendian" | "le"
        | "小端" => LetterOrder::Dcba,
        _ => return None,
    })
}

/// Returns whether the word for access allows writing; `None` if it is only written.
#[must_use]
pub fn access(text: &str) -> Option<bool> {
    let word = normalized(text);
    match word.as_str() {
        "w" | "wo" | "writeonly" | "只写" => None,
        "rw" | "wr" | "readwrite" | "r/w" | "读写" | "可读写" | "可读可写" | "lesenschreiben"
        | "ls" | "yes" | "是" => Some(true),
        _ => Some(false),
    }
}

/// Returns a word in small letters without blanks and punctuation.
#[must_use]
pub fn normalized(text: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric();
    text.chars()
        .filter(kept)
        .flat_map(char::to_lowercase)
        .collect()
}
