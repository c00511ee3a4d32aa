//! `#[derive(Layout)]`: writes the descriptor of a `repr(C)` record next to the record, from one source, and
//! has the compiler prove that the two agree.
//!
//! What the macro can see in the text (ids, names, attributes, primitive types) it refuses with the span of
//! the culprit. What only the compiler knows (sizes, offsets) it turns into constant assertions.

mod attributes;
mod cases;
mod expand;
mod kind;
#[cfg(test)]
mod tests;
mod values;

use proc_macro::TokenStream;

/// Implements `shm_state::Layout` for a plain `repr(C)` struct.
///
/// On the struct: `#[layout(table = 1, name = "flows", version = 2)]`.
///
/// On every field `#[field(...)]`, either `skip` for padding, which no layout knows and translation fills
/// with zeros, or an `id` (from 1, never used again) and:
///
/// - the type, one of `unsigned`, `signed`, `bool` (a `u8`), `enum` (`u8`, `u16` or `u32`), `bytes`, `ip`
///   (`[u8; 16]`), `port` (`u16`), `instant = "ns"`, `duration = "ms"` (units `ns`, `us`, `ms`, `s`),
///   `slot_link` (`u32` or `u64`); may be left out for integers and byte arrays. An array of them is an array of the
///   type: `unsigned` on `[u32; 4]`, `ip` on `[[u8; 16]; 2]`;
/// - `cases = Health`: an enum whose cases are those of `Health`, which derives `Cases`; the record keeps the number in a
///   `u8`, `u16` or `u32`;
/// - `range = 1..=64`: the valid numbers, in the field's own unit, for integers and times;
/// - `key`: part of the record's key;
/// - `unit = "packets"` or `"bytes"`, for integers;
/// - `narrow = "refuse"`, `"clamp"` or `"drop"`: what happens to a value that does not fit, is out of range or none of
///   the cases; `refuse` if left out. Clamped, an unknown case becomes the default;
/// - `default = 5` (a number in the field's own unit, `true`, `false`, `b"..."` or an address as text) or
///   `compute = "name"`, for records of layouts that lack the field;
/// - `name = "..."`, if the described name is to differ from the field's.
///
/// An inner struct that derives `Record` is `#[field(nested, base = 100)]`: its fields are fields of this record, with 100
/// added to their ids and the field's name in front of theirs.
///
/// An integer has 1, 2, 4 or 8 bytes: values are carried in words of 64 bits. A wider number is kept as `bytes`.
#[proc_macro_derive(Layout, attributes(layout, field))]
pub fn derive_layout(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `shm_state::Record` for a plain `repr(C)` struct that is part of a record. Its fields are described as those
/// of a layout.
#[proc_macro_derive(Record, attributes(field))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand_record(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `shm_state::descriptor::Cases` for an enum without fields whose numbers are written down. A case is named
/// as its variant, in small letters with hyphens, or with `#[case(name = "...")]`.
#[proc_macro_derive(Cases, attributes(case))]
pub fn derive_cases(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    cases::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
