//! A UDP socket that shows and sets what a plain one hides: traffic class and local address of each datagram.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};

use crate::wait::PATIENCE;

/// A socket.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
}

/// A datagram as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    pub payload: Vec<u8>,
    pub from: SocketAddr,
    /// Address that it was sent to.
    pub to: IpAddr,
    /// TOS or traffic class byte.
    pub tos: u8,
}

impl Udp {
    /// Binds to an address; port 0 is any.
    ///
    /// # Panics
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        let what = "an option of a UDP socket";
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::IpRecvTos, &true).expect(what);
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).expect(what);
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvTClass, &true).expect(what);
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).expect(what);
        }
        Self { socket }
    }

    /// Any port of 127.0.0.1.
    pub fn v4() -> Self {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Any port of ::1.
    pub fn v6() -> Self {
        Self::bind((Ipv6Addr::LOCALHOST, 0).into())
    }

    /// # Panics
    /// Never: a bound socket has an address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// # Panics
    /// When the kernel refuses the datagram.
    #[track_caller]
    pub fn send(&self, payload: &[u8], to: SocketAddr) {
        self.send_tos(payload, to, 0);
    }

    /// Sends with a traffic class byte.
    ///
    /// # Panics
    /// When the kernel refuses the datagram.
    #[track_caller]
    pub fn send_tos(&self, payload: &[u8], to: SocketAddr, tos: u8) {
        let class = i32::from(tos);
        let control = if to.is_ipv4() { ControlMessage::Ipv4Tos(&tos) } else { ControlMessage::Ipv6TClass(&class) };
        let control: &[_] = if tos == 0 { &[] } else { &[control] };
        let to = SockaddrStorage::from(to);
        let parts = [IoSlice::new(payload)];
        let sent = sendmsg(self.socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&to));
        assert_eq!(sent, Ok(payload.len()), "sending to {to}");
    }

    /// The next datagram; panics if none comes.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn recv(&self) -> Datagram {
        match self.try_recv(PATIENCE) {
            Some(datagram) => datagram,
            None => panic!("no datagram came to {}", self.address()),
        }
    }

    /// The next datagram within a time.
    ///
    /// # Panics
    /// When the kernel reports an error other than that a peer refused an earlier datagram.
    pub fn try_recv(&self, within: Duration) -> Option<Datagram> {
        let end = Instant::now() + within;
        let mut bytes = vec![0; 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).expect("a time above zero");
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let mut room = nix::cmsg_space!([u8; 64], [u8; 64]);
            let received =
                recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::empty());
            match received.map_err(std::io::Error::from) {
                Ok(message) => {
                    let from = message.address.as_ref().and_then(plain).expect("a datagram has a sender");
                    let (mut to, mut tos) = (self.address().ip(), 0);
                    for control in message.cmsgs().expect("control messages") {
                        match control {
                            ControlMessageOwned::Ipv4Tos(found) => tos = found,
                            ControlMessageOwned::Ipv6TClass(found) => tos = found as u8,
                            ControlMessageOwned::Ipv4PacketInfo(info) => {
                                to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into();
                            }
                            ControlMessageOwned::Ipv6PacketInfo(info) => {
                                to = Ipv6Addr::from(info.ipi6_addr.s6_addr).into();
                            }
                            _ => {}
                        }
                    }
                    let len = message.bytes;
                    bytes.truncate(len);
                    return Some(Datagram { payload: bytes, from, to, tos });
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= end {
                        return None;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                Err(error) => panic!("receiving at {}: {error}", self.address()),
            }
        }
    }

    /// Sends a datagram and waits for the answer to it.
    #[track_caller]
    pub fn ask(&self, payload: &[u8], to: SocketAddr) -> Datagram {
        self.send(payload, to);
        self.recv()
    }
}

fn plain(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some((v4.ip(), v4.port()).into());
    }
    let v6 = address.as_sockaddr_in6()?;
    Some((v6.ip(), v6.port()).into())
}
