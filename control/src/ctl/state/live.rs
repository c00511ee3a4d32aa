//! Descriptors of the running region, from controld: opened for reading only, beside its answer.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use handover::messages::{DescriptorEntry, Fault};
use handover::rights;
use serde::Deserialize;

use super::Failed;
use super::source::Named;
use crate::ctl::client::{Failure, unreachable};
use crate::exit;
use crate::protocol::{Answer, Request, VERSION, Verb};

/// Longest answer that is believed.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Segments {
    segments: Vec<DescriptorEntry>,
}

/// Asks controld for the segments.
pub(super) fn segments(socket: &Path, timeout: Duration) -> Result<Vec<Named>, Failed> {
    let lost = |error: std::io::Error| match error.kind() {
        ErrorKind::TimedOut => {
            let remedy = "see its log, or allow more with --timeout";
            (Fault::peer("no-answer", "controld does not answer in time", remedy), exit::TIMED_OUT)
        }
        _ => {
            let message = format!("the connection to controld was lost: {error}");
            (Fault::peer("connection-lost", message, "see its log"), exit::UNREACHABLE)
        }
    };
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        let Failure { error, exit, .. } = unreachable(socket, &error);
        (error, exit)
    })?;
    let line = serde_json::json!(Request { v: VERSION, verb: Verb::Segments });
    stream.write_all(format!("{line}\n").as_bytes()).map_err(lost)?;
    let (mut answer, mut fds) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    while !answer.contains(&b'\n') {
        let (len, more) = rights::receive(&stream, &mut buffer, Some(timeout)).map_err(lost)?;
        if len == 0 || answer.len() > ANSWER_BYTES_MAX {
            return Err(lost(std::io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")));
        }
        answer.extend_from_slice(&buffer[..len]);
        fds.extend(more);
    }
    let not_understood = |what: String| {
        let message = format!("the answer of controld is not understood: {what}");
        (Fault::peer("bad-answer", message, "use the controlctl of the same release"), exit::FAILED)
    };
    let end = answer.iter().position(|&byte| byte == b'\n').unwrap_or(answer.len());
    let done = match serde_json::from_slice(&answer[..end]).map_err(|error| not_understood(error.to_string()))? {
        Answer::Done { done } => done,
        Answer::Error { error, exit, .. } => return Err((error, exit)),
    };
    let Segments { segments } = serde_json::from_value(done).map_err(|error| not_understood(error.to_string()))?;
    if segments.len() != fds.len() {
        return Err(not_understood(format!("it names {} segments, {} came with it", segments.len(), fds.len())));
    }
    let named = |(entry, fd): (DescriptorEntry, _)| Named {
        name: super::source::name(entry.kind, entry.table, entry.shard),
        file: File::from(fd),
    };
    Ok(segments.into_iter().zip(fds).map(named).collect())
}
