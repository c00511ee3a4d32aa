//! `#[derive(Layout)]`: writes the descriptor of a `repr(C)` record next to the record, from one source, and
//! has the compiler prove that the two agree.
//!
//! What the macro can see in the text (ids, names, attributes, primitive types) it refuses with the span of
//! the culprit. What only the compiler knows (sizes, offsets) it turns into constant assertions.

mod attributes;
mod expand;
mod kind;
#[cfg(test)]
mod tests;

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
///   `slot_link` (`u32` or `u64`); may be left out for integers and byte arrays;
/// - `key`: part of the record's key;
/// - `unit = "packets"` or `"bytes"`, for integers;
/// - `narrow = "refuse"`, `"clamp"` or `"drop"`: what happens to a value that does not fit; `refuse` if left
///   out;
/// - `default = 5` (a number in the field's own unit, `true`, `false`, `b"..."` or an address as text) or
///   `compute = "name"`, for records of layouts that lack the field;
/// - `name = "..."`, if the described name is to differ from the field's.
#[proc_macro_derive(Layout, attributes(layout, field))]
pub fn derive_layout(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
