//! What was seen over all seeds, so that a simulation that sees nothing fails.

use std::collections::BTreeMap;
use std::fmt;

use handover::machine::Verdict;

/// Effects before which each fault must have been seen at least once.
const OLD: [&str; 9] = ["Finish", "Stop", "Offer", "Ring", "Look", "Sleep", "Forget", "Withdraw", "write"];
const NEW: [&str; 10] = ["TopUp", "Ask", "Look", "Wait", "Translate", "Claim", "Forget", "Ring", "copy", "enter"];
const HEIR: [&str; 3] = ["Repair", "Inherit", "Translate"];

#[derive(Debug, Default)]
pub struct Tally {
    worlds: u64,
    steps: u64,
    packets: u64,
    /// Packets that a process had received when it died.
    fallen: u64,
    cold_starts: u64,
    verdicts: BTreeMap<&'static str, u64>,
    /// By fault and effect.
    faults: BTreeMap<(&'static str, &'static str), u64>,
    pub network: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn verdict(&mut self, verdict: Verdict) {
        *self.verdicts.entry(verdict.as_str()).or_default() += 1;
    }

    pub fn fault(&mut self, fault: &'static str, effect: &'static str) {
        *self.faults.entry((fault, effect)).or_default() += 1;
    }

    pub fn world(&mut self, steps: u64, packets: u64, fallen: u64) {
        self.worlds += 1;
        self.steps += steps;
        self.packets += packets;
        self.fallen += fallen;
    }

    pub fn cold_start(&mut self) {
        self.cold_starts += 1;
    }

    pub fn add(&mut self, other: Self) {
        let Self { worlds, steps, packets, fallen, cold_starts, verdicts, faults, network } = other;
        self.worlds += worlds;
        self.steps += steps;
        self.packets += packets;
        self.fallen += fallen;
        self.cold_starts += cold_starts;
        verdicts.into_iter().for_each(|(key, count)| *self.verdicts.entry(key).or_default() += count);
        faults.into_iter().for_each(|(key, count)| *self.faults.entry(key).or_default() += count);
        network.into_iter().for_each(|(key, count)| *self.network.entry(key).or_default() += count);
    }

    /// Every fault was seen before every effect that it can meet.
    pub fn assert_complete(&self) {
        for fault in ["kill", "stall"] {
            for effect in OLD.iter().chain(&NEW).chain(&HEIR) {
                assert!(self.faults.contains_key(&(fault, effect)), "no {fault} before {effect}: {self}");
            }
        }
        for verdict in ["committed", "undone", "refused"] {
            assert!(self.verdicts.get(verdict).is_some_and(|count| *count > 100), "{verdict}: {self}");
        }
        assert!(["doubled", "dropped", "overtaken"].iter().all(|what| self.network[what] > 100), "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, steps, packets, fallen, cold_starts, verdicts, faults, network } = self;
        writeln!(f, "{worlds} worlds, {steps} steps, {packets} packets, {fallen} fell with their process")?;
        writeln!(f, "swaps: {verdicts:?}; cold starts after repeated deaths: {cold_starts}; messages: {network:?}")?;
        let mut by_fault: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((fault, effect), count) in faults {
            by_fault.entry(fault).or_default().push(format!("{effect} {count}"));
        }
        by_fault.iter().try_for_each(|(fault, effects)| writeln!(f, "{fault} before: {}", effects.join(", ")))
    }
}
