//! Time, chance, and who moves next.

use std::collections::BTreeMap;

use handover::messages::{Activated, Message, Ready, Resumed, SwitchReport, Undone};
use handover::switch::Nanos;
use shm_state::owner::{OwnerState, Party};

use super::dataplane::{Context, Due, Process, Thread};
use super::faults::{Blow, Fault, Victim};
use super::network::{Network, Weather};
use super::random::Random;
use super::region::{NEVER, Region};
use super::supervisor::{Order, Request, Supervisor, TAKEOVERS};
use super::tally::Tally;

const MS: Nanos = 1_000_000;
/// Steps in which faults may happen and swaps are asked for.
const TROUBLED: u64 = 1500;
/// Steps within which everything has to come to rest afterwards.
const SETTLING: u64 = 60_000;
const WORKERS_MAX: u64 = 3;
/// Steps of a worker that serves packets.
const SERVICE: [&str; 3] = ["turn", "write", "written"];

pub struct World {
    random: Random,
    now: Nanos,
    steps: u64,
    region: Region,
    supervisor: Supervisor,
    processes: BTreeMap<u8, Process>,
    network: Network,
    /// Deaths that the supervisor has not heard of.
    dead: Vec<(Nanos, u8)>,
    faults: Vec<Fault>,
    /// Effects of each process when the swap under way was asked for.
    since: BTreeMap<u8, u64>,
    supervisor_since: u64,
    /// Packets go on arriving.
    traffic: bool,
    next_packet: Nanos,
    next_request: Nanos,
    requests: u64,
    tally: Tally,
    told: bool,
    /// Blows that struck, and processes that were unfit.
    troubles: u32,
}

/// Who can make a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Actor {
    Supervisor(&'static str),
    Thread(u8, Thread, &'static str),
}

impl World {
    pub fn new(mut random: Random, told: bool) -> Self {
        let workers = 1 + random.below(WORKERS_MAX) as usize;
        let mut region = Region::new(1);
        let first = Party::new(1).expect("a party");
        let founder = Process::founder(first, 1, workers, &mut region);
        let weather = random.pick(&[Weather::Fair, Weather::Fair, Weather::Slow, Weather::Foul]);
        let count = random.below(9);
        let faults = (0..count).map(|_| Fault::plan(&mut random)).collect();
        Self {
            now: 1_000_000,
            steps: 0,
            region,
            supervisor: Supervisor::beside(1, 1),
            processes: BTreeMap::from([(1, founder)]),
            network: Network::new(weather),
            dead: Vec::new(),
            faults,
            since: BTreeMap::new(),
            supervisor_since: 0,
            traffic: true,
            next_packet: 0,
            next_request: MS,
            requests: 1 + random.below(4),
            tally: Tally::default(),
            told,
            troubles: 0,
            random,
        }
    }

    /// A life: trouble, then peace.
    pub fn run(&mut self) {
        while self.steps < TROUBLED && (self.requests > 0 || !self.supervisor.is_quiet()) && self.supervisor.alive {
            self.step();
        }
        self.faults.clear();
        self.requests = 0;
        self.network.weather = Weather::Fair;
        let until = self.steps + SETTLING;
        while !self.at_rest() {
            assert!(self.steps < until, "no rest: {}", self.describe());
            self.step();
        }
        self.judge();
    }

    pub fn into_tally(mut self) -> Tally {
        self.tally.world(self.steps, self.region.served, self.region.fallen);
        self.tally.network.insert("doubled", self.network.doubled);
        self.tally.network.insert("dropped", self.network.dropped);
        self.tally.network.insert("overtaken", self.network.overtaken);
        self.tally
    }

    fn at_rest(&self) -> bool {
        if self.supervisor.alive && !self.supervisor.is_quiet() && !self.supervisor.has_ended() {
            return false;
        }
        let messages = self.processes.keys().any(|&party| self.network.is_expecting(Some(party), None));
        let alive: Vec<&Process> = self.processes.values().filter(|process| process.alive).collect();
        let settled = alive.iter().all(|process| process.serves()) && alive.len() <= 1;
        let heard = !self.supervisor.alive || (self.dead.is_empty() && !messages);
        heard && settled && (alive.is_empty() || self.region.waiting == 0)
    }

    /// Everything is over: what must be.
    fn judge(&mut self) {
        let serving: Vec<Party> = self.processes.values().filter(|p| p.serves()).map(|p| p.party).collect();
        if self.supervisor.alive {
            let Supervisor { begun, verdicts, .. } = &self.supervisor;
            assert_eq!(*begun, verdicts.len() as u64, "each swap ends once: {}", self.describe());
            let expected = usize::from(!self.supervisor.has_ended());
            assert_eq!(serving.len(), expected, "one process serves: {}", self.describe());
        }
        for verdict in std::mem::take(&mut self.supervisor.verdicts) {
            self.tally.verdict(verdict);
        }
        if let [party] = serving[..] {
            let holds = matches!(self.region.word.load(), OwnerState::Held { party: holder, .. } if holder == party);
            assert!(holds, "{}", self.describe());
            assert_eq!(self.region.waiting, 0);
        }
    }

    fn describe(&self) -> String {
        let processes: Vec<String> =
            self.processes.values().filter(|p| p.alive).map(|process| format!("{process:?}")).collect();
        format!(
            "step {}, {} ns, supervisor {} ({}), word {:?}, {} packets wait\n{}",
            self.steps,
            self.now,
            self.supervisor.machine.state(),
            if self.supervisor.alive { "alive" } else { "dead" },
            self.region.word.load(),
            self.region.waiting,
            processes.join("\n")
        )
    }

    fn step(&mut self) {
        self.steps += 1;
        self.now += self.random.below(3000);
        self.outside();
        let actors = self.actors();
        if actors.is_empty() {
            return self.sleep();
        }
        let actor = actors[self.random.below(actors.len() as u64) as usize];
        if self.struck(actor) {
            return;
        }
        if self.told {
            println!("{:>12} {actor:?} {}", self.now, self.supervisor.machine.state());
        }
        match actor {
            Actor::Supervisor(_) => self.supervise(),
            Actor::Thread(party, thread, what) => {
                // Packets are many, and no step of a swap.
                self.steps -= u64::from(SERVICE.contains(&what));
                let process = self.processes.get_mut(&party).expect("it acts");
                process.effects += u64::from(!SERVICE.contains(&what));
                self.process(party, thread);
            }
        }
        self.region.check();
    }

    /// Packets and operators.
    fn outside(&mut self) {
        if self.traffic && self.next_packet <= self.now {
            self.region.waiting += 1 + self.random.below(3);
            self.next_packet = self.now + self.random.micros(0, if self.requests > 0 { 8 } else { 16 });
        }
        if self.requests > 0 && self.next_request <= self.now && self.supervisor.alive {
            self.requests -= 1;
            self.next_request = self.now + self.random.micros(5, 20);
            if self.random.one_in(40) {
                return self.supervisor.ask_stop();
            }
            let layout = 1 + self.random.below(3) as u8;
            let (commit_now, steal) = (self.random.one_in(3), self.random.one_in(4));
            self.supervisor.ask(Request { layout, commit_now, steal });
            self.since = self.processes.iter().map(|(&party, process)| (party, process.effects)).collect();
            self.supervisor_since = self.supervisor.effects;
        }
        // In the end the packets stop, so that it can be seen that none is left.
        self.traffic = (self.requests > 0 || !self.supervisor.is_quiet()) && self.supervisor.alive;
    }

    fn actors(&self) -> Vec<Actor> {
        let mut actors = Vec::new();
        let supervisor = &self.supervisor;
        if supervisor.alive && supervisor.stalled <= self.now {
            if let Some(what) = supervisor.busy() {
                actors.push(Actor::Supervisor(what));
            } else if supervisor.next_deadline().is_some_and(|at| at <= self.now) {
                actors.push(Actor::Supervisor("time"));
            } else if self.network.next_due(None).is_some_and(|at| at <= self.now) {
                actors.push(Actor::Supervisor("hear"));
            } else if self.dead.iter().any(|(at, _)| *at <= self.now) {
                actors.push(Actor::Supervisor("reap"));
            }
        }
        for (&party, process) in self.processes.iter().filter(|(_, process)| process.alive) {
            let mail = self.network.next_due(Some(party));
            for thread in process.threads() {
                if let Due::Now(what) = process.due(thread, mail, &self.region, self.now) {
                    actors.push(Actor::Thread(party, thread, what));
                }
            }
        }
        actors
    }

    /// Nobody has anything to do: time passes until somebody has.
    fn sleep(&mut self) {
        let mut next = NEVER;
        let supervisor = &self.supervisor;
        if supervisor.alive {
            let mail = self.network.next_due(None);
            let death = self.dead.iter().map(|(at, _)| *at).min();
            let wake = [supervisor.next_deadline(), mail, death].into_iter().flatten().min();
            next = next.min(wake.unwrap_or(NEVER).max(supervisor.stalled));
        }
        for (&party, process) in self.processes.iter().filter(|(_, process)| process.alive) {
            let mail = self.network.next_due(Some(party));
            for thread in process.threads() {
                if let Due::At(at) = process.due(thread, mail, &self.region, self.now) {
                    next = next.min(at);
                }
            }
        }
        if self.traffic {
            next = next.min(self.next_packet);
        }
        if self.requests > 0 && self.supervisor.alive {
            next = next.min(self.next_request);
        }
        assert!(next != NEVER || self.at_rest(), "nobody will ever move again: {}", self.describe());
        self.now = self.now.max(next.min(self.now + 100_000 * MS));
    }

    /// Whether a fault strikes right before this step; the step is not made then.
    fn struck(&mut self, actor: Actor) -> bool {
        if self.since.is_empty() {
            return false;
        }
        let holder = self.region.holder().map(|(party, _)| party.number());
        let (victim, count, effect) = match actor {
            Actor::Supervisor(what) => (Victim::Supervisor, self.supervisor.effects - self.supervisor_since, what),
            Actor::Thread(party, _, what) => {
                let since = self.since.get(&party).copied().unwrap_or(0);
                let victim = if holder == Some(party) { Victim::Holder } else { Victim::Other };
                (victim, self.processes[&party].effects - since, what)
            }
        };
        let serving = SERVICE.contains(&effect);
        let due = |fault: &Fault| fault.victim == victim && fault.after <= count && fault.serving == serving;
        let Some(at) = self.faults.iter().position(due) else { return false };
        let Fault { blow, .. } = self.faults.remove(at);
        self.tally.fault(blow.name(), effect);
        self.troubles += 1;
        if self.told {
            println!("{:>12} {blow:?} before {actor:?}", self.now);
        }
        match (actor, blow) {
            (Actor::Supervisor(_), Blow::Stall(time)) => self.supervisor.stalled = self.now + time,
            (Actor::Supervisor(_), _) => self.end_supervisor(),
            (Actor::Thread(party, ..), Blow::Kill) => self.kill(party),
            (Actor::Thread(party, ..), Blow::Stall(time)) => {
                self.processes.get_mut(&party).expect("it acts").stalled = self.now + time;
            }
            (Actor::Thread(party, ..), Blow::Garbage) => self.supervisor.hear_garbage(party),
            (Actor::Thread(party, ..), Blow::Lie(which)) => self.lie(party, which),
        }
        true
    }

    fn lie(&mut self, party: u8, which: u64) {
        let swap = self.supervisor.begun;
        let error = || handover::messages::Fault::peer("simulated", "a lie", "");
        let message = match which {
            0 => Message::Activated(Activated { swap, report: SwitchReport::default() }),
            1 => Message::Undone(Undone { swap, error: error() }),
            2 => Message::Resumed(Resumed { swap, error: error() }),
            _ => Message::Ready(Ready {
                swap,
                estimate_ns: 1,
                dirty: 0,
                converged: true,
                tables: Vec::new(),
                released: Vec::new(),
            }),
        };
        self.network.send(Some(party), None, message, self.now, &mut self.random);
    }

    fn kill(&mut self, party: u8) {
        let Some(process) = self.processes.get_mut(&party).filter(|process| process.alive) else { return };
        process.alive = false;
        self.region.fallen += process.in_hand();
        self.buried(party);
    }

    /// A process is dead: the kernel tells the supervisor.
    fn buried(&mut self, party: u8) {
        self.network.forget(Some(party));
        self.dead.push((self.now + self.random.micros(1, 10), party));
    }

    fn end_supervisor(&mut self) {
        self.supervisor.alive = false;
        self.network.forget(None);
        self.processes.values_mut().for_each(Process::orphan);
    }

    fn process(&mut self, party: u8, thread: Thread) {
        let process = self.processes.get_mut(&party).expect("it acts");
        let message = match thread {
            // Events of its own come first.
            Thread::Main if process.due(thread, Some(0), &self.region, self.now) == Due::Now("message") => {
                match self.network.receive(None, Some(party), self.now, &mut self.random) {
                    Some(message) => Some(message),
                    None => return,
                }
            }
            _ => None,
        };
        let mut out = Vec::new();
        let (region, random, now) = (&mut self.region, &mut self.random, self.now);
        process.step(thread, message, &mut Context { region, random, now, out: &mut out });
        let ended = !process.alive;
        if ended {
            self.region.fallen += process.in_hand();
        }
        if self.supervisor.alive {
            for message in out {
                self.network.send(Some(party), None, message, self.now, &mut self.random);
            }
        }
        if ended {
            self.buried(party);
        }
    }

    fn supervise(&mut self) {
        let (region, now) = (&self.region, self.now);
        let mut orders = Vec::new();
        if self.supervisor.busy().is_some() {
            self.supervisor.step(region, now, &mut orders);
        } else if self.supervisor.next_deadline().is_some_and(|at| at <= now) {
            self.supervisor.on_time(region, now, &mut orders);
        } else if !self.hear(&mut orders)
            && let Some(at) = self.dead.iter().position(|(at, _)| *at <= now)
        {
            // Last words are heard first.
            let (_, party) = self.dead[at];
            match self.network.receive(Some(party), None, NEVER, &mut self.random) {
                Some(message) => self.supervisor.hear(party, message, &self.region, now, &mut orders),
                None => {
                    self.dead.remove(at);
                    self.supervisor.reap(party, &self.region, now, &mut orders);
                }
            }
        }
        for order in orders {
            self.obey(order);
        }
    }

    fn hear(&mut self, orders: &mut Vec<Order>) -> bool {
        let parties: Vec<u8> = self.processes.keys().copied().collect();
        let start = self.random.below(parties.len() as u64) as usize;
        for party in parties[start..].iter().chain(&parties[..start]) {
            if let Some(message) = self.network.receive(Some(*party), None, self.now, &mut self.random) {
                self.supervisor.hear(*party, message, &self.region, self.now, orders);
                return true;
            }
        }
        false
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Spawn { party, layout } => {
                let workers = 1 + self.random.below(WORKERS_MAX) as usize;
                let id = Party::new(party).expect("a party");
                let mut process = Process::spawned(id, layout, workers);
                process.unfit = !self.faults.is_empty() && self.random.one_in(12);
                self.troubles += u32::from(process.unfit);
                self.since.insert(party, 0);
                self.processes.insert(party, process);
            }
            Order::Send { to, message } => {
                if self.processes.get(&to).is_some_and(|process| process.alive) {
                    self.network.send(None, Some(to), message, self.now, &mut self.random);
                }
            }
            Order::Kill(party) => self.kill(party),
            Order::ColdStart { party, layout } => {
                // One death, and every attempt to take its region over.
                assert!(self.troubles > TAKEOVERS, "everything is given up: {}", self.describe());
                self.tally.cold_start();
                assert!(self.processes.values().all(|process| !process.alive), "{}", self.describe());
                self.region.lose(layout);
                let id = Party::new(party).expect("a party");
                self.processes.insert(party, Process::founder(id, layout, 1, &mut self.region));
            }
        }
    }
}
