//! Arrays, and values that are not valid in the destination although they would fit: what a plan does about them.

use super::action::Action;
use super::compile::{Compiler, resized};
use super::refusal::{Refusal, RefusalKind};
use super::step::{Blank, Step};
use super::valid::{self, Check};
use crate::descriptor::{Field, FieldType, Narrow};

impl Compiler<'_> {
    /// An array, element by element. What it lacks gets the default; what there is no room for is handled by the policy.
    pub(super) fn array(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        let counts = [from, to].map(|field| field.elements().unwrap_or(1));
        let mut action = Action::Copied;
        for index in 0..counts[0].min(counts[1]) {
            if let (Some(from), Some(to)) = (from.element(index), to.element(index)) {
                action = self.single(&from, &to)?;
            }
        }
        match counts[0].cmp(&counts[1]) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => self.more_elements(to, counts[0])?,
            std::cmp::Ordering::Greater => return self.fewer_elements(from, to, counts[1]),
        }
        Ok(match action {
            Action::Copied if counts[0] == counts[1] => Action::Copied,
            Action::Copied | Action::Widened { .. } => resized(from, to, true),
            Action::Narrowed { .. } => resized(from, to, false),
            other => other,
        })
    }

    fn more_elements(&mut self, to: &Field, have: usize) -> Result<(), Refusal> {
        let Some(default) = to.default_bytes() else {
            let why =
                format!("the source has {have} of its {} elements, and it has no default", to.elements().unwrap_or(1));
            return self.refuse(RefusalKind::MissingField, to, why, "give the field a default");
        };
        let kept = have * to.element_len();
        self.template[to.offset() + kept..to.end()].copy_from_slice(&default[kept..]);
        self.steps.push(Step::Fill { dst: (to.offset() + kept) as u32, len: (to.len() - kept) as u32 });
        Ok(())
    }

    /// Elements that have the source's default, or are zeros where it has none, are not missed.
    fn fewer_elements(&mut self, from: &Field, to: &Field, room: usize) -> Result<Action, Refusal> {
        let (from_text, to_text) = (text(from), text(to));
        if to.narrow() == Narrow::Refuse {
            let why = format!("{from_text} does not fit into {to_text}");
            let remedy = "make it as long, or declare narrow = clamp or drop";
            return self.refuse(RefusalKind::ArrayShrinks, to, why, remedy);
        }
        let excess = self.excess(to)?;
        let kept = room * from.element_len();
        self.steps.push(Step::Cut {
            src: (from.offset() + kept) as u32,
            from_len: (from.len() - kept) as u32,
            dst: to.end() as u32,
            to_len: 0,
            blank: blank(from),
            excess,
        });
        Ok(Action::Narrowed { from: from_text, to: to_text, policy: to.narrow() })
    }

    /// Has values checked that the source may hold and the destination may not.
    pub(super) fn validity(&mut self, from: &Field, to: &Field, action: Action) -> Result<Action, Refusal> {
        if valid::implied(from, to) {
            return Ok(action);
        }
        let policy = to.narrow();
        let max = u32::MAX >> (32 - 8 * to.element_len().min(4));
        let narrower = to.element_len() < from.element_len();
        if to.ty() == FieldType::Enum && policy == Narrow::Clamp && narrower && to.cases().is_some_and(|c| c.knows(max))
        {
            let why = format!("a case number that does not fit would become {max}, which is a case");
            return self.refuse(RefusalKind::OtherMeaning, to, why, "keep the field's width, or use refuse or drop");
        }
        let excess = self.excess(to)?;
        self.checks.push(Check::new(to.clone(), excess));
        Ok(match action {
            Action::Narrowed { .. } => action,
            Action::Converted { from, to, rounded, .. } => {
                Action::Converted { from, to, rounded, policy: Some(policy) }
            }
            _ => Action::Checked { valid: valid::text(to), policy },
        })
    }
}

/// What an element is that nobody has set.
fn blank(field: &Field) -> Blank {
    let (mut blank, len) = (Blank::ZEROS, field.element_len());
    blank.len = len as u32;
    if let Some(default) = field.default_bytes() {
        let stored = len.min(blank.bytes.len());
        blank.bytes[..stored].copy_from_slice(&default[..stored]);
    }
    blank
}

/// Type of a field with the unit of its times.
fn text(field: &Field) -> String {
    match field.unit().nanos() {
        Some(_) => format!("{} in {}", field.type_text(), field.unit()),
        None => field.type_text(),
    }
}
