//! A segment: one memfd with its prelude, an optional descriptor, and a body.
//!
//! Making one is for the holder-to-be; attaching treats all that is inside as claims and checks them before
//! anything else may look.

use crate::descriptor::{DESCRIPTOR_LEN_MAX, Descriptor};
use crate::error::RegionError;
use crate::map::{self, AllAtomic, Mapping};
use crate::prelude::{BODY_ALIGN, FLAG_SECRET, PRELUDE_LEN, Parts, Prelude, SegmentId, digest64};
use nix::fcntl::SealFlag;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use zerocopy::{FromBytes, IntoBytes};

/// A segment's length is a whole number of pages.
const PAGE: u64 = 4096;
/// Nothing larger is ever made, so nothing larger is believed.
pub const SEGMENT_LEN_MAX: u64 = 1 << 40;

/// What a new segment is to be.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    pub id: SegmentId,
    pub region_id: [u8; 16],
    pub layout_version: u32,
    /// Canonical descriptor bytes, for self-describing tables.
    pub descriptor: Option<&'a [u8]>,
    /// Bytes of the body.
    pub body_len: u64,
}

/// A mapped segment whose prelude was checked. Clones share the mapping and the descriptor.
#[derive(Debug, Clone)]
pub struct Segment {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    fd: OwnedFd,
    map: Mapping,
    prelude: Prelude,
}

impl Segment {
    /// Makes, allocates, seals and maps a segment; its body is zero.
    ///
    /// # Errors
    /// See [`RegionError`]; nothing is left behind.
    pub fn create(spec: Spec<'_>) -> Result<Self, RegionError> {
        Self::make(spec, 0)
    }

    /// As [`Segment::create`], for what must not reach a disk: every process that maps it locks it in memory and leaves
    /// it out of its core dumps.
    ///
    /// # Errors
    /// See [`RegionError`]; nothing is left behind.
    pub fn create_secret(spec: Spec<'_>) -> Result<Self, RegionError> {
        Self::make(spec, FLAG_SECRET)
    }

    fn make(spec: Spec<'_>, flags: u32) -> Result<Self, RegionError> {
        let Spec { id, region_id, layout_version, descriptor, body_len } = spec;
        let descriptor_len = descriptor.map_or(0, <[u8]>::len) as u64;
        let descriptor_off = if descriptor.is_some() { PRELUDE_LEN as u64 } else { 0 };
        let body_off = (PRELUDE_LEN as u64 + descriptor_len).next_multiple_of(BODY_ALIGN);
        let segment_len = body_off
            .checked_add(body_len)
            .filter(|&len| len <= SEGMENT_LEN_MAX)
            .map(|len| len.next_multiple_of(PAGE))
            .ok_or_else(|| RegionError::OutOfMemory {
                segment: id,
                bytes: body_len,
                source: std::io::Error::from_raw_os_error(libc::EFBIG),
            })?;
        let fingerprint = descriptor.map_or(0, digest64);
        let prelude = Prelude::new(Parts {
            id,
            region_id,
            layout_version,
            fingerprint,
            descriptor_off,
            descriptor_len,
            body_off,
            body_len,
            segment_len,
            flags,
        });
        let (fd, map) = map::create(&format!("hitless:{id}"), id, segment_len)?;
        conceal(&map, &prelude)?;
        store_bytes(&map, 0, prelude.as_bytes());
        if let Some(bytes) = descriptor {
            store_bytes(&map, descriptor_off as usize, bytes);
        }
        Ok(Self { inner: Arc::new(Inner { fd, map, prelude }) })
    }

    /// Maps a segment that somebody else made, after checking its size, its seals and its prelude.
    ///
    /// # Errors
    /// The first claim that does not hold, by name.
    pub fn attach(fd: OwnedFd) -> Result<Self, RegionError> {
        let unknown = SegmentId::new(crate::prelude::Kind::Manifest, 0);
        let kernel = |call| move |e: nix::Error| RegionError::Kernel { segment: unknown, call, source: e.into() };
        let stat = nix::sys::stat::fstat(&fd).map_err(kernel("fstat"))?;
        let file_len = u64::try_from(stat.st_size).unwrap_or(0);
        if file_len < PRELUDE_LEN as u64 || !file_len.is_multiple_of(8) {
            return Err(RegionError::Truncated { bytes: file_len, need: PRELUDE_LEN as u64 });
        }
        let seals = map::seals(&fd).map_err(kernel("fcntl(F_GET_SEALS)"))?;
        // A file that could shrink under the mapping would turn any read into a fault: refuse before mapping.
        if !seals.contains(map::REQUIRED_SEALS) || seals.contains(SealFlag::F_SEAL_WRITE) {
            return Err(RegionError::NotSealed { segment: unknown, seals: seals.bits() });
        }
        // A sparse file would be filled in by mapping it, or kill its reader when memory runs out.
        let allocated = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if allocated < file_len {
            return Err(RegionError::Claim {
                segment: unknown,
                what: "allocated bytes",
                found: allocated,
                expected: format!("all {file_len}"),
            });
        }
        if file_len > SEGMENT_LEN_MAX {
            return Err(RegionError::Claim {
                segment: unknown,
                what: "segment length",
                found: file_len,
                expected: format!("at most {SEGMENT_LEN_MAX}"),
            });
        }
        let map = map_whole(unknown, &fd, file_len)?;
        let mut bytes = [0; PRELUDE_LEN];
        load_bytes(&map, 0, &mut bytes);
        let prelude = Prelude::read_from_bytes(&bytes).expect("length is the prelude's").check(file_len)?;
        conceal(&map, &prelude)?;
        Ok(Self { inner: Arc::new(Inner { fd, map, prelude }) })
    }

    /// Attaches and insists on which segment it is.
    ///
    /// # Errors
    /// As [`Segment::attach`], or [`RegionError::WrongSegment`].
    pub fn attach_as(fd: OwnedFd, expected: SegmentId) -> Result<Self, RegionError> {
        let segment = Self::attach(fd)?;
        segment.expect(expected)?;
        Ok(segment)
    }

    /// Insists on which segment this is.
    ///
    /// # Errors
    /// [`RegionError::WrongSegment`].
    pub fn expect(&self, expected: SegmentId) -> Result<(), RegionError> {
        if self.id() == expected { Ok(()) } else { Err(RegionError::WrongSegment { expected, found: self.id() }) }
    }

    /// The checked prelude, a private copy.
    pub fn prelude(&self) -> &Prelude {
        &self.inner.prelude
    }

    /// Which segment this is.
    pub fn id(&self) -> SegmentId {
        self.inner.prelude.id()
    }

    /// The memfd.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inner.fd.as_fd()
    }

    /// The descriptor stored in the segment, parsed and checked against the prelude's fingerprint.
    ///
    /// # Errors
    /// [`RegionError::Descriptor`] or [`RegionError::Claim`] by name.
    pub fn descriptor(&self) -> Result<Option<Descriptor>, RegionError> {
        let Prelude { descriptor_off, descriptor_len, fingerprint, .. } = self.inner.prelude;
        if descriptor_len == 0 {
            return Ok(None);
        }
        if descriptor_len > DESCRIPTOR_LEN_MAX as u64 {
            return Err(RegionError::Claim {
                segment: self.id(),
                what: "descriptor length",
                found: descriptor_len,
                expected: format!("at most {DESCRIPTOR_LEN_MAX}"),
            });
        }
        let mut bytes = vec![0; descriptor_len as usize];
        load_bytes(&self.inner.map, descriptor_off as usize, &mut bytes);
        let computed = digest64(&bytes);
        if computed != fingerprint {
            return Err(RegionError::Claim {
                segment: self.id(),
                what: "descriptor fingerprint",
                found: computed,
                expected: format!("{fingerprint:#018x} as the prelude says"),
            });
        }
        let (descriptor, _) =
            Descriptor::parse(&bytes).map_err(|source| RegionError::Descriptor { segment: self.id(), source })?;
        Ok(Some(descriptor))
    }

    /// Overwrites the body with zeros, for everybody who has it mapped. For secrets that nobody uses any longer.
    pub fn wipe(&self) {
        let whole = self.body_len() / 8;
        self.words(0, whole).iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.bytes(whole * 8, self.body_len() % 8).iter().for_each(|byte| byte.store(0, Ordering::Relaxed));
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Length of the body in bytes.
    pub fn body_len(&self) -> usize {
        self.inner.prelude.body_len as usize
    }

    /// `count` words of the body from byte offset `off`.
    ///
    /// # Panics
    /// When outside the body: offsets read from the segment are checked by the caller first.
    #[inline]
    pub fn words(&self, off: usize, count: usize) -> &[AtomicU64] {
        self.inner.map.words(self.body(off, count * 8), count)
    }

    /// `count` 32-bit halves of the body from byte offset `off`. Panics like [`Segment::words`].
    #[inline]
    pub fn halves(&self, off: usize, count: usize) -> &[AtomicU32] {
        self.inner.map.halves(self.body(off, count * 4), count)
    }

    /// `count` bytes of the body from byte offset `off`. Panics like [`Segment::words`].
    #[inline]
    pub fn bytes(&self, off: usize, count: usize) -> &[AtomicU8] {
        self.inner.map.bytes(self.body(off, count), count)
    }

    /// A block of atomics in the body at byte offset `off`. Panics like [`Segment::words`].
    pub fn view<T: AllAtomic>(&self, off: usize) -> &T {
        self.inner.map.view(self.body(off, size_of::<T>()))
    }

    /// Address of a byte of the body in this process, for the kernel's use.
    pub fn address(&self, off: usize) -> u64 {
        self.inner.map.address(self.body(off, 1))
    }

    pub(crate) fn body_ptr(&self, off: usize, len: usize) -> *mut u8 {
        self.inner.map.base().wrapping_add(self.body(off, len))
    }

    #[inline]
    fn body(&self, off: usize, len: usize) -> usize {
        let end = off.checked_add(len).expect("range overflows");
        assert!(end <= self.body_len(), "range {off}+{len} outside the body of {}", self.id());
        self.inner.prelude.body_off as usize + off
    }
}

/// Keeps a mapping of secrets out of swap space and core dumps, before there is a secret in it.
fn conceal(map: &Mapping, prelude: &Prelude) -> Result<(), RegionError> {
    if !prelude.is_secret() {
        return Ok(());
    }
    let (segment, bytes) = (prelude.id(), prelude.segment_len);
    map.leave_out_of_dumps().map_err(|source| RegionError::Kernel {
        segment,
        call: "madvise(MADV_DONTDUMP)",
        source,
    })?;
    map.lock().map_err(|source| RegionError::NotLocked { segment, bytes, source })
}

fn map_whole(segment: SegmentId, fd: &OwnedFd, len: u64) -> Result<Mapping, RegionError> {
    Mapping::new(fd, len as usize).map_err(|source| match source.raw_os_error() {
        Some(libc::ENOMEM) => RegionError::OutOfMemory { segment, bytes: len, source },
        _ => RegionError::Kernel { segment, call: "mmap", source },
    })
}

fn load_bytes(map: &Mapping, off: usize, to: &mut [u8]) {
    let from = map.bytes(off, to.len());
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

fn store_bytes(map: &Mapping, off: usize, from: &[u8]) {
    for (to, from) in map.bytes(off, from.len()).iter().zip(from) {
        to.store(*from, Ordering::Relaxed);
    }
}
