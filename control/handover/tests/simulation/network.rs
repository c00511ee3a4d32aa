//! Messages under way between the supervisor and the processes. The sockets are reliable and ordered; half of the worlds
//! pretend that they are not.

use handover::messages::Message;
use handover::switch::Nanos;

use super::random::Random;

/// Who is at an end: a process, or the supervisor.
pub type End = Option<u8>;

#[derive(Debug)]
struct Packet {
    due: Nanos,
    from: End,
    to: End,
    message: Message,
}

/// How the messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// As the kernel has it.
    Fair,
    /// Late at times.
    Slow,
    /// Late, doubled, in another order, lost.
    Foul,
}

fn first_of(seen: &mut Vec<End>, from: End) -> bool {
    let first = !seen.contains(&from);
    seen.push(from);
    first
}

#[derive(Debug)]
pub struct Network {
    pub weather: Weather,
    packets: Vec<Packet>,
    /// The order of what travels between two ends.
    pub doubled: u64,
    pub dropped: u64,
    pub overtaken: u64,
}

impl Network {
    pub fn new(weather: Weather) -> Self {
        Self { weather, packets: Vec::new(), doubled: 0, dropped: 0, overtaken: 0 }
    }

    pub fn send(&mut self, from: End, to: End, message: Message, now: Nanos, random: &mut Random) {
        let mut due = now + random.micros(0, 6);
        if self.weather != Weather::Fair && random.one_in(12) {
            due += random.micros(6, 24);
        }
        if self.weather == Weather::Foul {
            if random.one_in(40) {
                self.dropped += 1;
                return;
            }
            if random.one_in(25) {
                self.doubled += 1;
                let due = due + random.micros(0, 20);
                self.packets.push(Packet { due, from, to, message: message.clone() });
            }
        }
        self.packets.push(Packet { due, from, to, message });
    }

    /// The next message for an end from another, if it is there: the oldest one, or in foul weather any.
    pub fn receive(&mut self, from: End, to: End, now: Nanos, random: &mut Random) -> Option<Message> {
        let on_the_way = |packet: &Packet| (packet.from, packet.to) == (from, to);
        let first = self.packets.iter().position(on_the_way)?;
        let at = if self.weather == Weather::Foul {
            let there: Vec<usize> = (first..self.packets.len())
                .filter(|&at| on_the_way(&self.packets[at]) && self.packets[at].due <= now)
                .collect();
            if there.is_empty() {
                return None;
            }
            let at = if random.one_in(10) { random.pick(&there) } else { there[0] };
            self.overtaken += u64::from(at != first);
            at
        } else {
            // What was sent later does not come sooner.
            (self.packets[first].due <= now).then_some(first)?
        };
        Some(self.packets.remove(at).message)
    }

    /// Whether anything is still to come.
    pub fn is_expecting(&self, from: End, to: End) -> bool {
        self.packets.iter().any(|packet| (packet.from, packet.to) == (from, to))
    }

    /// When the next message can be received at an end.
    pub fn next_due(&self, to: End) -> Option<Nanos> {
        let mut seen = Vec::new();
        let there = self.packets.iter().filter(|packet| packet.to == to);
        // Each sender's first, or in foul weather any.
        there.filter(|packet| self.weather == Weather::Foul || first_of(&mut seen, packet.from)).map(|p| p.due).min()
    }

    /// Nobody reads it any more.
    pub fn forget(&mut self, to: End) {
        self.packets.retain(|packet| packet.to != to);
    }
}
