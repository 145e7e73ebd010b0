//! Sums of a few whole numbers with weights, each within its limits: which numbers make up a
//! given sum.
//!
//! The size of each weight is a multiple of the next smaller one. Then the largest possible
//! number of the heaviest, and so on down, leaves the smallest rest: if there were fewer of the
//! heaviest, the others could be exchanged for it without changing the sum.

use std::cmp::Reverse;

/// A number in a sum: its weight, which is not 0, and the limits of the number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addend {
    pub weight: i128,
    pub least: i128,
    pub most: i128,
}

impl Addend {
    /// Returns the least and the greatest that it adds.
    fn limits(&self) -> Option<(i128, i128)> {
        let a = self.weight.checked_mul(self.least)?;
        let b = self.weight.checked_mul(self.most)?;
        Some((a.min(b), a.max(b)))
    }
}

/// Returns the least and the greatest sum; `None` if they do not fit.
pub(super) fn limits(addends: &[Addend]) -> Option<(i128, i128)> {
    addends.iter().try_fold((0i128, 0i128), |(least, most), a| {
        let (low, high) = a.limits()?;
        Some((least.checked_add(low)?, most.checked_add(high)?))
    })
}

/// Returns the numbers of exactly this sum, in the order of the addends. Of several possible ones
/// those are taken that people would write: all of the sign of the sum, or else the lighter ones
/// positive, each as small as it can be.
pub(super) fn split_exactly(addends: &[Addend], sum: i128) -> Option<Vec<i128>> {
    let cut = |rest: i128, weight| rest.checked_div(weight);
    let floor = |rest: i128, weight: i128| {
        let (n, left) = (rest.checked_div(weight)?, rest.checked_rem(weight)?);
        match left < 0 {
            true => n.checked_sub(weight.signum()),
            false => Some(n),
        }
    };
    let exact = |(numbers, got)| (got == sum).then_some(numbers);
    greedy(addends, sum, cut)
        .or_else(|| greedy(addends, sum, floor))
        .or_else(|| below(addends, sum).and_then(exact))
}

/// Takes as much as `share` says of each addend, the heaviest first.
fn greedy(
    addends: &[Addend],
    sum: i128,
    share: impl Fn(i128, i128) -> Option<i128>,
) -> Option<Vec<i128>> {
    let mut numbers = vec![0; addends.len()];
    let mut rest = sum;
    for (a, n) in heaviest_first(addends, &mut numbers) {
        *n = share(rest, a.weight)?.clamp(a.least, a.most);
        rest = rest.checked_sub(n.checked_mul(a.weight)?)?;
    }
    (rest == 0).then_some(numbers)
}

/// Returns the numbers of the greatest sum that is not above this one, and that sum.
pub(super) fn below(addends: &[Addend], sum: i128) -> Option<(Vec<i128>, i128)> {
    let (least, _) = limits(addends)?;
    let mut rest = sum.checked_sub(least)?;
    if rest < 0 {
        return None;
    }
    let mut numbers = vec![0; addends.len()];
    for (a, n) in heaviest_first(addends, &mut numbers) {
        let size = a.weight.checked_abs()?;
        let taken = rest.checked_div(size)?.min(a.most.checked_sub(a.least)?);
        rest -= taken.checked_mul(size)?;
        *n = match a.weight > 0 {
            true => a.least + taken,
            false => a.most - taken,
        };
    }
    Some((numbers, sum.checked_sub(rest)?))
}

/// Returns the numbers of the least sum that is not below this one, and that sum.
pub(super) fn above(addends: &[Addend], sum: i128) -> Option<(Vec<i128>, i128)> {
    let mirrored: Option<Vec<Addend>> = addends
        .iter()
        .map(|a| {
            Some(Addend {
                weight: a.weight.checked_neg()?,
                ..*a
            })
        })
        .collect();
    let (numbers, sum) = below(&mirrored?, sum.checked_neg()?)?;
    Some((numbers, sum.checked_neg()?))
}

fn heaviest_first<'a>(
    addends: &'a [Addend],
    numbers: &'a mut [i128],
) -> impl Iterator<Item = (&'a Addend, &'a mut i128)> {
    let mut all: Vec<_> = addends.iter().zip(numbers).collect();
    all.sort_by_key(|(a, _)| Reverse(a.weight.unsigned_abs()));
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn addend(weight: i128, least: i128, most: i128) -> Addend {
        Addend {
            weight,
            least,
            most,
        }
    }

    #[test]
    fn a_sum_is_divided_as_people_would() {
        let words = [addend(10_000, 0, 65_535), addend(1, 0, 65_535)];
        let signed = [addend(10_000, -32_768, 32_767), addend(1, -32_768, 32_767)];
        let hundredths = [addend(100, -32_768, 32_767), addend(1, 0, 99)];
        let negative = [addend(-100, 0, 9), addend(1, 0, 99)];
        for (addends, sum, numbers) in [
            (&words, 1_234_567, Some(vec![123, 4567])),
            (&words, 655_350_000 + 20_000, Some(vec![65_535, 20_000])),
            (&words, 655_350_000 + 65_536, None),
            (&words, -1, None),
            (&signed, 12_345, Some(vec![1, 2345])),
            (&signed, -12_345, Some(vec![-1, -2345])),
            (&hundredths, 1234, Some(vec![12, 34])),
            (&hundredths, -1166, Some(vec![-12, 34])),
            (&hundredths, 3_276_800, None),
            (&negative, -150, Some(vec![2, 50])),
            (&negative, 99, Some(vec![0, 99])),
        ] {
            assert_eq!(split_exactly(addends, sum), numbers, "{sum}");
        }
        let gaps = [addend(1000, 0, 9), addend(1, 0, 9)];
        assert_eq!(below(&gaps, 1500), Some((vec![1, 9], 1009)));
        assert_eq!(above(&gaps, 1500), Some((vec![2, 0], 2000)));
        assert_eq!(below(&gaps, -1), None);
        assert_eq!(above(&gaps, 9010), None);
    }

    proptest! {
        /// Compared with trying all numbers there are.
        #[test]
        fn the_nearest_sums_are_found_on_both_sides(
            steps in prop::collection::vec((1i128..5, any::<bool>(), -3i128..3, 0i128..4), 1..4),
            sum in -300i128..300,
        ) {
            let mut weight = 1;
            let addends: Vec<Addend> = steps
                .iter()
                .map(|&(step, negative, least, span)| {
                    weight *= step;
                    addend(if negative { -weight } else { weight }, least, least + span)
                })
                .collect();
            let mut all = vec![0];
            for a in &addends {
                all = (a.least..=a.most)
                    .flat_map(|n| all.iter().map(move |sum| sum + n * a.weight))
                    .collect();
            }
            let total = |numbers: &[i128]| -> i128 {
                addends.iter().zip(numbers).map(|(a, n)| {
                    assert!((a.least..=a.most).contains(n));
                    a.weight * n
                }).sum()
            };
            let floor = all.iter().filter(|s| **s <= sum).max();
            let ceiling = all.iter().filter(|s| **s >= sum).min();
            for (found, wanted) in [(below(&addends, sum), floor), (above(&addends, sum), ceiling)] {
                prop_assert_eq!(found.as_ref().map(|f| f.1), wanted.copied());
                if let Some((numbers, sum)) = found {
                    prop_assert_eq!(total(&numbers), sum);
                }
            }
            let exact = split_exactly(&addends, sum);
            prop_assert_eq!(exact.is_some(), all.contains(&sum));
            if let Some(numbers) = exact {
                prop_assert_eq!(total(&numbers), sum);
            }
        }

        #[test]
        fn no_sum_makes_it_panic(
            weights in prop::collection::vec((any::<i128>(), any::<i64>(), any::<i64>()), 0..4),
            sum in any::<i128>(),
        ) {
            let addends: Vec<Addend> = weights
                .iter()
                .map(|&(weight, a, b)| addend(weight, a.min(b).into(), a.max(b).into()))
                .collect();
            let _ = (split_exactly(&addends, sum), below(&addends, sum), above(&addends, sum));
        }
    }
}
