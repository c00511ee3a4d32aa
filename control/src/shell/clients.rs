//! The control socket and the clients on it. Nothing here waits: a client that does not read loses its connection.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use handover::messages::Fault;
use handover::rights;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, umask};
use serde::Serialize;

use crate::exit;
use crate::protocol::{Answer, REQUEST_BYTES_MAX, Verb, parse_request};

/// Most clients at a time.
const CLIENTS_MAX: usize = 64;
/// Most bytes that wait for one client.
const BACKLOG_MAX: usize = 64 * 1024 * 1024;

/// Names a client for as long as it is connected.
pub type ClientId = u64;

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Descriptors that go with the first bytes of the output.
    fds: Vec<OwnedFd>,
    /// A request is being served; the connection ends with its answer.
    asked: bool,
    answered: bool,
}

/// The server's side of the control socket.
#[derive(Debug)]
pub struct Clients {
    listener: UnixListener,
    path: PathBuf,
    clients: BTreeMap<ClientId, Client>,
    next: ClientId,
}

impl Clients {
    /// Binds the socket with mode 0600. A socket on which nobody answers is replaced, anything else is left alone.
    ///
    /// # Errors
    /// With the path and the remedy in its text.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let name = |e: io::Error| io::Error::new(e.kind(), format!("control socket {}: {e}", path.display()));
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(name)?;
        }
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(name(e)),
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(name(io::Error::other("the path is taken by something that is no socket; remove it")));
            }
            Ok(_) => match UnixStream::connect(path) {
                Ok(_) => return Err(name(io::Error::other("another controld answers on it; stop that one first"))),
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(name)?,
                Err(e) => return Err(name(e)),
            },
        }
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(name)?;
        listener.set_nonblocking(true).map_err(name)?;
        Ok(Self { listener, path: path.to_owned(), clients: BTreeMap::new(), next: 1 })
    }

    /// Removes the socket's file.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Readable when a client wants in.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Each connection, and whether something waits to be written to it.
    pub fn connections(&self) -> impl Iterator<Item = (ClientId, BorrowedFd<'_>, bool)> {
        self.clients.iter().map(|(&id, client)| (id, client.stream.as_fd(), !client.output.is_empty()))
    }

    /// Lets clients in.
    pub fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Err(reason) = admit(&stream, self.clients.len()) {
                tracing::warn!(%reason, "client turned away");
                continue;
            }
            let client = Client {
                stream,
                input: Vec::new(),
                output: Vec::new(),
                fds: Vec::new(),
                asked: false,
                answered: false,
            };
            self.clients.insert(self.next, client);
            self.next += 1;
        }
    }

    /// Reads from a client; gives its request when it is whole. A bad request is answered here.
    pub fn read(&mut self, id: ClientId) -> Option<Verb> {
        let client = self.clients.get_mut(&id)?;
        let mut bytes = [0; 4096];
        loop {
            match client.stream.read(&mut bytes) {
                Ok(0) => {
                    self.clients.remove(&id);
                    return None;
                }
                // Whatever follows the request is of no interest.
                Ok(_) if client.asked => {}
                Ok(n) => {
                    client.input.extend_from_slice(&bytes[..n]);
                    if client.input.len() > REQUEST_BYTES_MAX || client.input.contains(&b'\n') {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.clients.remove(&id);
                    return None;
                }
            }
        }
        client.asked = true;
        let input = std::mem::take(&mut client.input);
        let parsed = match input.iter().position(|&b| b == b'\n') {
            Some(end) if end <= REQUEST_BYTES_MAX => parse_request(&input[..end]),
            _ => Err(Fault::operator(
                "request-too-long",
                format!("the request is longer than {REQUEST_BYTES_MAX} bytes"),
                "",
            )),
        };
        match parsed {
            Ok(verb) => Some(verb),
            Err(fault) => {
                self.answer(id, &Answer::error(fault, exit::USAGE));
                None
            }
        }
    }

    /// Sends a line that is not the last.
    pub fn tell(&mut self, id: ClientId, line: &impl Serialize) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match serde_json::to_vec(line) {
            Ok(bytes) => {
                client.output.extend(bytes);
                client.output.push(b'\n');
            }
            Err(error) => tracing::error!(%error, "answer is no JSON"),
        }
        self.write(id);
    }

    /// Sends the last line; the connection ends when it is written.
    pub fn answer(&mut self, id: ClientId, answer: &Answer) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.answered = true;
            self.tell(id, answer);
        }
    }

    /// As [`Clients::answer`], with descriptors beside it; at most [`rights::FDS_MAX`].
    pub fn answer_with(&mut self, id: ClientId, answer: &Answer, fds: Vec<OwnedFd>) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.fds = fds;
        }
        self.answer(id, answer);
    }

    /// Writes what there is room for.
    pub fn write(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        while !client.output.is_empty() {
            let beside: Vec<_> = client.fds.iter().map(AsFd::as_fd).collect();
            let written = match beside.is_empty() {
                true => client.stream.write(&client.output),
                false => rights::send(&client.stream, &client.output, &beside),
            };
            match written {
                Ok(n @ 1..) => {
                    client.output.drain(..n);
                    client.fds.clear();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && client.output.len() <= BACKLOG_MAX => return,
                Ok(0) | Err(_) => {
                    self.clients.remove(&id);
                    return;
                }
            }
        }
        if client.answered {
            self.clients.remove(&id);
        }
    }
}

/// Who may connect: this user and root.
fn admit(stream: &UnixStream, connected: usize) -> Result<(), String> {
    let peer = getsockopt(stream, sockopt::PeerCredentials).map_err(|e| format!("no peer credentials: {e}"))?;
    let own = nix::unistd::geteuid().as_raw();
    if peer.uid() != own && peer.uid() != 0 {
        return Err(format!("process {} of user {} is neither user {own} nor root", peer.pid(), peer.uid()));
    }
    if connected >= CLIENTS_MAX {
        return Err(format!("{CLIENTS_MAX} clients are connected"));
    }
    stream.set_nonblocking(true).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_socket_is_private_and_only_a_stale_one_is_replaced() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("sub/control.sock");
        let first = Clients::bind(&path).expect("bind");
        assert_eq!(fs::metadata(&path).expect("socket").permissions().mode() & 0o777, 0o600);
        let busy = Clients::bind(&path).expect_err("in use").to_string();
        assert!(busy.contains("another controld answers"), "{busy}");
        drop(first);
        assert!(path.exists(), "a killed server leaves its socket");
        Clients::bind(&path).expect("a stale socket is replaced").remove();
        fs::write(&path, "data").expect("write");
        assert!(Clients::bind(&path).expect_err("a file").to_string().contains("no socket"));
    }

    #[test]
    fn a_request_is_read_in_pieces_and_answered_once() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("control.sock");
        let mut server = Clients::bind(&path).expect("bind");
        let mut client = UnixStream::connect(&path).expect("connect");
        server.accept();
        client.write_all(b"{\"v\":1,\"ver").expect("write");
        assert_eq!(server.read(1), None);
        client.write_all(b"b\":\"status\"}\n").expect("write");
        assert_eq!(server.read(1), Some(Verb::Status));
        server.answer(1, &Answer::Done { done: serde_json::json!({"ok": true}) });
        let mut text = String::new();
        client.read_to_string(&mut text).expect("the connection ends with the answer");
        assert_eq!(text, "{\"done\":{\"ok\":true}}\n");
        assert_eq!(server.connections().count(), 0);
    }

    #[test]
    fn garbage_and_floods_are_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("control.sock");
        let mut server = Clients::bind(&path).expect("bind");
        for (request, expected) in [(vec![b'x'; 5], "bad-request"), (vec![b'x'; 100_000], "request-too-long")] {
            let mut client = UnixStream::connect(&path).expect("connect");
            server.accept();
            let id = server.connections().next().expect("connected").0;
            client.write_all(&request).expect("write");
            client.write_all(b"\n").expect("write");
            assert_eq!(server.read(id), None);
            let mut text = String::new();
            let _ = client.read_to_string(&mut text);
            assert!(text.contains(expected), "{text}");
        }
    }
}
