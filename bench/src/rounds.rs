//! A number over several rounds: its median and how far it spreads.

/// At least one value of the same number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rounds {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) count: usize,
}

impl Rounds {
    /// `None` without values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: median(&values)?,
            least: *values.first()?,
            most: *values.last()?,
            count: values.len(),
        })
    }

    /// Whether chance may be all that makes one of them smaller: a round of one is as good as a round of the other,
    /// or there was but one.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        let overlap = self.least <= other.most && other.least <= self.most;
        overlap || self.count.min(other.count) < 2
    }
}

/// The middle of sorted values; the mean of the two middle ones when there are two.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    sorted.get(middle - 1).map(|lower| (lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let median = |values: &[f64]| Rounds::of(values.to_vec()).map(|rounds| rounds.median);
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rounds_that_overlap_or_are_alone_may_be_equal() {
        let rounds = |values: &[f64]| Rounds::of(values.to_vec()).unwrap();
        assert!(rounds(&[1.0, 3.0]).may_equal(&rounds(&[2.0, 4.0])));
        assert!(rounds(&[1.0]).may_equal(&rounds(&[3.0, 4.0])));
        assert!(!rounds(&[1.0, 2.0]).may_equal(&rounds(&[3.0, 4.0])));
    }
}
