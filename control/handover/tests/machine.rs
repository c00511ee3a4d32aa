//! The swap machine: its table is golden, random events always lead to an end, and in a small world of two
//! processes that die, hang and lie it never ends the one that serves.

use handover::machine::{Action, Event, Machine, Old, State, Truth, Verdict, transition};
use proptest::prelude::*;

mod golden;

#[test]
fn the_transition_table_is_golden() {
    let mut text = String::from("state | event | next | actions\n");
    for state in State::all() {
        for &event in Event::ALL {
            let (next, actions) = transition(state, event);
            let actions: Vec<String> = actions.iter().map(Action::to_string).collect();
            let next = if next == state { "=".to_owned() } else { next.to_string() };
            text.push_str(&format!("{state} | {event} | {next} | {}\n", actions.join("; ")));
        }
        text.push('\n');
    }
    golden::check("transitions.txt", &text);
}

/// Watches the actions of a run and holds them to the rules.
#[derive(Default)]
struct Judge {
    swap_open: bool,
    commits: u32,
    won_seen: bool,
    verdicts: Vec<Verdict>,
}

impl Judge {
    fn watch(&mut self, before: State, event: Event, actions: &[Action], after: State) {
        if matches!(event, Event::Activated(Truth::Won) | Event::Deadline(Truth::Won) | Event::NewDied(Truth::Won)) {
            self.won_seen = true;
        }
        for action in actions {
            match action {
                Action::Verify => {
                    assert!(!self.swap_open, "a swap begins while one runs");
                    *self = Self { swap_open: true, verdicts: std::mem::take(&mut self.verdicts), ..Self::default() };
                }
                Action::TellCommit => {
                    self.commits += 1;
                    assert!(self.won_seen, "{before} × {event}: commit, but the new process was never seen to hold");
                    assert_eq!(self.commits, 1, "{before} × {event}: a second commit");
                }
                Action::Finish(verdict) => {
                    assert!(self.swap_open, "{before} × {event}: an end without a swap");
                    assert!(
                        *verdict != Verdict::Committed
                            || self.won_seen
                            || matches!(before, State::Switching(Old::Dead))
                    );
                    self.swap_open = false;
                    self.verdicts.push(*verdict);
                }
                _ => {}
            }
        }
        assert_eq!(after.in_swap(), self.swap_open, "{before} × {event} → {after}");
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop::sample::select(Event::ALL)
}

/// What happens in the end, whatever happened before: limits run out, killed processes die, a start succeeds.
const CLOSING: [Event; 7] = [
    Event::Deadline(Truth::NotWon),
    Event::ProbationOver,
    Event::NewDied(Truth::NotWon),
    Event::Deadline(Truth::NotWon),
    Event::OldDied(Truth::NotWon),
    Event::Recovered,
    Event::NewDied(Truth::NotWon),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_events_lead_to_one_end_per_swap(events in prop::collection::vec(any_event(), 0..200)) {
        let mut machine = Machine::new();
        let mut judge = Judge::default();
        // Begin with a swap under way, or the random events would seldom get past the start.
        let begin = [Event::Recovered, Event::Asked, Event::Verified, Event::Hello, Event::Collected];
        for event in begin.into_iter().chain(events).chain(CLOSING).chain(CLOSING) {
            let before = machine.state();
            let actions = machine.step(event);
            judge.watch(before, event, &actions, machine.state());
        }
        prop_assert!(!machine.state().in_swap(), "still {}", machine.state());
        prop_assert!(!judge.verdicts.is_empty());
    }

    #[test]
    fn in_a_world_of_faults_the_server_is_never_told_to_end(seed in prop::collection::vec(any::<u8>(), 20..400)) {
        let mut world = world::World::new();
        for choice in seed {
            world.turn(choice);
        }
        world.settle();
    }
}

mod world {
    //! Two processes, an owner word, messages under way, and faults chosen by a number per turn.

    use std::collections::VecDeque;

    use super::Judge;
    use handover::machine::{Action, Event, Limit, Machine, State, Truth};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Word {
        Old,
        Offered,
        New,
    }

    pub(super) struct World {
        machine: Machine,
        judge: Judge,
        word: Word,
        old_alive: bool,
        new_alive: bool,
        proceeded: bool,
        timer: Option<Limit>,
        inbox: VecDeque<Event>,
        last: Option<Event>,
    }

    impl World {
        pub(super) fn new() -> Self {
            let mut world = Self {
                machine: Machine::new(),
                judge: Judge::default(),
                word: Word::Old,
                old_alive: true,
                new_alive: false,
                proceeded: false,
                timer: None,
                inbox: VecDeque::new(),
                last: None,
            };
            world.tell(Event::Recovered);
            world.tell(Event::Asked);
            world
        }

        fn truth(&self) -> Truth {
            if self.word == Word::New { Truth::Won } else { Truth::NotWon }
        }

        fn tell(&mut self, event: Event) {
            let before = self.machine.state();
            let actions = self.machine.step(event);
            self.judge.watch(before, event, &actions, self.machine.state());
            for action in actions {
                self.carry_out(action, before, event);
            }
        }

        fn carry_out(&mut self, action: Action, before: State, event: Event) {
            match action {
                Action::Verify => self.inbox.push_back(Event::Verified),
                Action::Spawn => {
                    self.new_alive = true;
                    self.proceeded = false;
                    self.inbox.push_back(Event::Hello);
                }
                Action::Collect => self.inbox.push_back(Event::Collected),
                Action::TellExpect => self.inbox.push_back(Event::Expecting),
                Action::Forward => self.inbox.extend([Event::Progress, Event::Ready { affordable: true }]),
                Action::TellProceed => self.proceeded = true,
                Action::AbortNew if self.word != Word::New => self.new_ends(),
                Action::AbortOld => assert!(!self.new_alive, "{before} × {event}: a rival still lives"),
                Action::KillNew => {
                    let serves = self.word == Word::New && self.new_alive;
                    // Killing a holder is right only if it lied, or won in the instant before.
                    assert!(!serves || self.truth() == Truth::Won);
                    self.new_ends();
                }
                Action::TellCommit | Action::KillOld => {
                    assert!(self.word == Word::New, "{before} × {event}: the holder is told to end");
                    self.old_ends();
                }
                Action::Arm(limit) => self.timer = Some(limit),
                Action::Disarm => self.timer = None,
                Action::Recover(_) => {
                    let holder_alive = if self.word == Word::New { self.new_alive } else { self.old_alive };
                    assert!(!holder_alive, "{before} × {event}: recovery beside a living holder");
                    (self.word, self.old_alive, self.new_alive) = (Word::Old, true, false);
                    self.inbox.clear();
                    self.inbox.push_back(Event::Recovered);
                }
                Action::Finish(handover::machine::Verdict::Committed) if self.new_alive => {
                    (self.word, self.old_alive, self.new_alive) = (Word::Old, true, false);
                }
                _ => {}
            }
        }

        fn new_ends(&mut self) {
            if self.new_alive {
                self.new_alive = false;
                self.inbox.push_back(Event::NewDied(Truth::NotWon));
            }
        }

        fn old_ends(&mut self) {
            if self.old_alive {
                self.old_alive = false;
                self.inbox.push_back(Event::OldDied(Truth::NotWon));
            }
        }

        /// Delivers what waits; the truth is read at delivery, as the shell does.
        fn deliver(&mut self, index: usize) {
            let Some(event) = self.inbox.remove(index.min(self.inbox.len().saturating_sub(1))) else { return };
            let truth = self.truth();
            let event = match event {
                Event::NewDied(_) => Event::NewDied(truth),
                Event::OldDied(_) => Event::OldDied(truth),
                Event::Activated(_) => Event::Activated(truth),
                Event::Undone(_) => Event::Undone(truth),
                Event::Resumed(_) => Event::Resumed(truth),
                other => other,
            };
            self.last = Some(event);
            self.tell(event);
        }

        pub(super) fn turn(&mut self, choice: u8) {
            match choice % 16 {
                0..=4 => self.deliver(0),
                5 => self.deliver(usize::from(choice) / 16), // out of order
                6 | 7 if self.proceeded && self.old_alive && self.word == Word::Old => self.word = Word::Offered,
                8 | 9 if self.new_alive && self.word == Word::Offered => {
                    self.word = Word::New;
                    self.inbox.push_back(Event::Activated(Truth::NotWon));
                    self.inbox.push_back(Event::Parked);
                }
                10 if self.word == Word::Offered && self.old_alive => {
                    self.word = Word::Old;
                    self.proceeded = false;
                    self.inbox.push_back(Event::Resumed(Truth::NotWon));
                    self.inbox.push_back(Event::Undone(Truth::NotWon));
                }
                11 if choice >= 128 => self.new_ends(),
                12 if choice >= 192 => self.old_ends(),
                13 => self.expire(),
                14 => {
                    // A message comes twice. (Deaths are told by the kernel, once.)
                    if let Some(event) = self.last.filter(|e| !matches!(e, Event::NewDied(_) | Event::OldDied(_))) {
                        self.inbox.push_back(event);
                    }
                }
                15 if choice >= 192 => self.tell(Event::Stop),
                15 => self.tell(Event::AskedAgain { commit_now: choice >= 128 }),
                _ => {}
            }
        }

        fn expire(&mut self) {
            match self.timer.take() {
                Some(Limit::Probation) => self.tell(Event::ProbationOver),
                Some(_) => self.tell(Event::Deadline(self.truth())),
                None => {}
            }
        }

        /// No more faults: everything waiting is delivered, every limit runs out.
        pub(super) fn settle(&mut self) {
            for _ in 0..200 {
                while !self.inbox.is_empty() {
                    self.deliver(0);
                }
                if !self.machine.state().in_swap() {
                    assert!(!self.judge.verdicts.is_empty());
                    return;
                }
                self.expire();
            }
            panic!("no end: {} {:?} {:?}", self.machine.state(), self.word, self.timer);
        }
    }
}
