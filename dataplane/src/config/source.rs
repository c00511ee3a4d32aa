//! The text of a config file: from a byte range to line, key path and value as written.
//!
//! Errors are made from the place of a value alone, so that no check has to repeat the name of the
//! key it checks.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};

/// Longest value that a message repeats; the line number leads to the rest.
const VALUE_CHARS_MAX: usize = 60;

pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        // What can be understood of a broken file still tells which key is broken.
        let (root, _) = DeTable::parse_recoverable(text);
        Self { file, text, root }
    }

    /// The shape of the file, or the first thing about it that is wrong.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(self.text).map_err(|e| self.translate(&e))
    }

    /// Where a value stands.
    pub(super) fn origin(&self, span: Range<usize>) -> Origin {
        Origin { key: self.key(span.start), line: Some(self.line(span.start)) }
    }

    /// A wrong value.
    pub(super) fn bad(
        &self,
        span: Range<usize>,
        problem: impl Into<Box<str>>,
        remedy: impl Into<Box<str>>,
    ) -> ConfigError {
        let mut error = self.bad_table(span.clone(), problem, remedy);
        error.value = self.value(span).map(String::into);
        error
    }

    /// A wrong combination in the table or list at this place, or a value that must not be shown.
    pub(super) fn bad_table(
        &self,
        span: Range<usize>,
        problem: impl Into<Box<str>>,
        remedy: impl Into<Box<str>>,
    ) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line: Some(self.line(span.start)),
            key: self.key(span.start).into(),
            value: None,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A value found by its path `table.key` or `table`, whether or not the file mentions it.
    pub(super) fn bad_key(&self, path: &str, problem: impl Into<Box<str>>, remedy: impl Into<Box<str>>) -> ConfigError {
        match self.span_of(path) {
            Some(span) if path.contains('.') => self.bad(span, problem, remedy),
            Some(span) => self.bad_table(span, problem, remedy),
            None => self.absent(path, problem, remedy),
        }
    }

    /// Where a value stands, or would stand.
    pub(super) fn origin_of(&self, path: &str) -> Origin {
        let line = self.span_of(path).map(|span| self.line(span.start));
        Origin { key: path.to_owned(), line }
    }

    fn span_of(&self, path: &str) -> Option<Range<usize>> {
        let mut parts = path.split('.');
        let mut value = self.root.get_ref().get(parts.next()?)?;
        for part in parts {
            let DeValue::Table(table) = value.get_ref() else {
                return None;
            };
            value = table.get(part)?;
        }
        Some(value.span())
    }

    /// Something that is not there at all.
    pub(super) fn absent(&self, key: &str, problem: impl Into<Box<str>>, remedy: impl Into<Box<str>>) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line: None,
            key: key.into(),
            value: None,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|&&b| b == b'\n').count() + 1
    }

    fn value(&self, span: Range<usize>) -> Option<String> {
        let whole = self.text.get(span)?.lines().next()?.trim_end();
        let mut short: String = whole.chars().take(VALUE_CHARS_MAX).collect();
        if short.len() < whole.len() {
            short.push('…');
        }
        (!short.is_empty()).then_some(short)
    }

    /// The innermost key whose name, header or value covers the offset.
    fn key(&self, offset: usize) -> String {
        let mut path = String::new();
        if !descend(self.root.get_ref(), offset, &mut path) {
            // A broken line that the parser made nothing of: its first word is the key it means.
            let before = self.text.as_bytes().get(..offset).unwrap_or_default();
            // Right after a line feed is always the start of a character.
            let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
            let key = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
            path.extend(self.text[start..].trim_start().chars().take_while(key));
        }
        path
    }

    /// The parser's and serde's errors, in this file's manner.
    fn translate(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().replace('\n', ", ");
        let (what, expected) = match message.split_once(", expected ") {
            Some((what, expected)) => (what.to_owned(), Some(expected)),
            None => (message.clone(), None),
        };
        if let Some(field) = quoted(&what, "missing field ") {
            let mut e = self.bad_table(span, "the key is missing", format!("add '{field} = …'"));
            e.key = if e.key.is_empty() { field.into() } else { format!("{}.{field}", e.key).into() };
            return e;
        }
        if quoted(&what, "unknown field ").is_some() {
            let known = expected.unwrap_or_default().replace('`', "");
            let known = known.strip_prefix("one of ").unwrap_or(&known);
            return self.bad_table(span, "unknown key", format!("known here: {known}"));
        }
        if what.ends_with(" as i128") {
            return self.bad(span, "too large", "use a smaller number");
        }
        let remedy = match expected {
            Some(expected) => format!("expected {}", plain(expected)),
            None => "see the TOML rules for this line".to_owned(),
        };
        self.bad(span, plain(&what), remedy)
    }
}

/// serde's type names in words that a config's reader knows.
fn plain(text: &str) -> String {
    text.replace("a borrowed string", "a text")
        .replace("a string", "a text in quotes")
        .replace("i64", "a whole number")
        .replace("a sequence", "a list in brackets")
        .replace("a map", "a table")
        .replace("`", "")
}

fn quoted<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.strip_prefix('`')?.strip_suffix('`')
}

/// Appends the path below `table` that covers the offset; false if nothing there does.
fn descend(table: &DeTable<'_>, offset: usize, path: &mut String) -> bool {
    table.iter().any(|(key, value)| {
        let mark = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key.get_ref());
        let found = descend_value(value, offset, path) || covers(key.span(), offset);
        if !found {
            path.truncate(mark);
        }
        found
    })
}

fn descend_value(value: &Spanned<DeValue<'_>>, offset: usize, path: &mut String) -> bool {
    let deeper = match value.get_ref() {
        DeValue::Table(table) => descend(table, offset, path),
        DeValue::Array(list) => list.iter().enumerate().any(|(i, item)| {
            let mark = path.len();
            path.push_str(&format!("[{i}]"));
            let found = descend_value(item, offset, path);
            if !found {
                path.truncate(mark);
            }
            found
        }),
        _ => false,
    };
    deeper || covers(value.span(), offset)
}

fn covers(span: Range<usize>, offset: usize) -> bool {
    // An empty list or text still covers the place where it starts.
    span.contains(&offset) || span.start == offset
}
