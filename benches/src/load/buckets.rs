//! Packets per 10 ms over the run.

use crate::sys::clock::{MILLI, SECOND};

pub const BUCKET_NS: u64 = 10 * MILLI;

/// Counts by arrival time from a common origin.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    origin_ns: u64,
    counts: Vec<u32>,
}

impl Buckets {
    /// More than the longest run has; an absurd stamp must not ask for memory.
    const MAX: usize = 1 << 20;

    pub fn new(origin_ns: u64) -> Self {
        Self { origin_ns, counts: Vec::new() }
    }

    pub fn add(&mut self, at_ns: u64) {
        let bucket = ((at_ns.saturating_sub(self.origin_ns)) / BUCKET_NS) as usize;
        if bucket >= Self::MAX {
            return;
        }
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
    }

    /// Adds the counts of another series with the same origin.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.origin_ns, other.origin_ns, "series of one run");
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// (seconds since the origin, packets per second) of every bucket.
    pub fn rates(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let width = BUCKET_NS as f64 / SECOND as f64;
        self.counts.iter().enumerate().map(move |(i, &n)| (i as f64 * width, f64::from(n) / width))
    }

    /// Counts of the buckets that lie wholly in [from, to).
    fn within(&self, from_ns: u64, to_ns: u64) -> &[u32] {
        let first = (from_ns.saturating_sub(self.origin_ns)).div_ceil(BUCKET_NS) as usize;
        let last = (to_ns.saturating_sub(self.origin_ns) / BUCKET_NS) as usize;
        self.counts.get(first..last.min(self.counts.len())).unwrap_or(&[])
    }

    /// Mean packets per second over several spans; `None` if they hold no whole bucket.
    pub fn mean_rate(&self, spans: &[(u64, u64)]) -> Option<f64> {
        let counts = || spans.iter().flat_map(|&(from, to)| self.within(from, to));
        let buckets = counts().count();
        let sum: u64 = counts().map(|&n| u64::from(n)).sum();
        (buckets > 0).then(|| sum as f64 * SECOND as f64 / (buckets as u64 * BUCKET_NS) as f64)
    }

    /// Packets per second of the emptiest bucket in the spans.
    pub fn lowest_rate(&self, spans: &[(u64, u64)]) -> Option<f64> {
        let lowest = spans.iter().flat_map(|&(from, to)| self.within(from, to)).min()?;
        Some(f64::from(*lowest) * SECOND as f64 / BUCKET_NS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_over_spans() {
        let mut buckets = Buckets::new(5 * MILLI);
        for i in 0..100 {
            buckets.add((5 + i) * MILLI); // one packet per ms, 10 buckets
        }
        buckets.add(6 * MILLI);
        assert_eq!(buckets.mean_rate(&[(15 * MILLI, 105 * MILLI)]), Some(1000.0));
        assert_eq!(buckets.mean_rate(&[(5 * MILLI, 15 * MILLI), (15 * MILLI, 25 * MILLI)]), Some(1050.0));
        assert_eq!(buckets.lowest_rate(&[(0, 105 * MILLI)]), Some(1000.0));
        assert_eq!(buckets.mean_rate(&[(16 * MILLI, 24 * MILLI)]), None);
        assert_eq!(buckets.rates().count(), 10);
    }

    #[test]
    fn merge_adds() {
        let (mut a, mut b) = (Buckets::new(0), Buckets::new(0));
        a.add(1);
        b.add(2);
        b.add(BUCKET_NS);
        a.merge(&b);
        assert_eq!(a.rates().map(|r| r.1).collect::<Vec<_>>(), [200.0, 100.0]);
    }

    #[test]
    fn absurd_stamps_are_ignored() {
        let mut buckets = Buckets::new(0);
        buckets.add(u64::MAX);
        assert_eq!(buckets.rates().count(), 0);
    }
}
