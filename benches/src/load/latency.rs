//! What the clients felt, per period of the run.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Quantiles in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub count: u64,
}

/// Nanoseconds from 1 to a minute, three digits.
#[derive(Debug, Clone)]
pub struct Nanos(Histogram<u64>);

impl Nanos {
    const HIGHEST: u64 = 60_000_000_000;

    pub fn add(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    pub fn quantiles(&self) -> Quantiles {
        let us = |q: f64| self.0.value_at_quantile(q) as f64 / 1e3;
        Quantiles {
            p50: us(0.5),
            p90: us(0.9),
            p99: us(0.99),
            p999: us(0.999),
            max: self.0.max() as f64 / 1e3,
            count: self.0.len(),
        }
    }
}

impl Default for Nanos {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, Self::HIGHEST, 3).expect("bounds are in range"))
    }
}

/// The clients' view of one period.
#[derive(Debug, Clone, Default)]
pub struct Felt {
    /// Due time of the request to arrival of the reply, without the time the backend held it.
    pub round_trip: Nanos,
    /// Due time to arrival at the backend.
    pub request: Nanos,
    /// The backend's send to arrival at the client.
    pub reply: Nanos,
    /// Longest time without any reply while replies were due, ns.
    pub gap_ns: u64,
    /// Longest time between two replies of one flow, ns, less the time between their requests: how much the
    /// service stretched it.
    pub flow_stretch_ns: u64,
    /// Longest time between two replies of one flow, ns.
    pub flow_gap_ns: u64,
}

/// [`Felt`] as it stands in reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct FeltReport {
    pub latency_us: Quantiles,
    pub request_latency_us: Quantiles,
    pub reply_latency_us: Quantiles,
    pub longest_gap_us: f64,
    pub longest_flow_gap_us: f64,
    pub longest_flow_stretch_us: f64,
}

impl Felt {
    pub fn report(&self) -> FeltReport {
        let us = |ns: u64| ns as f64 / 1e3;
        FeltReport {
            latency_us: self.round_trip.quantiles(),
            request_latency_us: self.request.quantiles(),
            reply_latency_us: self.reply.quantiles(),
            longest_gap_us: us(self.gap_ns),
            longest_flow_gap_us: us(self.flow_gap_ns),
            longest_flow_stretch_us: us(self.flow_stretch_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds() {
        let mut nanos = Nanos::default();
        for i in 1..=1000 {
            nanos.add(i * 1000);
        }
        nanos.add(u64::MAX);
        let q = nanos.quantiles();
        assert!((495.0..=505.0).contains(&q.p50), "{q:?}");
        assert!(q.max >= 59e6 && q.count == 1001);
    }
}
