//! Short access to what the programs print as JSON; a missing field shows the whole document.

use serde_json::Value;

/// Access by JSON pointer, such as `/dataplane/pid`.
pub trait At {
    /// The value at a pointer.
    ///
    /// # Panics
    /// When there is none.
    fn at(&self, pointer: &str) -> &Value;

    /// A whole number.
    ///
    /// # Panics
    /// When there is none.
    fn number(&self, pointer: &str) -> u64;

    /// A text.
    ///
    /// # Panics
    /// When there is none.
    fn text(&self, pointer: &str) -> &str;

    /// A list.
    ///
    /// # Panics
    /// When there is none.
    fn list(&self, pointer: &str) -> &[Value];
}

impl At for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {self:#}"))
    }

    fn number(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or_else(|| panic!("{pointer} is no whole number in {self:#}"))
    }

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text in {self:#}"))
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list in {self:#}"))
    }
}
