//! Field ids are for ever: all layouts of a product, held against each other when it is built.
//!
//! [`layouts!`](crate::layouts) fails the build when two layouts give one id, or one case number of it, another meaning,
//! when a layout uses an id that was retired with the last layout that had it, or when two layouts of a table have one
//! version. The same registry is there at run time, for tests to hold frozen descriptors against.

#[cfg(test)]
mod tests;
mod words;

use crate::descriptor::{CaseList, Descriptor, Field, FieldSpec, Layout, Meaning, Unit};
use words::{meaning, same_cases, same_meaning, same_text, ty, unit};

/// All tables of a product.
#[derive(Debug)]
pub struct Registry {
    /// One by one.
    pub tables: &'static [Table],
}

/// All layouts of one table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The layouts in the tree.
    pub layouts: &'static [Known],
    /// What no layout in the tree has any more.
    pub retired: &'static [Retired],
}

/// A layout in the tree.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Id of its table.
    pub table: u32,
    /// Name of its table.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Its fields.
    pub fields: &'static [FieldSpec<'static>],
    /// Its descriptor.
    pub bytes: fn() -> &'static [u8],
}

/// A field that layouts of the past had.
#[derive(Debug, Clone, Copy)]
pub struct Retired {
    /// Its id, never to be used again.
    pub id: u32,
    /// Its name.
    pub name: &'static str,
    /// What it meant.
    pub meaning: Meaning,
}

/// How a descriptor contradicts the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The table is not registered.
    #[error("table `{0}` is not registered")]
    Table(String),
    /// A field is neither in a layout of the tree nor retired.
    #[error(
        "field {id} (`{name}`) of `{table}` is in no layout and not retired: retire it, so that its id is not reused"
    )]
    Unknown {
        /// Name of the table.
        table: String,
        /// Id of the field.
        id: u32,
        /// Name of the field.
        name: String,
    },
    /// A field means something else.
    #[error("field {id} (`{name}`) of `{table}` is {found}, but an id keeps its meaning for ever: {known}")]
    Meaning {
        /// Name of the table.
        table: String,
        /// Id of the field.
        id: u32,
        /// Name of the field.
        name: String,
        /// What it is in the descriptor.
        found: Meaning,
        /// What it is in the registry.
        known: Meaning,
    },
    /// The layout with this version is another one.
    #[error("layout {version} of `{table}` is not what it was: make a new version")]
    Changed {
        /// Name of the table.
        table: String,
        /// The version.
        version: u32,
    },
}

impl Registry {
    /// Holds a descriptor, be it of the past, against the registry.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self, layout: &Descriptor) -> Result<(), Contradiction> {
        let name = || layout.name().to_owned();
        let same = |table: &&Table| table.name == layout.name() && table.id() == layout.table_id();
        let table = self.tables.iter().find(same).ok_or_else(|| Contradiction::Table(name()))?;
        for field in layout.fields() {
            let (id, found) = (field.id(), field.meaning());
            let known = table.meaning(id).ok_or_else(|| {
                let field = field.name().to_string();
                Contradiction::Unknown { table: name(), id, name: field }
            })?;
            if known != found || !table.has_cases(field) {
                let field = field.name().to_string();
                return Err(Contradiction::Meaning { table: name(), id, name: field, found, known });
            }
        }
        let version = layout.layout_version();
        match table.layouts.iter().find(|known| known.version == version) {
            Some(known) if (known.bytes)() != layout.as_bytes() => {
                Err(Contradiction::Changed { table: name(), version })
            }
            _ => Ok(()),
        }
    }
}

impl Table {
    /// Stable id of the table.
    pub fn id(&self) -> u32 {
        self.layouts.first().map_or(0, |layout| layout.table)
    }

    /// What a field means, in whichever layout has or had it.
    pub fn meaning(&self, id: u32) -> Option<Meaning> {
        let known = self.layouts.iter().flat_map(|layout| layout.fields).find(|field| field.entry.id.get() == id);
        let retired = || self.retired.iter().find(|field| field.id == id).map(|field| field.meaning);
        known.and_then(meaning).or_else(retired)
    }

    /// Whether the field's cases are named as everywhere.
    fn has_cases(&self, field: &Field) -> bool {
        let known = self.layouts.iter().flat_map(|layout| layout.fields);
        let mut known = known.filter(|known| known.entry.id.get() == field.id()).flat_map(|known| known.facts.cases);
        known.all(|case| {
            let name = field.cases().and_then(|cases: &CaseList| cases.name(case.number.get()));
            name.is_none_or(|name| {
                case.name.starts_with(name.as_bytes()) && case.name[name.len()..].iter().all(|b| *b == 0)
            })
        })
    }

    /// Fails the build when a rule is broken. For [`layouts!`](crate::layouts).
    #[doc(hidden)]
    pub const fn check(&self) {
        let mut at = 0;
        while at < self.layouts.len() {
            let layout = &self.layouts[at];
            assert!(same_text(layout.name, self.name), "layouts: a layout is of another table");
            let mut field = 0;
            while field < layout.fields.len() {
                self.check_field(&layout.fields[field], at);
                field += 1;
            }
            let mut other = 0;
            while other < at {
                assert!(layout.table == self.layouts[other].table, "layouts: a table has one id in all its layouts");
                assert!(layout.version != self.layouts[other].version, "layouts: two layouts have the same version");
                other += 1;
            }
            at += 1;
        }
    }

    /// Holds a field against the layouts before its own and against what is retired.
    const fn check_field(&self, field: &FieldSpec<'static>, layout: usize) {
        let id = field.entry.id.get();
        let mut retired = 0;
        while retired < self.retired.len() {
            assert!(self.retired[retired].id != id, "layouts: the id of a retired field is used again; take a new one");
            retired += 1;
        }
        let mut other = 0;
        while other < layout {
            let fields = self.layouts[other].fields;
            let mut at = 0;
            while at < fields.len() {
                if fields[at].entry.id.get() == id {
                    assert!(
                        same_meaning(field, &fields[at]),
                        "layouts: a field id means something else in another layout"
                    );
                    assert!(
                        same_cases(field, &fields[at]),
                        "layouts: a case number has another name in another layout"
                    );
                }
                at += 1;
            }
            other += 1;
        }
    }
}

impl Known {
    /// A layout.
    pub const fn of<L: Layout>() -> Self {
        Self { table: L::TABLE, name: L::NAME, version: L::VERSION, fields: L::SPECS, bytes: L::descriptor_bytes }
    }
}

impl Retired {
    /// A field that no layout in the tree has any more. Its meaning is in words as attributes have them, behind `list` if
    /// it was an array: `unsigned`, `unsigned packets`, `list ip`, `slot_link`.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the words mean nothing.
    pub const fn new(id: u32, name: &'static str, words: &[&str]) -> Self {
        assert!(id != 0, "layouts: field id 0; ids start at 1");
        let list = !words.is_empty() && same_text(words[0], "list");
        let at = if list { 1 } else { 0 };
        assert!(at < words.len() && words.len() <= at + 2, "layouts: a retired field is: id \"name\" type unit");
        let unit = if words.len() == at + 2 { unit(words[at + 1]) } else { Unit::None };
        let meaning = Meaning::of(ty(words[at]), unit);
        Self { id, name, meaning: if list { meaning.list() } else { meaning } }
    }
}

/// Registers all layouts of a product, and fails the build when they contradict each other. Said once, beside them.
///
/// ```
/// use shm_state::Layout;
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 1)]
/// struct VisitV1 {
///     #[field(id = 1)]
///     client: u64,
/// }
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 2)]
/// struct VisitV2 {
///     #[field(id = 1)]
///     client: u32,
///     #[field(id = 3, unsigned, default = 0)]
///     count: u32,
/// }
///
/// shm_state::layouts! {
///     /// What there is.
///     pub static LAYOUTS;
///     table "visits": VisitV1, VisitV2;
///     retired { 2 "mark" unsigned packets }
/// }
/// assert!(LAYOUTS.check(&VisitV1::descriptor()).is_ok());
/// ```
///
/// An id that means something else elsewhere fails the build:
///
/// ```compile_fail
/// # use shm_state::Layout;
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// # #[repr(C)]
/// # #[layout(table = 7, name = "visits", version = 1)]
/// # struct VisitV1 { #[field(id = 1)] client: u64 }
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "visits", version = 2)]
/// struct VisitV2 {
///     #[field(id = 1, instant = "ns")]
///     client: u64,
/// }
/// shm_state::layouts! { static LAYOUTS; table "visits": VisitV1, VisitV2; }
/// ```
///
/// and so does one that was retired:
///
/// ```compile_fail
/// # use shm_state::Layout;
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// # #[repr(C)]
/// # #[layout(table = 7, name = "visits", version = 1)]
/// # struct VisitV1 { #[field(id = 1)] client: u64 }
/// shm_state::layouts! { static LAYOUTS; table "visits": VisitV1; retired { 1 "client" unsigned } }
/// ```
#[macro_export]
macro_rules! layouts {
    (
        $(#[$meta:meta])* $vis:vis static $registry:ident;
        $(
            table $name:literal: $($layout:ty),+;
            $(retired { $($id:literal $field:literal $($word:ident)+),* $(,)? })?
        )+
    ) => {
        $(#[$meta])*
        $vis static $registry: $crate::registry::Registry = $crate::registry::Registry {
            tables: &[$({
                const TABLE: $crate::registry::Table = $crate::registry::Table {
                    name: $name,
                    layouts: &[$($crate::registry::Known::of::<$layout>()),+],
                    retired: &[$($($crate::registry::Retired::new($id, $field, &[$(stringify!($word)),+])),*)?],
                };
                const _: () = TABLE.check();
                TABLE
            }),+],
        };
    };
}
