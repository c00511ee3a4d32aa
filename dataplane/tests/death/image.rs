//! The bytes of all tables at one instant.

use shm_state::segment::Segment;
use std::sync::atomic::Ordering;

/// Word of the index's header that names the operation under way.
const OPERATION: usize = 8;

/// The indexes follow the records and the identities.
pub const FIRST_INDEX: usize = 2;

/// Bodies of the segments, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(Vec<Box<[u64]>>);

impl Image {
    pub fn of(segments: &[Segment]) -> Self {
        let words = |segment: &Segment| {
            let words = segment.words(0, segment.body_len() / 8);
            words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
        };
        Self(segments.iter().map(words).collect())
    }

    /// Whether the segments hold just this.
    pub fn is(&self, segments: &[Segment]) -> bool {
        self.0.iter().zip(segments).all(|(image, segment)| {
            let words = segment.words(0, image.len());
            image.iter().zip(words).all(|(image, word)| *image == word.load(Ordering::Relaxed))
        })
    }

    pub fn restore(&self, segments: &[Segment]) {
        for (image, segment) in self.0.iter().zip(segments) {
            for (from, to) in image.iter().zip(segment.words(0, image.len())) {
                to.store(*from, Ordering::Relaxed);
            }
        }
    }

    /// Without its intent: what an executable that writes none would have left.
    pub fn forgetful(&self) -> Self {
        let mut image = self.clone();
        image.0[FIRST_INDEX..].iter_mut().for_each(|index| index[OPERATION] = 0);
        image
    }

    /// Number of the operation under way in whatever shard.
    pub fn operation(&self) -> u64 {
        self.0[FIRST_INDEX..].iter().map(|index| index[OPERATION]).find(|&number| number != 0).unwrap_or(0)
    }

    /// Words of one segment.
    pub fn words(&self, segment: usize) -> &[u64] {
        &self.0[segment]
    }
}
