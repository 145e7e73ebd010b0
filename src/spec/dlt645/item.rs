//! The standard's data by name.
//!
//! A name is a family, and where the family has them a phase, a rate, or a
//! settlement day: `voltage-a`, `energy-active-forward`,
//! `energy-active-forward-rate-2`, `energy-active-forward-last-1` (what stood
//! there at the end of the last settlement period), `voltage-all` (a block: one
//! reply, several values). Identifiers, formats and signs are those of DL/T
//! 645-2007 tables A.1–A.4 and 1997 tables A.1–A.7. What is not here can be
//! asked for by its identifier and [`Format`].

use super::{Edition, Format, Id};

/// A datum: what to ask for and how to read the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its identifier.
    pub id: Id,
    /// How each of its values is written.
    pub format: Format,
    /// How many values one reply has: 1, or as many as a block has.
    pub values: u8,
}

impl Item {
    /// How many bytes of data a reply carries.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.format.bytes() * self.values as usize
    }
}

/// What a family's members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    /// Just itself.
    One,
    /// `-a`, `-b`, `-c`, `-all`: three phases.
    Phases,
    /// Itself (the total), `-a`, `-b`, `-c`, `-all`.
    TotalAndPhases,
    /// Itself (the total), `-rate-N`; each also `-last-N`.
    Rates,
}

struct Family {
    name: &'static str,
    id: Id,
    format: Format,
    members: Members,
}

const fn family(name: &'static str, id: Id, format: Format, members: Members) -> Family {
    Family {
        name,
        id,
        format,
        members,
    }
}

const fn plain(bytes: u8, places: u8) -> Format {
    let signed = false;
    Format::Number {
        bytes,
        places,
        signed,
    }
}

const fn signed(bytes: u8, places: u8) -> Format {
    let signed = true;
    Format::Number {
        bytes,
        places,
        signed,
    }
}

const ENERGY: Format = plain(4, 2);
/// Sums over both directions have a sign (2007 table A.1, note).
const NET_ENERGY: Format = signed(4, 2);
const PEAK: Format = Format::Peak {
    bytes: 3,
    places: 4,
};

/// DL/T 645-2007, tables A.1 (00), A.2 (01), A.3 (02), A.4 (04).
#[rustfmt::skip]
const Y2007: [Family; 50] = {
    use Id::Y2007 as I;
    use Members::{One, Phases, Rates, TotalAndPhases};
    [
        family("energy-active", I(0x0000_0000), NET_ENERGY, Rates),
        family("energy-active-forward", I(0x0001_0000), ENERGY, Rates),
        family("energy-active-reverse", I(0x0002_0000), ENERGY, Rates),
        family("energy-reactive-1", I(0x0003_0000), NET_ENERGY, Rates),
        family("energy-reactive-2", I(0x0004_0000), NET_ENERGY, Rates),
        family("energy-reactive-quadrant-1", I(0x0005_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-2", I(0x0006_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-3", I(0x0007_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-4", I(0x0008_0000), ENERGY, Rates),
        family("energy-apparent-forward", I(0x0009_0000), ENERGY, Rates),
        family("energy-apparent-reverse", I(0x000A_0000), ENERGY, Rates),
        family("energy-active-forward-a", I(0x0015_0000), ENERGY, One),
        family("energy-active-forward-b", I(0x0029_0000), ENERGY, One),
        family("energy-active-forward-c", I(0x003D_0000), ENERGY, One),
        family("energy-active-reverse-a", I(0x0016_0000), ENERGY, One),
        family("energy-active-reverse-b", I(0x002A_0000), ENERGY, One),
        family("energy-active-reverse-c", I(0x003E_0000), ENERGY, One),
        family("peak-demand-active-forward", I(0x0101_0000), PEAK, Rates),
        family("peak-demand-active-reverse", I(0x0102_0000), PEAK, Rates),
        family("voltage", I(0x0201_0000), plain(2, 1), Phases),
        family("current", I(0x0202_0000), signed(3, 3), Phases),
        family("power-active", I(0x0203_0000), signed(3, 4), TotalAndPhases),
        family("power-reactive", I(0x0204_0000), signed(3, 4), TotalAndPhases),
        family("power-apparent", I(0x0205_0000), signed(3, 4), TotalAndPhases),
        family("power-factor", I(0x0206_0000), signed(2, 3), TotalAndPhases),
        family("phase-angle", I(0x0207_0000), plain(2, 1), Phases),
        family("voltage-distortion", I(0x0208_0000), plain(2, 2), Phases),
        family("current-distortion", I(0x0209_0000), plain(2, 2), Phases),
        family("current-neutral", I(0x0280_0001), signed(3, 3), One),
        family("frequency", I(0x0280_0002), plain(2, 2), One),
        family("power-active-minute", I(0x0280_0003), signed(3, 4), One),
        family("demand-active", I(0x0280_0004), signed(3, 4), One),
        family("demand-reactive", I(0x0280_0005), signed(3, 4), One),
        family("demand-apparent", I(0x0280_0006), signed(3, 4), One),
        family("temperature", I(0x0280_0007), signed(2, 1), One),
        family("battery-clock", I(0x0280_0008), plain(2, 2), One),
        family("battery-reading", I(0x0280_0009), plain(2, 2), One),
        family("battery-minutes", I(0x0280_000A), plain(4, 0), One),
        family("date", I(0x0400_0101), Format::Date, One),
        family("time", I(0x0400_0102), Format::Time, One),
        family("current-ratio", I(0x0400_0306), plain(3, 0), One),
        family("voltage-ratio", I(0x0400_0307), plain(3, 0), One),
        family("address", I(0x0400_0401), Format::Digits(6), One),
        family("meter-number", I(0x0400_0402), Format::Digits(6), One),
        family("asset-code", I(0x0400_0403), Format::Text(32), One),
        family("rated-voltage", I(0x0400_0404), Format::Text(6), One),
        family("rated-current", I(0x0400_0405), Format::Text(6), One),
        family("constant-active", I(0x0400_0409), plain(3, 0), One),
        family("constant-reactive", I(0x0400_040A), plain(3, 0), One),
        family("status-1", I(0x0400_0501), Format::Bits(2), One),
    ]
};

/// DL/T 645-1997, tables A.1 (90–9F), A.5 (B6) and A.6–A.7 (C0). This year
/// gives power no sign; a meter that sets the highest bit all the same must be
/// asked by identifier, with a signed format.
#[rustfmt::skip]
const Y1997: [Family; 20] = {
    use Id::Y1997 as I;
    use Members::{One, Phases, Rates, TotalAndPhases};
    [
        family("energy-active-forward", I(0x9010), ENERGY, Rates),
        family("energy-active-reverse", I(0x9020), ENERGY, Rates),
        family("energy-reactive-forward", I(0x9110), ENERGY, Rates),
        family("energy-reactive-reverse", I(0x9120), ENERGY, Rates),
        family("energy-reactive-quadrant-1", I(0x9130), ENERGY, Rates),
        family("energy-reactive-quadrant-4", I(0x9140), ENERGY, Rates),
        family("energy-reactive-quadrant-2", I(0x9150), ENERGY, Rates),
        family("energy-reactive-quadrant-3", I(0x9160), ENERGY, Rates),
        family("voltage", I(0xB610), plain(2, 0), Phases),
        family("current", I(0xB620), plain(2, 2), Phases),
        family("power-active", I(0xB630), plain(3, 4), TotalAndPhases),
        family("power-reactive", I(0xB640), plain(2, 2), TotalAndPhases),
        family("power-factor", I(0xB650), plain(2, 3), TotalAndPhases),
        family("date", I(0xC010), Format::Date, One),
        family("time", I(0xC011), Format::Time, One),
        family("status-1", I(0xC020), Format::Bits(1), One),
        family("constant-active", I(0xC030), plain(3, 0), One),
        family("constant-reactive", I(0xC031), plain(3, 0), One),
        family("meter-number", I(0xC032), Format::Digits(6), One),
        family("device-code", I(0xC034), Format::Digits(6), One),
    ]
};

/// The datum with this name; `None` if the standard of this year has none.
#[must_use]
pub fn find(edition: Edition, name: &str) -> Option<Item> {
    families(edition).iter().find_map(|f| f.member(name))
}

/// The names of all families, for suggestions; not their members.
pub fn names(edition: Edition) -> impl Iterator<Item = &'static str> {
    families(edition).iter().map(|f| f.name)
}

const fn families(edition: Edition) -> &'static [Family] {
    match edition {
        Edition::Y1997 => &Y1997,
        Edition::Y2007 => &Y2007,
    }
}

impl Family {
    fn member(&self, name: &str) -> Option<Item> {
        let rest = name.strip_prefix(self.name)?;
        let (id, values) = match (self.members, rest) {
            (Members::Phases, "") => return None,
            (_, "") => (self.id, 1),
            (Members::Phases, "-all") => (self.part(BLOCK)?, 3),
            (Members::TotalAndPhases, "-all") => (self.part(BLOCK)?, 4),
            (Members::Phases | Members::TotalAndPhases, phase) => {
                let n = ["-a", "-b", "-c"].iter().position(|p| *p == phase)?;
                (self.part(n as u8 + 1)?, 1)
            }
            (Members::Rates, _) => (self.rate(rest)?, 1),
            (Members::One, _) => return None,
        };
        Some(Item {
            id,
            format: self.format,
            values,
        })
    }

    /// DI1 in 2007, the last half byte in 1997.
    const fn part(&self, n: u8) -> Option<Id> {
        match self.id {
            Id::Y2007(id) => Some(Id::Y2007(id | (n as u32) << 8)),
            Id::Y1997(_) if n > 15 && n != BLOCK => None,
            Id::Y1997(id) => Some(Id::Y1997(id | (n & 15) as u16)),
        }
    }

    /// `-rate-N` and `-last-N`, in this order, each once.
    fn rate(&self, rest: &str) -> Option<Id> {
        let (rest, last) = match rest.rsplit_once("-last-") {
            Some((rest, n)) => (rest, decimal(n)?),
            None => (rest, 0),
        };
        let rate = match rest.strip_prefix("-rate-") {
            Some(n) => decimal(n)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        match self.part(rate)? {
            // 63 rates, 12 settlement days (2007 table A.1).
            Id::Y2007(id) => (rate <= 63 && last <= 12).then(|| Id::Y2007(id | u32::from(last))),
            // 14 rates; 94xx is last month, 98xx the month before.
            Id::Y1997(id) => {
                (rate <= 14 && last <= 2).then(|| Id::Y1997(id | u16::from(last) << 10))
            }
        }
    }
}

/// Stands for "all of them" in an identifier.
const BLOCK: u8 = 0xFF;

/// 1 to 255, without leading zeros.
fn decimal(text: &str) -> Option<u8> {
    let n: u8 = text.parse().ok()?;
    (n > 0 && text == n.to_string()).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(edition: Edition, name: &str) -> Option<String> {
        find(edition, name).map(|item| item.id.to_string())
    }

    /// Identifier pairs as published in several drivers (coyool/XXOO_000
    /// dd645_2007.c, table of conversions from 1997 to 2007).
    #[test]
    fn names_have_the_published_identifiers() {
        for (name, y2007, y1997) in [
            ("energy-active-forward", "00010000", "9010"),
            ("energy-active-forward-rate-1", "00010100", "9011"),
            ("energy-active-forward-rate-4", "00010400", "9014"),
            ("energy-active-forward-last-1", "00010001", "9410"),
            ("energy-active-forward-rate-3-last-1", "00010301", "9413"),
            ("energy-active-reverse", "00020000", "9020"),
            ("energy-reactive-quadrant-1", "00050000", "9130"),
            ("energy-reactive-quadrant-4", "00080000", "9140"),
            ("energy-reactive-quadrant-2", "00060000", "9150"),
            ("energy-reactive-quadrant-3", "00070000", "9160"),
            ("power-active", "02030000", "B630"),
            ("power-active-a", "02030100", "B631"),
            ("power-reactive", "02040000", "B640"),
            ("power-reactive-a", "02040100", "B641"),
            ("voltage-a", "02010100", "B611"),
            ("voltage-b", "02010200", "B612"),
            ("voltage-c", "02010300", "B613"),
            ("voltage-all", "0201FF00", "B61F"),
            ("current-a", "02020100", "B621"),
            ("current-all", "0202FF00", "B62F"),
            ("power-factor", "02060000", "B650"),
            ("date", "04000101", "C010"),
            ("time", "04000102", "C011"),
        ] {
            assert_eq!(id(Edition::Y2007, name).as_deref(), Some(y2007), "{name}");
            assert_eq!(id(Edition::Y1997, name).as_deref(), Some(y1997), "{name}");
        }
    }

    #[test]
    fn what_the_standard_does_not_have_is_not_found() {
        for name in [
            "",
            "voltage",
            "voltage-d",
            "voltage-a-rate-1",
            "energy-active-forward-rate-0",
            "energy-active-forward-rate-01",
            "energy-active-forward-rate-64",
            "energy-active-forward-last-13",
            "energy-active-forward-last-1-rate-1",
            "energy-active-forwardx",
            "frequency-a",
        ] {
            for edition in [Edition::Y1997, Edition::Y2007] {
                assert_eq!(find(edition, name), None, "{name}");
            }
        }
        assert_eq!(find(Edition::Y1997, "frequency"), None);
    }

    #[test]
    fn no_two_names_ask_for_the_same() {
        for edition in [Edition::Y1997, Edition::Y2007] {
            let mut ids: Vec<Id> = families(edition).iter().map(|f| f.id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), families(edition).len());
        }
    }
}
