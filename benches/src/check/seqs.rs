//! Which sequence numbers of one flow were seen: exact, for the whole run.

/// What one more sequence number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// First time, and above all before it.
    InOrder,
    /// First time, but a higher number came earlier.
    Late,
    Duplicate,
}

/// A bit per sequence number. A flow's numbers start at 0 and are dense, so this stays small: a minute at
/// 1,000 packets/s is 7.5 KB.
#[derive(Debug, Clone, Default)]
pub struct SeqSet {
    words: Vec<u64>,
    next: u32,
    count: u32,
}

impl SeqSet {
    pub fn insert(&mut self, seq: u32) -> Seen {
        let (word, bit) = ((seq / 64) as usize, 1u64 << (seq % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.words[word] & bit != 0 {
            return Seen::Duplicate;
        }
        self.words[word] |= bit;
        self.count += 1;
        if seq >= self.next {
            self.next = seq + 1;
            Seen::InOrder
        } else {
            Seen::Late
        }
    }

    pub fn contains(&self, seq: u32) -> bool {
        self.words.get((seq / 64) as usize).is_some_and(|word| word & (1 << (seq % 64)) != 0)
    }

    /// Different numbers seen.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_lateness_and_duplicates() {
        let mut set = SeqSet::default();
        assert_eq!(set.insert(0), Seen::InOrder);
        assert_eq!(set.insert(2), Seen::InOrder);
        assert_eq!(set.insert(1), Seen::Late);
        assert_eq!(set.insert(1), Seen::Duplicate);
        assert_eq!(set.insert(64), Seen::InOrder);
        assert_eq!(set.insert(63), Seen::Late);
        assert_eq!(set.count(), 5);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(100_000));
    }
}
