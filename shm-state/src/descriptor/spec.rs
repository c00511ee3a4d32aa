//! What is said of a field when its descriptor is made: its entry, and the facts for which entries have no room.

use super::{FieldDesc, NAME_LEN, wire};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// One case of an enum as it lies in a descriptor, 36 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Case {
    /// Stable number; never used again for another case.
    pub number: U32,
    /// Name, padded with zeros.
    pub name: [u8; NAME_LEN],
}

impl Case {
    /// A case.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the name is longer than 32 bytes.
    pub const fn new(number: u32, name: &str) -> Self {
        Self { number: U32::new(number), name: wire::padded(name) }
    }
}

/// The cases of a Rust enum, in order of their numbers; made with `#[derive(Cases)]`.
///
/// ```
/// use shm_state::descriptor::Cases as _;
///
/// #[derive(shm_state::Cases)]
/// #[repr(u8)]
/// enum Health {
///     Unknown = 0,
///     Up = 1,
///     GoingDown = 4,
/// }
/// assert_eq!(Health::CASES.len(), 3);
/// assert_eq!(&Health::CASES[2].name[..11], b"going-down\0");
/// ```
///
/// A number is for ever, so it is written down and not counted by the compiler:
///
/// ```compile_fail
/// #[derive(shm_state::Cases)]
/// #[repr(u8)]
/// enum Health {
///     Unknown,
///     Up,
/// }
/// ```
pub trait Cases {
    /// Number and name of each.
    const CASES: &'static [Case];
}

/// Facts of a field for which its entry has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldFacts<'a> {
    /// Elements of an array; nothing for a single value.
    pub elements: Option<u32>,
    /// Lowest and highest valid number, in the field's own unit; of each element in an array.
    pub range: Option<(i128, i128)>,
    /// Known cases, in order of their numbers; empty where they are not listed.
    pub cases: &'a [Case],
}

impl FieldFacts<'_> {
    /// A single value of which nothing more is said.
    pub const NONE: Self = Self { elements: None, range: None, cases: &[] };
}

/// A field's entry with its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec<'a> {
    /// The entry.
    pub entry: FieldDesc,
    /// The facts.
    pub facts: FieldFacts<'a>,
}

impl<'a> FieldSpec<'a> {
    /// A field of which its entry says all.
    pub const fn new(entry: FieldDesc) -> Self {
        Self { entry, facts: FieldFacts::NONE }
    }

    /// An array of `elements` of what the entry describes, default included.
    ///
    /// # Panics
    /// (At compile time, in a constant.) When the array is longer than any record.
    #[must_use]
    pub const fn array(mut self, elements: usize) -> Self {
        let len = self.entry.len.get() as usize;
        assert!(elements <= super::ELEMENTS_MAX, "layout: an array has at most 1024 elements");
        assert!(len * elements <= super::RECORD_LEN_MAX, "layout: an array longer than the longest record");
        self.entry.len = U32::new((len * elements) as u32);
        self.facts.elements = Some(elements as u32);
        self
    }

    /// With the lowest and the highest valid number, in the field's own unit.
    #[must_use]
    pub const fn range(mut self, min: i128, max: i128) -> Self {
        self.facts.range = Some((min, max));
        self
    }

    /// With the cases that are known, in order of their numbers.
    #[must_use]
    pub const fn cases(mut self, cases: &'a [Case]) -> Self {
        self.facts.cases = cases;
        self
    }
}

/// The fields of a plain `repr(C)` struct that may be part of a record; made with `#[derive(Record)]`, and with
/// `#[derive(Layout)]`.
///
/// Fields of a part are fields of the whole: their ids are `base` plus their own, their names have that of the part in
/// front. At run time there is nothing left of the nesting.
///
/// ```
/// use shm_state::{Layout, Record};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Record)]
/// #[repr(C)]
/// struct Endpoint {
///     #[field(id = 1, ip)]
///     address: [u8; 16],
///     #[field(id = 2, unsigned)]
///     scope: u32,
///     #[field(id = 3, port)]
///     port: u16,
///     #[field(skip)]
///     pad: [u8; 2],
/// }
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Layout)]
/// #[repr(C)]
/// #[layout(table = 7, name = "paths", version = 1)]
/// struct Path {
///     #[field(nested, base = 100)]
///     local: Endpoint,
///     #[field(nested, base = 200)]
///     remote: Endpoint,
/// }
/// let remote_port = Path::descriptor().field(203).map(|field| (field.name().to_string(), field.offset()));
/// assert_eq!(remote_port, Some(("remote.port".to_owned(), 44)));
/// ```
pub trait Record: FromBytes + IntoBytes + KnownLayout + Immutable + Copy + 'static {
    /// The fields in order of their offsets.
    const SPECS: &'static [FieldSpec<'static>];
}

/// A piece of a record's description. For the derive macros.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Piece {
    /// One field.
    Field(FieldSpec<'static>),
    /// The fields of a part that starts at `offset`.
    Nested { offset: usize, base: u32, name: &'static str, specs: &'static [FieldSpec<'static>] },
}

/// Number of fields in all pieces. For the derive macros.
#[doc(hidden)]
pub const fn count(pieces: &[Piece]) -> usize {
    let (mut count, mut i) = (0, 0);
    while i < pieces.len() {
        count += match pieces[i] {
            Piece::Field(_) => 1,
            Piece::Nested { specs, .. } => specs.len(),
        };
        i += 1;
    }
    count
}

/// The fields of all pieces, `N` of them, in their order. For the derive macros.
#[doc(hidden)]
pub const fn flatten<const N: usize>(pieces: &[Piece]) -> [FieldSpec<'static>; N] {
    let mut all = [FieldSpec::new(FieldDesc::EMPTY); N];
    let (mut at, mut i) = (0, 0);
    while i < pieces.len() {
        match pieces[i] {
            Piece::Field(spec) => {
                all[at] = spec;
                at += 1;
            }
            Piece::Nested { offset, base, name, specs } => {
                let mut inner = 0;
                while inner < specs.len() {
                    all[at] = within(specs[inner], offset, base, name);
                    at += 1;
                    inner += 1;
                }
            }
        }
        i += 1;
    }
    assert!(at == N, "layout: fields were miscounted");
    all
}

const fn within(mut spec: FieldSpec<'static>, offset: usize, base: u32, part: &str) -> FieldSpec<'static> {
    let entry = &mut spec.entry;
    let Some(id) = entry.id.get().checked_add(base) else { panic!("layout: base + id exceeds 32 bits") };
    entry.id = U32::new(id);
    let start = entry.offset.get() as usize + offset;
    assert!(start <= super::RECORD_LEN_MAX, "layout: field outside of the longest record");
    entry.offset = U32::new(start as u32);
    entry.name = wire::joined(part, &entry.name);
    spec
}

const _: () = assert!(size_of::<Case>() == 36);
