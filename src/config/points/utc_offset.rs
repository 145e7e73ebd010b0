//! `utc_offset:`: how far a clock is ahead of UTC.

use crate::config::reader::problem::Expectation;
use crate::spec::UtcOffset;

/// Parses `+08:00`, `-03:30`, `+8`, `Z`.
pub(crate) fn utc_offset(text: &str) -> Result<UtcOffset, Expectation> {
    let wanted = || Expectation::wanted("hours and minutes ahead of UTC, like +08:00, -03:30 or Z");
    if ["Z", "UTC"].contains(&text) {
        return Ok(UtcOffset::default());
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ if text.contains('/') => {
            return Err(wanted()
                .hint("names of time zones are not known here; summer time is not looked at"));
        }
        _ => return Err(wanted()),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |text: &str, most: i16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let n = text.parse::<i16>().ok().filter(|n| digits && *n <= most);
        n.ok_or_else(wanted)
    };
    let minutes = 60 * number(hours, 14)? + number(minutes, 59)?;
    UtcOffset::from_minutes(sign * minutes).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_hours_and_minutes() {
        let minutes = |text: &str| utc_offset(text).map(|o| o.as_millis() / 60_000).ok();
        for (text, expected) in [
            ("+08:00", Some(480)),
            ("+8", Some(480)),
            ("-03:30", Some(-210)),
            ("Z", Some(0)),
            ("UTC", Some(0)),
            ("+00:00", Some(0)),
            ("+14:00", Some(840)),
            ("+14:01", None),
            ("08:00", None),
            ("+08:60", None),
            ("+008", None),
            ("Asia/Shanghai", None),
            ("", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }
}
