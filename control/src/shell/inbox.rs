//! Messages of dataplanes, turned into events.

use std::os::fd::OwnedFd;

use handover::channel::{ChannelError, Received};
use handover::machine::{Event, Heard, hear_new, hear_old};
use handover::messages::{Descriptors, Fault, FaultNotice, Hello, Message, Ready, Reason};
use handover::negotiate::{PROTOCOL_MAX, PROTOCOL_MIN, agree};

use super::supervisor::Supervisor;
use crate::protocol;

/// Which part a process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Old,
    New,
    Launched,
    Leaving,
}

impl Supervisor {
    /// Takes every message that a process has sent.
    pub(super) fn on_mail(&mut self, party: u8) {
        while let Some(received) = self.children.get_mut(&party).and_then(|child| child.receive()) {
            match received {
                Ok(Received::Message { message, fds }) => self.on_message(party, message, fds),
                Ok(Received::Unknown { type_name }) => {
                    tracing::warn!(party, type_name, "unknown message");
                    self.complain(
                        party,
                        Fault::peer("unknown-message", format!("message type \"{type_name}\" is not known here"), ""),
                    );
                }
                Err(error) => self.on_bad_mail(party, &error),
            }
        }
    }

    fn on_bad_mail(&mut self, party: u8, error: &ChannelError) {
        tracing::warn!(party, %error, "bad message");
        let fault = Fault::peer("bad-message", error.to_string(), "use dataplane and controld of matching releases");
        self.complain(party, fault.clone());
        match self.part(party) {
            Part::New => {
                self.say(fault);
                self.feed(Event::NewFaulty);
            }
            Part::Old => {
                self.say(fault);
                self.feed(Event::OldFaulty);
            }
            Part::Launched | Part::Leaving => {}
        }
    }

    fn part(&self, party: u8) -> Part {
        if self.launch.as_ref().is_some_and(|launch| launch.party() == party) {
            Part::Launched
        } else if self.next == Some(party) {
            Part::New
        } else if self.current == Some(party) {
            Part::Old
        } else {
            Part::Leaving
        }
    }

    fn complain(&mut self, party: u8, error: Fault) {
        if let Some(child) = self.children.get_mut(&party) {
            child.send(Message::Fault(FaultNotice { error }));
        }
    }

    /// Keeps what a process said about its failure.
    fn say(&mut self, fault: Fault) {
        if let Some(swap) = &mut self.swap {
            swap.words = Some(fault);
        }
    }

    fn on_message(&mut self, party: u8, message: Message, fds: Vec<OwnedFd>) {
        tracing::trace!(party, message = message.type_name(), "message");
        let part = self.part(party);
        if part == Part::Launched {
            return self.launch_message(message, fds);
        }
        let id = self.swap.as_ref().map_or(0, |swap| swap.id);
        let heard = match part {
            Part::New => hear_new(&message, id, self.truth(), self.affordable(&message)),
            _ => hear_old(&message, id, self.truth()),
        };
        match heard {
            Heard::Stale => tracing::debug!(party, message = message.type_name(), "about another swap"),
            Heard::OutOfPlace => {
                tracing::warn!(party, message = message.type_name(), "not for this process to say");
            }
            Heard::Shell => self.on_shell_message(part, party, message, fds),
            Heard::Event(_) if part == Part::Leaving => {}
            Heard::Event(event) => {
                self.remember(message);
                self.feed(event);
            }
        }
    }

    /// Whether the expected blackout is within the budget; keeps the words for the refusal if not.
    fn affordable(&mut self, message: &Message) -> bool {
        let Message::Ready(Ready { estimate_ns, dirty, converged, .. }) = message else { return true };
        let budget_ns = u64::try_from(self.config.blackout_budget.as_nanos()).unwrap_or(u64::MAX);
        let Some(swap) = &mut self.swap else { return true };
        if *estimate_ns <= budget_ns || swap.request.force_budget {
            return true;
        }
        let why = if *converged {
            String::new()
        } else {
            format!(
                ": the running dataplane changes records as fast as they can be copied, {dirty} slots are always left"
            )
        };
        let (estimate, budget) = (estimate_ns / 1000, budget_ns / 1000);
        swap.words = Some(Fault::operator(
            "over-budget",
            format!("the expected blackout of {estimate} µs is over the budget of {budget} µs{why}"),
            "raise [control] blackout_budget, swap when there is less traffic, or use --force-budget",
        ));
        false
    }

    /// Keeps what a message tells beside its event, and passes it on to whoever asked for the swap.
    fn remember(&mut self, message: Message) {
        if let Message::Ready(ready) = &message
            && let Some(new) = self.new_child()
        {
            new.holdings = new.holdings.without(&ready.released);
        }
        let Some(swap) = &mut self.swap else { return };
        let event = match message {
            Message::Progress(progress) => Some(protocol::Event::Progress(progress)),
            Message::Ready(ready) => {
                let event = protocol::Event::Ready { estimate_ns: ready.estimate_ns, dirty: ready.dirty };
                swap.ready(ready);
                Some(event)
            }
            Message::Activated(activated) => {
                let event = protocol::Event::Switched { blackout_ns: activated.report.blackout_ns };
                swap.activated(activated.report);
                Some(event)
            }
            Message::Refused(refused) => {
                swap.words = Some(refused.error);
                None
            }
            Message::Undone(undone) => {
                swap.words = Some(undone.error);
                None
            }
            Message::Resumed(resumed) => {
                swap.words = Some(resumed.error);
                None
            }
            _ => None,
        };
        if let Some(event) = event {
            self.clients.tell(swap.client, &event);
        }
    }

    fn on_shell_message(&mut self, part: Part, party: u8, message: Message, fds: Vec<OwnedFd>) {
        match message {
            Message::Hello(hello) if part == Part::New => self.on_hello(party, hello),
            Message::Descriptors(descriptors) => self.on_descriptors(part, party, descriptors, fds),
            Message::Serving(serving) => {
                for warning in &serving.warnings {
                    tracing::warn!(party, warning, "dataplane");
                }
                if let Some(child) = self.children.get_mut(&party) {
                    child.serving = serving;
                }
            }
            Message::Recovered(recovered) => {
                if let Some(child) = self.children.get_mut(&party) {
                    child.has_recovered(recovered);
                }
            }
            Message::Stopping(_) => tracing::info!(party, "dataplane ends"),
            Message::Fault(FaultNotice { error }) => {
                tracing::warn!(party, %error, "dataplane");
                if part == Part::Old {
                    self.say(error);
                    // Only a process that was asked for its descriptors can fail at giving them.
                    self.feed(Event::CollectFailed);
                }
            }
            other => tracing::warn!(party, message = other.type_name(), "message out of place"),
        }
    }

    fn on_hello(&mut self, party: u8, hello: Hello) {
        let Some(child) = self.children.get_mut(&party) else { return };
        let agreed = check_hello(child.pid, &hello);
        child.hello = Some(hello);
        let Some(swap) = &mut self.swap else { return };
        swap.met(child);
        match agreed {
            Ok(protocol) => {
                swap.protocol = protocol;
                self.feed(Event::Hello);
            }
            Err(fault) => {
                swap.words = Some(fault);
                self.feed(Event::HelloRefused);
            }
        }
    }

    fn on_descriptors(&mut self, part: Part, party: u8, descriptors: Descriptors, fds: Vec<OwnedFd>) {
        let reason = descriptors.reason;
        let old = self.old_holdings();
        let Some(child) = self.children.get_mut(&party) else { return };
        match child.collector.add(descriptors, fds) {
            Ok(None) => {}
            Ok(Some(list)) => match (part, reason) {
                (Part::Old, Reason::Donate) => {
                    child.holdings = child.holdings.renewed(list);
                    match child.holdings.manifest().map(|_| ()) {
                        Ok(()) => self.feed(Event::Collected),
                        Err(fault) => {
                            self.say(fault);
                            self.feed(Event::CollectFailed);
                        }
                    }
                }
                (Part::Old, Reason::Serving) => child.holdings = child.holdings.renewed(list),
                (Part::New, Reason::Own) => child.holdings = old.succeeded_by(list),
                _ => tracing::warn!(party, ?reason, "descriptors out of place"),
            },
            Err(fault) => {
                tracing::warn!(party, %fault, "descriptors refused");
                self.say(fault);
                self.feed(if part == Part::New { Event::NewFaulty } else { Event::CollectFailed });
            }
        }
    }
}

/// The protocol to speak with a process that was just started.
pub(super) fn check_hello(pid: u32, hello: &Hello) -> Result<u16, Fault> {
    if hello.pid != pid {
        return Err(Fault::peer(
            "hello-wrong-pid",
            format!("process {pid} was started, process {} says hello", hello.pid),
            "do not wrap the dataplane in a script that starts another process",
        ));
    }
    agree((PROTOCOL_MIN, PROTOCOL_MAX), hello)
}
