//! What arrays, cases and ranges of another layout cannot hold is kept aside, and comes back.

use shm_state::schema::Schema;
use shm_state::table::{Records, RecordsView, Slot};
use shm_state::translate::{Copier, Layer, Marking, Origin};
use shm_state::{Cases, Layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Cases)]
#[allow(dead_code, reason = "records keep the numbers")]
enum Old {
    Down = 0,
    Up = 1,
}

#[derive(Cases)]
#[allow(dead_code, reason = "records keep the numbers")]
enum New {
    Down = 0,
    Up = 1,
    Draining = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 3, name = "links", version = 2)]
#[repr(C)]
struct Wide {
    #[field(id = 1, unsigned, key)]
    number: u64,
    #[field(id = 2, unsigned, default = 5, narrow = "clamp")]
    rates: [u32; 4],
    #[field(id = 3, unsigned, range = 0..=1000, narrow = "clamp", default = 1)]
    weight: u32,
    #[field(id = 4, cases = New, default = 0, narrow = "clamp")]
    state: u8,
    #[field(id = 5, signed, default = -1)]
    trend: [i8; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
#[layout(table = 3, name = "links", version = 1)]
#[repr(C)]
struct Narrow {
    #[field(id = 1, unsigned, key)]
    number: u64,
    #[field(id = 2, unsigned, default = 5, narrow = "clamp")]
    rates: [u16; 2],
    #[field(id = 3, unsigned, range = 0..=64, narrow = "clamp", default = 1)]
    weight: u8,
    #[field(id = 4, cases = Old, default = 0, narrow = "clamp")]
    state: u8,
    #[field(skip)]
    pad: [u8; 2],
}

fn swapped<A: Layout, B: Layout>(from: &Records<A>, layers: Vec<Layer>) -> (Records<B>, Vec<Layer>, Copier) {
    let to = Records::<B>::create([1; 16], 32).expect("a table");
    let view = |segment: &shm_state::segment::Segment| RecordsView::attach(segment.clone()).expect("a table");
    let origin = Origin { marking: Marking::Fine, generation: 1, layers };
    let mut copier =
        Copier::new(view(from.segment()), view(to.segment()), &Schema::new("links"), origin).expect("fits");
    copier.first(|_, _| {});
    copier.last().expect("nothing refuses");
    (to, copier.layers().cloned().collect(), copier)
}

fn wide(number: u64) -> Wide {
    let small = number as u32;
    Wide {
        number,
        rates: [small, small * 10_000, 5, if number.is_multiple_of(2) { 5 } else { small }],
        weight: small * 9,
        state: (number % 3) as u8,
        trend: [-1, small as i8, 3],
    }
}

#[test]
fn down_and_up_again_loses_nothing() {
    let mut before = Records::<Wide>::create([1; 16], 32).expect("a table");
    (0..24).for_each(|slot| before.fill(Slot(slot), wide(slot.into())));
    let (mut down, layers, copier) = swapped::<Wide, Narrow>(&before, Vec::new());
    let served = Narrow { number: 11, rates: [11, u16::MAX], weight: 64, state: 0, pad: [0; 2] };
    assert_eq!(*down.get(Slot(11)), served, "cut, clamped, and an unknown case by its default");
    let clamped = copier.loss().report().clamped;
    let count = |name: &str| clamped.iter().find(|count| count.field == name).map_or(0, |count| count.count);
    // Above 65,535 from 7 on, and odd ones have a fourth rate that is not the default (5 has it, too).
    let rates = (0..24).filter(|n| *n >= 7 || n % 2 == 1 && *n != 5).count() as u64;
    assert_eq!((count("rates"), count("weight"), count("state")), (rates, 16, 8));
    let (up, layers, _) = swapped::<Narrow, Wide>(&down, layers);
    (0..24).map(Slot).for_each(|slot| assert_eq!(up.get(slot), before.get(slot)));
    assert!(layers.is_empty() || layers.iter().all(|layer| layer.segment().prelude().layout_version == 1));

    // What was written in the older layout is not overwritten.
    let (_, layers, _) = swapped::<Wide, Narrow>(&before, Vec::new());
    down.get_mut(Slot(11)).state = 1;
    down.get_mut(Slot(12)).rates = [1, 2];
    down.get_mut(Slot(13)).weight = 3;
    let (up, ..) = swapped::<Narrow, Wide>(&down, layers);
    assert_eq!(*up.get(Slot(11)), Wide { state: 1, ..wide(11) });
    assert_eq!(*up.get(Slot(12)), Wide { rates: [1, 2, 5, 5], ..wide(12) }, "with the default where there is no more");
    assert_eq!(*up.get(Slot(13)), Wide { weight: 3, ..wide(13) });
}
