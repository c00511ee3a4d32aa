//! One request to controld.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use handover::messages::Fault;
use serde_json::Value;

use crate::exit;
use crate::protocol::{Answer, Event, Request, VERSION, Verb};
use crate::report::SwapReport;

/// Why there is no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong.
    pub error: Fault,
    /// Exit code.
    pub exit: u8,
    /// Of a swap that was begun.
    pub report: Option<Box<SwapReport>>,
}

impl Failure {
    fn new(error: Fault, exit: u8) -> Self {
        Self { error, exit, report: None }
    }
}

/// Sends a request and waits for its answer; `on_event` sees what happens meanwhile.
///
/// # Errors
/// [`Failure`] with the exit code.
pub fn ask(
    socket: &Path,
    verb: Verb,
    timeout: Option<Duration>,
    mut on_event: impl FnMut(&Event),
) -> Result<Value, Failure> {
    let lost = |e: io::Error| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::new(
            Fault::peer("no-answer", "controld does not answer in time", "see its log, or allow more with --timeout"),
            exit::TIMED_OUT,
        ),
        _ => Failure::new(
            Fault::peer("connection-lost", format!("the connection to controld was lost: {e}"), "see its log"),
            exit::UNREACHABLE,
        ),
    };
    let mut stream = UnixStream::connect(socket).map_err(|e| unreachable(socket, &e))?;
    stream.set_read_timeout(timeout).map_err(lost)?;
    let mut line = serde_json::to_vec(&Request { v: VERSION, verb })
        .map_err(|e| Failure::new(Fault::bug("bad-request", e.to_string(), ""), exit::FAILED))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(lost)?;
        match serde_json::from_str::<Answer>(&line) {
            Ok(Answer::Done { done }) => return Ok(done),
            Ok(Answer::Error { error, exit, report }) => return Err(Failure { error, exit, report }),
            // An event that this build does not know is no error.
            Err(_) => {
                if let Ok(event) = serde_json::from_str(&line) {
                    on_event(&event);
                }
            }
        }
    }
    Err(lost(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")))
}

pub(super) fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let path = socket.display();
    let (what, remedy) = match error.kind() {
        ErrorKind::NotFound => ("there is no socket", "start controld, or name its socket with --socket"),
        ErrorKind::ConnectionRefused => ("nobody listens on it", "controld is not running; start it"),
        ErrorKind::PermissionDenied => ("permission denied", "run this as controld's user or root"),
        _ => ("it cannot be reached", "name controld's socket with --socket"),
    };
    let fault = Fault::operator("unreachable", format!("controld at {path}: {what} ({error})"), remedy);
    Failure::new(fault, exit::UNREACHABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn answering(lines: &'static str) -> (tempfile::TempDir, std::thread::JoinHandle<()>) {
        let dir = tempfile::tempdir().expect("directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("bind");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = String::new();
            BufReader::new(stream.try_clone().expect("clone")).read_line(&mut request).expect("request");
            stream.write_all(lines.as_bytes()).expect("answer");
            if lines.is_empty() {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        (dir, server)
    }

    #[test]
    fn events_come_before_the_answer_and_unknown_ones_are_skipped() {
        let (dir, server) = answering(
            "{\"event\":\"phase\",\"swap\":1,\"phase\":\"start\"}\n{\"event\":\"later\"}\n\
             {\"error\":{\"code\":\"c\",\"culprit\":\"operator\",\"message\":\"m\"},\"exit\":3}\n",
        );
        let mut events = 0;
        let failure = ask(&dir.path().join("s"), Verb::Status, None, |_| events += 1).expect_err("refused");
        assert_eq!((failure.exit, failure.error.code.as_str(), events), (3, "c", 1));
        server.join().expect("server");
    }

    #[test]
    fn no_controld_a_silent_one_and_a_dying_one_are_told_apart() {
        let absent = ask(Path::new("/nonexistent/s"), Verb::Status, None, |_| {}).expect_err("absent");
        assert_eq!(absent.exit, exit::UNREACHABLE);
        assert!(absent.error.message.contains("/nonexistent/s"));
        let (dir, server) = answering("");
        let short = Some(Duration::from_millis(20));
        let silent = ask(&dir.path().join("s"), Verb::Status, short, |_| {}).expect_err("silent");
        assert_eq!(silent.exit, exit::TIMED_OUT);
        server.join().expect("server");
        let (dir, server) = answering("{\"event\":\"waiting\",\"swap\":1}\n");
        let dying = ask(&dir.path().join("s"), Verb::Status, None, |_| {}).expect_err("dying");
        assert_eq!((dying.exit, dying.error.code.as_str()), (exit::UNREACHABLE, "connection-lost"));
        server.join().expect("server");
    }
}
