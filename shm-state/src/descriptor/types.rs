//! Semantic types, units and narrowing policies. All numbers are stable for ever.

use serde::{Deserialize, Serialize};

/// Makes an enum whose numbers and names are stable, with `from_number`, `name` and `Display`.
macro_rules! stable_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $number,)* }

        impl $name {
            /// All values, in order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value with this stable number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Name in messages and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

stable_enum! {
    /// What a field means, whatever its width.
    FieldType {
        /// Integer from 0; 1, 2, 4 or 8 bytes, little endian.
        Unsigned = 1 => "unsigned",
        /// Integer in two's complement; 1, 2, 4 or 8 bytes, little endian.
        Signed = 2 => "signed",
        /// One byte; anything but 0 is true.
        Bool = 3 => "bool",
        /// A stable number for one of several cases; 1, 2 or 4 bytes.
        Enum = 4 => "enum",
        /// A byte string of fixed length, padded with zeros at its end.
        Bytes = 5 => "bytes",
        /// An address in network order; 16 bytes, IPv4 as `::ffff:a.b.c.d`.
        Ip = 6 => "ip",
        /// A port in host order; 2 bytes.
        Port = 7 => "port",
        /// A time of CLOCK_MONOTONIC since its start, in the field's unit; 4 or 8 bytes, unsigned.
        Instant = 8 => "instant",
        /// A span of time in the field's unit; 1, 2, 4 or 8 bytes, unsigned.
        Duration = 9 => "duration",
        /// Number of a slot in another table, all ones for none; 4 or 8 bytes.
        SlotLink = 10 => "slot-link",
    }
}

stable_enum! {
    /// What a number counts.
    Unit {
        /// A bare number.
        None = 0 => "none",
        /// Nanoseconds.
        Ns = 1 => "ns",
        /// Microseconds.
        Us = 2 => "us",
        /// Milliseconds.
        Ms = 3 => "ms",
        /// Seconds.
        S = 4 => "s",
        /// Bytes.
        Bytes = 5 => "bytes",
        /// Packets.
        Packets = 6 => "packets",
    }
}

stable_enum! {
    /// What is done with a value that does not fit the field into which it is translated.
    Narrow {
        /// The whole translation is refused, with the field's name.
        Refuse = 0 => "refuse",
        /// The nearest value that fits is stored, and counted.
        Clamp = 1 => "clamp",
        /// The row is left out, and counted.
        Drop = 2 => "drop",
    }
}

impl Unit {
    /// Nanoseconds in one unit of time; nothing for other units.
    pub const fn nanos(self) -> Option<u64> {
        match self {
            Self::Ns => Some(1),
            Self::Us => Some(1_000),
            Self::Ms => Some(1_000_000),
            Self::S => Some(1_000_000_000),
            Self::None | Self::Bytes | Self::Packets => None,
        }
    }
}

impl FieldType {
    /// Whether a field of this type may take `len` bytes.
    pub const fn allows_len(self, len: usize) -> bool {
        match self {
            Self::Unsigned | Self::Signed | Self::Duration => matches!(len, 1 | 2 | 4 | 8),
            Self::Bool => len == 1,
            Self::Enum => matches!(len, 1 | 2 | 4),
            Self::Bytes => len >= 1,
            Self::Ip => len == 16,
            Self::Port => len == 2,
            Self::Instant | Self::SlotLink => matches!(len, 4 | 8),
        }
    }

    /// Whether a field of this type may have this unit: times must have a unit of time, nothing else may.
    pub(crate) const fn allows_unit(self, unit: Unit) -> bool {
        match self {
            Self::Instant | Self::Duration => unit.nanos().is_some(),
            Self::Unsigned | Self::Signed => unit.nanos().is_none(),
            _ => matches!(unit, Unit::None),
        }
    }

    /// Whether the policy makes sense: the nearest enum number or slot is another case or record altogether.
    pub(crate) const fn allows_narrow(self, narrow: Narrow) -> bool {
        match self {
            Self::Unsigned | Self::Signed | Self::Bytes | Self::Instant | Self::Duration => true,
            Self::Enum | Self::SlotLink => !matches!(narrow, Narrow::Clamp),
            Self::Bool | Self::Ip | Self::Port => matches!(narrow, Narrow::Refuse),
        }
    }
}

/// What a field means in the intermediate schema, freed of width and unit of storage. Two layouts can hold
/// the same field only if its meanings are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// A whole number of packets, bytes or of nothing in particular; signed and unsigned are one meaning.
    Integer(Unit),
    /// True or false.
    Bool,
    /// One of several numbered cases.
    Enum,
    /// A byte string.
    Bytes,
    /// An IP address.
    Ip,
    /// A port number.
    Port,
    /// A point in time; canonical unit: nanoseconds of CLOCK_MONOTONIC.
    Instant,
    /// A span of time; canonical unit: nanoseconds.
    Duration,
    /// A slot of another table.
    SlotLink,
    /// A number of values that mean the same each.
    List(&'static Meaning),
}

impl Meaning {
    /// A list of this. Lists of lists there are none: that of a list is itself.
    pub const fn list(self) -> Self {
        Self::List(match self {
            Self::Integer(Unit::Bytes) => &Self::Integer(Unit::Bytes),
            Self::Integer(Unit::Packets) => &Self::Integer(Unit::Packets),
            // Times are no integers: no other unit is left.
            Self::Integer(_) => &Self::Integer(Unit::None),
            Self::Bool => &Self::Bool,
            Self::Enum => &Self::Enum,
            Self::Bytes => &Self::Bytes,
            Self::Ip => &Self::Ip,
            Self::Port => &Self::Port,
            Self::Instant => &Self::Instant,
            Self::Duration => &Self::Duration,
            Self::SlotLink => &Self::SlotLink,
            Self::List(one) => one,
        })
    }

    /// Meaning of a field of this type and unit.
    pub const fn of(ty: FieldType, unit: Unit) -> Self {
        match ty {
            FieldType::Unsigned | FieldType::Signed => Self::Integer(unit),
            FieldType::Bool => Self::Bool,
            FieldType::Enum => Self::Enum,
            FieldType::Bytes => Self::Bytes,
            FieldType::Ip => Self::Ip,
            FieldType::Port => Self::Port,
            FieldType::Instant => Self::Instant,
            FieldType::Duration => Self::Duration,
            FieldType::SlotLink => Self::SlotLink,
        }
    }
}

impl std::fmt::Display for Meaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(Unit::None) => f.write_str("integer"),
            Self::Integer(unit) => write!(f, "number of {unit}"),
            Self::Bool => f.write_str("bool"),
            Self::Enum => f.write_str("enum"),
            Self::Bytes => f.write_str("bytes"),
            Self::Ip => f.write_str("ip"),
            Self::Port => f.write_str("port"),
            Self::Instant => f.write_str("instant"),
            Self::Duration => f.write_str("duration"),
            Self::SlotLink => f.write_str("slot-link"),
            Self::List(one) => write!(f, "list of {one}"),
        }
    }
}
