//! What the clients felt, per period of the run.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::live::PERIODS;
use crate::token::Token;

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

/// The last reply of a flow.
#[derive(Debug, Clone, Copy)]
struct LastReply {
    at_ns: u64,
    latency_ns: u64,
}

/// Makes [`Felt`] out of replies, for all periods of a run.
#[derive(Debug, Default)]
pub struct Feeling {
    periods: [Felt; PERIODS],
    /// By flow number.
    last: Vec<Option<LastReply>>,
    last_arrival_ns: Option<u64>,
    /// Since the last pause: gaps that span a pause say nothing.
    since_ns: u64,
    /// Arrival times of this turn; sockets are read one after the other, so not in order.
    arrived: Vec<u64>,
}

impl Feeling {
    /// A reply that arrived at `at`. True if it is the first of its flow.
    pub fn reply(&mut self, period: usize, token: &Token, at: u64) -> bool {
        let felt = &mut self.periods[period];
        let hold = u64::from(token.hold_ns);
        let latency = at.saturating_sub(token.due_ns).saturating_sub(hold);
        felt.round_trip.add(latency);
        felt.request.add(token.backend_ns.saturating_sub(token.due_ns));
        felt.reply.add(at.saturating_sub(token.backend_ns + hold));
        self.arrived.push(at);
        let flow = token.flow as usize;
        if flow >= self.last.len() {
            self.last.resize(flow + 1, None);
        }
        let last = self.last[flow].replace(LastReply { at_ns: at, latency_ns: latency });
        if let Some(last) = last
            && last.at_ns >= self.since_ns
        {
            felt.flow_gap_ns = felt.flow_gap_ns.max(at.saturating_sub(last.at_ns));
            felt.flow_stretch_ns = felt.flow_stretch_ns.max(latency.saturating_sub(last.latency_ns));
        }
        last.is_none()
    }

    /// Makes room for so many flows at once: growing step by step would stall the load.
    pub fn expect(&mut self, flows: usize) {
        self.last.reserve_exact(flows);
    }

    /// Requests are sent again after a pause, from `now` on.
    pub fn resume(&mut self, now: u64) {
        self.since_ns = now;
        self.last_arrival_ns = None;
    }

    /// Whether a flow ever got a reply.
    pub fn answered(&self, flow: usize) -> bool {
        self.last.get(flow).is_some_and(Option::is_some)
    }

    /// Ends a turn: notes the longest time without a reply, up to the arrivals of this turn.
    pub fn turn(&mut self, period: usize) {
        self.arrived.sort_unstable();
        let felt = &mut self.periods[period];
        for at in self.arrived.drain(..) {
            if let Some(last) = self.last_arrival_ns {
                felt.gap_ns = felt.gap_ns.max(at.saturating_sub(last));
            }
            self.last_arrival_ns = self.last_arrival_ns.max(Some(at));
        }
    }

    /// Ends a turn whose arrivals say nothing about gaps: nothing is sent any more.
    pub fn trickle(&mut self) {
        self.arrived.clear();
    }

    pub fn finish(self) -> [Felt; PERIODS] {
        self.periods
    }
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

    fn reply(flow: u64, due_ns: u64) -> Token {
        let source = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1);
        let mut token = Token::request(flow, 0, due_ns, 64).reply(1, source, due_ns + 10);
        token.hold_ns = 100;
        token
    }

    #[test]
    fn gaps_and_stretches_are_of_arrivals_in_order() {
        let mut feeling = Feeling::default();
        assert!(feeling.reply(1, &reply(0, 0), 1_000));
        feeling.turn(1);
        // Out of order between sockets, and a flow of its own: no gap is larger than 500.
        assert!(feeling.reply(1, &reply(1, 1_000), 2_000));
        assert!(!feeling.reply(1, &reply(0, 500), 1_500));
        feeling.turn(1);
        assert!(!feeling.reply(2, &reply(0, 1_000), 9_000));
        feeling.trickle();
        assert!(feeling.answered(1) && !feeling.answered(2));
        let felt = feeling.finish();
        assert_eq!((felt[1].gap_ns, felt[1].flow_gap_ns, felt[1].flow_stretch_ns), (500, 500, 0));
        assert_eq!((felt[2].gap_ns, felt[2].flow_gap_ns, felt[2].flow_stretch_ns), (0, 7_500, 7_000));
        let mut paused = Feeling::default();
        paused.reply(1, &reply(0, 0), 1_000);
        paused.turn(1);
        paused.resume(50_000);
        assert!(!paused.reply(1, &reply(0, 60_000), 61_000), "still the same flow");
        paused.turn(1);
        let paused = paused.finish();
        assert_eq!((paused[1].gap_ns, paused[1].flow_gap_ns), (0, 0));
        // Due 0, at the backend at 10, held for 100, back at 1000.
        assert_eq!(felt[1].round_trip.quantiles().count, 3);
    }
}
