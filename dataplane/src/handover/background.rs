//! The background phase: tables are copied on a thread of their own while the predecessor serves.

use crate::io::clock::now_ns;
use crate::io::sched;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use shm_state::translate::{Converge, Copier, Remainder};
use std::time::Duration;

/// The foreground may be left with so much; more passes are made while that helps.
const ENOUGH: Duration = Duration::from_micros(5);
const PASSES_MAX: u32 = 32;

/// How far the copy is.
#[derive(Debug, Clone)]
pub struct Step {
    pub table: String,
    pub pass: u32,
    /// Slots looked at in this pass, of `total`.
    pub done: u64,
    pub total: u64,
    /// Slots marked dirty at the end of the pass.
    pub dirty: u64,
}

/// Copies all tables once and then what changed meanwhile; `tell` hears of it now and then. Returns the copiers and
/// the nanoseconds that each took.
pub fn copy(copiers: Vec<Copier>, mut tell: impl FnMut(Step)) -> Vec<(Copier, u64)> {
    sched::nice();
    let mut done = Vec::new();
    for mut copier in copiers {
        let start = now_ns();
        let table = copier.destination().descriptor().name().to_owned();
        copier.first(|at, total| tell(Step { table: table.clone(), pass: 1, done: at, total, dirty: 0 }));
        let left = copier.converge(&mut Converge::new(ENOUGH, PASSES_MAX));
        let total = copier.source().capacity();
        tell(Step { table, pass: copier.passes(), done: total, total, dirty: left.slots });
        done.push((copier, now_ns() - start));
    }
    done
}

/// Right before the switch: what changed since. Returns what is left, and whether that is little.
pub fn catch_up(copiers: &mut [Copier]) -> (Remainder, bool) {
    let mut converged = true;
    let left = copiers.iter_mut().map(|copier| {
        let mut converge = Converge::new(ENOUGH, PASSES_MAX);
        let left = copier.converge(&mut converge);
        converged &= converge.converged();
        left
    });
    (left.sum(), converged)
}

/// Keeps the calling thread, and those it starts, off the packet threads' processors where there are others.
pub fn keep_off(cpus: &[u32]) {
    let me = Pid::from_raw(0);
    let Ok(mut set) = sched_getaffinity(me) else { return };
    let all = set;
    for &cpu in cpus {
        let _ = set.unset(cpu as usize);
    }
    let left = (0..CpuSet::count()).any(|cpu| set.is_set(cpu).unwrap_or(false));
    // With no processor left over the work is done beside the packet thread, by niceness alone.
    let _ = sched_setaffinity(me, if left { &set } else { &all });
}
