//! `write_password:` and `operator_code:` of a meter, or of a profile for all of its meters: what a
//! meter wants to know before it is written to.

use super::secret::{self, SecretProblem, SecretSource};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::source::ReadSources;
use crate::spec::dlt645::{MeterAddress, WriteAccess};
use crate::spec::{PointSpec, ProfileSpec, Protocol};

/// The keys that give the password.
pub(crate) const PASSWORD_KEYS: [&str; 3] = [
    "write_password",
    "write_password_file",
    "write_password_credential",
];

/// The keys that give the code of the operator.
pub(crate) const OPERATOR_KEYS: [&str; 3] = [
    "operator_code",
    "operator_code_file",
    "operator_code_credential",
];

const NO_OPERATOR: &str = "00000000";

const PASSWORD: &str =
    "the password for writes: write_password_file, write_password_credential or write_password";

/// Where password and operator code come from.
#[derive(Clone, Default)]
pub(crate) struct AccessSource {
    password: Option<SecretSource>,
    operator: Option<SecretSource>,
}

impl AccessSource {
    /// Reads those of a profile with these points, for all of its meters.
    pub(crate) fn of_profile(
        s: &Section<'_>,
        points: &[PointSpec],
        notes: &mut Notes,
    ) -> AccessSource {
        if points.iter().all(|point| point.write.is_none()) {
            refuse(s, "no point of this profile has write:", notes);
            return AccessSource::default();
        }
        AccessSource::read(s, notes)
    }

    /// Reads what a section says of them.
    fn read(s: &Section<'_>, notes: &mut Notes) -> AccessSource {
        let mut find = |keys: &[&str]| secret::find(s, keys, notes).map(|(_, source)| source);
        AccessSource {
            password: find(&PASSWORD_KEYS),
            operator: find(&OPERATOR_KEYS),
        }
    }

    /// Reads those of a device; the profile's stand in. Notes what is missing, what has no
    /// purpose, and an address that no write may go to.
    pub(crate) fn of_device(
        s: &Section<'_>,
        profile: Option<(&ProfileSpec, &AccessSource)>,
        address: Option<MeterAddress>,
        notes: &mut Notes,
    ) -> AccessSource {
        let Some((profile, of_all)) = profile else {
            return AccessSource::default();
        };
        let is_meter = matches!(profile.protocol, Protocol::Dlt645(_));
        if !is_meter || profile.points.iter().all(|point| point.write.is_none()) {
            refuse(
                s,
                "only meters of dlt645-2007 whose profile has points with write: are written to",
                notes,
            );
            return AccessSource::default();
        }
        let own = AccessSource::read(s, notes);
        if address.is_some_and(|address| !address.is_one_meter()) {
            let wrong = Expectation::wanted("the twelve digits printed on the meter")
                .hint("the profile has points with write:, and every meter that a wildcard means would take what is written");
            notes.error(s.at("address"), "address with wildcards", wrong);
        }
        let all = AccessSource {
            password: own.password.or_else(|| of_all.password.clone()),
            operator: own.operator.or_else(|| of_all.operator.clone()),
        };
        if all.password.is_none() {
            let wrong = Expectation::wanted(PASSWORD)
                .hint("its profile has points with write:; eight hexadecimal digits: two of the level, then the password; here, or in the profile for all of its meters");
            s.lacks("write_password", wrong, notes);
        }
        all
    }

    /// Returns where each of them comes from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SecretSource> {
        self.password.iter().chain(&self.operator)
    }

    /// Returns the same, to be bound to a directory.
    pub(crate) fn sources_mut(&mut self) -> impl Iterator<Item = &mut SecretSource> {
        self.password.iter_mut().chain(&mut self.operator)
    }

    /// Returns both, once `answers` has what was read; `None` if the device is not written to, or
    /// something is wrong, which is then among `troubles`.
    pub(crate) fn resolve(
        &self,
        answers: &ReadSources,
        problems: &mut Vec<SecretProblem>,
    ) -> Option<WriteAccess> {
        let source = self.password.as_ref()?;
        let mut digits = |source: &SecretSource, fits: &dyn Fn(&str) -> bool| {
            let wanted = "eight hexadecimal digits in quotes, like \"02123456\"";
            match source.resolve(answers) {
                // What is missing, or wrong in itself, is already noted.
                Ok(text) if text.is_empty() || fits(text.expose()) => Some(text),
                Ok(_) => {
                    problems.extend(source.trouble("which is something else", wanted));
                    None
                }
                Err(trouble) => {
                    problems.push(trouble);
                    None
                }
            }
        };
        let password = digits(source, &|text| {
            WriteAccess::parse(text, NO_OPERATOR).is_some()
        });
        let operator = match &self.operator {
            Some(source) => digits(source, &|text| {
                WriteAccess::parse(NO_OPERATOR, text).is_some()
            })?,
            None => crate::base::Secret::new(NO_OPERATOR),
        };
        WriteAccess::parse(password?.expose(), operator.expose())
    }
}

/// Notes these keys where they have no purpose.
pub(crate) fn refuse(s: &Section<'_>, why: &str, notes: &mut Notes) {
    let keys = PASSWORD_KEYS.iter().chain(&OPERATOR_KEYS);
    for key in keys.filter(|key| s.node(key).is_some()) {
        notes.error(
            s.at(key),
            *key,
            Expectation::wanted(format!("no {key} here")).hint(why),
        );
    }
}
