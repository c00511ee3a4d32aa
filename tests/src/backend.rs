//! UDP servers that answer every datagram with a mark of who they are and whom they saw.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use crate::oracle::{Mark, answer};

/// How often a server looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);
/// Wanted receive buffer.
const BUFFER: usize = 4 << 20;

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Serves at any port of this address; `number` is its mark.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(number: u16, ip: std::net::IpAddr) -> Self {
        Self::serve(number, (ip, 0).into())
    }

    /// Serves at exactly this address.
    ///
    /// # Panics
    /// When it is taken.
    pub fn serve(number: u16, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("backend at {address}: {error}"));
        enlarge(&socket);
        socket.set_read_timeout(Some(LOOK)).expect("a time above zero");
        let address = socket.local_addr().expect("a bound socket has an address");
        let (answered, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (answered, end) = (answered.clone(), end.clone());
            move || run(number, &socket, &answered, &end)
        });
        Self { address, answered, end, thread: Some(thread) }
    }

    /// Some servers at 127.0.0.1, numbered from 0.
    pub fn several(count: u16) -> Vec<Self> {
        (0..count).map(|number| Self::start(number, std::net::Ipv4Addr::LOCALHOST.into())).collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks for a larger receive buffer; a host that grants less gets a test with less in flight anyway.
pub(crate) fn enlarge(socket: &impl AsFd) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &BUFFER);
    }
}

fn run(number: u16, socket: &UdpSocket, answered: &AtomicU64, end: &AtomicBool) {
    let mut bytes = vec![0; 65_536];
    while !end.load(Ordering::Relaxed) {
        match socket.recv_from(&mut bytes) {
            Ok((len, source)) => {
                let reply = answer(&bytes[..len], Mark { backend: number, source });
                // A refusal of an earlier answer comes up at the next send, which then has to be made again.
                if socket.send_to(&reply, source).is_err() {
                    let _ = socket.send_to(&reply, source);
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The refusal of an earlier answer.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {}
            Err(error) => panic!("backend {number}: {error}"),
        }
    }
}
