//! Limits on the size of a configuration, so that the cost of a configuration is known before
//! memory is taken for it.
//!
//! A file of a few kilobytes can expand to gigabytes: by aliases, by a table that is named two
//! hundred times, or by a profile that is filled in for each of two thousand devices. So values
//! (the nodes of all files together) and bytes of text are counted while they are made. Whatever
//! is numbered in a later stage has a limit far below the largest number of its type.
//!
//! The largest configuration that is accepted (4 MiB, 91,000 values, 2,000 devices of 100 points
//! each) takes 49 MB to check, 12 bytes for each of its bytes. The service runs with it in 58 MB,
//! and has taken 140 MB at its peak when the configuration was loaded six times more (amd64, glibc
//! 2.36). `tests/timing/config_costs.rs` measures these figures and fails above a third of the
//! unit's `MemoryMax=`.

/// The limit on all files of a configuration together, secrets and certificates apart, in bytes.
/// Two thousand devices of a line each and five thousand points of two hundred bytes are a third
/// of this limit.
pub const LARGEST_CONFIG: u64 = 4 << 20;

/// The limit on a file or credential with a secret, in bytes. A DeviceSecret has 32 characters;
/// the rest is room for line breaks and for secrets of other kinds.
pub const LARGEST_SECRET: u64 = 4 << 10;

/// The limit on a file of certificates, in bytes. All roots that Debian 12 comes with
/// (`ca-certificates.crt`) have 220 kB.
pub const LARGEST_BUNDLE: u64 = 1 << 20;

/// How many files one pattern may name; `conf.d/*.yaml` is a pattern, too.
pub const MOST_FILES: usize = 1_000;

/// How many values all files together may have, whether written or repeated by an alias: single
/// values, lists and sections. Ten for each of 2,000 devices, and eleven for each of the points of
/// all profiles, with titles and unit, leave room for 7,000 points.
pub(crate) const MOST_VALUES: usize = 100_000;

/// How many signs of YAML one file may have, wherever they stand. A value comes with 1.7 of them,
/// and comments and texts have some. The parser reads ahead where a list in brackets may turn out
/// to be a key, and keeps 3.5 tokens of 144 bytes for each sign before it reports the first value
/// (`a: b,` again and again). The parser doubles its token buffer when the buffer is full: so
/// many tokens stay below 2^19, which are 75 MB.
pub(crate) const MOST_SIGNS: usize = 145_000;

/// How many bytes the keys and values of all files together may have: as many as the files may
/// have, and once more for what aliases repeat.
pub(crate) const MOST_TEXT: usize = 8 << 20;

/// How many problems of each severity are listed; all are counted. An operator does not mend more
/// before the next check.
pub(crate) const MOST_TOLD: usize = 100;

/// How many sub-devices a gateway may have: the platform's limit of those online ("Connect or
/// disconnect sub-devices"; 1,500 in 2020).
pub(crate) const MOST_DEVICES: usize = 2_000;

/// How many ports there may be: each device may have a port of its own. Port numbers
/// ([`crate::base::PortId`]) have 16 bits, and the ids of removed ports are kept for one
/// reload.
pub(crate) const MOST_PORTS: usize = MOST_DEVICES;

/// How many profiles there may be: a kind of device for every other device.
pub(crate) const MOST_PROFILES: usize = 1_000;

/// How many points one profile may have, and as many requests. They are numbered with 16 bits. No
/// known device has a value in each of 65,536 registers, and every poll of such a device would
/// take minutes.
pub(crate) const MOST_POINTS: usize = 5_000;

/// How many points and requests all devices together may have: those of a profile count once for
/// each device with that profile; 100 for each of 2,000 devices.
pub(crate) const MOST_ASKED: usize = 200_000;

/// How many columns a table may have. Eleven columns have a meaning.
pub(crate) const MOST_COLUMNS: usize = 64;

/// Returns how many entries the list of this name may have. Lists without a limit here are
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

/// The values and bytes of text that were counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CountedAmount {
    values: usize,
    text: usize,
}

/// Checks whether a file has too many signs of YAML to be parsed.
///
/// # Errors
/// What there is too much of.
pub(crate) fn signs(bytes: &[u8]) -> Result<(), AmountExceeded> {
    let is_sign = |b: &&u8| matches!(**b, b',' | b':' | b'?' | b'[' | b'{' | b'&' | b'*' | b'!');
    match bytes.iter().filter(is_sign).count() > MOST_SIGNS {
        true => Err(AmountExceeded {
            said: format!("more than {MOST_SIGNS} commas, colons and other signs of YAML"),
            wanted: format!("at most {MOST_SIGNS} of them in one file; conf.d takes the rest"),
        }),
        false => Ok(()),
    }
}

impl CountedAmount {
    /// Counts so many more values and bytes, before they are made.
    ///
    /// # Errors
    /// What there would be too much of, and how much is wanted.
    pub(crate) fn take(&mut self, values: usize, text: usize) -> Result<(), AmountExceeded> {
        self.values = self.values.saturating_add(values);
        self.text = self.text.saturating_add(text);
        if self.values > MOST_VALUES {
            return Err(AmountExceeded {
                said: format!("more than {MOST_VALUES} values in all files together"),
                wanted: format!("at most {MOST_VALUES} values, those that aliases repeat included"),
            });
        }
        if self.text > MOST_TEXT {
            return Err(AmountExceeded {
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

/// What a configuration has too much of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AmountExceeded {
    /// What the configuration has.
    pub(crate) said: String,
    /// What the limit allows.
    pub(crate) wanted: String,
}

/// The advice for a configuration that is too large.
pub(crate) const LESS: &str = "units: makes many devices of one entry, and devices of one kind share a profile; \
     what is still too much needs a second gateway";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_bounded_by_values_and_by_bytes() {
        let mut spent = CountedAmount::default();
        assert_eq!(spent.take(MOST_VALUES, MOST_TEXT), Ok(()));
        assert!(spent.take(1, 0).is_err());
        let mut spent = CountedAmount::default();
        let too_much = spent.take(1, MOST_TEXT + 1).unwrap_err();
        assert_eq!(too_much.wanted, "at most 8 MiB in all files together");
        assert!(spent.take(usize::MAX, usize::MAX).is_err());
        assert_eq!(signs(&[b','; MOST_SIGNS]), Ok(()));
        assert!(signs(&[b':'; MOST_SIGNS + 1]).is_err());
    }
}
