//! controld's state, and the one place where the machine is stepped.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Instant;

use handover::machine::{Event, Limit, Machine, State, Truth};
use shm_state::owner::OwnerState;

use super::child::Child;
use super::clients::{ClientId, Clients};
use super::holdings::Holdings;
use super::launch::Launch;
use super::raw::ControlSlot;
use super::reports::Reports;
use super::runfile::RunFile;
use super::swap_run::SwapRun;
use crate::config::Config;
use crate::exit;
use crate::protocol::{self, SwapRequest};
use crate::verify::Binary;

/// Highest party number.
const PARTY_MAX: u8 = 254;

/// Swaps since this supervisor was started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub(super) committed: u64,
    pub(super) undone: u64,
    pub(super) refused: u64,
}

/// The supervisor. See [`super::event_loop`] for what drives it.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) config: Config,
    pub(super) slot: ControlSlot,
    pub(super) clients: Clients,
    pub(super) reports: Reports,
    pub(super) runfile: RunFile,
    pub(super) machine: Machine,
    /// Every process that is not reaped, and the dead ones that are still needed, by party number.
    pub(super) children: BTreeMap<u8, Child>,
    /// The one that served before the swap, or serves if there is none.
    pub(super) current: Option<u8>,
    /// The new one of the swap.
    pub(super) next: Option<u8>,
    pub(super) launch: Option<Launch>,
    pub(super) swap: Option<SwapRun>,
    /// Requests that wait for the swap under way.
    pub(super) held: VecDeque<(ClientId, SwapRequest)>,
    /// The request that is being judged.
    pub(super) asking: Option<(ClientId, SwapRequest)>,
    pub(super) counts: Counts,
    /// Failed starts in a row.
    pub(super) failures: u32,
    pub(super) timer: Option<(Instant, Limit)>,
    pub(super) leave_dataplane: bool,
    pub(super) stop_asked: bool,
    /// Clients that wait for the end.
    pub(super) stop_clients: Vec<ClientId>,
    /// Dataplanes are being ended; when they are killed.
    pub(super) stopping: Option<Instant>,
    /// The supervisor ends with this code.
    pub(super) over: Option<u8>,
    pending: VecDeque<Event>,
    stepping: bool,
    last_party: u8,
}

impl Supervisor {
    /// A supervisor with everything that must be there before a dataplane is started.
    ///
    /// # Errors
    /// With path and remedy in its text.
    pub fn new(config: Config, slot: ControlSlot, leave_dataplane: bool) -> io::Result<Self> {
        let runfile = RunFile::new(&config.state_dir);
        if let Some(running) = runfile.alive() {
            return Err(io::Error::other(format!(
                "dataplane {} (pid {}) is still running; it cannot be adopted: end it with `kill {}` first",
                running.binary, running.pid, running.pid
            )));
        }
        let reports = Reports::open(&config.state_dir)
            .map_err(|e| io::Error::new(e.kind(), format!("state directory {}: {e}", config.state_dir.display())))?;
        let clients = Clients::bind(&config.socket)?;
        Ok(Self {
            config,
            slot,
            clients,
            reports,
            runfile,
            machine: Machine::new(),
            children: BTreeMap::new(),
            current: None,
            next: None,
            launch: None,
            swap: None,
            held: VecDeque::new(),
            asking: None,
            counts: Counts::default(),
            failures: 0,
            timer: None,
            leave_dataplane,
            stop_asked: false,
            stop_clients: Vec::new(),
            stopping: None,
            over: None,
            pending: VecDeque::new(),
            stepping: false,
            last_party: 0,
        })
    }

    /// Takes an event to the machine and carries out what it asks for, and so on with the events that follow from that.
    pub(super) fn feed(&mut self, event: Event) {
        self.pending.push_back(event);
        if self.stepping {
            return;
        }
        self.stepping = true;
        while let Some(event) = self.pending.pop_front() {
            let before = self.machine.state();
            let actions = self.machine.step(event);
            let after = self.machine.state();
            tracing::debug!(%before, %event, %after, "step");
            if after != before {
                self.entered(after);
            }
            for action in actions {
                self.carry_out(action, before, event);
            }
        }
        self.stepping = false;
        self.sweep();
    }

    /// The machine is in another state.
    fn entered(&mut self, state: State) {
        if state == State::Probation
            && let Some(new) = self.next
        {
            self.note_running(new);
        }
        let Some(swap) = &mut self.swap else { return };
        if state.in_swap() && swap.enter(state) {
            tracing::info!(swap = swap.id, phase = swap.phase(), "swap");
            let event = protocol::Event::Phase { swap: swap.id, phase: swap.phase().to_owned() };
            self.clients.tell(swap.client, &event);
        }
    }

    /// Whether the new process of the swap holds the owner word now.
    pub(super) fn truth(&self) -> Truth {
        let holds = |party: u8| self.held_by() == Some(party);
        if self.next.is_some_and(holds) { Truth::Won } else { Truth::NotWon }
    }

    /// Who holds the owner word now, offered or not.
    pub(super) fn held_by(&self) -> Option<u8> {
        let children = [self.current, self.next].into_iter().flatten().filter_map(|party| self.children.get(&party));
        let owner = children.filter(|child| !child.holdings.is_empty()).map(|child| child.holdings.owner()).next()?;
        match owner {
            Ok(OwnerState::Held { party, .. } | OwnerState::Offered { from: party, .. }) => Some(party.number()),
            Ok(other) => {
                tracing::error!(?other, "nobody holds the owner word");
                None
            }
            Err(fault) => {
                tracing::error!(%fault, "the owner word cannot be read");
                None
            }
        }
    }

    /// The process that serves, as far as is known.
    pub(super) fn serving(&self) -> Option<&Child> {
        let party = match self.machine.state() {
            State::Probation | State::Committing => self.next.or(self.current),
            _ => self.current,
        };
        self.children.get(&party?)
    }

    pub(super) fn old(&mut self) -> Option<&mut Child> {
        self.children.get_mut(&self.current?)
    }

    pub(super) fn new_child(&mut self) -> Option<&mut Child> {
        self.children.get_mut(&self.next?)
    }

    /// Descriptors of the process that served before the swap.
    pub(super) fn old_holdings(&self) -> Holdings {
        self.current.and_then(|party| self.children.get(&party)).map(|c| c.holdings.clone()).unwrap_or_default()
    }

    /// Starts a process under a party number that no living one has.
    pub(super) fn spawn(&mut self, binary: &Binary, cpus: &[usize]) -> io::Result<u8> {
        let free = |party: &u8| !self.children.contains_key(party);
        let after = (1..=PARTY_MAX).map(|n| ((u16::from(self.last_party) + u16::from(n) - 1) % 254 + 1) as u8);
        let party = after.clone().find(free).ok_or_else(|| io::Error::other("254 dataplanes are running"))?;
        let child = Child::spawn(&mut self.slot, &self.config, binary, party, cpus)?;
        tracing::info!(pid = child.pid, party, binary = %binary.path.display(), "dataplane started");
        self.last_party = party;
        self.children.insert(party, child);
        Ok(party)
    }

    /// Writes down which process serves, for a supervisor that is started beside it.
    pub(super) fn note_running(&self, party: u8) {
        let Some(child) = self.children.get(&party) else { return };
        if let Err(error) = self.runfile.write(child.pid, party, &child.binary.path) {
            tracing::error!(file = %self.runfile.path().display(), %error, "cannot note the running dataplane");
        }
    }

    /// Forgets the dead that nobody needs any more.
    pub(super) fn sweep(&mut self) {
        let needed = [self.current, self.next, self.launch.as_ref().map(Launch::party)];
        self.children.retain(|party, child| child.exit.is_none() || needed.contains(&Some(*party)));
        if self.stopping.is_some() && self.children.values().all(|child| child.exit.is_some()) {
            self.runfile.remove();
            self.over.get_or_insert(exit::OK);
        }
    }

    /// A process has ended: its last messages first, then its death.
    pub(super) fn on_exit(&mut self, party: u8) {
        self.on_mail(party);
        let Some(child) = self.children.get_mut(&party) else { return };
        if !child.reap() {
            return;
        }
        let (pid, how) = (child.pid, child.exit_text());
        if self.stopping.is_some() {
            tracing::info!(pid, how, "dataplane ended");
        } else if self.launch.as_ref().is_some_and(|launch| launch.party() == party) {
            self.launch_died(how);
        } else if self.next == Some(party) {
            tracing::warn!(pid, how, "the new dataplane ended");
            if let Some(swap) = &mut self.swap {
                swap.detail = format!("pid {pid}, {how}");
            }
            self.feed(Event::NewDied(self.truth()));
        } else if self.current == Some(party) {
            match self.machine.state() {
                State::Committing => tracing::info!(pid, how, "the old dataplane ended"),
                _ => tracing::error!(pid, how, "THE DATAPLANE DIED"),
            }
            if let Some(swap) = &mut self.swap {
                swap.detail = format!("pid {pid}, {how}");
            }
            self.feed(Event::OldDied(self.truth()));
        }
        self.sweep();
        self.launch_after(party);
    }
}
