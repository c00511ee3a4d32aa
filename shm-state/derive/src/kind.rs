//! The types a field can be declared as, and what the text of its Rust type says about them.

use syn::{Expr, ExprLit, Lit, Type};

/// Declared semantic type. The names of the variants are those of `shm_state::descriptor::FieldType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned,
    Signed,
    Bool,
    Enum,
    Bytes,
    Ip,
    Port,
    Instant,
    Duration,
    SlotLink,
}

impl Kind {
    /// The kind that an attribute's word declares.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "unsigned" => Self::Unsigned,
            "signed" => Self::Signed,
            "bool" => Self::Bool,
            "enum" => Self::Enum,
            "bytes" => Self::Bytes,
            "ip" => Self::Ip,
            "port" => Self::Port,
            "instant" => Self::Instant,
            "duration" => Self::Duration,
            "slot_link" => Self::SlotLink,
            _ => return None,
        })
    }

    /// The kind that goes without saying.
    pub(crate) fn of_shape(shape: &Shape) -> Option<Self> {
        match shape {
            Shape::Unsigned(_) => Some(Self::Unsigned),
            Shape::Signed(_) => Some(Self::Signed),
            Shape::ByteArray(_) => Some(Self::Bytes),
            Shape::Array(element) => Self::of_shape(element),
            Shape::Bool | Shape::Other => None,
        }
    }

    /// What is wrong with storing this kind in a field of this shape.
    pub(crate) fn mismatch(self, shape: &Shape) -> Option<&'static str> {
        let fits = match (self, shape) {
            (_, Shape::Bool) => {
                return Some("Rust's bool has invalid bit patterns; use a u8 with #[field(bool)]");
            }
            (_, Shape::Other) => true,
            (Self::Unsigned | Self::Signed, Shape::Unsigned(16) | Shape::Signed(16)) => {
                return Some(
                    "an integer has 1, 2, 4 or 8 bytes: values are carried in words; keep a wider one as bytes",
                );
            }
            (_, Shape::Array(_)) => {
                return Some("an array has elements of a plain type; lists of lists there are none");
            }
            (Self::Unsigned | Self::Duration, Shape::Unsigned(bytes)) => *bytes <= 8,
            (Self::Signed, Shape::Signed(bytes)) => *bytes <= 8,
            (Self::Bool, Shape::Unsigned(bytes)) => *bytes == 1,
            (Self::Enum, Shape::Unsigned(bytes)) => *bytes <= 4,
            (Self::Bytes, Shape::ByteArray(_)) => true,
            (Self::Ip, Shape::ByteArray(len)) => len.is_none_or(|len| len == 16),
            (Self::Port, Shape::Unsigned(bytes)) => *bytes == 2,
            (Self::Instant | Self::SlotLink, Shape::Unsigned(bytes)) => matches!(bytes, 4 | 8),
            _ => false,
        };
        (!fits).then_some(match self {
            Self::Unsigned => "an unsigned field is a u8, u16, u32 or u64",
            Self::Signed => "a signed field is an i8, i16, i32 or i64",
            Self::Bool => "a bool field is a u8",
            Self::Enum => "an enum field is a u8, u16 or u32",
            Self::Bytes => "a bytes field is a [u8; N]",
            Self::Ip => "an ip field is a [u8; 16], IPv4 as a mapped address",
            Self::Port => "a port field is a u16 in host order",
            Self::Instant => "an instant field is a u32 or u64",
            Self::Duration => "a duration field is a u8, u16, u32 or u64",
            Self::SlotLink => "a slot_link field is a u32 or u64",
        })
    }
}

/// What the text of a Rust type says. An alias or a struct says nothing; the constant assertions then decide.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Bytes of an unsigned integer.
    Unsigned(usize),
    /// Bytes of a signed integer.
    Signed(usize),
    Bool,
    /// `[u8; N]`, with N if it is a literal.
    ByteArray(Option<usize>),
    /// Any other array, with the shape of its elements.
    Array(Box<Self>),
    Other,
}

impl Shape {
    pub(crate) fn of(ty: &Type) -> Self {
        match ty {
            Type::Path(path) if path.qself.is_none() => {
                path.path.get_ident().map_or(Self::Other, |ident| Self::of_word(&ident.to_string()))
            }
            Type::Array(array) if Self::of(&array.elem) == Self::Unsigned(1) => match &array.len {
                Expr::Lit(ExprLit { lit: Lit::Int(len), .. }) => Self::ByteArray(len.base10_parse().ok()),
                _ => Self::ByteArray(None),
            },
            Type::Array(array) => Self::Array(Box::new(Self::of(&array.elem))),
            _ => Self::Other,
        }
    }

    /// Whether a field of this shape and `kind` is an array of that kind: an array of bytes may also be one address or
    /// byte string.
    pub(crate) fn element_for(&self, kind: Kind) -> bool {
        match self {
            Self::Array(_) => true,
            Self::ByteArray(_) => !matches!(kind, Kind::Bytes | Kind::Ip),
            _ => false,
        }
    }

    fn of_word(word: &str) -> Self {
        match word {
            "u8" => Self::Unsigned(1),
            "u16" => Self::Unsigned(2),
            "u32" => Self::Unsigned(4),
            "u64" => Self::Unsigned(8),
            "u128" => Self::Unsigned(16),
            "i8" => Self::Signed(1),
            "i16" => Self::Signed(2),
            "i32" => Self::Signed(4),
            "i64" => Self::Signed(8),
            "i128" => Self::Signed(16),
            "bool" => Self::Bool,
            _ => Self::Other,
        }
    }
}
