//! The one loop: wait for a descriptor or the next deadline, take what came.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clients::ClientId;
use super::signals::Signals;
use super::supervisor::Supervisor;
use crate::protocol::Answer;

/// What a descriptor is for.
#[derive(Clone, Copy, Debug)]
enum Token {
    End,
    Hangup,
    Listener,
    Client(ClientId),
    Mail(u8),
    Exit(u8),
}

/// How long the last answers may take.
const FAREWELL: Duration = Duration::from_millis(200);

impl Supervisor {
    /// Runs until the end; gives the exit code.
    ///
    /// # Errors
    /// Only if waiting itself fails.
    pub fn run(&mut self, signals: &mut Signals) -> io::Result<u8> {
        loop {
            if let Some(code) = self.over {
                self.farewell();
                return Ok(code);
            }
            for (token, flags) in self.wait(signals)? {
                self.take(token, flags, signals);
            }
            self.on_time(Instant::now());
        }
    }

    /// What is ready; nothing if a deadline came first. Messages come before deaths, so that a process's last words
    /// are heard.
    fn wait(&self, signals: &Signals) -> io::Result<Vec<(Token, PollFlags)>> {
        let mut waits: Vec<(Token, BorrowedFd<'_>, PollFlags)> = vec![
            (Token::End, signals.end(), PollFlags::POLLIN),
            (Token::Hangup, signals.hangup(), PollFlags::POLLIN),
            (Token::Listener, self.clients.listener(), PollFlags::POLLIN),
        ];
        let read_or_both = |write| if write { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        for (&party, child) in &self.children {
            if let Some(channel) = child.channel() {
                waits.push((Token::Mail(party), channel, read_or_both(child.has_mail())));
            }
        }
        for (&party, child) in self.children.iter().filter(|(_, child)| child.exit.is_none()) {
            waits.push((Token::Exit(party), child.pidfd(), PollFlags::POLLIN));
        }
        for (id, stream, write) in self.clients.connections() {
            waits.push((Token::Client(id), stream, read_or_both(write)));
        }
        let timeout = match self.next_deadline() {
            None => PollTimeout::NONE,
            Some(at) => {
                // Rounded up, so that the deadline is over when the wait is.
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds: Vec<PollFd<'_>> = waits.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        Ok(waits
            .iter()
            .zip(&fds)
            .map(|((token, ..), fd)| (*token, ready(fd)))
            .filter(|(_, flags)| !flags.is_empty())
            .collect())
    }

    fn take(&mut self, token: Token, flags: PollFlags, signals: &mut Signals) {
        match token {
            Token::End => {
                for _ in 0..signals.take_end() {
                    self.ask_stop();
                }
            }
            Token::Hangup => {
                signals.take_hangup();
                tracing::warn!("SIGHUP has no effect: the config is read at start only");
            }
            Token::Listener => self.clients.accept(),
            Token::Client(id) => {
                if flags.contains(PollFlags::POLLOUT) {
                    self.clients.write(id);
                }
                if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
                    && let Some(verb) = self.clients.read(id)
                {
                    self.on_request(id, verb);
                }
            }
            Token::Mail(party) => {
                if flags.contains(PollFlags::POLLOUT)
                    && let Some(child) = self.children.get_mut(&party)
                {
                    child.flush();
                }
                self.on_mail(party);
            }
            Token::Exit(party) => self.on_exit(party),
        }
    }

    /// Last answers, and no socket left behind.
    fn farewell(&mut self) {
        for client in std::mem::take(&mut self.stop_clients) {
            self.clients.answer(client, &Answer::Done { done: serde_json::json!({"stopped": true}) });
        }
        let until = Instant::now() + FAREWELL;
        while self.clients.connections().any(|(_, _, waits)| waits) && Instant::now() < until {
            let waiting: Vec<ClientId> = self.clients.connections().filter(|(_, _, w)| *w).map(|(id, ..)| id).collect();
            for id in waiting {
                self.clients.write(id);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.clients.remove();
    }
}
