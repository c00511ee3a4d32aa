//! What a binary says of itself in its second note, and whether two binaries can follow each other in one region.

use std::collections::BTreeMap;

use handover::messages::Fault;
use serde::Serialize;
use shm_state::note::{Fact, Subject, VersionsError, parse_versions};

/// Oldest and newest supported version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// Oldest.
    pub min: u32,
    /// Newest.
    pub max: u32,
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}–{}", self.min, self.max) }
    }
}

/// The note, read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Version of the package.
    pub package: Option<String>,
    /// Name of the executable.
    pub executable: Option<String>,
    /// By subject; one that this build does not know is called by its number.
    pub ranges: BTreeMap<String, Range>,
}

/// Formats that lie in the segments: a successor reads what its predecessor wrote, which is its newest. (Descriptors are
/// written in the oldest encoding that says all, and say themselves which that is.)
const FORMATS: [Subject; 5] =
    [Subject::Prelude, Subject::Manifest, Subject::Directory, Subject::Index, Subject::Identities];

impl Versions {
    /// Reads the contents of a note.
    ///
    /// # Errors
    /// See [`VersionsError`].
    pub fn parse(contents: &[u8]) -> Result<Self, VersionsError> {
        let mut versions = Self::default();
        for (number, fact) in parse_versions(contents)? {
            let subject = Subject::from_number(number);
            match (subject, fact) {
                (Some(Subject::Package), Fact::Text(text)) => versions.package = Some(text),
                (Some(Subject::Executable), Fact::Text(text)) => versions.executable = Some(text),
                (_, Fact::Text(_)) => {}
                (subject, Fact::Range { min, max }) => {
                    let name = subject.map_or_else(|| format!("subject-{number}"), |subject| subject.name().to_owned());
                    versions.ranges.insert(name, Range { min, max });
                }
            }
        }
        Ok(versions)
    }

    fn range(&self, subject: Subject) -> Option<Range> {
        self.ranges.get(subject.name()).copied()
    }

    /// Why `new` cannot take over from `self`, as far as both say; what one does not say is left to the swap itself.
    /// `encoding` is the newest in which `self` describes a layout.
    pub fn refusals(&self, new: &Self, encoding: u32) -> Vec<Fault> {
        let mut refusals = Vec::new();
        let both = |subject| Some((self.range(subject)?, new.range(subject)?));
        let written = FORMATS.into_iter().filter_map(|subject| Some((subject, self.range(subject)?.max)));
        for (subject, written) in written.chain([(Subject::Descriptor, encoding)]) {
            if let Some(new) = new.range(subject).filter(|new| !(new.min..=new.max).contains(&written)) {
                let what = subject.name();
                refusals.push(Fault::operator(
                    "format-unknown",
                    format!("the old binary writes {what} version {written}, the new one reads {new}"),
                    "use a binary that reads that version, or go by way of one that does",
                ));
            }
        }
        if let Some((old, new)) = both(Subject::Handover)
            && (old.max < new.min || new.max < old.min)
        {
            refusals.push(Fault::operator(
                "protocol-mismatch",
                format!("the old binary speaks handover protocol {old}, the new one {new}"),
                "go by way of a binary that speaks both",
            ));
        }
        refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaks(ranges: &[(Subject, u32, u32)]) -> Versions {
        let ranges = ranges.iter().map(|&(subject, min, max)| (subject.name().to_owned(), Range { min, max }));
        Versions { ranges: ranges.collect(), ..Versions::default() }
    }

    #[test]
    fn a_successor_must_read_what_its_predecessor_writes() {
        let old = speaks(&[(Subject::Index, 1, 1), (Subject::Handover, 1, 2)]);
        let codes = |new: &Versions| old.refusals(new, 1).into_iter().map(|fault| fault.code).collect::<Vec<_>>();
        assert!(codes(&speaks(&[(Subject::Index, 1, 2), (Subject::Handover, 2, 3)])).is_empty());
        assert_eq!(codes(&speaks(&[(Subject::Index, 2, 2)])), ["format-unknown"]);
        assert_eq!(codes(&speaks(&[(Subject::Handover, 3, 4)])), ["protocol-mismatch"]);
        assert!(codes(&Versions::default()).is_empty(), "what is not said is not refused");
        let newer = speaks(&[(Subject::Index, 1, 2)]);
        assert_eq!(newer.refusals(&old, 1).len(), 1, "the older one does not read index 2");
        let reader = speaks(&[(Subject::Descriptor, 1, 1)]);
        assert!(speaks(&[(Subject::Descriptor, 1, 2)]).refusals(&reader, 1).is_empty(), "it need not write the newest");
        assert_eq!(Versions::default().refusals(&reader, 2).len(), 1, "a layout with an array");
    }
}
