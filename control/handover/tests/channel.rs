//! The channel over real sockets: order, descriptors, and every kind of packet that must be refused.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use handover::channel::{Channel, ChannelError, Collector, FDS_PER_PACKET_MAX, Received};
use handover::messages::{DescriptorEntry, Descriptors, Message, Reason, Stop, segment_kind};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair};

const SOON: Option<Duration> = Some(Duration::from_secs(2));

fn numbered_file(number: u32) -> File {
    let (read, write) = nix::unistd::pipe().expect("pipe");
    nix::unistd::write(&write, &number.to_le_bytes()).expect("write");
    File::from(read)
}

fn entries(count: u32) -> Vec<DescriptorEntry> {
    (0..count).map(|n| DescriptorEntry::segment(segment_kind::TABLE, n, 0)).collect()
}

/// A channel and the raw other end, for packets that `Channel` would not send.
fn raw_pair() -> (OwnedFd, Channel) {
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("pair");
    (a, Channel::from_fd(b).expect("channel"))
}

fn send_raw(to: &OwnedFd, bytes: &[u8], fds: &[RawFd]) {
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::empty(), None).expect("sendmsg");
}

/// A pipe whose read end is sent away: writing to it fails as soon as nobody holds a read end.
fn witness() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().expect("pipe")
}

fn assert_nobody_reads(write: &OwnedFd, why: &str) {
    assert_eq!(nix::unistd::write(write, b"?"), Err(nix::errno::Errno::EPIPE), "{why}");
}

#[test]
fn a_long_list_of_descriptors_arrives_whole_and_in_order() {
    let count = 2 * FDS_PER_PACKET_MAX as u32 + 17;
    let (a, b) = Channel::pair().expect("pair");
    let files: Vec<File> = (0..count).map(numbered_file).collect();
    let entries = entries(count);
    let list: Vec<(DescriptorEntry, BorrowedFd<'_>)> =
        entries.iter().cloned().zip(files.iter().map(|f| f.as_fd())).collect();
    a.send_descriptors(Reason::Donate, &list).expect("send");
    let mut collector = Collector::new();
    let whole = loop {
        let Received::Message { message: Message::Descriptors(batch), fds } = b.recv(SOON).expect("recv") else {
            panic!("another message");
        };
        assert_eq!(batch.reason, Reason::Donate);
        if let Some(list) = collector.add(batch, fds).expect("one reason") {
            break list;
        }
    };
    assert_eq!(whole.len(), count as usize);
    for (n, (entry, fd)) in whole.into_iter().enumerate() {
        assert_eq!(entry.table as usize, n);
        let mut bytes = [0; 4];
        File::from(fd).read_exact(&mut bytes).expect("the pipe's number");
        assert_eq!(u32::from_le_bytes(bytes) as usize, n);
    }
}

#[test]
fn an_empty_list_is_one_last_batch() {
    let (a, b) = Channel::pair().expect("pair");
    a.send_descriptors(Reason::Own, &[]).expect("send");
    match b.recv(SOON).expect("recv") {
        Received::Message { message: Message::Descriptors(d), fds } => {
            assert!(d.last && d.batch.is_empty() && fds.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_type_is_named_and_ends_nothing() {
    let (raw, channel) = raw_pair();
    let (read, write) = witness();
    send_raw(&raw, br#"{"v":1,"type":"teleport","where":"moon"}"#, &[read.as_raw_fd()]);
    drop(read);
    send_raw(&raw, br#"{"v":1,"type":"stop","new_field":[1,2,{"a":null}]}"#, &[]);
    assert!(matches!(channel.recv(SOON), Ok(Received::Unknown { type_name }) if type_name == "teleport"));
    assert!(matches!(channel.recv(SOON), Ok(Received::Message { message: Message::Stop(_), .. })));
    assert_nobody_reads(&write, "descriptors of the refused packet are closed");
}

#[test]
fn malformed_packets_are_refused_by_name_and_their_descriptors_closed() {
    let (raw, channel) = raw_pair();
    let long = vec![b' '; 70_000];
    let cases: [(&[u8], usize, &str); 7] = [
        (b"garbage", 1, "not a message"),
        (b"[1,2]", 1, "not a message"),
        (br#"{"v":2,"type":"stop"}"#, 1, "envelope version 2"),
        (br#"{"v":1,"type":"expecting"}"#, 1, "malformed"),
        (&long, 1, "longer than"),
        (br#"{"v":1,"type":"stop"}"#, 2, "names 0 descriptors, 2 came"),
        (br#"{"v":1,"type":"descriptors","batch":[{"what":"segment"}],"last":true,"reason":"own"}"#, 3, "names 1"),
    ];
    for (bytes, fds, expected) in cases {
        let (read, write) = witness();
        send_raw(&raw, bytes, &vec![read.as_raw_fd(); fds]);
        drop(read);
        let error = channel.recv(SOON).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert_nobody_reads(&write, &error);
    }
    send_raw(&raw, br#"{"v":1,"type":"stop"}"#, &[]);
    assert!(channel.recv(SOON).is_ok(), "the channel goes on");
}

#[test]
fn the_sender_is_held_to_the_same_rules() {
    let (a, _b) = Channel::pair().expect("pair");
    let file = numbered_file(0);
    let stop = Message::Stop(Stop {});
    assert!(matches!(a.send(&stop, &[file.as_fd()]), Err(ChannelError::CountDiffers { named: 0, arrived: 1, .. })));
    let many = FDS_PER_PACKET_MAX + 1;
    let batch = Message::Descriptors(Descriptors { batch: entries(many as u32), last: true, reason: Reason::Own });
    assert!(matches!(a.send(&batch, &vec![file.as_fd(); many]), Err(ChannelError::TooMany(n)) if n == many));
}

#[test]
fn the_end_of_the_peer_and_silence_are_told_apart() {
    let (a, b) = Channel::pair().expect("pair");
    assert!(matches!(b.recv(Some(Duration::ZERO)), Err(ChannelError::TimedOut(_))));
    assert!(matches!(b.recv(Some(Duration::from_millis(5))), Err(ChannelError::TimedOut(_))));
    a.send(&Message::Stop(Stop {}), &[]).expect("send");
    drop(a);
    assert!(b.recv(None).is_ok(), "what was sent before the end is still read");
    assert!(matches!(b.recv(None), Err(ChannelError::Closed)));
    assert!(matches!(b.send(&Message::Stop(Stop {}), &[]), Err(ChannelError::Closed)));
}

#[test]
fn the_last_words_of_a_peer_that_did_not_listen_are_read() {
    let (a, b) = Channel::pair().expect("pair");
    b.send(&Message::Stop(Stop {}), &[]).expect("send");
    a.send(&Message::Stop(Stop {}), &[]).expect("send");
    // The kernel resets a channel whose end is closed with packets unread, and says so ahead of what is in the queue.
    drop(a);
    assert!(b.recv(None).is_ok(), "the last words come first");
    assert!(matches!(b.recv(None), Err(ChannelError::Closed)));
}

#[test]
fn a_peer_that_does_not_read_fills_the_channel_and_blocks_nobody() {
    let (a, _b) = Channel::pair().expect("pair");
    let stop = Message::Stop(Stop {});
    let full = (0..100_000).find_map(|_| a.try_send(&stop, &[]).err());
    assert!(matches!(full, Some(ChannelError::Full)));
}

#[test]
fn other_descriptors_are_no_channel() {
    let (stream, _other) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("pair");
    assert!(matches!(Channel::from_fd(stream), Err(ChannelError::NotAChannel { .. })));
    assert!(matches!(Channel::from_fd(numbered_file(0).into()), Err(ChannelError::NotAChannel { .. })));
    assert!(matches!(Channel::from_inherited(1), Err(ChannelError::NotAChannel { fd: 1, .. })));
    assert!(matches!(Channel::from_inherited(987_654), Err(ChannelError::NotAChannel { .. })));
}
