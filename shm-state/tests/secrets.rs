//! Tables of secrets: locked in memory and left out of core dumps wherever they are mapped, what is kept aside of them
//! included; overwritten once their translation is in use.

use shm_state::Layout;
use shm_state::prelude::SegmentId;
use shm_state::schema::Schema;
use shm_state::segment::Segment;
use shm_state::table::{Records, RecordsView, Slot};
use shm_state::translate::{Copier, Marking, Origin};
use std::sync::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const REGION: [u8; 16] = [9; 16];
/// The tests look at all mappings of their process.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "keys", version = 1, secret)]
#[repr(C)]
struct KeyV1 {
    #[field(id = 1, bytes)]
    key: [u8; 32],
    #[field(id = 2, unsigned)]
    used: u64,
    /// Gone in the next layout.
    #[field(id = 3, unsigned, default = 0)]
    salt: u64,
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 77, name = "keys", version = 2, secret)]
#[repr(C)]
struct KeyV2 {
    #[field(id = 2, unsigned)]
    used: u64,
    #[field(id = 1, bytes)]
    key: [u8; 32],
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 78, name = "plain", version = 1)]
#[repr(C)]
struct Plain {
    #[field(id = 1, unsigned)]
    number: u64,
}

/// The kernel's flags of each mapping of this process that is of segment `id`.
fn flags(id: SegmentId) -> Vec<Vec<String>> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("own mappings");
    let name = format!("/memfd:hitless:{id} (deleted)");
    let mut found = Vec::new();
    let mut inside = false;
    for line in smaps.lines() {
        match line.strip_prefix("VmFlags:") {
            Some(flags) if inside => found.push(flags.split_whitespace().map(str::to_owned).collect()),
            Some(_) => {}
            // The first line of a mapping begins with its addresses.
            None if line.split(' ').next().is_some_and(|word| word.contains('-')) => inside = line.ends_with(&name),
            None => {}
        }
    }
    found
}

fn is_concealed(flags: &[String]) -> bool {
    // Locked, and "don't dump": proc_pid_smaps(5).
    ["lo", "dd"].iter().all(|wanted| flags.iter().any(|flag| flag == wanted))
}

#[test]
fn secrets_are_locked_and_left_out_of_core_dumps_wherever_they_are_mapped() {
    let _alone = ALONE.lock();
    let keys = Records::<KeyV1>::create(REGION, 600).expect("a table");
    let plain = Records::<Plain>::create(REGION, 600).expect("a table");
    let again = keys.segment().fd().try_clone_to_owned().expect("a descriptor");
    let again = Segment::attach(again).expect("a segment");
    assert!(again.prelude().is_secret() && !plain.segment().prelude().is_secret());
    let mappings = flags(keys.segment().id());
    assert_eq!(mappings.len(), 2);
    assert!(mappings.iter().all(|flags| is_concealed(flags)), "{mappings:?}");
    let refused = shm_state::image::save(keys.segment(), &mut Vec::new()).expect_err("no secrets in files");
    assert!(refused.to_string().contains("table:77 holds secrets"), "{refused}");
    let fd = keys.segment().fd().try_clone_to_owned().expect("a descriptor");
    shm_state::image::load(&fd.into()).expect_err("no copies of secrets");
    let mappings = flags(plain.segment().id());
    assert_eq!(mappings.len(), 1);
    assert!(!is_concealed(&mappings[0]), "{mappings:?}");
}

#[test]
fn what_was_translated_is_overwritten_once_the_copy_is_in_use() {
    let _alone = ALONE.lock();
    let mut old = Records::<KeyV1>::create(REGION, 600).expect("a table");
    let secret = *b"thirty-two bytes of a secret key";
    for slot in [Slot(0), Slot(599)] {
        old.fill(slot, KeyV1 { key: secret, used: slot.0.into(), salt: 0x5a17 });
    }
    let new = Records::<KeyV2>::create(REGION, 600).expect("a table");
    let [source, destination] =
        [old.segment(), new.segment()].map(|segment| RecordsView::attach(segment.clone()).expect("a table"));
    let origin = Origin { marking: Marking::Coarse, generation: 1, layers: Vec::new() };
    let mut copier = Copier::new(source.clone(), destination, &Schema::new("keys"), origin).expect("a plan");
    copier.first(|_, _| {});
    copier.last().expect("all fits");
    let layer = copier.made_layer().expect("the salt is kept aside").clone();
    assert!(layer.segment().prelude().is_secret());
    assert!(flags(layer.segment().id()).iter().all(|flags| is_concealed(flags)));

    copier.retire();
    assert_eq!((new.get(Slot(599)).key, new.get(Slot(599)).used), (secret, 599));
    let body = source.segment().bytes(0, source.segment().body_len());
    assert!(body.iter().all(|byte| byte.load(std::sync::atomic::Ordering::Relaxed) == 0));
}
