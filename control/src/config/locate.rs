//! Where in the file something stands.

use std::path::Path;

use super::ConfigError;

/// A file and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Place<'_> {
    /// An error at a byte of the text.
    pub(super) fn wrong(&self, at: usize, key: &str, message: &str) -> ConfigError {
        ConfigError::Wrong {
            file: self.file.to_owned(),
            line: self.line(at),
            key: key.to_owned(),
            message: message.to_owned(),
        }
    }

    /// An error about a key, at its line if it is in the file, else at the line of its table.
    pub(super) fn wrong_key(&self, table: &str, key: &str, message: &str) -> ConfigError {
        let mut current = "";
        let mut at = 0;
        let mut table_at = 0;
        for line in self.text.split_inclusive('\n') {
            if let Some(header) = header(line) {
                current = header;
                if current == table {
                    table_at = at;
                }
            } else if current == table && key_of(line) == Some(key) {
                return self.wrong(at, &format!("{table}.{key}"), message);
            }
            at += line.len();
        }
        self.wrong(table_at, &format!("{table}.{key}"), message)
    }

    /// An error of the parser, with the key on its line.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let before = &self.text[..at.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let key = match key_of(line) {
            Some(key) => match before.lines().rev().find_map(header) {
                Some(table) => format!("{table}.{key}"),
                None => key.to_owned(),
            },
            None => String::new(),
        };
        self.wrong(at, &key, error.message())
    }

    /// The text at `table.key`, if it is there; nothing is judged.
    pub(super) fn peek_text(&self, table: &str, key: &str) -> Option<String> {
        self.peek(table, key)?.as_str().map(str::to_owned)
    }

    /// The number at `table.key`, if it is there; nothing is judged.
    pub(super) fn peek_number(&self, table: &str, key: &str) -> Option<u64> {
        u64::try_from(self.peek(table, key)?.as_integer()?).ok()
    }

    fn peek(&self, table: &str, key: &str) -> Option<toml::Value> {
        let all: toml::Table = self.text.parse().ok()?;
        all.get(table)?.get(key).cloned()
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&b| b == b'\n').count()
    }
}

fn header(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let inner = line.strip_prefix("[[").or_else(|| line.strip_prefix('['))?;
    inner.split(']').next().map(str::trim)
}

fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    (!key.is_empty() && !key.starts_with('#') && !key.contains(char::is_whitespace)).then_some(key)
}
