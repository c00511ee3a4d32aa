//! What is due when: pure, absolute, and blind to how the system under test copes (open loop).
//!
//! Packet k of the run is due at the tick that its ideal time `k / rate` falls into. A slot goes to a short
//! flow that wants its next packet, else to a new flow that is due, else to the steady flows in turn, so the
//! total rate is exact whatever the mix.

use std::collections::VecDeque;

use crate::sys::clock::SECOND;

/// The mix of one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Requests per second, all flows together.
    pub rate: u64,
    /// Flows that send for the whole run, in turn.
    pub steady: usize,
    /// Short flows that begin each second.
    pub new_per_s: u64,
    /// Packets of each short flow, spread evenly over `life_ns`.
    pub new_packets: u32,
    pub life_ns: u64,
    /// Packets are sent in bursts of what falls due in one tick.
    pub tick_ns: u64,
    /// After the first turn, in which they are set up, steady flows take turns in an order that scatters them over the
    /// tables of the system under test: no two of a row share a block or a cache line there.
    pub scattered: bool,
    /// Once set up, a steady flow sends so many packets together when it has its turn.
    pub train: usize,
}

impl Mix {
    /// Why this mix cannot be scheduled, if so.
    pub fn fault(&self) -> Option<String> {
        let short = self.new_per_s * u64::from(self.new_packets);
        if self.rate == 0 || self.tick_ns == 0 || self.steady == 0 || self.train == 0 {
            Some("rate, tick, flows and train must not be 0".to_owned())
        } else if short > self.rate / 2 {
            Some(format!("new flows alone need {short} of {} packets/s; at most half is possible", self.rate))
        } else {
            None
        }
    }
}

/// Which flow a slot of the schedule belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The n-th steady flow.
    Steady(usize),
    /// The n-th short flow, to be opened now.
    Open(usize),
    /// The n-th short flow's next packet.
    Short(usize),
}

#[derive(Debug)]
pub struct Schedule {
    mix: Mix,
    start_ns: u64,
    next_slot: u64,
    next_steady: usize,
    /// From one turn to the next it is so many flows.
    step: usize,
    /// The steady flow whose turn it is, and how many packets of its train are left.
    train: (usize, usize),
    /// All steady flows are set up.
    set_up: bool,
    opened: usize,
    /// Short flows that wait for their (i + 1)-th packet, each queue in order of due time.
    waiting: Vec<VecDeque<(u64, usize)>>,
}

impl Schedule {
    pub fn new(mix: Mix, start_ns: u64) -> Self {
        let queues = mix.new_packets.saturating_sub(1) as usize;
        Self {
            mix,
            start_ns,
            next_slot: 0,
            next_steady: 0,
            step: 1,
            train: (0, 0),
            set_up: false,
            opened: 0,
            waiting: vec![VecDeque::new(); queues],
        }
    }

    /// Ideal time of slot `k` after the start, ns.
    fn ideal(&self, k: u64) -> u64 {
        (u128::from(k) * u128::from(SECOND) / u128::from(self.mix.rate)) as u64
    }

    /// The tick at which the next slot is due, absolute ns.
    pub fn next_due(&self) -> u64 {
        let tick = self.mix.tick_ns;
        self.start_ns + self.ideal(self.next_slot).div_ceil(tick) * tick
    }

    /// Takes the next slot if it is due at `now`: (due time, whose).
    pub fn take(&mut self, now: u64) -> Option<(u64, Slot)> {
        let due = self.next_due();
        if now < due {
            return None;
        }
        let ideal = self.ideal(self.next_slot);
        self.next_slot += 1;
        Some((due, self.owner(ideal)))
    }

    fn owner(&mut self, ideal: u64) -> Slot {
        if let Some(step) = (0..self.waiting.len()).find(|&i| self.waiting[i].front().is_some_and(|w| w.0 <= ideal)) {
            let (_, flow) = self.waiting[step].pop_front().expect("found above");
            self.wait(step + 1, ideal, flow);
            return Slot::Short(flow);
        }
        let due_to_open = u128::from(ideal) * u128::from(self.mix.new_per_s) / u128::from(SECOND);
        if (self.opened as u128) < due_to_open && self.mix.new_packets > 0 {
            let flow = self.opened;
            self.opened += 1;
            self.wait(0, ideal, flow);
            return Slot::Open(flow);
        }
        Slot::Steady(self.steady())
    }

    fn steady(&mut self) -> usize {
        if let (flow, left @ 1..) = self.train {
            self.train = (flow, left - 1);
            return flow;
        }
        let (turn, steady) = (self.next_steady, self.mix.steady);
        let flow = (turn as u64 * self.step as u64 % steady as u64) as usize;
        if self.set_up {
            self.train = (flow, self.mix.train - 1);
        }
        self.next_steady = (turn + 1) % steady;
        if self.next_steady == 0 && !self.set_up {
            self.set_up = true;
            self.step = if self.mix.scattered { scattering_step(steady) } else { 1 };
        }
        flow
    }

    /// Nothing was taken for so long on purpose: what was due then is due so much later.
    pub fn postpone(&mut self, by_ns: u64) {
        self.start_ns += by_ns;
    }

    fn wait(&mut self, step: usize, ideal: u64, flow: usize) {
        let gap = self.mix.life_ns / u64::from(self.mix.new_packets.max(1));
        if let Some(queue) = self.waiting.get_mut(step) {
            queue.push_back((ideal + gap, flow));
        }
    }
}

/// A step that visits each of `count` things once in `count` steps and keeps neighbours apart: the first number beside
/// the golden section of `count` that has no divisor in common with it.
fn scattering_step(count: usize) -> usize {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let divisor = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * GOLDEN) as usize;
    (golden.max(1)..).find(|&step| divisor(step, count) == 1).expect("every prime above the count will do")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix {
        rate: 10_000,
        steady: 100,
        new_per_s: 200,
        new_packets: 5,
        life_ns: SECOND,
        tick_ns: 200_000,
        scattered: false,
        train: 1,
    };

    fn drain(schedule: &mut Schedule, until: u64) -> Vec<(u64, Slot)> {
        std::iter::from_fn(|| schedule.take(until)).collect()
    }

    #[test]
    fn the_rate_is_exact_and_late_slots_keep_their_due_time() {
        let mut schedule = Schedule::new(MIX, 1000);
        // Nobody looked for three seconds: everything is still there, with its own due time.
        let slots = drain(&mut schedule, 1000 + 3 * SECOND);
        assert_eq!(slots.len(), 30_001);
        assert!(slots.is_sorted_by_key(|slot| slot.0));
        assert_eq!(slots[0].0, 1000);
        assert!(slots.iter().all(|slot| (slot.0 - 1000) % MIX.tick_ns == 0));
        assert_eq!(schedule.take(1000 + 3 * SECOND), None);
    }

    #[test]
    fn short_flows_open_at_their_rate_and_send_their_packets() {
        let mut schedule = Schedule::new(MIX, 0);
        let slots = drain(&mut schedule, 3 * SECOND);
        let opened = slots.iter().filter(|s| matches!(s.1, Slot::Open(_))).count();
        assert!((599..=600).contains(&opened), "{opened}");
        let of_first: Vec<u64> =
            slots.iter().filter(|s| matches!(s.1, Slot::Open(0) | Slot::Short(0))).map(|s| s.0).collect();
        assert_eq!(of_first.len(), 5);
        let span = of_first[4] - of_first[0];
        assert!((790_000_000..=820_000_000).contains(&span), "{span}");
    }

    #[test]
    fn steady_flows_take_turns() {
        let mut schedule = Schedule::new(Mix { new_per_s: 0, ..MIX }, 0);
        let slots = drain(&mut schedule, SECOND / 100);
        let flows: Vec<Slot> = slots.iter().map(|s| s.1).take(101).collect();
        assert_eq!((flows[0], flows[99], flows[100]), (Slot::Steady(0), Slot::Steady(99), Slot::Steady(0)));
    }

    #[test]
    fn scattered_flows_are_set_up_in_turn_and_then_far_apart_each_once_a_turn() {
        for steady in [1, 2, 3, 100, 1000, 4096] {
            let mix = Mix { new_per_s: 0, steady, scattered: true, ..MIX };
            let slots = drain(&mut Schedule::new(mix, 0), SECOND);
            let flows: Vec<usize> = slots
                .iter()
                .map(|slot| match slot.1 {
                    Slot::Steady(flow) => flow,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(flows[..steady].iter().copied().eq(0..steady));
            let mut second = flows[steady..2 * steady].to_vec();
            if steady >= 100 {
                assert!(second.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 30), "{steady}");
            }
            second.sort_unstable();
            assert!(second.into_iter().eq(0..steady), "{steady}");
        }
    }

    #[test]
    fn trains_begin_once_every_flow_is_set_up() {
        let mix = Mix { new_per_s: 0, steady: 3, train: 2, ..MIX };
        let flows: Vec<Slot> = drain(&mut Schedule::new(mix, 0), SECOND).iter().map(|slot| slot.1).take(10).collect();
        assert_eq!(flows, [0, 1, 2, 0, 0, 1, 1, 2, 2, 0].map(Slot::Steady));
    }

    #[test]
    fn a_pause_leaves_nothing_out_and_calls_for_nothing_at_once() {
        let mut schedule = Schedule::new(MIX, 0);
        let before = drain(&mut schedule, SECOND).len();
        schedule.postpone(10 * SECOND);
        assert_eq!(schedule.take(11 * SECOND - MIX.tick_ns), None);
        assert_eq!(before + drain(&mut schedule, 12 * SECOND).len(), 20_001);
    }

    #[test]
    fn impossible_mixes_are_named() {
        assert_eq!(MIX.fault(), None);
        assert!(Mix { rate: 0, ..MIX }.fault().is_some());
        assert!(Mix { new_per_s: 1001, ..MIX }.fault().expect("too many").contains("5005"));
        assert!(Mix { new_packets: 0, ..MIX }.fault().is_none());
    }
}
