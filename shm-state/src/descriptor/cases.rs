//! The known cases of an enum field, checked.

use super::Case;
use super::field::text;
use std::sync::Arc;

/// Numbers and names of an enum's cases, in order of the numbers. Clones share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CaseList {
    cases: Arc<[(u32, Arc<str>)]>,
}

impl CaseList {
    /// From a list that obeys the rules; nothing from an empty one.
    pub(super) fn of(cases: &[Case]) -> Option<Self> {
        (!cases.is_empty())
            .then(|| Self { cases: cases.iter().map(|case| (case.number.get(), text(&case.name))).collect() })
    }

    /// From any list: nothing if it is empty, not in order of the numbers, or has a name twice.
    pub fn new(cases: impl IntoIterator<Item = (u32, Arc<str>)>) -> Option<Self> {
        let cases: Arc<[_]> = cases.into_iter().collect();
        let names: std::collections::BTreeSet<_> = cases.iter().map(|(_, name)| name).collect();
        let good = !cases.is_empty() && names.len() == cases.len() && cases.is_sorted_by(|a, b| a.0 < b.0);
        good.then_some(Self { cases })
    }

    pub(super) fn to_wire(&self) -> Vec<Case> {
        self.iter().map(|(number, name)| Case::new(number, name)).collect()
    }

    /// Name of the case with this number.
    pub fn name(&self, number: u32) -> Option<&str> {
        let at = self.cases.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        Some(&self.cases[at].1)
    }

    /// Whether a case has this number.
    pub fn knows(&self, number: u32) -> bool {
        self.name(number).is_some()
    }

    /// Number of the case with this name.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.iter().find(|(_, known)| *known == name).map(|(number, _)| number)
    }

    /// Number and name of each case, in order of the numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &str)> {
        self.cases.iter().map(|(number, name)| (*number, &**name))
    }

    /// How many cases there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.cases.len()
    }
}

impl std::fmt::Debug for CaseList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
