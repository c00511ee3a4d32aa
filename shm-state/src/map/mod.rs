//! Unsafe fence: memfds and their mappings.
//!
//! Everything above sees a segment as slices of atomics, which is sound whatever another process writes:
//! every bit pattern is a valid integer and every access is atomic. The typed references of the packet path
//! are made in `table/slots.rs` alone.
#![allow(unsafe_code)]

mod column;
pub(crate) use column::Column;
pub mod futex;
mod memfd;
pub use memfd::{REQUIRED_SEALS, create, seals};

use memmap2::{Advice, MmapOptions, MmapRaw};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// A type whose every field is an atomic integer (or an array or struct of such), so that a shared reference
/// to foreign memory may be made of it.
///
/// # Safety
/// The type is `repr(C)`, has only atomic integers in it, no padding that is read, and needs an alignment of
/// at most 64 bytes.
pub unsafe trait AllAtomic: Sized {}

/// Bytes of a huge page; on hosts where it is more, small tables ask in vain.
const HUGE_PAGE: usize = 2 << 20;

/// A shared, writable mapping of a whole segment.
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps `len` bytes of `fd` and faults every page in, so that no page fault is left for the packet path.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn new(fd: impl AsFd, len: usize) -> std::io::Result<Self> {
        let map = Self::unpopulated(fd, len)?;
        map.populate()?;
        Ok(map)
    }

    /// Maps without faulting anything in. Where huge pages are to be had they are asked for; a host that lacks them is
    /// only slower.
    fn unpopulated(fd: impl AsFd, len: usize) -> std::io::Result<Self> {
        let raw = MmapOptions::new().len(len).map_raw(fd.as_fd().as_raw_fd())?;
        let map = Self { raw };
        if map.wants_huge_pages() {
            let _ = map.raw.advise(Advice::HugePage);
        }
        Ok(map)
    }

    /// Whether the mapping has room for a huge page.
    fn wants_huge_pages(&self) -> bool {
        self.len() >= HUGE_PAGE
    }

    /// Allocates every page by a write fault.
    fn allocate(&self) -> std::io::Result<()> {
        self.raw.advise(Advice::PopulateWrite)
    }

    /// Faults every page in, for writing too: shared memory needs no second fault for that.
    fn populate(&self) -> std::io::Result<()> {
        self.raw.advise(Advice::PopulateRead)
    }

    /// Keeps the pages in memory: they are never written to swap space.
    pub fn lock(&self) -> std::io::Result<()> {
        self.raw.lock()
    }

    /// Leaves the pages out of this process's core dumps.
    pub fn leave_out_of_dumps(&self) -> std::io::Result<()> {
        self.raw.advise(Advice::DontDump)
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// True for a mapping of no bytes, which the kernel never makes.
    pub fn is_empty(&self) -> bool {
        self.raw.len() == 0
    }

    /// Where the mapping starts; page aligned.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    /// Address of the byte at `off`, for the kernel's use (rings, receive buffers).
    ///
    /// # Panics
    /// When `off` is outside.
    pub fn address(&self, off: usize) -> u64 {
        assert!(off < self.len(), "offset {off} outside a mapping of {} bytes", self.len());
        self.base() as u64 + off as u64
    }

    /// `count` words from byte offset `off`.
    ///
    /// # Panics
    /// When the range is outside or misaligned: callers check claims first.
    #[inline]
    pub fn words(&self, off: usize, count: usize) -> &[AtomicU64] {
        self.slice(off, count)
    }

    /// `count` half words (32 bits) from byte offset `off`. Panics like [`Mapping::words`].
    #[inline]
    pub fn halves(&self, off: usize, count: usize) -> &[AtomicU32] {
        self.slice(off, count)
    }

    /// `count` bytes from byte offset `off`. Panics like [`Mapping::words`].
    #[inline]
    pub fn bytes(&self, off: usize, count: usize) -> &[AtomicU8] {
        self.slice(off, count)
    }

    /// A block of atomics at byte offset `off`. Panics like [`Mapping::words`].
    pub fn view<T: AllAtomic>(&self, off: usize) -> &T {
        self.check(off, size_of::<T>(), align_of::<T>());
        // SAFETY: `check` proved that the range lies inside the mapping, which lives as long as `self`, and
        // is aligned; `AllAtomic` says that every bit pattern is valid and shared access is atomic.
        unsafe { &*self.base().add(off).cast::<T>() }
    }

    fn slice<T: Atom>(&self, off: usize, count: usize) -> &[T] {
        let bytes = count.checked_mul(size_of::<T>()).expect("length overflows");
        self.check(off, bytes, align_of::<T>());
        // SAFETY: `check` proved that `count` items from `off` lie inside the mapping, which lives as long as
        // `self`, and are aligned; `Atom` is implemented for atomic integers only.
        unsafe { std::slice::from_raw_parts(self.base().add(off).cast::<T>(), count) }
    }

    fn check(&self, off: usize, bytes: usize, align: usize) {
        let end = off.checked_add(bytes).expect("range overflows");
        assert!(end <= self.len(), "range {off}+{bytes} outside a mapping of {} bytes", self.len());
        assert!(off.is_multiple_of(align) && align <= 4096, "offset {off} is not aligned to {align}");
    }
}

/// Atomic integers, and nothing else.
trait Atom {}
impl Atom for AtomicU8 {}
impl Atom for AtomicU32 {}
impl Atom for AtomicU64 {}

/// Asks for the cache line of `target` ahead of its use.
#[inline(always)]
pub fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless; this one is a valid reference besides.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(target).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}
