//! Small statistics over a handful of figures.

use serde::Serialize;

/// Nearest-rank quantile of sorted values: always one of them.
fn rank(sorted: &[f64], q: f64) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n => sorted[((q * n as f64).ceil() as usize).clamp(1, n) - 1],
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Quantiles of the blackouts, µs; `None` where there were none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Blackouts {
    pub min: Option<f64>,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    pub count: usize,
}

impl Blackouts {
    pub fn of(us: &[f64]) -> Self {
        let sorted = sorted(us);
        let q = |q| (!sorted.is_empty()).then(|| rank(&sorted, q));
        Self { min: q(0.0), p50: q(0.5), p99: q(0.99), max: q(1.0), count: sorted.len() }
    }
}

/// Median with the range around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let us: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let blackouts = Blackouts::of(&us);
        assert_eq!(
            blackouts,
            Blackouts { min: Some(1.0), p50: Some(100.0), p99: Some(198.0), max: Some(200.0), count: 200 }
        );
        let none = Blackouts { min: None, p50: None, p99: None, max: None, count: 0 };
        assert_eq!(Blackouts::of(&[]), none);
    }

    #[test]
    fn medians_and_ranges() {
        let spread = Spread { median: 2.5, min: 1.0, max: 4.0 };
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Some(spread));
        assert_eq!(Spread::of(&[]), None);
    }
}
