//! Many devices in one entry: unit lists and `{unit}` in names.

use crate::config::reader::problem::Expectation;

/// Parses `units:`: `1-31`, `1-5,8`, or one unit, in the order written.
pub(crate) fn units(text: &str) -> Result<Vec<u8>, Expectation> {
    let wanted = || Expectation::wanted("units like 1-31 or 1-5,8");
    let mut units = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits
                .then_some(text)
                .ok_or_else(wanted)?
                .parse::<u8>()
                .map_err(|_| wanted().hint("a unit is at most 255"))
        };
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return Err(wanted().hint(format!("the smaller number comes first: {to}-{from}")));
        }
        for unit in from..=to {
            if units.contains(&unit) {
                return Err(wanted().hint(format!("unit {unit} is named twice")));
            }
            units.push(unit);
        }
    }
    Ok(units)
}

/// Returns whether a pattern differs from unit to unit.
pub(crate) fn varies(pattern: &str) -> bool {
    pattern.contains("{unit")
}

/// Puts `unit` into a pattern: `{unit}` as it is, `{unit:03}` with leading
/// zeros.
pub(crate) fn fill(pattern: &str, unit: u8) -> Result<String, Expectation> {
    let wanted = || {
        Expectation::wanted("{unit} or {unit:03} as the only braces")
            .hint("{unit:03} writes 7 as 007")
    };
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(start) = rest.find(['{', '}']) {
        out.push_str(&rest[..start]);
        let inner = rest[start..].strip_prefix('{').ok_or_else(wanted)?;
        let (inside, after) = inner.split_once('}').ok_or_else(wanted)?;
        match inside {
            "unit" => out.push_str(&unit.to_string()),
            _ => {
                let width = inside
                    .strip_prefix("unit:0")
                    .and_then(|w| w.parse::<usize>().ok())
                    .filter(|w| (1..=9).contains(w))
                    .ok_or_else(wanted)?;
                out.push_str(&format!("{unit:0width$}"));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_lists_are_ranges_and_single_units() {
        assert_eq!(units("7").ok(), Some(vec![7]));
        assert_eq!(units("1-3,8, 10 - 11").ok(), Some(vec![1, 2, 3, 8, 10, 11]));
        assert_eq!(units("0-255").map(|u| u.len()).ok(), Some(256));
        for bad in [
            "", "a", "1-", "-1", "3-1", "1,1", "1-5,3", "1-256", "1..3", "1,,2", "+1",
        ] {
            assert!(units(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_take_the_unit() {
        assert_eq!(fill("hall-{unit:03}", 7).ok().as_deref(), Some("hall-007"));
        assert_eq!(
            fill("{unit}/{unit:02}", 112).ok().as_deref(),
            Some("112/112")
        );
        assert_eq!(fill("plain", 7).ok().as_deref(), Some("plain"));
        for bad in [
            "{",
            "}",
            "{}",
            "{name}",
            "{unit",
            "{unit:3}",
            "{unit:0x}",
            "{unit:00}",
            "{unit:099}",
            "{{unit}}",
        ] {
            assert!(fill(bad, 7).is_err(), "{bad}");
        }
    }
}
