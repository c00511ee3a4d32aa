//! What a multishot RECVMSG leaves in a provided buffer.
//!
//! `struct io_uring_recvmsg_out` (four `u32`: bytes of name, of control, of payload, flags), then
//! room for the name, room for the control messages, both as large as the armed `msghdr` said, then
//! the payload. The header's numbers are what the datagram *had*: they can exceed the room.

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;

/// The rooms that the armed `msghdr` named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// `msg_namelen`.
    pub name: usize,
    /// `msg_controllen`.
    pub control: usize,
}

impl Rooms {
    /// Bytes in front of the payload.
    pub const fn head(&self) -> usize {
        HEADER_BYTES + self.name + self.control
    }
}

/// One received datagram, still in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The peer's socket address.
    pub name: &'a [u8],
    /// Control messages.
    pub control: &'a [u8],
    /// The datagram, or with UDP_GRO a train of them; may be empty.
    pub payload: &'a [u8],
    /// Bytes that the kernel says the datagram had. Of one that was cut, kernels tell either the
    /// whole length or only what is left: `truncated` decides, never this number.
    pub wire_len: usize,
    /// The payload was cut: it did not fit the buffer.
    pub truncated: bool,
    /// Control messages were cut: the rest is missing.
    pub control_truncated: bool,
}

/// Why a buffer holds no datagram. All of these mean that buffer and arming disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBuffer {
    /// Fewer bytes than the header and the two rooms.
    #[error("buffer of {0} bytes is shorter than its head")]
    Short(usize),
    /// More control bytes than the room has.
    #[error("{0} bytes of control messages exceed the room for them")]
    Control(u32),
    /// Fewer payload bytes in the buffer than the header says, and not marked as cut.
    #[error("payload of {0} bytes is not there")]
    Payload(u32),
}

impl<'a> Datagram<'a> {
    /// `filled` is the part of the buffer that the completion's result names.
    #[inline]
    pub fn parse(filled: &'a [u8], rooms: Rooms) -> Result<Self, BadBuffer> {
        let short = BadBuffer::Short(filled.len());
        let (header, rest) = filled.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
        let (name, rest) = rest.split_at_checked(rooms.name).ok_or(short)?;
        let (control, rest) = rest.split_at_checked(rooms.control).ok_or(short)?;
        let number = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (name_len, control_len, payload_len) = (number(0), number(4), number(8));
        let flags = number(12) as i32;

        let truncated = flags & libc::MSG_TRUNC != 0;
        let wire_len = payload_len as usize;
        let payload = match rest.get(..wire_len) {
            Some(payload) => payload,
            None if truncated => rest,
            None => return Err(BadBuffer::Payload(payload_len)),
        };
        Ok(Self {
            // An address that did not fit is cut; parsing it then says so.
            name: &name[..(name_len as usize).min(rooms.name)],
            control: control.get(..control_len as usize).ok_or(BadBuffer::Control(control_len))?,
            payload,
            wire_len,
            truncated,
            control_truncated: flags & libc::MSG_CTRUNC != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOMS: Rooms = Rooms { name: 16, control: 24 };

    fn buffer(numbers: [u32; 4], payload: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        bytes.extend([b'n'; 16]);
        bytes.extend([b'c'; 24]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn parts_are_where_they_belong() {
        let bytes = buffer([16, 20, 5, 0], b"hello");
        let d = Datagram::parse(&bytes, ROOMS).unwrap();
        assert_eq!((d.name, d.control, d.payload), (&[b'n'; 16][..], &[b'c'; 20][..], &b"hello"[..]));
        assert_eq!((d.wire_len, d.truncated, d.control_truncated), (5, false, false));
    }

    #[test]
    fn empty_datagrams_are_datagrams() {
        let bytes = buffer([16, 0, 0, 0], b"");
        let d = Datagram::parse(&bytes, ROOMS).unwrap();
        assert_eq!((d.payload, d.truncated), (&b""[..], false));
    }

    #[test]
    fn cut_ones_are_recognised() {
        let bytes = buffer([28, 0, 900, libc::MSG_TRUNC as u32], b"hello");
        let d = Datagram::parse(&bytes, ROOMS).unwrap();
        assert_eq!((d.payload, d.wire_len, d.truncated), (&b"hello"[..], 900, true));
        assert_eq!(d.name.len(), 16);
        let bytes = buffer([16, 24, 5, libc::MSG_CTRUNC as u32], b"hello");
        assert!(Datagram::parse(&bytes, ROOMS).unwrap().control_truncated);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let parse = |numbers, payload: &[u8]| Datagram::parse(&buffer(numbers, payload), ROOMS).err();
        assert_eq!(parse([16, 25, 0, 0], b""), Some(BadBuffer::Control(25)));
        assert_eq!(parse([16, 0, 6, 0], b"hello"), Some(BadBuffer::Payload(6)));
        assert_eq!(parse([16, u32::MAX, 0, 0], b""), Some(BadBuffer::Control(u32::MAX)));
        let whole = buffer([0; 4], b"");
        for n in 0..whole.len() {
            assert_eq!(Datagram::parse(&whole[..n], ROOMS), Err(BadBuffer::Short(n)));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            name in 0usize..64,
            control in 0usize..64,
        ) {
            let _ = Datagram::parse(&bytes, Rooms { name, control });
        }

        #[test]
        fn hostile_headers_never_panic(numbers: [u16; 4], payload: Vec<u8>) {
            let numbers = numbers.map(|n| u32::from(n & 0x3f));
            if let Ok(d) = Datagram::parse(&buffer(numbers, &payload), ROOMS) {
                prop_assert!(d.payload.len() <= payload.len());
                prop_assert!(d.truncated || d.wire_len == d.payload.len());
            }
        }
    }
}
