//! What `controlctl` and `controld` say to each other: one JSON object per line, on a stream socket.
//!
//! The client sends one request. The server answers with any number of `{"event":…}` lines and one last line,
//! `{"done":…}` or `{"error":…,"exit":…}`. Fields that a reader does not know are ignored; a verb that the server does
//! not know is refused by name.

use handover::messages::{Fault, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::SwapReport;

/// Version of the envelope.
pub const VERSION: u32 = 1;

/// Longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// What runs, and how it is.
    Status,
    /// Live flows.
    Flows {
        /// At most so many.
        #[serde(default)]
        limit: Option<u64>,
    },
    /// Counters, summed over the workers.
    Counters,
    /// The segments of the region but for rings and buffers; read-only descriptors come beside the answer, in the
    /// answer's order.
    Segments,
    /// Replace the running binary.
    Swap(SwapRequest),
    /// The last swaps.
    Report {
        /// At most so many.
        #[serde(default)]
        last: Option<u64>,
    },
    /// End the dataplane and the supervisor.
    Stop,
}

/// See [`Verb::Swap`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapRequest {
    /// Absolute path of the new binary.
    pub binary: String,
    /// In place of `binary`: back to the one that served before, if it is still the same file.
    pub rollback: bool,
    /// Checksum that the binary must have; empty for any.
    pub sha256: String,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Take the old process's descriptors instead of asking for them.
    pub steal: bool,
    /// Go on although the expected blackout is over the budget.
    pub force_budget: bool,
    /// Cut a probation under way short instead of waiting for its end.
    pub commit_now: bool,
}

/// A request as it stands on its line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Version of the envelope.
    pub v: u32,
    /// What is asked.
    #[serde(flatten)]
    pub verb: Verb,
}

/// Something that happens while a request is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase begins.
    Phase {
        /// Number of the swap.
        swap: u64,
        /// Its name.
        phase: String,
    },
    /// The new process works in the background.
    Progress(Progress),
    /// The new process is ready.
    Ready {
        /// Expected blackout.
        estimate_ns: u64,
        /// Slots still dirty.
        dirty: u64,
    },
    /// The new process serves.
    Switched {
        /// Measured blackout.
        blackout_ns: u64,
    },
    /// The request waits for the swap under way.
    Waiting {
        /// Number of the swap under way.
        swap: u64,
    },
}

/// The last line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// It was done.
    Done {
        /// What was asked for.
        done: Value,
    },
    /// It was not.
    Error {
        /// Why.
        error: Fault,
        /// Exit code for the client.
        exit: u8,
        /// Of a swap that was begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<SwapReport>>,
    },
}

impl Answer {
    /// A plain error.
    pub fn error(error: Fault, exit: u8) -> Self {
        Self::Error { error, exit, report: None }
    }
}

/// Reads a request line.
///
/// # Errors
/// A fault that names the verb or the field.
pub fn parse_request(line: &[u8]) -> Result<Verb, Fault> {
    #[derive(Deserialize)]
    struct Envelope {
        v: u32,
        verb: String,
    }
    const VERBS: [&str; 7] = ["status", "flows", "counters", "segments", "swap", "report", "stop"];
    let bad = |code, message: String| Fault::operator(code, message, "use the controlctl of the same release");
    let envelope: Envelope =
        serde_json::from_slice(line).map_err(|e| bad("bad-request", format!("request is not understood: {e}")))?;
    if envelope.v != VERSION {
        return Err(bad("bad-request", format!("request version {}, this controld speaks {VERSION}", envelope.v)));
    }
    if !VERBS.contains(&envelope.verb.as_str()) {
        return Err(bad("unknown-verb", format!("this controld does not know the verb \"{}\"", envelope.verb)));
    }
    let request: Request = serde_json::from_slice(line)
        .map_err(|e| bad("bad-request", format!("request \"{}\" is malformed: {e}", envelope.verb)))?;
    Ok(request.verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_refused_by_name() {
        assert_eq!(parse_request(br#"{"v":1,"verb":"status","later":1}"#), Ok(Verb::Status));
        assert_eq!(parse_request(br#"{"v":1,"verb":"flows"}"#), Ok(Verb::Flows { limit: None }));
        let swap = parse_request(br#"{"v":1,"verb":"swap","binary":"/b","dry_run":true}"#);
        let expected = SwapRequest { binary: "/b".into(), dry_run: true, ..SwapRequest::default() };
        assert_eq!(swap, Ok(Verb::Swap(expected)));
        let code = |line: &[u8]| parse_request(line).map_err(|fault| fault.code);
        assert_eq!(code(br#"{"v":1,"verb":"dance"}"#), Err("unknown-verb".into()));
        assert_eq!(code(br#"{"v":9,"verb":"status"}"#), Err("bad-request".into()));
        assert_eq!(code(br#"{"v":1,"verb":"flows","limit":"x"}"#), Err("bad-request".into()));
        assert_eq!(code(b"GET / HTTP/1.1"), Err("bad-request".into()));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let request = Request { v: VERSION, verb: Verb::Swap(SwapRequest { steal: true, ..SwapRequest::default() }) };
        let line = serde_json::to_vec(&request).expect("serializes");
        assert_eq!(parse_request(&line), Ok(request.verb));
        let answer = Answer::error(Fault::bug("x", "y", ""), 3);
        let line = serde_json::to_string(&answer).expect("serializes");
        assert!(matches!(serde_json::from_str(&line), Ok(Answer::Error { exit: 3, .. })));
    }
}
