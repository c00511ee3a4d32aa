//! Decides what happens to a field, through the intermediate meaning, or refuses by name.

use super::action::{Action, FieldAction};
use super::chain::Hop;
use super::loss::{EVENTS_MAX, EventKind, Ledger};
use super::plan::Computed;
use super::refusal::{Refusal, RefusalKind};
use super::step::{Blank, EventId, Excess, Factor, Scale, Step, Width, is_signed};
use super::valid::Check;
use crate::descriptor::{Descriptor, Field, FieldType, Narrow};

/// A plan in the making.
pub(super) struct Compiler<'a> {
    pub(super) source: &'a Descriptor,
    pub(super) destination: &'a Descriptor,
    pub(super) fields: Vec<FieldAction>,
    pub(super) steps: Vec<Step>,
    pub(super) computed: Vec<Computed>,
    pub(super) template: Vec<u8>,
    pub(super) ledger: Ledger,
    /// Fields whose values are checked after they were stored.
    pub(super) checks: Vec<Check>,
}

impl<'a> Compiler<'a> {
    /// Begins a plan.
    ///
    /// # Errors
    /// When the layouts are of different tables.
    pub(super) fn new(source: &'a Descriptor, destination: &'a Descriptor) -> Result<Self, Refusal> {
        let compiler = Self {
            source,
            destination,
            fields: Vec::new(),
            steps: Vec::new(),
            computed: Vec::new(),
            template: vec![0; destination.record_len()],
            ledger: Ledger::new(destination.name()),
            checks: Vec::new(),
        };
        compiler.tables()?;
        Ok(compiler)
    }

    fn tables(&self) -> Result<(), Refusal> {
        let (from, to) = (self.source, self.destination);
        if from.table_id() == to.table_id() {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::OtherTable,
            table: to.name().to_owned(),
            field: None,
            why: format!("the records are of table `{}` (id {}), not {}", from.name(), from.table_id(), to.table_id()),
            remedy: "translate between layouts of one table".into(),
        })
    }

    pub(super) fn refuse<T>(
        &self,
        kind: RefusalKind,
        field: &Field,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Result<T, Refusal> {
        let field = Some(field.name().to_string());
        Err(Refusal { kind, table: self.destination.name().to_owned(), field, why: why.into(), remedy: remedy.into() })
    }

    /// A field that both layouts know.
    pub(super) fn translated(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        if from.meaning() != to.meaning() {
            let why = format!("id {} is {} in the source, {} here", to.id(), from.meaning(), to.meaning());
            let remedy = "give the field a new id; an id keeps its meaning for ever";
            return self.refuse(RefusalKind::OtherMeaning, to, why, remedy);
        }
        if from.is_key() != to.is_key() {
            let why = "it is part of the key in only one of the layouts";
            return self.refuse(RefusalKind::Key, to, why, "keep the key as it was, or write a migration that re-keys");
        }
        let action = match to.elements() {
            Some(_) => self.array(from, to)?,
            None => self.single(from, to)?,
        };
        let action = self.validity(from, to, action)?;
        let changes = match &action {
            Action::Narrowed { policy, .. } | Action::Checked { policy, .. } => *policy == Narrow::Clamp,
            Action::Converted { rounded, policy, .. } => *rounded || *policy == Some(Narrow::Clamp),
            _ => false,
        };
        if to.is_key() && changes {
            let why = format!("it is part of the key and would be {action}, so that two records could get one key");
            return self.refuse(RefusalKind::Key, to, why, "keep the key's width and unit, or use refuse or drop");
        }
        Ok(action)
    }

    /// One value, or one element of an array.
    pub(super) fn single(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        Ok(match to.ty() {
            FieldType::Unsigned | FieldType::Signed => self.integer(from, to)?,
            FieldType::Instant | FieldType::Duration => self.time(from, to)?,
            FieldType::Enum => self.unsigned(from, to, Scale::None)?,
            FieldType::SlotLink => self.link(from, to)?,
            FieldType::Bytes => self.byte_string(from, to)?,
            FieldType::Bool | FieldType::Ip | FieldType::Port => self.copy(from, to),
        })
    }

    fn copy(&mut self, from: &Field, to: &Field) -> Action {
        self.steps.push(Step::Copy { src: from.offset() as u32, dst: to.offset() as u32, len: to.len() as u32 });
        Action::Copied
    }

    fn integer(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        let (from_signed, to_signed) = (is_signed(from.ty()), is_signed(to.ty()));
        if !from_signed && !to_signed || from_signed == to_signed && from.len() == to.len() {
            return self.unsigned(from, to, Scale::None);
        }
        let excess = self.excess(to)?;
        self.steps.push(Step::Signed { numbers: Step::number(from, to), from_signed, to_signed, excess });
        let (from_min, from_max) = Width::of(from).range(from_signed);
        let (to_min, to_max) = Width::of(to).range(to_signed);
        Ok(resized(from, to, to_min <= from_min && from_max <= to_max))
    }

    /// An unsigned number, scaled or not.
    fn unsigned(&mut self, from: &Field, to: &Field, scale: Scale) -> Result<Action, Refusal> {
        if scale == Scale::None && from.len() == to.len() {
            return Ok(self.copy(from, to));
        }
        let numbers = Step::number(from, to);
        let widest = u128::from(numbers.from.max());
        let highest = match scale {
            Scale::None => widest,
            Scale::Multiply(factor) => widest * u128::from(factor.number()),
            Scale::Divide(factor) => widest / u128::from(factor.number()),
        };
        let fits = highest <= u128::from(numbers.to.max());
        if scale == Scale::None && fits {
            self.steps.push(Step::Widen(numbers));
            return Ok(resized(from, to, true));
        }
        let excess = self.excess(to)?;
        let divides = matches!(scale, Scale::Divide(_));
        let rounded = if divides { self.event(to, EventKind::Rounded)? } else { 0 };
        self.steps.push(Step::Unsigned { numbers, scale, excess, rounded });
        if scale == Scale::None {
            return Ok(resized(from, to, fits));
        }
        let policy = (!fits).then_some(to.narrow());
        Ok(Action::Converted { from: from.unit(), to: to.unit(), rounded: divides, policy })
    }

    fn time(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        let nanos = |field: &Field| field.unit().nanos().expect("times have a unit of time");
        let (from_nanos, to_nanos) = (nanos(from), nanos(to));
        let factor = |number| Factor::from_number(number).expect("units of time are powers of 1000 apart");
        let scale = match from_nanos.cmp(&to_nanos) {
            std::cmp::Ordering::Equal => Scale::None,
            std::cmp::Ordering::Greater => Scale::Multiply(factor(from_nanos / to_nanos)),
            std::cmp::Ordering::Less => Scale::Divide(factor(to_nanos / from_nanos)),
        };
        self.unsigned(from, to, scale)
    }

    fn link(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        if from.len() == to.len() {
            return Ok(self.copy(from, to));
        }
        let excess = self.excess(to)?;
        self.steps.push(Step::Link { numbers: Step::number(from, to), excess });
        Ok(resized(from, to, to.len() > from.len()))
    }

    fn byte_string(&mut self, from: &Field, to: &Field) -> Result<Action, Refusal> {
        let (src, dst) = (from.offset() as u32, to.offset() as u32);
        if to.len() >= from.len() {
            // The bytes behind the copy are filled with zeros, as are all that no step writes.
            self.steps.push(Step::Copy { src, dst, len: from.len() as u32 });
            return Ok(if to.len() == from.len() { Action::Copied } else { resized(from, to, true) });
        }
        if to.narrow() == Narrow::Refuse {
            let why = format!("{} does not fit into {}", from.type_text(), to.type_text());
            return self.refuse(
                RefusalKind::BytesShrink,
                to,
                why,
                "make it as long, or declare narrow = clamp or drop",
            );
        }
        let excess = self.excess(to)?;
        self.steps.push(Step::Cut {
            src,
            from_len: from.len() as u32,
            dst,
            to_len: to.len() as u32,
            blank: Blank::ZEROS,
            excess,
        });
        Ok(resized(from, to, false))
    }

    /// A field that the source does not know.
    pub(super) fn lacking(&mut self, to: &Field) -> Result<Action, Refusal> {
        if to.is_key() {
            let why = "it is part of the key, and the source lacks it";
            return self.refuse(RefusalKind::Key, to, why, "keep the key as it was, or write a migration that re-keys");
        }
        if let Some(function) = to.compute() {
            let excess = self.excess(to)?;
            let other_type = self.event(to, EventKind::Refused)?;
            self.computed.push(Computed { field: to.clone(), function: function.into(), excess, other_type });
            return Ok(Action::Computed { function: function.to_owned(), policy: to.narrow() });
        }
        let (Some(bytes), Some(value)) = (to.default_bytes(), to.default_value()) else {
            let why = "the source lacks it, and it has neither a default nor a compute function";
            return self.refuse(RefusalKind::MissingField, to, why, "give the field a default or a compute function");
        };
        self.template[to.offset()..to.end()].copy_from_slice(&bytes);
        self.steps.push(Step::Fill { dst: to.offset() as u32, len: to.len() as u32 });
        self.ledger.defaulted(to.name());
        Ok(Action::Defaulted { value: value.to_string() })
    }

    /// A field of the source that a migration takes and the destination does not know. `spilt` when not all that the
    /// migration gives has a place there.
    pub(super) fn consumed(&mut self, from: &Field, hop: &Hop, spilt: bool) {
        self.done(from, None, Action::Consumed { migration: hop.name.to_string(), spilt });
    }

    pub(super) fn unknown_to_destination(&mut self, from: &Field) -> Result<(), Refusal> {
        if from.is_key() {
            let why = "it is part of the source's key, and the destination lacks it";
            return self.refuse(
                RefusalKind::Key,
                from,
                why,
                "keep the key as it was, or write a migration that re-keys",
            );
        }
        self.ledger.dropped(from.name());
        self.done(from, None, Action::Dropped);
        Ok(())
    }

    pub(super) fn done(&mut self, field: &Field, was: Option<String>, action: Action) {
        let (lossy, aside) = (action.is_lossy(), action.keeps_aside());
        self.fields.push(FieldAction { id: field.id(), field: field.name().to_string(), was, action, lossy, aside });
    }

    pub(super) fn excess(&mut self, to: &Field) -> Result<Excess, Refusal> {
        let kind = match to.narrow() {
            Narrow::Refuse => EventKind::Refused,
            Narrow::Clamp => EventKind::Clamped,
            Narrow::Drop => EventKind::RowDropped,
        };
        Ok(Excess { policy: to.narrow(), event: self.event(to, kind)? })
    }

    pub(super) fn event(&mut self, to: &Field, kind: EventKind) -> Result<EventId, Refusal> {
        match self.ledger.event(to, kind) {
            Some(event) => Ok(event),
            None => Err(self.too_many(to.name())),
        }
    }

    /// There is no number left for what may happen to `what`.
    pub(super) fn too_many(&self, what: &str) -> Refusal {
        Refusal {
            kind: RefusalKind::TooManyLosses,
            table: self.destination.name().to_owned(),
            field: Some(what.to_owned()),
            why: format!("more than {EVENTS_MAX} sorts of losses in one plan"),
            remedy: "change fewer fields in one layout version".into(),
        }
    }
}

pub(super) fn resized(from: &Field, to: &Field, fits: bool) -> Action {
    let (from, policy, to) = (from.type_text(), to.narrow(), to.type_text());
    if fits { Action::Widened { from, to } } else { Action::Narrowed { from, to, policy } }
}
