//! What the machine asks the shell to do.

use std::fmt;

use super::cause::Cause;
use super::state::Verdict;

/// Which of the configured times a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Verify and start, until the hello.
    Prepare,
    /// Collect, announce and background, until ready.
    Background,
    /// The switch itself, until activated or undone.
    Switch,
    /// How long the old process stays parked. Its end is [`super::Event::ProbationOver`].
    Probation,
    /// For the old process to end after commit.
    Ending,
    /// For the new process to end by itself.
    Grace,
    /// Until the next attempt to start a dataplane.
    Retry,
}

/// Which binary is started on the region of a dead process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that served before the swap.
    Old,
    /// The one that was swapped in.
    New,
}

/// What to do. Actions of one step are carried out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Examine the new binary; answer with `Verified` or `VerifyFailed`.
    Verify,
    /// Start the new process; answer with `SpawnFailed` if that fails.
    Spawn,
    /// Answer the hello.
    Welcome,
    /// Get the old process's descriptors, by asking or by stealing; answer with `Collected` or `CollectFailed`.
    Collect,
    /// Tell the old process who may ask it to quiesce.
    TellExpect,
    /// Send the collected descriptors to the new process.
    Forward,
    /// Pass on how far the new process is.
    Report,
    /// Tell the new process to begin the switch.
    TellProceed,
    /// Tell the new process that the swap is final.
    TellCommitted,
    /// Tell the old process to end. Only after the new one was seen to hold the owner word.
    TellCommit,
    /// Tell the old process to forget the swap, of which it may never have heard. Only after the new one is dead
    /// and has not won.
    AbortOld,
    /// Tell the new process to end.
    AbortNew,
    /// Kill the new process.
    KillNew,
    /// Kill the old process, which has lost the owner word for good.
    KillOld,
    /// Start the one timer, in place of whatever it was set to.
    Arm(Limit),
    /// Stop the timer.
    Disarm,
    /// Keep the new request until this swap has ended.
    Hold,
    /// Refuse the new request: a swap is in progress, or nothing serves.
    Refuse,
    /// Remember why the swap fails, unless a reason is remembered already.
    Blame(Cause),
    /// Forget why the swap failed: it did not.
    Absolve,
    /// Start a binary on the region of the dead; answer with `Recovered` or `RecoverFailed`.
    Recover(Which),
    /// The swap has ended: write the report, answer the operator, and take up a request that was held.
    Finish(Verdict),
    /// End the dataplane and then the supervisor.
    StopServing,
    /// Nothing, but worth a line in the log: the event came late, doubled or out of place.
    Ignore,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verify => f.write_str("verify"),
            Self::Spawn => f.write_str("spawn"),
            Self::Welcome => f.write_str("welcome"),
            Self::Collect => f.write_str("collect"),
            Self::TellExpect => f.write_str("tell old: expect"),
            Self::Forward => f.write_str("forward descriptors"),
            Self::Report => f.write_str("report progress"),
            Self::TellProceed => f.write_str("tell new: proceed"),
            Self::TellCommitted => f.write_str("tell new: committed"),
            Self::TellCommit => f.write_str("tell old: commit"),
            Self::AbortOld => f.write_str("tell old: abort"),
            Self::AbortNew => f.write_str("tell new: abort"),
            Self::KillNew => f.write_str("kill new"),
            Self::KillOld => f.write_str("kill old"),
            Self::Arm(limit) => write!(f, "arm {}", format!("{limit:?}").to_lowercase()),
            Self::Disarm => f.write_str("disarm"),
            Self::Hold => f.write_str("hold request"),
            Self::Refuse => f.write_str("refuse request"),
            Self::Blame(cause) => write!(f, "blame {}", cause.code()),
            Self::Absolve => f.write_str("absolve"),
            Self::Recover(Which::Old) => f.write_str("recover with old"),
            Self::Recover(Which::New) => f.write_str("recover with new"),
            Self::Finish(verdict) => write!(f, "finish {}", verdict.as_str()),
            Self::StopServing => f.write_str("stop serving"),
            Self::Ignore => f.write_str("(ignored)"),
        }
    }
}
