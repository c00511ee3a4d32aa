//! The transition table. `tests/golden/transitions.txt` prints it whole.

use super::action::Action::{self, *};
use super::action::{Limit, Which};
use super::cause::Cause;
use super::event::{Event, Truth};
use super::state::{Old, State, Verdict};

use Truth::{NotWon, Won};
use Verdict::{Committed, Refused, Undone};

/// The next state and what to do, for every state and every event.
pub fn transition(state: State, event: Event) -> (State, Vec<Action>) {
    // A second request and the end of the supervisor mean the same in most states.
    match (state, event) {
        (State::Probation | State::Committing, Event::AskedAgain { commit_now: false }) => (state, vec![Hold]),
        (State::Committing, Event::AskedAgain { .. }) => (state, vec![Hold]),
        (State::Probation, Event::AskedAgain { .. }) => {
            let (next, mut actions) = commit();
            actions.insert(0, Hold);
            (next, actions)
        }
        (State::Idle, Event::Asked) => (State::Verifying, vec![Arm(Limit::Prepare), Verify]),
        (_, Event::Asked | Event::AskedAgain { .. }) => (state, vec![Refuse]),
        (State::Idle | State::Recovering(None) | State::Down, Event::Stop) => (state, vec![StopServing]),
        (State::Idle, _) => idle(event),
        (State::Verifying, _) => verifying(event),
        (State::Starting, _) => starting(event),
        (State::Collecting | State::Announcing | State::Warming, _) => background(state, event),
        (State::Switching(old), _) => switching(old, event),
        (State::Probation, _) => probation(event),
        (State::Committing, _) => committing(event),
        (State::Undoing(old, verdict), _) => undoing(old, verdict, event),
        (State::Killing(old, verdict), _) => killing(old, verdict, event),
        (State::Recovering(verdict), _) => recovering(verdict, event),
        (State::Down, _) => down(event),
    }
}

fn ignore(state: State) -> (State, Vec<Action>) {
    (state, vec![Ignore])
}

fn idle(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::OldDied(_) => (State::Recovering(None), vec![Recover(Which::Old)]),
        _ => ignore(State::Idle),
    }
}

fn verifying(event: Event) -> (State, Vec<Action>) {
    let refuse = |cause| (State::Idle, vec![Disarm, Blame(cause), Finish(Refused)]);
    match event {
        Event::Verified => (State::Starting, vec![Spawn]),
        Event::VerifyFailed => refuse(Cause::Verify),
        Event::Stop => refuse(Cause::Stopped),
        Event::Deadline(_) => refuse(Cause::NewLate),
        Event::OldDied(_) => {
            (State::Recovering(Some(Refused)), vec![Disarm, Blame(Cause::OldDied), Recover(Which::Old)])
        }
        _ => ignore(State::Verifying),
    }
}

fn starting(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::SpawnFailed => (State::Idle, vec![Disarm, Blame(Cause::Spawn), Finish(Refused)]),
        Event::Hello => (State::Collecting, vec![Arm(Limit::Background), Welcome, Collect]),
        // It understands no message, so it cannot be asked to end.
        Event::HelloRefused => kill(Old::Alive, Refused, Cause::Hello),
        Event::NewFaulty => kill(Old::Alive, Undone, Cause::NewFaulty),
        Event::Deadline(_) => kill(Old::Alive, Undone, Cause::NewLate),
        Event::Stop => kill(Old::Alive, Undone, Cause::Stopped),
        _ => before_proceed(State::Starting, event),
    }
}

fn background(state: State, event: Event) -> (State, Vec<Action>) {
    match (state, event) {
        (State::Collecting, Event::Collected) => (State::Announcing, vec![TellExpect]),
        (State::Collecting, Event::CollectFailed) => withdraw(Refused, Cause::Collect),
        (State::Collecting | State::Announcing, Event::Deadline(_)) => withdraw(Undone, Cause::OldLate),
        (State::Announcing, Event::Expecting) => (State::Warming, vec![Forward]),
        (State::Warming, Event::Progress) => (state, vec![Report]),
        (State::Warming, Event::Ready { affordable: true }) => {
            (State::Switching(Old::Alive), vec![Arm(Limit::Switch), TellProceed])
        }
        (State::Warming, Event::Ready { affordable: false }) => withdraw(Refused, Cause::OverBudget),
        (State::Warming, Event::Deadline(_)) => withdraw(Undone, Cause::NewLate),
        (_, Event::Stop) => withdraw(Undone, Cause::Stopped),
        (_, Event::NewFaulty) => withdraw(Undone, Cause::NewFaulty),
        _ => before_proceed(state, event),
    }
}

/// What means the same in every state in which the new process runs and has not been told to proceed.
fn before_proceed(state: State, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::NewRefused => (State::Undoing(Old::Alive, Refused), vec![Blame(Cause::NewRefused), Arm(Limit::Grace)]),
        Event::NewDied(NotWon) => (State::Idle, vec![Disarm, Blame(Cause::NewDied), AbortOld, Finish(Undone)]),
        Event::NewDied(Won) => holder_died(Old::Alive, Undone, true),
        Event::OldDied(NotWon) => kill(Old::Dead, Undone, Cause::OldDied),
        // It took the word without being told to. It serves: the word is the truth.
        Event::OldDied(Won) => (State::Switching(Old::Dead), vec![Arm(Limit::Switch)]),
        Event::Activated(Won) => won(Old::Alive),
        Event::Activated(NotWon) | Event::Undone(_) => withdraw(Undone, Cause::NewLied),
        _ => ignore(state),
    }
}

fn switching(old: Old, event: Event) -> (State, Vec<Action>) {
    let state = State::Switching(old);
    let undo = |cause, ends_by_itself: bool| {
        let mut actions = vec![Blame(cause)];
        actions.extend((!ends_by_itself).then_some(AbortNew));
        actions.push(Arm(Limit::Grace));
        (State::Undoing(old, Undone), actions)
    };
    match event {
        Event::Activated(Won) => won(old),
        // It holds the word and has not said so; the message may be lost, the word is not.
        Event::Deadline(Won) => won(old),
        Event::Deadline(NotWon) => kill(old, Undone, Cause::NewLate),
        Event::Activated(NotWon) | Event::Undone(Won) => kill(old, Undone, Cause::NewLied),
        Event::Undone(NotWon) => undo(Cause::NewUndone, true),
        Event::NewRefused => undo(Cause::NewRefused, true),
        Event::Resumed(NotWon) => undo(Cause::OldResumed, false),
        Event::OldDied(_) => (State::Switching(Old::Dead), vec![]),
        Event::NewDied(NotWon) if old == Old::Alive => {
            (State::Idle, vec![Disarm, Blame(Cause::NewDied), AbortOld, Finish(Undone)])
        }
        Event::NewDied(NotWon) => holder_died(old, Undone, true),
        Event::NewDied(Won) => holder_died(old, Undone, true),
        // The switch takes milliseconds: it is awaited, and the shell repeats the wish to end when it is over.
        Event::Stop | Event::Parked => (state, vec![]),
        _ => ignore(state),
    }
}

fn probation(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::ProbationOver | Event::Stop => commit(),
        Event::OldDied(_) => (State::Idle, vec![Disarm, TellCommitted, Finish(Committed)]),
        Event::NewDied(Won) => holder_died(Old::Alive, Undone, true),
        // The old process has the word again, so it serves.
        Event::NewDied(NotWon) => (State::Idle, vec![Disarm, Blame(Cause::NewDied), Finish(Undone)]),
        Event::Parked => (State::Probation, vec![]),
        _ => ignore(State::Probation),
    }
}

fn committing(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::OldDied(_) => (State::Idle, vec![Disarm, Finish(Committed)]),
        Event::Deadline(_) => (State::Committing, vec![KillOld]),
        Event::NewDied(_) => {
            (State::Recovering(Some(Committed)), vec![Disarm, Blame(Cause::NewDied), KillOld, Recover(Which::New)])
        }
        Event::Parked | Event::Stop => (State::Committing, vec![]),
        _ => ignore(State::Committing),
    }
}

fn undoing(old: Old, verdict: Verdict, event: Event) -> (State, Vec<Action>) {
    let state = State::Undoing(old, verdict);
    match event {
        Event::NewDied(truth) => new_gone(old, verdict, truth),
        Event::OldDied(_) => (State::Undoing(Old::Dead, verdict), vec![]),
        // It had won before it could be stopped; to kill it now would stop the service.
        Event::Activated(Won) | Event::Deadline(Won) => {
            let (next, mut actions) = won(old);
            actions.insert(0, Absolve);
            (next, actions)
        }
        Event::Deadline(NotWon) => (State::Killing(old, verdict), vec![KillNew]),
        Event::Undone(_) | Event::Resumed(_) | Event::Parked | Event::NewRefused | Event::Stop => (state, vec![]),
        _ => ignore(state),
    }
}

fn killing(old: Old, verdict: Verdict, event: Event) -> (State, Vec<Action>) {
    let state = State::Killing(old, verdict);
    match event {
        Event::NewDied(truth) => new_gone(old, verdict, truth),
        Event::OldDied(_) => (State::Killing(Old::Dead, verdict), vec![]),
        Event::Stop => (state, vec![]),
        _ => ignore(state),
    }
}

fn recovering(verdict: Option<Verdict>, event: Event) -> (State, Vec<Action>) {
    match event {
        Event::Recovered => (State::Idle, verdict.map(Finish).into_iter().collect()),
        Event::RecoverFailed => (State::Down, verdict.map(Finish).into_iter().chain([Arm(Limit::Retry)]).collect()),
        // The operator's answer must not wait for an attempt that nobody needs any more.
        Event::Stop => (State::Recovering(None), verdict.map(Finish).into_iter().chain([StopServing]).collect()),
        _ => ignore(State::Recovering(verdict)),
    }
}

fn down(event: Event) -> (State, Vec<Action>) {
    match event {
        Event::Deadline(_) => (State::Recovering(None), vec![Recover(Which::Old)]),
        _ => ignore(State::Down),
    }
}

/// The new process holds the word and serves.
fn won(old: Old) -> (State, Vec<Action>) {
    match old {
        Old::Alive => (State::Probation, vec![Arm(Limit::Probation)]),
        Old::Dead => (State::Idle, vec![Disarm, TellCommitted, Finish(Committed)]),
    }
}

fn commit() -> (State, Vec<Action>) {
    (State::Committing, vec![Arm(Limit::Ending), TellCommit, TellCommitted])
}

/// Nobody serves: the holder is dead, and the other one is dead too or has lost the word. It may hang, so it is not asked
/// to end.
fn holder_died(old: Old, verdict: Verdict, blame: bool) -> (State, Vec<Action>) {
    let mut actions = vec![Disarm];
    actions.extend(blame.then_some(Blame(Cause::NewDied)));
    actions.extend((old == Old::Alive).then_some(KillOld));
    actions.push(Recover(Which::Old));
    (State::Recovering(Some(verdict)), actions)
}

/// The new process is dead in the course of an undo.
fn new_gone(old: Old, verdict: Verdict, truth: Truth) -> (State, Vec<Action>) {
    match (truth, old) {
        // Only now can it not win any more, so only now the old process may forget whom it expected.
        (NotWon, Old::Alive) => (State::Idle, vec![Disarm, AbortOld, Finish(verdict)]),
        (NotWon, Old::Dead) => holder_died(old, verdict, false),
        (Won, _) => holder_died(old, Undone, false),
    }
}

fn kill(old: Old, verdict: Verdict, cause: Cause) -> (State, Vec<Action>) {
    (State::Killing(old, verdict), vec![Disarm, Blame(cause), KillNew])
}

/// Calls the swap off before the new process was told to proceed.
fn withdraw(verdict: Verdict, cause: Cause) -> (State, Vec<Action>) {
    (State::Undoing(Old::Alive, verdict), vec![Blame(cause), AbortNew, Arm(Limit::Grace)])
}
