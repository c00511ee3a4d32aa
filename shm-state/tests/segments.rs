//! Attaching treats all that a descriptor leads to as claims: what does not hold is refused by name, and nothing that
//! lies there causes a panic or a fault.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use proptest::prelude::*;
use shm_state::Layout;
use shm_state::directory::{DIRECTORY, Directory, Role, SegmentEntry, SocketEntry};
use shm_state::error::RegionError;
use shm_state::manifest::{MANIFEST, Manifest};
use shm_state::prelude::{Kind, PRELUDE_LEN, SegmentId, digest64};
use shm_state::segment::{Segment, Spec};
use shm_state::table::{Index, Records, RecordsView, Slot};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

const REGION: [u8; 16] = [9; 16];
const ALL: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 5, name = "things", version = 1)]
#[repr(C)]
struct Thing {
    #[field(id = 1, unsigned, key)]
    key: u64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 5, name = "things", version = 2)]
#[repr(C)]
struct OtherThing {
    #[field(id = 1, unsigned, key)]
    key: u64,
    #[field(id = 2, unsigned, default = 0)]
    more: u64,
}

fn things() -> Records<Thing> {
    let mut things = Records::<Thing>::create(REGION, 1000).expect("a table");
    things.fill(Slot(3), Thing { key: 33 });
    things
}

fn duplicate(segment: &Segment) -> OwnedFd {
    segment.fd().try_clone_to_owned().expect("a duplicate")
}

/// All bytes of a segment.
fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; segment.prelude().segment_len as usize];
    let read = nix::sys::uio::pread(segment.fd(), &mut bytes, 0);
    assert_eq!(read, Ok(bytes.len()));
    bytes
}

/// A memfd with these bytes and seals.
fn file(bytes: &[u8], seals: SealFlag) -> OwnedFd {
    let fd = memfd_create("test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    ftruncate(&fd, bytes.len() as i64).expect("a size");
    if !bytes.is_empty() {
        fallocate(&fd, FallocateFlags::empty(), 0, bytes.len() as i64).expect("memory");
        assert_eq!(nix::sys::uio::pwrite(&fd, bytes, 0), Ok(bytes.len()));
    }
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).expect("seals");
    fd
}

/// The bytes with a prelude whose checksum is right again after a change.
fn resigned(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = digest64(&bytes[..PRELUDE_LEN - 8]);
    bytes[PRELUDE_LEN - 8..PRELUDE_LEN].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[track_caller]
fn refusal(fd: OwnedFd) -> String {
    Segment::attach(fd).expect_err("not a segment").to_string()
}

#[track_caller]
fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "\"{word}\" in: {message}");
    }
}

#[test]
fn what_was_made_is_attached() {
    let things = things();
    let segment = Segment::attach(duplicate(things.segment())).expect("a segment");
    assert_eq!(segment.id(), SegmentId::new(Kind::Table, 5));
    let again = Records::<Thing>::attach(segment).expect("the table");
    assert_eq!((again.get(Slot(3)).key, again.is_live(Slot(3)), again.is_live(Slot(4))), (33, true, false));
    // A copy of its bytes, sealed like it, is as good.
    let copy = Segment::attach(file(&bytes_of(things.segment()), ALL)).expect("a segment");
    assert_eq!(RecordsView::attach(copy).expect("a table").live(), 1);
}

#[test]
fn unsealed_files_are_refused() {
    let bytes = bytes_of(things().segment());
    for seals in [SealFlag::empty(), SealFlag::F_SEAL_SHRINK, SealFlag::F_SEAL_GROW, ALL | SealFlag::F_SEAL_WRITE] {
        let error = Segment::attach(file(&bytes, seals)).expect_err("not sealed as it must be");
        assert!(matches!(error, RegionError::NotSealed { .. }), "{seals:?}: {error}");
    }
}

#[test]
fn files_that_are_no_memfds_are_refused() {
    let (reader, _writer) = nix::unistd::pipe().expect("a pipe");
    assert!(Segment::attach(reader).is_err());
    let own = std::fs::File::open("/proc/self/exe").expect("readable");
    assert!(Segment::attach(own.into()).is_err());
    let null = std::fs::File::open("/dev/null").expect("readable");
    assert!(Segment::attach(null.into()).is_err());
    let plain = nix::sys::socket::socketpair(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::Stream,
        None,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
    );
    assert!(Segment::attach(plain.expect("a pair").0).is_err());
    // Sealed and large, but with no memory behind it: to read it might be to die.
    let sparse = memfd_create("test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    ftruncate(&sparse, 1 << 30).expect("a size");
    fcntl(&sparse, FcntlArg::F_ADD_SEALS(ALL)).expect("seals");
    assert_names(&refusal(sparse), &["allocated bytes"]);
}

#[test]
fn truncated_and_resized_files_are_refused() {
    let bytes = bytes_of(things().segment());
    for len in [0, 1, 8, PRELUDE_LEN - 8, PRELUDE_LEN - 1] {
        assert_names(&refusal(file(&bytes[..len], ALL)), &["too short", "truncated"]);
    }
    for len in [PRELUDE_LEN, bytes.len() - 4096, bytes.len() - 8] {
        assert_names(&refusal(file(&bytes[..len], ALL)), &["table:5", "truncated or resized"]);
    }
    let longer = [&bytes[..], &[0; 4096]].concat();
    assert_names(&refusal(file(&longer, ALL)), &["table:5", "truncated or resized"]);
}

/// Places in the prelude.
mod place {
    pub const VERSION: usize = 8;
    pub const KIND: usize = 12;
    pub const SEGMENT_LEN: usize = 16;
    pub const TABLE: usize = 40;
    pub const FINGERPRINT: usize = 56;
    pub const DESCRIPTOR_OFF: usize = 64;
    pub const DESCRIPTOR_LEN: usize = 72;
    pub const BODY_OFF: usize = 80;
    pub const BODY_LEN: usize = 88;
}

#[test]
fn every_claim_of_the_prelude_is_checked() {
    let bytes = bytes_of(things().segment());
    assert_names(&refusal(file(&with(bytes.clone(), 0, b"HITLOSS\0"), ALL)), &["not a segment", "magic"]);
    assert_names(&refusal(file(&with(bytes.clone(), 40, &[1]), ALL)), &["corrupt", "checksum"]);
    let message = |at: usize, new: &[u8]| refusal(file(&resigned(with(bytes.clone(), at, new)), ALL));
    assert_names(&message(place::VERSION, &7_u32.to_le_bytes()), &["version 7", "newer binary"]);
    for kind in [0_u32, 8, u32::MAX] {
        assert_names(&message(place::KIND, &kind.to_le_bytes()), &["segment kind"]);
    }
    for len in [0, bytes.len() as u64 + 8, u64::MAX] {
        assert_names(&message(place::SEGMENT_LEN, &len.to_le_bytes()), &["truncated or resized"]);
    }
    for off in [0, 8, 129, bytes.len() as u64, u64::MAX - 7] {
        assert_names(&message(place::BODY_OFF, &off.to_le_bytes()), &["body offset"]);
        assert_names(&message(place::DESCRIPTOR_OFF, &off.to_le_bytes()), &["descriptor offset"]);
    }
    for len in [bytes.len() as u64, u64::MAX, u64::MAX - 127] {
        assert_names(&message(place::BODY_LEN, &len.to_le_bytes()), &["body offset"]);
        assert_names(&message(place::DESCRIPTOR_LEN, &len.to_le_bytes()), &["descriptor offset"]);
    }
}

#[test]
fn another_segment_than_the_expected_is_refused() {
    let things = things();
    let manifest = Manifest::create(REGION).expect("a manifest");
    let error = Segment::attach_as(duplicate(things.segment()), MANIFEST).expect_err("a table");
    assert_names(&error.to_string(), &["manifest", "table:5"]);
    assert!(matches!(Manifest::attach(things.segment().clone()), Err(RegionError::WrongSegment { .. })));
    assert!(matches!(RecordsView::attach(manifest.segment().clone()), Err(RegionError::WrongSegment { .. })));
    assert!(matches!(Directory::attach(manifest.segment().clone()), Err(RegionError::WrongSegment { .. })));
    assert!(matches!(Index::attach(manifest.segment().clone()), Err(RegionError::WrongSegment { .. })));
    let other = Records::<OtherThing>::attach(things.segment().clone()).expect_err("another layout");
    assert_names(&other.to_string(), &["things", "version 1", "version 2", "translated"]);
}

/// The table's segment with changed bytes, attached as a table.
fn table_with(at: usize, new: &[u8]) -> Result<RecordsView, RegionError> {
    let bytes = resigned(with(bytes_of(things().segment()), at, new));
    RecordsView::attach(Segment::attach(file(&bytes, ALL))?)
}

#[track_caller]
fn table_message(at: usize, new: &[u8]) -> String {
    table_with(at, new).expect_err("a bad table").to_string()
}

#[test]
fn every_claim_of_a_table_is_checked() {
    let body = things().segment().prelude().body_off as usize;
    for capacity in [0, 1001, 1 << 20, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let message = table_message(body, &capacity.to_le_bytes());
        assert_names(&message, &["table:5", "corrupt"]);
    }
    for (word, what) in
        [(1, "record length"), (2, "slot stride"), (3, "slots per block"), (4, "marks offset"), (5, "slots offset")]
    {
        for value in [0_u64, 1, u64::MAX] {
            assert_names(&table_message(body + word * 8, &value.to_le_bytes()), &["table:5", what]);
        }
    }
    // A table must say of itself what it is, and the same as its segment does.
    assert_names(&table_message(place::DESCRIPTOR_LEN, &0_u64.to_le_bytes()), &["table:5", "descriptor length"]);
    assert_names(&table_message(place::TABLE, &6_u32.to_le_bytes()), &["table:6", "descriptor's table id"]);
    assert_names(&table_message(place::FINGERPRINT, &1_u64.to_le_bytes()), &["table:5", "descriptor fingerprint"]);
    assert_names(&table_message(PRELUDE_LEN, b"X"), &["table:5", "descriptor fingerprint"]);
}

/// A bad descriptor that its segment vouches for.
#[test]
fn descriptors_are_parsed_even_when_the_fingerprint_is_right() {
    let bad = [&Thing::descriptor_bytes()[..60], &[0xff; 8], &Thing::descriptor_bytes()[68..]].concat();
    let id = SegmentId::new(Kind::Table, 5);
    let spec = Spec { id, region_id: REGION, layout_version: 1, descriptor: Some(&bad), body_len: 4096 };
    let error = RecordsView::attach(Segment::create(spec).expect("a segment")).expect_err("a bad descriptor");
    assert_names(&error.to_string(), &["table:5", "bad descriptor"]);
}

#[test]
fn an_owner_word_that_nobody_writes_is_refused() {
    let manifest = Manifest::create(REGION).expect("a manifest");
    let body = manifest.segment().prelude().body_off as usize;
    let bytes = with(bytes_of(manifest.segment()), body, &u64::MAX.to_le_bytes());
    let error = Manifest::attach(Segment::attach(file(&bytes, ALL)).expect("a segment")).expect_err("corrupt");
    assert_names(&error.to_string(), &["manifest", "owner word"]);
    let spec = Spec { id: MANIFEST, region_id: REGION, layout_version: 1, descriptor: None, body_len: 64 };
    let short = Manifest::attach(Segment::create(spec).expect("a segment")).expect_err("too short");
    assert_names(&short.to_string(), &["manifest", "body length"]);
}

fn directory() -> Directory {
    let segment = SegmentEntry { id: SegmentId::new(Kind::Table, 5), fd: 7, layout_version: 1, fingerprint: 1 };
    let socket = SocketEntry { role: Role::Listener, owner_id: 4, ordinal: 0, shard: 0, fd: 8 };
    Directory::create(REGION, &[segment; 3], &[socket; 2]).expect("a directory")
}

#[test]
fn every_claim_of_a_directory_is_checked() {
    let good = directory();
    let bytes = bytes_of(good.segment());
    let body = good.segment().prelude().body_off as usize;
    let attach = |at: usize, value: u64| {
        let bytes = with(bytes.clone(), body + at, &value.to_le_bytes());
        Directory::attach(Segment::attach(file(&bytes, ALL)).expect("a segment"))
    };
    for at in [0, 8] {
        for count in [1 << 16, 1 << 20, (1 << 20) + 1, u64::MAX] {
            assert_names(&attach(at, count).expect_err("too many").to_string(), &["directory", "entries"]);
        }
    }
    let segments = attach(64, 99).expect("counts are right").segments().expect_err("no such kind");
    assert_names(&segments.to_string(), &["directory", "segment kind"]);
    let sockets = attach(64 + 3 * 32, 99).expect("counts are right").sockets().expect_err("no such role");
    assert_names(&sockets.to_string(), &["directory", "socket role"]);
}

/// A table whose holder writes nonsense into its slots is read without harm.
#[test]
fn slots_full_of_nonsense_are_still_values() {
    let things = things();
    let view = RecordsView::attach(things.segment().clone()).expect("a table");
    let words = things.segment().words(64, (things.segment().body_len() - 64) / 8);
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    for word in words {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.store(dice, Ordering::Relaxed);
    }
    let mut seen = 0;
    view.for_each_live(|_, _, record| {
        seen += 1;
        assert_eq!(view.descriptor().decode(record).len(), 1);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(seen, view.live());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Random damage anywhere, also behind a checksum that is right: refused or harmless, never a panic.
    #[test]
    fn damaged_segments_never_cause_a_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((0..600_usize, any::<u8>()), 1..8),
        sign in any::<bool>(),
    ) {
        let made: Segment = match which {
            0 => things().segment().clone(),
            1 => Manifest::create(REGION).expect("a manifest").segment().clone(),
            2 => directory().segment().clone(),
            _ => Index::create(REGION, 5, 64, [3; 16]).expect("an index").segment().clone(),
        };
        let mut bytes = bytes_of(&made);
        for (at, value) in changes {
            bytes[at] = value;
        }
        let bytes = if sign { resigned(bytes) } else { bytes };
        if let Ok(segment) = Segment::attach(file(&bytes, ALL)) {
            let _ = segment.descriptor();
            if let Ok(view) = RecordsView::attach(segment.clone()) {
                view.for_each_live(|_, _, record| {
                    let _ = view.descriptor().decode(record);
                    std::ops::ControlFlow::Continue(())
                });
            }
            let _ = Records::<Thing>::attach(segment.clone());
            let _ = Manifest::attach(segment.clone());
            let _ = Index::attach(segment.clone());
            if let Ok(directory) = Directory::attach(segment) {
                let _ = (directory.segments(), directory.sockets());
            }
        }
    }
}

#[test]
fn a_directory_is_what_was_put_in() {
    let directory =
        Directory::attach(Segment::attach_as(duplicate(directory().segment()), DIRECTORY).expect("it")).expect("it");
    assert_eq!(directory.segments().expect("segments").len(), 3);
    assert_eq!(directory.sockets().expect("sockets")[1].fd, 8);
    assert!(directory.segment().fd().as_fd().try_clone_to_owned().is_ok());
    assert_eq!(Thing::new_zeroed().key, 0);
}
