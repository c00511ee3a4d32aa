//! What a layout cannot hold is kept aside, so that it is there when a layout that can returns.
//!
//! A translation keeps the fields that its destination does not know, and those whose values it rounds or clamps, as they
//! were, in a *layer*: a table of its own whose slots are those of the table, with the reuse count of the record that
//! each value belongs to. A slot that was reused since has another count, and inherits nothing.
//!
//! A layer is written by the one translation that makes it and never again. Whoever does not know its fields carries it
//! along as it is, at no cost; executables that know nothing of layers at all do so too, because their supervisor does. A
//! translation to a layout that knows fields of a layer restores them: a field that the records lack, whenever its slot
//! was not reused; a field that they hold less exactly, if what they hold is still what the kept value was rounded or
//! clamped to. A layer all of whose fields are back is spent.
//!
//! At most one layer of each layout version exists: it is spent the moment that version returns.

mod keep;
mod layer;
mod restore;

pub(in crate::translate) use keep::Keeper;
pub use layer::Layer;
pub(in crate::translate) use restore::Restorer;
