//! A dataplane: a main thread that talks with the supervisor, and workers that serve, stand down and take over.
//!
//! What the real one does in `dataplane::process` and `dataplane::handover`, without sockets and memory. A step is one
//! effect; between two steps anything may happen to the process.

use std::collections::VecDeque;

use handover::messages::{
    Activated, Descriptors, Expecting, Fault, FaultNotice, Hello, Message, Parked, Ready, Reason, Refused, Resumed,
    Serving, Stopping, SwitchReport, Undone,
};
use handover::switch::{Nanos, NewEffect, NewTold, OldEffect, OldTold, Sides, StandDown, StoodDown, TakeOver};
use shm_state::manifest::Request;
use shm_state::owner::{OwnerState, Party};

use super::random::Random;
use super::region::{NEVER, Region, Table};

/// Longest sleep of an idle worker.
const IDLE: Nanos = 20_000_000;

/// What a step works with.
pub struct Context<'a> {
    pub region: &'a mut Region,
    pub random: &'a mut Random,
    pub now: Nanos,
    /// For the supervisor.
    pub out: &'a mut Vec<Message>,
}

/// Which thread of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    Main,
    Worker(usize),
}

/// When a thread has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now, and what.
    Now(&'static str),
    /// Not before.
    At(Nanos),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    AwaitingWelcome,
    AwaitingTables,
    /// So many passes are left.
    Copying(u32),
    Announcing,
    Prepared,
    Switching,
    Serving,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    /// For the switch.
    Waiting,
    /// For the leader to win.
    Following,
    Taking {
        half: TakeOver,
        bell: u64,
        until: Nanos,
    },
    Entering {
        generation: u64,
    },
    Serving {
        generation: u64,
        hand: u64,
        writing: bool,
        until: Nanos,
    },
    Standing {
        half: StandDown,
        bell: u64,
        until: Nanos,
    },
    Parked,
    Ended,
}

/// What a worker tells the main thread.
#[derive(Debug, Clone, Copy)]
enum Event {
    TookOver,
    Undone,
    Parked(u64),
    Resumed,
    Stopped,
}

#[derive(Debug, Default)]
struct Orders {
    stop: bool,
    expected: Option<(Party, Nanos)>,
}

#[derive(Debug)]
pub struct Process {
    pub party: Party,
    pub layout: u8,
    pub table: usize,
    pub alive: bool,
    /// Stopped by a signal, or without a processor, until then.
    pub stalled: Nanos,
    /// Effects so far, but for those of serving packets.
    pub effects: u64,
    /// It is to refuse, one way or another.
    pub unfit: bool,
    stage: Stage,
    swap: u64,
    from: Option<Party>,
    generation: u64,
    predecessor_dead: bool,
    source: usize,
    leaving: u64,
    parked: bool,
    orders: Orders,
    events: VecDeque<Event>,
    running: usize,
    workers: Vec<Work>,
    supervised: bool,
}

fn fault() -> Fault {
    Fault::peer("simulated", "as the seed wants it", "")
}

impl Process {
    /// Just started by the supervisor.
    pub fn spawned(party: Party, layout: u8, workers: usize) -> Self {
        Self {
            party,
            layout,
            table: usize::MAX,
            alive: true,
            stalled: 0,
            effects: 0,
            unfit: false,
            stage: Stage::Greeting,
            swap: 0,
            from: None,
            generation: 0,
            predecessor_dead: false,
            source: usize::MAX,
            leaving: 0,
            parked: false,
            orders: Orders::default(),
            events: VecDeque::new(),
            running: workers,
            workers: (0..workers).map(|at| if at == 0 { Work::Waiting } else { Work::Following }).collect(),
            supervised: true,
        }
    }

    /// The holder of a new region, from a cold start.
    pub fn founder(party: Party, layout: u8, workers: usize, region: &mut Region) -> Self {
        let generation = region.word.found(party).expect("nobody's yet");
        let serving = Work::Serving { generation, hand: 0, writing: false, until: 0 };
        let workers = vec![serving; workers];
        Self { table: 0, stage: Stage::Serving, workers, ..Self::spawned(party, layout, 1) }.with_all_running()
    }

    fn with_all_running(mut self) -> Self {
        self.running = self.workers.len();
        self
    }

    pub fn serves(&self) -> bool {
        self.alive && self.workers.iter().all(|work| matches!(work, Work::Serving { .. }))
    }

    /// Packets that it has received and not served.
    pub fn in_hand(&self) -> u64 {
        self.workers.iter().map(|work| if let Work::Serving { hand, .. } = work { *hand } else { 0 }).sum()
    }

    pub fn threads(&self) -> impl Iterator<Item = Thread> + use<> {
        std::iter::once(Thread::Main).chain((0..self.workers.len()).map(Thread::Worker))
    }

    /// The supervisor is gone.
    pub fn orphan(&mut self) {
        self.supervised = false;
    }

    /// What a thread does next; `mail` says when a message is there.
    pub fn due(&self, thread: Thread, mail: Option<Nanos>, region: &Region, now: Nanos) -> Due {
        let due = match thread {
            Thread::Main => self.main_due(mail, now),
            Thread::Worker(at) => self.worker_due(&self.workers[at], region, now),
        };
        match due {
            Due::Now(_) if self.stalled > now => Due::At(self.stalled),
            Due::At(at) => Due::At(at.max(self.stalled)),
            due => due,
        }
    }

    fn main_due(&self, mail: Option<Nanos>, now: Nanos) -> Due {
        if !self.events.is_empty() {
            return Due::Now("event");
        }
        match self.stage {
            Stage::Greeting => return Due::Now("hello"),
            Stage::Copying(_) => return Due::Now("copy"),
            Stage::Announcing => return Due::Now("ready"),
            _ => {}
        }
        if !self.supervised && (self.waiting() || (self.parked && !self.orders.stop)) {
            return Due::Now("orphaned");
        }
        match mail {
            Some(at) if at <= now => Due::Now("message"),
            Some(at) => Due::At(at),
            None => Due::At(NEVER),
        }
    }

    fn worker_due(&self, work: &Work, region: &Region, now: Nanos) -> Due {
        let asleep = |bell: u64, until: Nanos| bell == region.bell && until > now;
        match work {
            Work::Waiting | Work::Ended => Due::At(NEVER),
            Work::Following => match region.word.load() {
                OwnerState::Held { party, .. } if party == self.party => Due::Now("follow"),
                _ => Due::At(NEVER),
            },
            Work::Taking { half, bell, until } => match half.effect() {
                NewEffect::Wait(_) if *until == 0 => Due::Now("Wait"),
                NewEffect::Wait(_) if asleep(*bell, *until) => Due::At(*until),
                effect => Due::Now(new_name(effect)),
            },
            Work::Entering { .. } => Due::Now("enter"),
            Work::Serving { writing: true, .. } => Due::Now("written"),
            Work::Serving { hand: 1.., .. } => Due::Now("write"),
            Work::Serving { generation, until, .. } => {
                let wanted = region.waiting > 0 || self.asked(*generation, region).is_some() || self.orders.stop;
                if wanted || *until <= now { Due::Now("turn") } else { Due::At(*until) }
            }
            Work::Standing { half, bell, until } => match half.effect() {
                OldEffect::Sleep(_) if *until == 0 => Due::Now("Sleep"),
                OldEffect::Sleep(_) if asleep(*bell, *until) => Due::At(*until),
                effect => Due::Now(old_name(effect)),
            },
            Work::Parked if self.orders.stop => Due::Now("leave"),
            Work::Parked => Due::At(NEVER),
        }
    }

    /// Makes one step of a thread that is due; `message` is what it receives, if that is what is due.
    pub fn step(&mut self, thread: Thread, message: Option<Message>, context: &mut Context<'_>) {
        match (thread, message) {
            (Thread::Main, Some(message)) => self.message(message, context),
            (Thread::Main, None) => self.main(context),
            (Thread::Worker(at), _) => self.worker(at, context),
        }
    }

    /// A successor that has not begun the switch.
    fn waiting(&self) -> bool {
        !matches!(self.stage, Stage::Switching | Stage::Serving)
    }

    fn end(&mut self) {
        self.alive = false;
    }

    fn main(&mut self, context: &mut Context<'_>) {
        if let Some(event) = self.events.pop_front() {
            return self.event(event, context);
        }
        match self.stage {
            Stage::Greeting => {
                let hello =
                    Hello { protocol_min: 1, protocol_max: 1, pid: 1, version: String::new(), name: String::new() };
                context.out.push(Message::Hello(hello));
                self.stage = Stage::AwaitingWelcome;
            }
            Stage::Copying(passes) => {
                context.region.copy(self.source, self.table, false);
                self.stage = if passes > 1 { Stage::Copying(passes - 1) } else { Stage::Announcing };
            }
            Stage::Announcing => {
                context.out.push(descriptors(Reason::Own));
                let estimate_ns = if context.random.one_in(30) { 1 << 40 } else { 1000 };
                context.out.push(Message::Ready(Ready {
                    swap: self.swap,
                    estimate_ns,
                    dirty: 0,
                    converged: true,
                    tables: Vec::new(),
                    released: Vec::new(),
                }));
                self.stage = Stage::Prepared;
            }
            _ if self.waiting() => self.end(),
            _ => self.orders.stop = true,
        }
    }

    fn event(&mut self, event: Event, context: &mut Context<'_>) {
        match event {
            Event::TookOver => {
                self.stage = Stage::Serving;
                let activated = Activated { swap: self.swap, report: SwitchReport::default() };
                context.out.push(Message::Activated(activated));
                context.out.push(Message::Serving(Serving::default()));
            }
            Event::Undone => {
                context.out.push(Message::Undone(Undone { swap: self.swap, error: fault() }));
                self.end();
            }
            Event::Parked(generation) => {
                self.parked = true;
                context.out.push(Message::Parked(Parked { swap: self.leaving, generation }));
            }
            Event::Resumed => {
                self.orders.expected = None;
                context.out.push(Message::Resumed(Resumed { swap: self.leaving, error: fault() }));
            }
            Event::Stopped => {
                self.running -= 1;
                if self.running == 0 {
                    self.end();
                }
            }
        }
    }

    fn message(&mut self, message: Message, context: &mut Context<'_>) {
        match (self.stage, message) {
            (Stage::AwaitingWelcome, Message::Welcome(welcome)) => {
                (self.swap, self.predecessor_dead) = (welcome.swap, welcome.predecessor_dead);
                self.stage = Stage::AwaitingTables;
            }
            (Stage::AwaitingTables, Message::Descriptors(_)) => self.inherit(context),
            (Stage::AwaitingWelcome | Stage::AwaitingTables, Message::Abort(_) | Message::Stop(_)) => {
                context.out.push(Message::Refused(Refused { error: fault() }));
                self.end();
            }
            (_, Message::Donate(_)) if !self.waiting() => context.out.push(descriptors(Reason::Donate)),
            (_, Message::Expect(expect)) if !self.waiting() => {
                self.leaving = expect.swap;
                self.orders.expected = Party::new(expect.party).map(|party| (party, expect.quiesce_ns));
                context.out.push(Message::Expecting(Expecting { swap: expect.swap }));
            }
            (_, Message::Abort(_)) => {
                self.orders.expected = None;
                if self.waiting() {
                    self.end();
                }
            }
            (Stage::Prepared, Message::Proceed(proceed)) => {
                let from = self.from.expect("somebody to take over from");
                let sides = Sides { old: from, new: self.party, generation: self.generation };
                let half = TakeOver::new(sides, self.predecessor_dead, proceed.quiesce_ns);
                self.workers[0] = Work::Taking { half, bell: 0, until: 0 };
                self.stage = Stage::Switching;
            }
            (_, Message::Proceed(proceed)) if self.waiting() => {
                context.out.push(Message::Undone(Undone { swap: proceed.swap, error: fault() }));
                self.end();
            }
            (_, Message::Commit(_)) if self.parked || self.displaced(context.region) => self.orders.stop = true,
            (_, Message::Commit(_)) => context.out.push(Message::Fault(FaultNotice { error: fault() })),
            (_, Message::Stop(_)) => {
                context.out.push(Message::Stopping(Stopping {}));
                self.orders.stop = true;
                if self.waiting() {
                    self.end();
                }
            }
            _ => {}
        }
    }

    fn displaced(&self, region: &Region) -> bool {
        let by_other = matches!(region.word.load(), OwnerState::Held { party, .. } if party != self.party);
        self.stage == Stage::Serving && by_other
    }

    /// Attaches what was handed over.
    fn inherit(&mut self, context: &mut Context<'_>) {
        let region = &mut *context.region;
        let owner = region.word.load();
        let from = match owner {
            OwnerState::Held { party, .. } if party != self.party => Some(party),
            OwnerState::Offered { from, .. } if from != self.party && self.predecessor_dead => Some(from),
            _ => None,
        };
        let Some(from) = from.filter(|_| !self.unfit || context.random.one_in(2)) else {
            context.out.push(Message::Refused(Refused { error: fault() }));
            return self.end();
        };
        (self.from, self.generation) = (Some(from), owner.generation());
        self.source = region.current;
        self.table = self.source;
        if region.tables[self.source].layout != self.layout {
            region.tables.push(Table::empty(self.layout));
            self.table = region.tables.len() - 1;
        }
        self.stage = Stage::Copying(1 + context.random.below(3) as u32);
    }

    fn worker(&mut self, at: usize, context: &mut Context<'_>) {
        let (region, now) = (&mut *context.region, context.now);
        let work = self.workers[at];
        self.workers[at] = match work {
            Work::Waiting | Work::Ended => unreachable!("not due"),
            Work::Following => {
                Work::Serving { generation: region.word.load().generation(), hand: 0, writing: false, until: 0 }
            }
            Work::Entering { generation } => {
                let hand = region.take(self.party, 64);
                self.events.push_back(Event::TookOver);
                Work::Serving { generation, hand, writing: false, until: 0 }
            }
            Work::Taking { half, bell, until } => self.take_over(half, bell, until, context),
            Work::Serving { generation, hand, writing: true, until } => {
                region.written(self.party, at, self.table);
                Work::Serving { generation, hand: hand - 1, writing: false, until }
            }
            Work::Serving { generation, hand: hand @ 1.., until, .. } => {
                region.write(self.party, at, self.table);
                Work::Serving { generation, hand, writing: true, until }
            }
            Work::Serving { generation, .. } => self.turn(generation, context),
            Work::Standing { half, bell, until } => self.stand_down(at, half, bell, until, context),
            Work::Parked => {
                self.events.push_back(Event::Stopped);
                Work::Ended
            }
        };
        let _ = now;
    }

    /// Between two batches.
    fn turn(&mut self, generation: u64, context: &mut Context<'_>) -> Work {
        let (region, now) = (&mut *context.region, context.now);
        if self.orders.stop {
            self.events.push_back(Event::Stopped);
            return Work::Ended;
        }
        let serving = |generation, hand| Work::Serving { generation, hand, writing: false, until: now + IDLE };
        if let Some((sides, patience)) = self.asked(generation, region) {
            return Work::Standing { half: StandDown::new(sides, patience), bell: 0, until: 0 };
        }
        let hand = region.take(self.party, 1 + context.random.below(8));
        serving(generation, hand)
    }

    /// Whether a worker that serves as `generation` is asked to stop.
    fn asked(&self, generation: u64, region: &Region) -> Option<(Sides, Nanos)> {
        let Request { party, generation: wanted } = region.request?;
        let (_, patience) = self.orders.expected.filter(|(expected, _)| *expected == party)?;
        // Another worker of this process may have resumed meanwhile, under a later generation.
        let held = OwnerState::Held { party: self.party, generation: wanted };
        let sides = Sides { old: self.party, new: party, generation: wanted };
        (wanted == generation || region.word.load() == held).then_some((sides, patience))
    }

    fn stand_down(
        &mut self,
        at: usize,
        mut half: StandDown,
        bell: u64,
        until: Nanos,
        context: &mut Context<'_>,
    ) -> Work {
        let (region, now) = (&mut *context.region, context.now);
        let Sides { old, new, generation } = half.sides();
        let request = Request { party: new, generation };
        let step = |step: Result<u64, _>| OldTold::Stepped(step.ok());
        let (mut bell, mut asleep) = (bell, until);
        let told = match half.effect() {
            OldEffect::Finish => {
                // A receive that was armed again may take once more.
                if matches!(region.word.load(), OwnerState::Held { .. }) && context.random.one_in(3) {
                    for _ in 0..region.take(self.party, 2) {
                        region.write(self.party, at, self.table);
                        region.written(self.party, at, self.table);
                    }
                }
                OldTold::Finished { now }
            }
            OldEffect::Stop => OldTold::Stopped { all: region.stop(at, self.workers.len(), generation) },
            OldEffect::Offer => step(region.word.offer(old, new, generation).map(|()| generation)),
            OldEffect::Ring => {
                region.bell += 1;
                OldTold::Done
            }
            OldEffect::Look => {
                bell = region.bell;
                let (owner, wanted) = (region.word.load(), region.request == Some(request));
                OldTold::Seen { owner, wanted, ending: self.orders.stop, now }
            }
            OldEffect::Sleep(most) if asleep == 0 => {
                asleep = now + most;
                return Work::Standing { half, bell, until: asleep };
            }
            OldEffect::Sleep(_) => {
                asleep = 0;
                OldTold::Done
            }
            OldEffect::Forget => {
                region.request = None;
                OldTold::Done
            }
            OldEffect::Withdraw => step(region.word.withdraw(old, new, generation)),
            OldEffect::Renew => step(region.word.renew(old, generation)),
            OldEffect::End(StoodDown::Parked(generation)) => {
                self.events.push_back(Event::Parked(generation));
                return Work::Parked;
            }
            OldEffect::End(StoodDown::Resumed(generation)) => {
                self.events.push_back(Event::Resumed);
                return Work::Serving { generation, hand: 0, writing: false, until: 0 };
            }
        };
        half.step(told);
        Work::Standing { half, bell, until: asleep }
    }

    fn take_over(&mut self, mut half: TakeOver, bell: u64, until: Nanos, context: &mut Context<'_>) -> Work {
        let (region, now) = (&mut *context.region, context.now);
        let Sides { old, new, generation } = half.sides();
        let (mut bell, mut asleep) = (bell, until);
        let step = |step: Result<u64, shm_state::owner::Lost>| NewTold::Stepped(step.map_err(|lost| lost.0));
        let told = match half.effect() {
            NewEffect::TopUp => {
                region.copy(self.source, self.table, false);
                NewTold::Done
            }
            NewEffect::Ask => {
                region.request = Some(Request { party: new, generation });
                NewTold::Asked { now }
            }
            NewEffect::Look => {
                bell = region.bell;
                NewTold::Seen { owner: region.word.load(), now }
            }
            NewEffect::Wait(most) if asleep == 0 => {
                asleep = now + most;
                return Work::Taking { half, bell, until: asleep };
            }
            NewEffect::Wait(_) => {
                asleep = 0;
                NewTold::Done
            }
            NewEffect::Repair => {
                if region.word.load().holder() == Some(old) {
                    region.repair(self.source);
                }
                NewTold::Done
            }
            NewEffect::Translate if self.unfit => NewTold::Refused,
            NewEffect::Translate => {
                region.copy(self.source, self.table, true);
                NewTold::Done
            }
            NewEffect::Claim => step(region.word.claim(old, new, generation)),
            NewEffect::Inherit => step(region.word.inherit(old, new)),
            NewEffect::Forget => {
                region.request = None;
                NewTold::Done
            }
            NewEffect::Ring => {
                region.bell += 1;
                NewTold::Done
            }
            NewEffect::End(Ok(won)) => return Work::Entering { generation: won.generation },
            NewEffect::End(Err(_)) => {
                self.events.push_back(Event::Undone);
                return Work::Ended;
            }
        };
        if matches!(half.effect(), NewEffect::Claim | NewEffect::Inherit) && matches!(told, NewTold::Stepped(Ok(_))) {
            region.current = self.table;
        }
        half.step(told);
        Work::Taking { half, bell, until: asleep }
    }
}

fn descriptors(reason: Reason) -> Message {
    Message::Descriptors(Descriptors { batch: Vec::new(), last: true, reason })
}

fn old_name(effect: OldEffect) -> &'static str {
    match effect {
        OldEffect::Finish => "Finish",
        OldEffect::Stop => "Stop",
        OldEffect::Offer => "Offer",
        OldEffect::Ring => "Ring",
        OldEffect::Look => "Look",
        OldEffect::Sleep(_) => "Sleep",
        OldEffect::Forget => "Forget",
        OldEffect::Withdraw => "Withdraw",
        OldEffect::Renew => "Renew",
        OldEffect::End(_) => "End",
    }
}

fn new_name(effect: NewEffect) -> &'static str {
    match effect {
        NewEffect::TopUp => "TopUp",
        NewEffect::Ask => "Ask",
        NewEffect::Look => "Look",
        NewEffect::Wait(_) => "Wait",
        NewEffect::Repair => "Repair",
        NewEffect::Translate => "Translate",
        NewEffect::Claim => "Claim",
        NewEffect::Inherit => "Inherit",
        NewEffect::Forget => "Forget",
        NewEffect::Ring => "Ring",
        NewEffect::End(_) => "End",
    }
}
