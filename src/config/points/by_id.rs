//! The points of a profile by their ids, for what names them: a condition, a service, the place
//! where a written value is read back.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::OriginId;
use crate::spec::{Codec, PointSpec, States};

/// What is wanted where a point is named.
pub(crate) const POINT: &str = "the id of a point of this profile";

/// The points of a profile.
pub(crate) struct PointsById<'a> {
    points: &'a [PointSpec],
    indices: BTreeMap<&'a str, u16>,
    /// The indices of points that are wrong, so that nothing is said about their values.
    wrong: &'a BTreeSet<u16>,
    /// Whether every point could be read; otherwise an unknown id may be that of another.
    complete: bool,
}

/// A point that was named.
#[derive(Clone, Copy)]
pub(crate) struct NamedPoint<'a> {
    pub(crate) index: u16,
    pub(crate) spec: &'a PointSpec,
    /// Whether the point was read without a mistake, so that its type is known.
    pub(crate) is_right: bool,
}

impl<'a> PointsById<'a> {
    /// Returns these points; those with the indices in `wrong` have a mistake that is noted.
    /// `complete` says whether every entry of the list became a point.
    pub(crate) fn new(
        points: &'a [PointSpec],
        wrong: &'a BTreeSet<u16>,
        complete: bool,
    ) -> PointsById<'a> {
        let mut indices = BTreeMap::new();
        for (index, point) in (0u16..).zip(points) {
            // The id of two points is already noted.
            indices.entry(point.id.as_str()).or_insert(index);
        }
        PointsById {
            points,
            complete: complete && !indices.contains_key(""),
            indices,
            wrong,
        }
    }

    /// Returns the point with this id, which was written at `at`. Notes an id that no point has.
    pub(crate) fn find(&self, id: &str, at: OriginId, notes: &mut Notes) -> Option<NamedPoint<'a>> {
        self.find_or(&[], POINT, id, at, notes)
    }

    /// Does the same where these words could stand instead of an id.
    pub(crate) fn find_or(
        &self,
        words: &[&str],
        wanted: &str,
        id: &str,
        at: OriginId,
        notes: &mut Notes,
    ) -> Option<NamedPoint<'a>> {
        let found = self.indices.get(id).filter(|_| !id.is_empty());
        let point = found.and_then(|i| Some((*i, self.points.get(usize::from(*i))?)));
        if let Some((index, spec)) = point {
            return Some(NamedPoint {
                index,
                spec,
                is_right: !self.wrong.contains(&index),
            });
        }
        if self.complete {
            let known = self.indices.keys().chain(words).copied();
            let meant = notes.unless_full(|| suggestions::did_you_mean(id, known));
            notes.error(at, shown(id), Expectation::wanted(wanted).maybe_hint(meant));
        }
        None
    }
}

impl<'a> NamedPoint<'a> {
    /// Returns the titles of its states, if it has any.
    pub(crate) fn titles(self) -> Option<&'a States> {
        titles_of(self.spec)
    }
}

/// Returns the titles of the states of a point, if it has any.
pub(crate) fn titles_of(point: &PointSpec) -> Option<&States> {
    let of_number = match &point.codec {
        Codec::Measure(measure) => measure.states.as_ref(),
        _ => None,
    };
    of_number.or(point.shown.titles.as_ref())
}
