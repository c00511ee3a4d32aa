//! Each identity has one user at a time, and rests between two.

use super::*;

const DELAY: u64 = 1000;

fn three() -> Identities {
    Identities::create([1; 16], &[RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 8, identities: 5 }])
        .unwrap()
}

#[test]
fn each_identity_once_then_none() {
    let mut ids = three();
    let mut taken: Vec<_> = (0..3).map(|n| ids.take(0, 0, DELAY, n << 62).unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!(ids.take(0, 0, DELAY, 0), None);
    assert!(ids.take(1, 0, DELAY, 0).is_some(), "backends do not share");
}

#[test]
fn released_ones_rest_first_in_first_out() {
    let mut ids = three();
    for n in 0..3 {
        let identity = ids.take(0, 0, DELAY, 0).unwrap();
        ids.bind(0, identity, Slot(n));
    }
    ids.release(0, 1, 10);
    ids.release(0, 0, 20);
    assert_eq!(ids.slot(0, 1), None, "a late reply finds nobody");
    assert_eq!(ids.take(0, 10 + DELAY - 1, DELAY, 0), None, "just before the delay");
    assert_eq!(ids.take(0, 10 + DELAY, DELAY, 0), Some(1), "just after");
    assert_eq!(ids.take(0, 10 + DELAY, DELAY, 0), None, "the second still rests");
    assert_eq!(ids.take(0, 20 + DELAY, DELAY, 0), Some(0));
}

#[test]
fn attach_insists_on_the_same_backends() {
    let ids = three();
    let specs = [RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 8, identities: 5 }];
    assert!(Identities::attach(ids.segment().clone(), &specs).is_ok());
    let other = [RowSpec { backend: 7, identities: 3 }, RowSpec { backend: 9, identities: 5 }];
    assert!(Identities::attach(ids.segment().clone(), &other).is_err());
    assert!(Identities::attach(ids.segment().clone(), &specs[..1]).is_err());
}

proptest::proptest! {
    /// Against a naive model: never two users of one identity, never one back before its time.
    #[test]
    fn like_the_model(steps in proptest::collection::vec((proptest::bool::ANY, 0u64..600, proptest::num::u64::ANY), 1..400)) {
        let mut ids = Identities::create([1; 16], &[RowSpec { backend: 1, identities: 8 }]).unwrap();
        let (mut used, mut rests, mut now) = (Vec::<u32>::new(), Vec::<(u32, u64)>::new(), 1);
        for (take, wait, random) in steps {
            now += wait;
            if take {
                if let Some(identity) = ids.take(0, now, DELAY, random) {
                    proptest::prop_assert!(!used.contains(&identity));
                    if let Some(&(_, since)) = rests.iter().rev().find(|(rested, _)| *rested == identity) {
                        proptest::prop_assert!(now - since >= DELAY);
                    }
                    rests.retain(|(rested, _)| *rested != identity);
                    ids.bind(0, identity, Slot(identity + 100));
                    used.push(identity);
                } else {
                    let young = rests.iter().filter(|(_, since)| now - since < DELAY).count();
                    proptest::prop_assert_eq!(used.len() + young, 8);
                }
            } else if !used.is_empty() {
                let identity = used.swap_remove(random as usize % used.len());
                proptest::prop_assert_eq!(ids.slot(0, identity), Some(Slot(identity + 100)));
                ids.release(0, identity, now);
                rests.push((identity, now));
            }
        }
    }
}

#[test]
fn a_rest_that_is_said_to_begin_later_begins_now() {
    let mut identities = Identities::create([0; 16], &[RowSpec { backend: 7, identities: 2 }]).expect("a segment");
    for _ in 0..2 {
        let taken = identities.take(0, 10, 5, 0).expect("a free one");
        identities.release(0, taken, 10);
    }
    let times = identities.rows[0].resting(&identities.segment).1;
    times[0].store(u64::MAX, Relaxed);
    assert_eq!(identities.to_wake(0, 20, 5), None, "it stands before the other one");
    assert_eq!(identities.to_wake(0, 24, 5), None);
    assert_eq!(identities.to_wake(0, 25, 5).expect("both").count, 2);
}
