//! Samples, what is made of them, and how they stand against a target.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Only enough to see that it works.
    pub(crate) quick: bool,
}

impl Effort {
    /// So many, or so few.
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// The unit of all its numbers.
    pub(crate) unit: &'static str,
    /// The figure itself.
    pub(crate) value: f64,
    /// What it must not exceed, for Landfall's own figures.
    pub(crate) at_most: Option<f64>,
    /// Whether it does not.
    pub(crate) met: Option<bool>,
    /// What it was made of, in the order in which it was measured.
    pub(crate) samples: Vec<f64>,
}

impl Figure {
    /// One without a target.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        let name = name.into();
        Self { name, unit, value, at_most: None, met: None, samples: Vec::new() }
    }

    /// One that must not exceed `at_most`.
    pub(crate) fn at_most(self, at_most: f64) -> Self {
        Self { met: Some(self.value <= at_most), at_most: Some(at_most), ..self }
    }

    /// The median of samples.
    pub(crate) fn median(name: impl Into<String>, unit: &'static str, samples: &Samples) -> Self {
        Self { samples: samples.0.clone(), ..Self::new(name, unit, samples.median()) }
    }
}

/// What was measured with one method, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<f64>);

impl Samples {
    /// One more, in milliseconds.
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e3);
    }

    /// Does something and keeps how long it took.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = work()?;
        self.push(began.elapsed());
        Ok(done)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The middle one, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        if sorted.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        }
    }

    /// The smallest that at least `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let sorted = self.sorted();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The differences to other samples, pair by pair.
    pub(crate) fn less(&self, others: &Samples) -> Samples {
        Samples(self.0.iter().zip(&others.0).map(|(a, b)| a - b).collect())
    }

    /// `| NAME | n | min | p50 | p90 | p99 |`, for a table of times in milliseconds.
    pub(crate) fn row(&self, name: &str) -> Vec<String> {
        let mut row = vec![name.to_owned(), self.len().to_string()];
        row.extend([self.percentile(0.0), self.median()].map(number));
        row.extend([self.percentile(90.0), self.percentile(99.0)].map(number));
        row
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// The head of a table of [`Samples::row`]s.
pub(crate) const TIMES: [&str; 6] = ["ms", "n", "min", "p50", "p90", "p99"];

/// A measurement: its table, and the figures in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    /// What it is about.
    pub(crate) title: &'static str,
    /// How it was measured.
    pub(crate) how: String,
    /// The head of the table.
    #[serde(skip)]
    pub(crate) head: Vec<&'static str>,
    /// Its rows.
    #[serde(skip)]
    pub(crate) rows: Vec<Vec<String>>,
    /// All that was measured.
    pub(crate) figures: Vec<Figure>,
}

/// A number with as many digits as it deserves.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let samples = Samples((1..=100).rev().map(f64::from).collect());
        assert_eq!(samples.median(), 50.5);
        assert_eq!(samples.percentile(99.0), 99.0);
        assert_eq!(samples.percentile(0.0), 1.0);
        assert_eq!(Samples(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn targets() {
        assert_eq!(Figure::new("x", "", 0.9).at_most(0.9).met, Some(true));
        assert_eq!(Figure::new("x", "", 0.91).at_most(0.9).met, Some(false));
        assert_eq!(Figure::new("x", "", f64::NAN).at_most(0.9).met, Some(false));
    }
}
