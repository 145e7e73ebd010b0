//! How much a configuration may be, so that what it costs is known before it is
//! paid.
//!
//! A file of a few kilobytes can mean gigabytes: by aliases, by a table that is
//! named two hundred times, by a profile that each of two thousand devices fills
//! in for itself. So what is kept is counted while it is made: values (the nodes
//! of all files together) and bytes of text. Whatever has a number of its own
//! further down has a limit far below the largest number.
//!
//! The largest configuration that is accepted (4 MiB, 91,000 values, 2,000 devices of
//! 100 points each) takes 49 MB to check, 12 bytes for each of its own; the service
//! runs with it in 58 MB and has taken 140 MB at its peak when it was loaded six times
//! more (amd64, glibc 2.36). `tests/config_costs.rs` measures that and holds it to a
//! third of the unit's `MemoryMax=`.

/// All files of a configuration together, secrets and certificates apart, in
/// bytes. Two thousand devices of a line each and five thousand points of two
/// hundred bytes are a third of it.
pub const LARGEST_CONFIG: u64 = 4 << 20;

/// A file or credential with a secret, in bytes. A DeviceSecret has 32
/// characters; the rest is room for line breaks and for secrets of other kinds.
pub const LARGEST_SECRET: u64 = 4 << 10;

/// A file of certificates, in bytes. All roots that Debian 12 comes with
/// (`ca-certificates.crt`) have 220 kB.
pub const LARGEST_BUNDLE: u64 = 1 << 20;

/// Files that one pattern may name; `conf.d/*.yaml` is one, too.
pub const MOST_FILES: usize = 1_000;

/// Values of all files together, whether written or repeated by an alias: single
/// values, lists and sections. Ten for each of 2,000 devices, and eight for each
/// of the points of all profiles, leave room for 10,000 points.
pub(crate) const MOST_VALUES: usize = 100_000;

/// Signs of YAML in one file, wherever they stand: a value comes with 1.7 of them,
/// and comments and texts have some. The parser reads ahead where a list in brackets
/// may turn out to be a key, and keeps 3.5 tokens of 144 bytes for each sign before it
/// tells of the first value (`a: b,` again and again). It doubles the room for them
/// when it is full: so many tokens stay below 2^19, which are 75 MB.
pub(crate) const MOST_SIGNS: usize = 145_000;

/// Bytes of keys and values of all files together: as many as files may have, and
/// once more for what aliases repeat.
pub(crate) const MOST_TEXT: usize = 8 << 20;

/// Problems of each severity that are told one by one; all are counted. Nobody
/// mends more before looking again.
pub(crate) const MOST_TOLD: usize = 100;

/// Sub-devices under one gateway: the platform's limit of those online ("Connect
/// or disconnect sub-devices"; 1,500 in 2020).
pub(crate) const MOST_DEVICES: usize = 2_000;

/// Ports: each device may have one of its own. Their numbers
/// ([`crate::base::PortId`]) have 16 bits, and the places of ports that are gone
/// are kept for one reload.
pub(crate) const MOST_PORTS: usize = MOST_DEVICES;

/// Profiles: a kind of device for every other device.
pub(crate) const MOST_PROFILES: usize = 1_000;

/// Points of one profile, and as many requests. They are numbered with 16 bits;
/// a device with a value in each of 65,536 registers has yet to be met, and
/// every poll of it would take minutes.
pub(crate) const MOST_POINTS: usize = 5_000;

/// Points and requests of all devices together: what a profile has, once for each
/// device that has it: 100 for each of 2,000 devices.
pub(crate) const MOST_ASKED: usize = 200_000;

/// Columns of a table. It has eleven that mean something.
pub(crate) const MOST_COLUMNS: usize = 64;

/// How many entries the list of this name may have; what is not named here is
/// bounded by [`MOST_VALUES`] alone.
pub(crate) fn most_of(list: &str) -> Option<usize> {
    match list {
        "ports" => Some(MOST_PORTS),
        "profiles" => Some(MOST_PROFILES),
        "profiles_from" | "devices_file" => Some(MOST_FILES),
        "points" | "requests" => Some(MOST_POINTS),
        _ => None,
    }
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    values: usize,
    text: usize,
}

/// Whether a file has too many signs to be parsed.
///
/// # Errors
/// What there is too much of.
pub(crate) fn signs(bytes: &[u8]) -> Result<(), TooMuch> {
    let is_sign = |b: &&u8| matches!(**b, b',' | b':' | b'?' | b'[' | b'{' | b'&' | b'*' | b'!');
    match bytes.iter().filter(is_sign).count() > MOST_SIGNS {
        true => Err(TooMuch {
            said: format!("more than {MOST_SIGNS} commas, colons and other signs of YAML"),
            wanted: format!("at most {MOST_SIGNS} of them in one file; conf.d takes the rest"),
        }),
        false => Ok(()),
    }
}

impl Spent {
    /// Counts so many more, before they are made.
    ///
    /// # Errors
    /// What there would be too much of, and how much is wanted.
    pub(crate) fn take(&mut self, values: usize, text: usize) -> Result<(), TooMuch> {
        self.values = self.values.saturating_add(values);
        self.text = self.text.saturating_add(text);
        if self.values > MOST_VALUES {
            return Err(TooMuch {
                said: format!("more than {MOST_VALUES} values in all files together"),
                wanted: format!("at most {MOST_VALUES} values, those that aliases repeat included"),
            });
        }
        if self.text > MOST_TEXT {
            return Err(TooMuch {
                said: format!(
                    "more than {} MiB of text, with what aliases repeat",
                    MOST_TEXT >> 20
                ),
                wanted: format!("at most {} MiB in all files together", MOST_TEXT >> 20),
            });
        }
        Ok(())
    }
}

/// What there is too much of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch {
    /// What was seen.
    pub(crate) said: String,
    /// What would have been right.
    pub(crate) wanted: String,
}

/// What to do about it.
pub(crate) const LESS: &str = "units: makes many devices of one entry, and devices of one kind share a profile; \
     what is still too much needs a second gateway";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_bounded_by_values_and_by_bytes() {
        let mut spent = Spent::default();
        assert_eq!(spent.take(MOST_VALUES, MOST_TEXT), Ok(()));
        assert!(spent.take(1, 0).is_err());
        let mut spent = Spent::default();
        let too_much = spent.take(1, MOST_TEXT + 1).unwrap_err();
        assert_eq!(too_much.wanted, "at most 8 MiB in all files together");
        assert!(spent.take(usize::MAX, usize::MAX).is_err());
        assert_eq!(signs(&[b','; MOST_SIGNS]), Ok(()));
        assert!(signs(&[b':'; MOST_SIGNS + 1]).is_err());
    }
}
