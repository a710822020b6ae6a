//! Everything that was measured; nothing is thrown away.

use std::collections::BTreeMap;

use super::Contestant;
use super::measure::Figure;

/// The values of one figure, one a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// All values, in the order in which they were taken.
#[derive(Debug, Default)]
pub struct Results {
    values: BTreeMap<(Contestant, Figure), Vec<f64>>,
}

impl Results {
    /// Adds one.
    pub fn add(&mut self, contestant: Contestant, figure: Figure, value: f64) {
        self.values.entry((contestant, figure)).or_default().push(value);
    }

    /// Median and ends of a figure, where it was measured. The median of an even number is the mean of the middle two.
    pub fn spread(&self, contestant: Contestant, figure: Figure) -> Option<Spread> {
        let mut values = self.values.get(&(contestant, figure))?.clone();
        values.sort_by(f64::total_cmp);
        let (upper, lower) = (values.len() / 2, (values.len() - 1) / 2);
        Some(Spread {
            median: f64::midpoint(values[lower], values[upper]),
            least: *values.first()?,
            most: *values.last()?,
        })
    }

    /// The median alone.
    pub fn median(&self, contestant: Contestant, figure: Figure) -> Option<f64> {
        Some(self.spread(contestant, figure)?.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_ends_of_what_was_measured() {
        let mut results = Results::default();
        assert_eq!(results.spread(Contestant::Ours, Figure::Up), None);
        for (value, median) in [(5.0, 5.0), (1.0, 3.0), (4.0, 4.0)] {
            results.add(Contestant::Ours, Figure::Up, value);
            assert_eq!(results.median(Contestant::Ours, Figure::Up), Some(median));
        }
        let spread = results.spread(Contestant::Ours, Figure::Up).unwrap();
        assert_eq!((spread.least, spread.most), (1.0, 5.0));
    }
}
