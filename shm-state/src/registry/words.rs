//! Comparisons that constants can make.

use crate::descriptor::{FieldSpec, FieldType, Meaning, Unit};

pub(super) const fn ty(word: &str) -> FieldType {
    let mut at = 0;
    while at < FieldType::ALL.len() {
        let ty = FieldType::ALL[at];
        if same_text(ty.name(), word) || matches!(ty, FieldType::SlotLink) && same_text("slot_link", word) {
            return ty;
        }
        at += 1;
    }
    panic!("layouts: a retired field has an unknown type")
}

pub(super) const fn unit(word: &str) -> Unit {
    let mut at = 0;
    while at < Unit::ALL.len() {
        if same_text(Unit::ALL[at].name(), word) {
            return Unit::ALL[at];
        }
        at += 1;
    }
    panic!("layouts: a retired field has an unknown unit")
}

pub(super) fn meaning(field: &FieldSpec<'_>) -> Option<Meaning> {
    let one = Meaning::of(FieldType::from_number(field.entry.ty)?, Unit::from_number(field.entry.unit)?);
    Some(if field.facts.elements.is_some() { one.list() } else { one })
}

pub(super) const fn same_meaning(a: &FieldSpec<'_>, b: &FieldSpec<'_>) -> bool {
    if a.facts.elements.is_some() != b.facts.elements.is_some() {
        return false;
    }
    let (Some(a_ty), Some(b_ty)) = (FieldType::from_number(a.entry.ty), FieldType::from_number(b.entry.ty)) else {
        return false;
    };
    match (a_ty, b_ty) {
        // Signed and unsigned are one meaning; what they count is part of it.
        (FieldType::Unsigned | FieldType::Signed, FieldType::Unsigned | FieldType::Signed) => {
            a.entry.unit == b.entry.unit
        }
        _ => a_ty as u8 == b_ty as u8,
    }
}

pub(super) const fn same_cases(a: &FieldSpec<'_>, b: &FieldSpec<'_>) -> bool {
    let mut i = 0;
    while i < a.facts.cases.len() {
        let mut j = 0;
        while j < b.facts.cases.len() {
            let (one, other) = (&a.facts.cases[i], &b.facts.cases[j]);
            if one.number.get() == other.number.get() && !same_bytes(&one.name, &other.name) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

pub(super) const fn same_text(a: &str, b: &str) -> bool {
    same_bytes(a.as_bytes(), b.as_bytes())
}

const fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
