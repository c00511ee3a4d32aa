//! The supervisor: the real machine, and what `control::shell` does around it, with a model of processes and clients.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use handover::machine::{Action, Event, Heard, Limit, Machine, State, Truth, Verdict, Which, hear_new, hear_old};
use handover::messages::{
    Abort, Commit, Committed, Descriptors, Donate, Expect, Message, Mode, Proceed, Ready, Reason, Stop, Welcome,
};
use handover::switch::Nanos;
use shm_state::owner::Party;

use super::region::Region;

const MS: Nanos = 1_000_000;
pub const QUIESCE: Nanos = 20 * MS;
const PHASE: Nanos = 10_000 * MS;
const PROBATION: Nanos = 200 * MS;
/// Attempts to take a dead holder's region over before everything is given up and a cold start made.
pub const TAKEOVERS: u32 = 3;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub layout: u8,
    pub commit_now: bool,
    pub steal: bool,
}

/// What the world is asked to do.
#[derive(Debug)]
pub enum Order {
    Spawn {
        party: u8,
        layout: u8,
    },
    Send {
        to: u8,
        message: Message,
    },
    Kill(u8),
    /// Nothing could be taken over: a new region, served by this party.
    ColdStart {
        party: u8,
        layout: u8,
    },
}

#[derive(Debug)]
struct Launch {
    party: u8,
    layout: u8,
    swap: u64,
    deadline: Nanos,
    claims: bool,
    attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Old,
    New,
    Launched,
    Leaving,
}

#[derive(Debug)]
pub struct Supervisor {
    pub machine: Machine,
    pub alive: bool,
    pub stalled: Nanos,
    pub effects: u64,
    /// Layouts of the processes that it knows.
    children: BTreeMap<u8, u8>,
    /// Those of them that the kernel has said are dead.
    reaped: BTreeSet<u8>,
    current: Option<u8>,
    current_layout: u8,
    next: Option<u8>,
    launch: Option<Launch>,
    swap: Option<(u64, Request)>,
    blamed: bool,
    swaps: u64,
    held: VecDeque<Request>,
    asking: Option<Request>,
    timer: Option<(Nanos, Limit)>,
    pending: VecDeque<Event>,
    todo: VecDeque<(Action, Event)>,
    last_party: u8,
    stop_asked: bool,
    pub stopping: Option<Nanos>,
    /// Swaps that were begun, and how each ended.
    pub begun: u64,
    pub verdicts: Vec<Verdict>,
}

impl Supervisor {
    /// With a dataplane that serves.
    pub fn beside(party: u8, layout: u8) -> Self {
        let mut machine = Machine::new();
        machine.step(Event::Recovered);
        Self {
            machine,
            alive: true,
            stalled: 0,
            effects: 0,
            children: BTreeMap::from([(party, layout)]),
            reaped: BTreeSet::new(),
            current: Some(party),
            current_layout: layout,
            next: None,
            launch: None,
            swap: None,
            blamed: false,
            swaps: 0,
            held: VecDeque::new(),
            asking: None,
            timer: None,
            pending: VecDeque::new(),
            todo: VecDeque::new(),
            last_party: party,
            stop_asked: false,
            stopping: None,
            begun: 0,
            verdicts: Vec::new(),
        }
    }

    /// What it does next, if anything is under way.
    pub fn busy(&self) -> Option<&'static str> {
        match self.todo.front() {
            Some((action, _)) => Some(name(*action)),
            None => (!self.pending.is_empty()).then_some("event"),
        }
    }

    pub fn next_deadline(&self) -> Option<Nanos> {
        let timer = self.timer.map(|(at, _)| at);
        [timer, self.launch.as_ref().map(|launch| launch.deadline), self.stopping].into_iter().flatten().min()
    }

    /// It has nothing to do, and waits for nothing.
    pub fn is_quiet(&self) -> bool {
        self.busy().is_none() && self.launch.is_none() && self.machine.state() == State::Idle && self.held.is_empty()
    }

    pub fn has_ended(&self) -> bool {
        self.stopping.is_some() && self.children.keys().all(|party| self.reaped.contains(party))
    }

    /// One event, or one action that an event led to.
    pub fn step(&mut self, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        self.effects += 1;
        if let Some((action, event)) = self.todo.pop_front() {
            return self.carry_out(action, event, region, now, orders);
        }
        if let Some(event) = self.pending.pop_front() {
            let actions = self.machine.step(event);
            self.todo.extend(actions.into_iter().map(|action| (action, event)));
        }
    }

    /// Whether the new process holds the word.
    fn truth(&self, region: &Region) -> Truth {
        let holder = region.word.load().holder().map(Party::number);
        if self.next.is_some() && holder == self.next { Truth::Won } else { Truth::NotWon }
    }

    fn part(&self, party: u8) -> Part {
        if self.launch.as_ref().is_some_and(|launch| launch.party == party) {
            Part::Launched
        } else if self.next == Some(party) {
            Part::New
        } else if self.current == Some(party) {
            Part::Old
        } else {
            Part::Leaving
        }
    }

    pub fn ask(&mut self, request: Request) {
        if self.stop_asked {
            return;
        }
        if self.machine.state() == State::Idle && self.busy().is_none() {
            self.swaps += 1;
            self.begun += 1;
            self.swap = Some((self.swaps, request));
            self.blamed = false;
            self.pending.push_back(Event::Asked);
        } else if self.asking.is_none() {
            self.asking = Some(request);
            self.pending.push_back(Event::AskedAgain { commit_now: request.commit_now });
        }
    }

    pub fn ask_stop(&mut self) {
        if !std::mem::replace(&mut self.stop_asked, true) {
            self.pending.push_back(Event::Stop);
        }
    }

    /// A message came.
    pub fn hear(&mut self, party: u8, message: Message, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        let part = self.part(party);
        if part == Part::Launched {
            return self.launch_message(party, &message, region, orders);
        }
        let id = self.swap.as_ref().map_or(0, |(id, _)| *id);
        let affordable = !matches!(message, Message::Ready(Ready { estimate_ns: 1_000_000_000.., .. }));
        let heard = match part {
            Part::New => hear_new(&message, id, self.truth(region), affordable),
            _ => hear_old(&message, id, self.truth(region)),
        };
        match (heard, message) {
            (Heard::Event(event), _) if part != Part::Leaving => self.pending.push_back(event),
            (Heard::Shell, Message::Hello(_)) if part == Part::New => self.pending.push_back(Event::Hello),
            (Heard::Shell, Message::Descriptors(Descriptors { reason: Reason::Donate, .. })) if part == Part::Old => {
                self.pending.push_back(Event::Collected);
            }
            (Heard::Shell, Message::Fault(_)) if part == Part::Old => self.pending.push_back(Event::CollectFailed),
            _ => {}
        }
        let _ = now;
    }

    /// What came is no message.
    pub fn hear_garbage(&mut self, party: u8) {
        match self.part(party) {
            Part::New => self.pending.push_back(Event::NewFaulty),
            Part::Old => self.pending.push_back(Event::OldFaulty),
            Part::Launched | Part::Leaving => {}
        }
    }

    /// The kernel says that a process has ended.
    pub fn reap(&mut self, party: u8, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        self.reaped.insert(party);
        if self.stopping.is_some() {
            return;
        }
        match self.part(party) {
            Part::Launched => {
                self.children.remove(&party);
                self.launch_died(now, orders);
            }
            Part::New => self.pending.push_back(Event::NewDied(self.truth(region))),
            Part::Old => self.pending.push_back(Event::OldDied(self.truth(region))),
            Part::Leaving => {
                self.children.remove(&party);
            }
        }
    }

    pub fn on_time(&mut self, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        if self.stopping.is_some_and(|at| at <= now) {
            orders.extend(self.children.keys().map(|party| Order::Kill(*party)));
            self.stopping = Some(now + 5000 * MS);
        }
        if let Some(launch) = self.launch.as_mut().filter(|launch| launch.deadline <= now) {
            launch.deadline = now + PHASE;
            orders.push(Order::Kill(launch.party));
        }
        if let Some((_, limit)) = self.timer.take_if(|(at, _)| *at <= now) {
            self.pending.push_back(match limit {
                Limit::Probation => Event::ProbationOver,
                _ => Event::Deadline(self.truth(region)),
            });
        }
    }

    fn limit(limit: Limit) -> Nanos {
        match limit {
            Limit::Prepare | Limit::Background => PHASE,
            Limit::Switch => QUIESCE * 2 + 1000 * MS,
            Limit::Probation => PROBATION,
            Limit::Ending => 5000 * MS,
            Limit::Grace => 500 * MS,
            Limit::Retry => 1000 * MS,
        }
    }

    fn carry_out(&mut self, action: Action, event: Event, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        let swap = self.swap.as_ref().map_or(0, |(id, _)| *id);
        let (old, new) = (self.current, self.next);
        let mut tell = |to: Option<u8>, message: Message| orders.extend(to.map(|to| Order::Send { to, message }));
        let reason = String::new;
        match action {
            Action::Verify => self.pending.push_back(Event::Verified),
            Action::Spawn => {
                let layout = self.swap.as_ref().map_or(1, |(_, request)| request.layout);
                let party = self.fresh();
                self.children.insert(party, layout);
                self.next = Some(party);
                orders.push(Order::Spawn { party, layout });
            }
            Action::Welcome => tell(new, welcome(new, swap, false)),
            Action::Collect if self.swap.as_ref().is_some_and(|(_, request)| request.steal) => {
                self.pending.push_back(Event::Collected);
            }
            Action::Collect => tell(old, Message::Donate(Donate {})),
            Action::TellExpect => {
                tell(old, Message::Expect(Expect { swap, party: new.unwrap_or(0), quiesce_ns: QUIESCE }));
            }
            Action::Forward => tell(new, handed()),
            Action::TellProceed => tell(new, Message::Proceed(Proceed { swap, quiesce_ns: QUIESCE })),
            Action::TellCommitted => tell(new, Message::Committed(Committed { swap })),
            Action::TellCommit => tell(old, Message::Commit(Commit { swap })),
            Action::AbortOld => tell(old, Message::Abort(Abort { swap, reason: reason() })),
            Action::AbortNew => tell(new, Message::Abort(Abort { swap, reason: reason() })),
            Action::KillNew => orders.extend(new.map(Order::Kill)),
            Action::KillOld => orders.extend(old.map(Order::Kill)),
            Action::Arm(limit) => self.timer = Some((now + Self::limit(limit), limit)),
            Action::Disarm => self.timer = None,
            Action::Hold => self.held.extend(self.asking.take()),
            Action::Refuse => self.asking = None,
            Action::Blame(_) => self.blamed = true,
            Action::Absolve => self.blamed = false,
            Action::Recover(which) => self.recover(which, region, now, orders),
            Action::Finish(verdict) => self.finish(verdict, event),
            Action::StopServing => {
                self.stopping = Some(now + 5000 * MS);
                self.timer = None;
                for &party in self.children.keys() {
                    orders.push(Order::Send { to: party, message: Message::Stop(Stop {}) });
                }
            }
            Action::Report | Action::Ignore => {}
        }
    }

    fn fresh(&mut self) -> u8 {
        self.last_party = self.last_party % 254 + 1;
        while self.children.contains_key(&self.last_party) {
            self.last_party = self.last_party % 254 + 1;
        }
        self.reaped.remove(&self.last_party);
        self.last_party
    }

    fn finish(&mut self, verdict: Verdict, event: Event) {
        assert!(self.swap.take().is_some(), "{event}: the end of no swap");
        assert!(verdict == Verdict::Committed || self.blamed, "{event}: {} without a reason", verdict.as_str());
        self.verdicts.push(verdict);
        if verdict == Verdict::Committed
            && let Some(next) = self.next.take()
        {
            self.forget(self.current);
            self.current = Some(next);
            self.current_layout = self.children.get(&next).copied().unwrap_or(self.current_layout);
        }
        self.forget(self.next);
        self.next = None;
        if self.stop_asked {
            self.pending.push_back(Event::Stop);
        } else if let Some(request) = self.held.pop_front() {
            self.swaps += 1;
            self.begun += 1;
            self.swap = Some((self.swaps, request));
            self.blamed = false;
            self.pending.push_back(Event::Asked);
        }
    }

    fn forget(&mut self, party: Option<u8>) {
        party.map(|party| self.children.remove(&party));
    }

    fn recover(&mut self, which: Which, region: &Region, now: Nanos, orders: &mut Vec<Order>) {
        if self.stop_asked {
            return self.pending.push_back(Event::RecoverFailed);
        }
        let wanted = if which == Which::New { self.next } else { self.current };
        let layout = wanted.and_then(|party| self.children.get(&party)).copied().unwrap_or(self.current_layout);
        let gone = [self.current.take(), self.next.take()];
        gone.into_iter().for_each(|party| self.forget(party));
        let _ = region;
        self.begin(layout, 1, now, orders);
    }

    fn begin(&mut self, layout: u8, attempt: u32, now: Nanos, orders: &mut Vec<Order>) {
        let party = self.fresh();
        self.swaps += 1;
        self.children.insert(party, layout);
        self.launch = Some(Launch { party, layout, swap: self.swaps, deadline: now + PHASE, claims: false, attempt });
        orders.push(Order::Spawn { party, layout });
    }

    fn launch_message(&mut self, party: u8, message: &Message, region: &Region, orders: &mut Vec<Order>) {
        let Some(launch) = &mut self.launch else { return };
        let mut tell = |message| orders.push(Order::Send { to: party, message });
        match message {
            Message::Hello(_) => {
                tell(welcome(Some(party), launch.swap, true));
                tell(handed());
            }
            Message::Ready(_) => tell(Message::Proceed(Proceed { swap: launch.swap, quiesce_ns: QUIESCE })),
            Message::Activated(_) | Message::Serving(_) => launch.claims = true,
            _ => {}
        }
        if launch.claims {
            if region.word.load().holder().map(Party::number) == Some(party) {
                self.current_layout = launch.layout;
                self.current = Some(party);
                self.launch = None;
                self.pending.push_back(Event::Recovered);
            } else {
                orders.push(Order::Kill(party));
            }
        }
    }

    fn launch_died(&mut self, now: Nanos, orders: &mut Vec<Order>) {
        let Some(launch) = self.launch.take() else { return };
        if self.stop_asked {
            return self.pending.push_back(Event::RecoverFailed);
        }
        if launch.attempt < TAKEOVERS {
            return self.begin(launch.layout, launch.attempt + 1, now, orders);
        }
        let party = self.fresh();
        self.children.insert(party, launch.layout);
        (self.current, self.current_layout) = (Some(party), launch.layout);
        orders.push(Order::ColdStart { party, layout: launch.layout });
        self.pending.push_back(Event::Recovered);
    }
}

fn welcome(party: Option<u8>, swap: u64, predecessor_dead: bool) -> Message {
    Message::Welcome(Welcome { protocol: 1, party: party.unwrap_or(0), mode: Mode::Takeover, swap, predecessor_dead })
}

fn handed() -> Message {
    Message::Descriptors(Descriptors { batch: Vec::new(), last: true, reason: Reason::Donate })
}

fn name(action: Action) -> &'static str {
    match action {
        Action::Verify => "Verify",
        Action::Spawn => "Spawn",
        Action::Welcome => "Welcome",
        Action::Collect => "Collect",
        Action::TellExpect => "TellExpect",
        Action::Forward => "Forward",
        Action::TellProceed => "TellProceed",
        Action::TellCommitted => "TellCommitted",
        Action::TellCommit => "TellCommit",
        Action::AbortOld => "AbortOld",
        Action::AbortNew => "AbortNew",
        Action::KillNew => "KillNew",
        Action::KillOld => "KillOld",
        Action::Recover(_) => "Recover",
        Action::Finish(_) => "Finish",
        Action::StopServing => "StopServing",
        _ => "note",
    }
}
