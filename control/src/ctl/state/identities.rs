//! The upstream identities' segment, read by its byte map (docs/shared-memory.md): version 1.

use std::sync::atomic::Ordering::Relaxed;

use shm_state::segment::Segment;

/// The version that is read here.
pub(super) const VERSION: u32 = 1;
const HEADER_LEN: usize = 64;
const ROW_HEADER_LEN: usize = 64;
/// More backends than any config has.
const ROWS_MAX: u64 = 1 << 16;

/// The identities of one backend.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) backend: u32,
    pub(super) identities: u32,
    /// In the free pool.
    pub(super) free: Vec<u32>,
    /// By identity: slot of its flow plus one, 0 for none.
    pub(super) reverse: Vec<u32>,
    /// Identities that rest.
    pub(super) resting: Vec<u32>,
}

/// Reads all rows.
///
/// # Errors
/// The claim that does not hold, in words.
pub(super) fn read(segment: &Segment) -> Result<Vec<Row>, String> {
    let version = segment.prelude().layout_version;
    if version != VERSION {
        return Err(format!("identities version {version} is not known here, only {VERSION}"));
    }
    let len = segment.body_len();
    if len < HEADER_LEN {
        return Err(format!("a body of {len} bytes has no room for a header"));
    }
    let count = segment.words(0, 1)[0].load(Relaxed);
    if count > ROWS_MAX {
        return Err(format!("{count} backends are claimed, at most {ROWS_MAX} are believed"));
    }
    let mut rows = Vec::new();
    let mut at = HEADER_LEN;
    for row in 0..count {
        if len - at < ROW_HEADER_LEN {
            return Err(format!("row {row} of {count} begins beyond the end"));
        }
        let header: [u64; 4] = {
            let words = segment.words(at, 4);
            std::array::from_fn(|word| words[word].load(Relaxed))
        };
        let (backend, identities) = (header[0] as u32, (header[0] >> 32) as u32);
        let padded = (identities as usize).next_multiple_of(2);
        let [start, end] = [at + ROW_HEADER_LEN, at + ROW_HEADER_LEN + padded * 20];
        if end > len {
            return Err(format!("the {identities} identities of backend {backend:#x} reach beyond the end"));
        }
        let [free, head, resting] = [header[1], header[2], header[3]];
        if free > identities.into() || resting > identities.into() || (identities > 0 && head >= identities.into()) {
            let counts = format!("{free} free, {resting} resting from place {head}");
            return Err(format!("backend {backend:#x} has {identities} identities, but counts {counts}"));
        }
        let array = |which: usize| segment.halves(start + which * padded * 4, identities as usize);
        let ring = array(2);
        let place = |nth: u64| (head + nth) as usize % identities.max(1) as usize;
        rows.push(Row {
            backend,
            identities,
            free: array(0)[..free as usize].iter().map(|half| half.load(Relaxed)).collect(),
            reverse: array(1).iter().map(|half| half.load(Relaxed)).collect(),
            resting: (0..resting).map(|nth| ring[place(nth)].load(Relaxed)).collect(),
        });
        at = end;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shm_state::prelude::{Kind, SegmentId};
    use shm_state::segment::Spec;

    fn segment(version: u32, words: &[u64]) -> Segment {
        let spec = Spec {
            id: SegmentId::new(Kind::Identities, 3),
            region_id: [0; 16],
            layout_version: version,
            descriptor: None,
            body_len: words.len() as u64 * 8,
        };
        let segment = Segment::create(spec).expect("a segment");
        segment.words(0, words.len()).iter().zip(words).for_each(|(to, word)| to.store(*word, Relaxed));
        segment
    }

    /// One backend with two identities: one rests, one is bound to slot 4.
    fn whole() -> Vec<u64> {
        let header = [1, 0, 0, 0, 0, 0, 0, 0];
        let row = [2 << 32 | 0xb1, 0, 1, 1, 0, 0, 0, 0];
        let arrays = [0, 5, 0, 77, 99];
        [&header[..], &row, &arrays].concat()
    }

    #[test]
    fn a_row_is_read_and_a_wrong_one_named() {
        let rows = read(&segment(VERSION, &whole())).expect("good");
        let [Row { backend, identities, free, reverse, resting }] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((*backend, *identities), (0xb1, 2));
        assert_eq!((&free[..], &reverse[..], &resting[..]), (&[][..], &[5, 0][..], &[0][..]));
        let wrong = |at: usize, value| {
            let mut words = whole();
            words[at] = value;
            read(&segment(VERSION, &words)).expect_err("wrong")
        };
        assert!(wrong(0, 2).contains("row 1 of 2"));
        assert!(wrong(0, u64::MAX).contains("at most"));
        assert!(wrong(8, 3 << 32).contains("reach beyond the end"));
        assert!(wrong(9, 3).contains("counts 3 free"));
        assert!(wrong(10, 2).contains("from place 2"));
        assert!(read(&segment(9, &whole())).expect_err("later").contains("version 9"));
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(
            changes in prop::collection::vec((0usize..21, prop_oneof![0u64..9, any::<u64>()]), 1..6),
        ) {
            let mut words = whole();
            changes.into_iter().for_each(|(at, word)| words[at] = word);
            let _ = read(&segment(VERSION, &words));
        }
    }
}
