//! Why a swap did not go through.

use super::state::State;
use crate::messages::Fault;

/// Why a swap fails. The details that a process sent are kept by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The binary cannot take over.
    Verify,
    /// The binary cannot be started.
    Spawn,
    /// The new process speaks no common protocol, or is not the one that was started.
    Hello,
    /// The descriptors cannot be had.
    Collect,
    /// The new process refused.
    NewRefused,
    /// The new process did not win.
    NewUndone,
    /// The old process withdrew.
    OldResumed,
    /// The estimate is over the budget.
    OverBudget,
    /// The new process was too slow.
    NewLate,
    /// The old process was too slow.
    OldLate,
    /// The new process died.
    NewDied,
    /// The old process died.
    OldDied,
    /// The new process sent what is no message.
    NewFaulty,
    /// The new process said what the owner word does not confirm.
    NewLied,
    /// The supervisor ends.
    Stopped,
}

impl Cause {
    /// Stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Verify => "binary-refused",
            Self::Spawn => "spawn-failed",
            Self::Hello => "hello-refused",
            Self::Collect => "collect-failed",
            Self::NewRefused => "new-refused",
            Self::NewUndone => "new-undone",
            Self::OldResumed => "old-resumed",
            Self::OverBudget => "over-budget",
            Self::NewLate => "new-late",
            Self::OldLate => "old-late",
            Self::NewDied => "new-died",
            Self::OldDied => "old-died",
            Self::NewFaulty => "new-bad-message",
            Self::NewLied => "new-lied",
            Self::Stopped => "supervisor-stopped",
        }
    }

    /// True if whoever failed said why; then that fault is reported.
    pub fn has_own_words(self) -> bool {
        matches!(
            self,
            Self::Verify
                | Self::Spawn
                | Self::Hello
                | Self::Collect
                | Self::NewRefused
                | Self::NewUndone
                | Self::OldResumed
                | Self::OverBudget
                | Self::NewFaulty
        )
    }

    /// The fault for the report; `detail` is what the shell knows beside it, such as an exit status.
    pub fn fault(self, during: State, detail: &str) -> Fault {
        let during = during.phase();
        let more = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let code = self.code();
        match self {
            Self::NewLate => Fault::peer(
                code,
                format!("the new process was not done with phase \"{during}\" in time{more}"),
                "read its log; raise [control] phase_timeout if it only needs longer",
            ),
            Self::OldLate => Fault::peer(
                code,
                format!("the old process did not answer in phase \"{during}\"{more}"),
                "see whether it hangs; `swap --steal` collects its descriptors without its help",
            ),
            Self::NewDied => {
                Fault::peer(code, format!("the new process died in phase \"{during}\"{more}"), "read its log")
            }
            Self::OldDied => Fault::peer(
                code,
                format!("the old process died in phase \"{during}\"{more}"),
                "its binary is started again on the same region; ask for the swap again",
            ),
            Self::NewLied => Fault::bug(
                code,
                format!("what the new process said in phase \"{during}\" is not what the owner word says{more}"),
                "do not use this binary; report it to its maker",
            ),
            Self::Stopped => {
                Fault::operator(code, format!("the supervisor was told to end in phase \"{during}\"{more}"), "")
            }
            Self::OverBudget => Fault::operator(
                code,
                format!("the expected blackout is over the budget{more}"),
                "raise [control] blackout_budget, or use --force-budget",
            ),
            Self::Verify
            | Self::Spawn
            | Self::Hello
            | Self::Collect
            | Self::NewRefused
            | Self::NewUndone
            | Self::OldResumed
            | Self::NewFaulty => Fault::peer(code, format!("the swap failed in phase \"{during}\"{more}"), ""),
        }
    }
}
