//! Parsers of single words: numbers, times, decimals, choices, names.
//!
//! Each parser returns either the value or what it wanted. No parser repeats its input, so a
//! secret cannot leak from here.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Expectation;
use crate::base::text::is_display_control;
use crate::config::reader::foreign_words;
use crate::config::reader::suggestions;
use crate::spec::Decimal;

/// Parses a whole number, decimal or with `0x`, within `range`.
pub(crate) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, Expectation>
where
    T: TryFrom<u64> + PartialOrd + Display + Copy,
{
    move |text| {
        let parsed = match text.strip_prefix("0x") {
            Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
            Some(_) => None,
            None => text
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| text.parse().ok())
                .flatten(),
        };
        parsed
            .and_then(|n| T::try_from(n).ok())
            .filter(|n| range.contains(n))
            .ok_or_else(|| {
                let digits = text.trim_start_matches('-');
                let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let what = if number { "" } else { "a whole number, " };
                Expectation::wanted(format!("{what}{} to {}", range.start(), range.end()))
            })
    }
}

/// Parses a time with its unit (`500ms`, `10s`, `1.5m`, `2h`), within `range`.
pub(crate) fn time(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, Expectation> {
    move |text| {
        let wanted = || {
            Expectation::wanted(format!(
                "{} to {}",
                show_time(*range.start()),
                show_time(*range.end())
            ))
        };
        let how = "a time is a number and a unit: 500ms, 10s, 5m or 2h";
        let unit_at = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let scale: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "" if !number.is_empty() => {
                return Err(
                    wanted().hint(format!("a time needs its unit: {number}s or {number}ms"))
                );
            }
            _ => {
                return Err(wanted().hint(foreign_words::decimal_comma(text).unwrap_or(how.into())));
            }
        };
        millis(number, scale)
            .map(Duration::from_millis)
            .filter(|d| range.contains(d))
            .ok_or_else(wanted)
    }
}

/// Returns `number × scale`, if that is a whole number of milliseconds.
fn millis(number: &str, scale: u64) -> Option<u64> {
    let decimal = decimal(number).ok()?;
    let product = u64::try_from(decimal.digits).ok()?.checked_mul(scale)?;
    let divisor = 10u64.checked_pow(u32::try_from(decimal.places).ok()?)?;
    (product % divisor == 0).then_some(product / divisor)
}

/// Returns the shortest way to write a time.
pub(crate) fn show_time(time: Duration) -> String {
    let ms = time.as_millis();
    match [3_600_000, 60_000, 1000].map(|unit| ms.is_multiple_of(unit)) {
        _ if ms == 0 => "0s".into(),
        [true, ..] => format!("{}h", ms / 3_600_000),
        [_, true, _] => format!("{}m", ms / 60_000),
        [_, _, true] => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// Parses a size with its unit (`512KiB`, `128MiB`, `2GiB`), within `range`.
pub(crate) fn bytes(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Expectation> {
    move |text| {
        let wanted = || {
            Expectation::wanted(format!(
                "{} to {}",
                show_bytes(*range.start()),
                show_bytes(*range.end())
            ))
        };
        let unit_at = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
        let scale: u64 = match unit.trim() {
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            _ => {
                return Err(
                    wanted().hint("a size is a whole number and a unit: 512KiB, 128MiB or 2GiB")
                );
            }
        };
        let size = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(scale));
        size.filter(|n| range.contains(n)).ok_or_else(wanted)
    }
}

/// Returns the shortest way to write a size.
pub(crate) fn show_bytes(bytes: u64) -> String {
    match bytes {
        n if n.is_multiple_of(1 << 30) => format!("{}GiB", n >> 30),
        n if n.is_multiple_of(1 << 20) => format!("{}MiB", n >> 20),
        n => format!("{}KiB", n >> 10),
    }
}

/// Parses an exact decimal number: `0.1`, `-40`, `6.781694e-11`.
pub(crate) fn decimal(text: &str) -> Result<Decimal, Expectation> {
    Decimal::parse(text).ok_or_else(|| {
        let power = Decimal::LARGEST_POWER;
        let wanted = format!(
            "a number like 0.1, -40 or 6.78e-11: at most {} digits, 1e-{power} to 1e{power} in size",
            Decimal::DIGITS
        );
        Expectation::wanted(wanted).maybe_hint(foreign_words::decimal_comma(text))
    })
}

/// Parses a word of a short list.
pub(crate) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Expectation> {
    move |text| {
        choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let words = || choices.iter().map(|(word, _)| *word);
                Expectation::wanted(or(words()))
                    .maybe_hint(suggestions::did_you_mean(text, words()))
            })
    }
}

/// Parses `yes` or `no`; `true` and `false` mean the same.
pub(crate) fn yes_or_no(text: &str) -> Result<bool, Expectation> {
    match text {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        // Misspellings of words as short as these could mean either, so none is guessed.
        _ => Err(
            Expectation::wanted("yes or no").maybe_hint(switched(text).map(|on| match on {
                true => "here that is yes".to_owned(),
                false => "here that is no".to_owned(),
            })),
        ),
    }
}

/// Returns whether a word of other programs switches something on; `None` if it is no such word.
pub(crate) fn switched(text: &str) -> Option<bool> {
    let word = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.contains(&&*word);
    match word.as_str() {
        _ if has(&["yes", "y", "true", "on", "1", "enabled", "enable", "allow"]) => Some(true),
        _ if has(&[
            "no", "n", "false", "off", "0", "disabled", "disable", "none", "never",
        ]) =>
        {
            Some(false)
        }
        _ => None,
    }
}

/// Joins the words: `a, b or c`.
pub(crate) fn or<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Parses text that is not empty and has no characters that control the display
/// ([`is_display_control`]).
pub(crate) fn plain(wanted: &str) -> impl Fn(&str) -> Result<String, Expectation> {
    move |text| {
        if text.trim().is_empty() || text.chars().any(is_display_control) {
            Err(Expectation::wanted(wanted))
        } else {
            Ok(text.to_owned())
        }
    }
}

/// Parses the name of a port, a profile or a device.
pub(crate) fn name(text: &str) -> Result<String, Expectation> {
    let fits = (1..=64).contains(&text.chars().count())
        && !text
            .chars()
            .any(|c| is_display_control(c) || c.is_whitespace());
    if fits {
        return Ok(text.to_owned());
    }
    let unseen = text.chars().find(|c| is_display_control(*c));
    let hint = unseen.map(|c| {
        let code = u32::from(c);
        format!("U+{code:04X} is not shown and changes how the rest is: type the name anew")
    });
    Err(Expectation::wanted("a name of 1 to 64 characters without blanks").maybe_hint(hint))
}

/// Parses a file name, relative to the configuration file or absolute.
pub(crate) fn file_name(text: &str) -> Result<String, Expectation> {
    plain("the name of a file")(text)
}

/// Parses a host name or an address, without a port.
pub(crate) fn host(text: &str) -> Result<String, Expectation> {
    let fits = (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b));
    match text.matches(':').count() {
        0 if fits => Ok(text.to_owned()),
        // An IPv6 address has at least two colons.
        2.. if fits => Ok(text.to_owned()),
        1 => Err(Expectation::wanted("a host name or an IP address, alone")
            .hint("the port number has a key of its own, port:")),
        _ => Err(Expectation::wanted("a host name or an IP address, alone")),
    }
}

/// Parses the name of a device on the platform: 4–32 characters of letters, digits and `- _ @ .
/// :` ("Create a device", parameter DeviceName).
pub(crate) fn device_name(text: &str) -> Result<String, Expectation> {
    let fits = (4..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_@.:".contains(&b));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Expectation::wanted(
            "4 to 32 letters, digits or - _ @ . : (the platform's rule for device names)",
        ))
    }
}

/// Parses the key of a product: letters and digits; it becomes a part of every topic.
pub(crate) fn product_key(text: &str) -> Result<String, Expectation> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Expectation::wanted(
            "letters and digits, as the console shows the ProductKey",
        ))
    }
}

/// Words that the platform reserves in a thing model.
const RESERVED: [&str; 7] = ["set", "get", "post", "property", "event", "time", "value"];

/// Parses the name of an input or an output: letters, digits and underscores, at most 50, not
/// beginning with a digit. The words that the platform reserves for properties are allowed here.
pub(crate) fn parameter(text: &str) -> Result<String, Expectation> {
    let fits = (1..=50).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Expectation::wanted(
            "1 to 50 letters, digits or underscores, not beginning with a digit",
        )
        .hint("use the identifier of the parameter in the thing model")),
    }
}

/// Parses the identifier of a property in the thing model: letters, digits and underscores, at
/// most 50, not beginning with a digit, not one of the reserved words (help.aliyun.com, "Add a
/// TSL feature", parameter Identifier). A property of a custom module is `module:identifier`
/// ("Device properties, events, and services"), each half by the same rule.
pub(crate) fn identifier(text: &str) -> Result<String, Expectation> {
    let part = |part: &str| {
        (1..=50).contains(&part.len())
            && !part.as_bytes()[0].is_ascii_digit()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let (module, id) = match text.split_once(':') {
        Some((module, id)) => (Some(module), id),
        None => (None, text),
    };
    if RESERVED.contains(&id) {
        return Err(Expectation::wanted(format!(
            "an identifier other than {} (the platform reserves these words)",
            or(RESERVED.into_iter())
        ))
        .hint("use the identifier of the property in the thing model"));
    }
    if part(id) && module.is_none_or(part) {
        return Ok(text.to_owned());
    }
    let begins_with_digit = id.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let wrong = Expectation::wanted(
        "1 to 50 letters, digits or underscores, not beginning with a digit (the platform's rule for identifiers)",
    );
    Err(if begins_with_digit {
        wrong.hint(format!("P{id} would do, if the thing model says so too"))
    } else {
        wrong.hint("use the identifier of the property in the thing model, not its display name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_decimal_or_hexadecimal_and_in_range() {
        let address = whole(0..=65535u16);
        for (text, value) in [("0", 0), ("65535", 65535), ("0x9C41", 40001), ("0123", 123)] {
            assert_eq!(address(text).ok(), Some(value), "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "65536",
            "1.0",
            "0x",
            "0x+1",
            "1e3",
            "one",
            " 1",
            "1_000",
            "99999999999999999999",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
        assert_eq!(address("70000").unwrap_err().wanted, "0 to 65535");
        assert_eq!(
            address("x").unwrap_err().wanted,
            "a whole number, 0 to 65535"
        );
    }

    #[test]
    fn times_need_their_unit() {
        let t = time(Duration::ZERO..=Duration::from_secs(86400));
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("0.5s", 500),
            ("1.5m", 90_000),
            ("5 min", 300_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(t(text).ok(), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "s",
            "10",
            "-1s",
            "1d",
            "1s1s",
            "0.0001s",
            "1.2.3s",
            "99999999999999999h",
        ] {
            assert!(t(text).is_err(), "{text}");
        }
        assert_eq!(
            t("10").unwrap_err().hint.as_deref(),
            Some("a time needs its unit: 10s or 10ms")
        );
        assert_eq!(show_time(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_time(Duration::from_secs(300)), "5m");
    }

    #[test]
    fn decimals_know_the_comma() {
        for (text, hint) in [
            ("0,1", Some("a decimal point, not a comma: 0.1")),
            ("-12,50", Some("a decimal point, not a comma: -12.50")),
            ("1,000,000", None),
            ("nan", None),
        ] {
            assert_eq!(decimal(text).unwrap_err().hint.as_deref(), hint, "{text}");
        }
        let time = time(Duration::ZERO..=Duration::from_secs(86400));
        assert_eq!(
            time("0,5s").unwrap_err().hint.as_deref(),
            Some("a decimal point, not a comma: 0.5s")
        );
    }

    #[test]
    fn yes_is_not_guessed_from_on_nor_no_from_misspellings() {
        for (text, value) in [
            ("yes", true),
            ("true", true),
            ("no", false),
            ("false", false),
        ] {
            assert_eq!(yes_or_no(text).ok(), Some(value));
        }
        for (text, hint) in [
            ("on", Some("here that is yes")),
            ("Yes", Some("here that is yes")),
            ("off", Some("here that is no")),
            ("0", Some("here that is no")),
            ("nes", None),
            ("", None),
        ] {
            assert_eq!(yes_or_no(text).unwrap_err().hint.as_deref(), hint, "{text}");
        }
    }

    #[test]
    fn identifiers_follow_the_platforms_rule() {
        for good in ["Voltage", "_x", "a1", "meter:Voltage", &"x".repeat(50)] {
            assert!(identifier(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "a-b",
            "a b",
            "é",
            "time",
            "m:time",
            ":a",
            "a:",
            "a:b:c",
            &"x".repeat(51),
        ] {
            assert!(identifier(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn device_names_follow_the_platforms_rule() {
        for good in ["m-01", "a@b.c:d_e", &"x".repeat(32)] {
            assert!(device_name(good).is_ok(), "{good}");
        }
        for bad in ["abc", "a b c", "a/b/c", "métre", &"x".repeat(33)] {
            assert!(device_name(bad).is_err(), "{bad}");
        }
    }
}
