//! From the file's shape to a [`Config`]: each table's checks in a file of its own, then what the
//! tables say about each other.

mod listeners;
mod pools;
mod snat;
mod tables;

use std::path::Path;

use toml::Spanned;

use super::capacity::Capacity;
use super::error::ConfigError;
use super::host::Host;
use super::source::Source;
use super::value::Complaint;
use super::{BalanceKey, Config, ids, raw, value};

/// The text of the file, and the warnings so far.
struct Checker<'a> {
    source: Source<'a>,
    warnings: Vec<super::Warning>,
}

pub(super) fn config(file: &Path, text: &str, host: &Host) -> Result<Config, ConfigError> {
    let mut c = Checker { source: Source::new(file, text), warnings: Vec::new() };
    let raw: raw::File = c.source.read()?;

    let service = c.service(&raw.service)?;
    let runtime = c.runtime(&raw.runtime, host)?;
    let limits = c.limits(&raw.limits)?;
    let balance_key = match &raw.balance.key {
        None => BalanceKey(ids::default_balance_key(&service)),
        Some(text) => BalanceKey(c.secret(text, value::key)?),
    };
    let snat = c.snat(&raw.snat)?;
    let (pools, backends) = c.pools(&raw.pool)?;
    let listeners = c.listeners(&raw.listener, &pools)?;

    c.no_loops(&listeners, &backends)?;
    c.ports_are_free(&snat, &listeners, &backends)?;
    c.sources_are_used(&snat, &backends);
    c.pools_are_used(&listeners, &pools);
    let capacity = Capacity::of(&limits, runtime.workers, &snat, &listeners, &backends);
    capacity.check(&c.source, &limits, host, &mut c.warnings)?;

    Ok(Config {
        file: file.to_owned(),
        service,
        runtime,
        limits,
        balance_key,
        snat,
        listeners,
        pools,
        backends,
        capacity,
        warnings: c.warnings,
    })
}

impl Checker<'_> {
    /// A text through one of the functions in `value`.
    fn text<T>(
        &self,
        text: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Result<T, ConfigError> {
        parse(text.get_ref()).map_err(|(problem, remedy)| self.source.bad(text.span(), problem, remedy))
    }

    /// The same for a text that no message may repeat.
    fn secret<T>(
        &self,
        text: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Result<T, ConfigError> {
        parse(text.get_ref()).map_err(|(problem, remedy)| self.source.bad_table(text.span(), problem, remedy))
    }

    /// A whole number within bounds, or the default.
    fn number(&self, given: Option<&Spanned<i64>>, default: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
        let Some(given) = given else {
            return Ok(default);
        };
        match u64::try_from(*given.get_ref()) {
            Ok(n) if (min..=max).contains(&n) => Ok(n),
            Ok(n) if n > max => {
                Err(self.source.bad(given.span(), "too large", format!("use a number from {min} to {max}")))
            }
            _ => Err(self.source.bad(given.span(), "too small", format!("use a number from {min} to {max}"))),
        }
    }
}
