//! Byte maps of the manifest's structures.

use super::{Body, HandoverWords, PartyWords, StopStamp};
use crate::places::{Place, places};

/// The body.
pub const BODY: &[Place] = places!(Body {
    owner: "owner word: generation (40 bits), state (8), holder (8), target (8), from the top",
    swaps: "swaps that were won in this region",
    reserved: "0",
    handover: "handover words",
    parties: "one entry per party number, 0 (nobody) included",
});

/// The handover words, from their own start.
pub const HANDOVER: &[Place] = places!(HandoverWords {
    request: "the successor asks the holder to stop: generation << 8 \\| party; 0 is no request",
    request_bell: "futex; changes with `request`",
    owner_bell: "futex; changes with the owner word",
    offered_ns: "when the owner word was offered",
    reserved: "0",
    stops: "one entry per worker of the stopping process",
});

/// A worker's stop, from its own start.
pub const STOP: &[Place] = places!(StopStamp {
    last_return_ns: "last return from the ring before the stop",
    quiesced_ns: "when all that was received was served and sent",
    generation: "generation in which the worker has stopped; 0 is never",
    cpu: "processor it ran on, plus one; 0 is unknown",
    reserved: "0",
});

/// A party's entry, from its own start.
pub const PARTY: &[Place] = places!(PartyWords {
    pid: "process id; 0 until the party has entered",
    workers: "workers of the process",
    reserved: "0",
});

/// Each map with the length of its structure.
#[cfg(test)]
pub(crate) fn structures() -> [(&'static [Place], usize); 4] {
    [
        (BODY, size_of::<Body>()),
        (HANDOVER, size_of::<HandoverWords>()),
        (STOP, size_of::<StopStamp>()),
        (PARTY, size_of::<PartyWords>()),
    ]
}
