//! How large the tables are by the config, without judging the config: that is the dataplane's part.

use std::collections::BTreeSet;
use std::path::Path;

use handover::messages::Fault;
use toml::{Table, Value};

use crate::verify::Assumed;

/// `limits.flows_max` where the config does not set it.
pub const FLOWS_DEFAULT: u64 = 65_536;

impl Default for Assumed {
    fn default() -> Self {
        Self { flows: FLOWS_DEFAULT, workers: 1, backends: 1 }
    }
}

/// What the config file asks for.
///
/// # Errors
/// When the file is not readable, no TOML, or a number in it is none.
pub fn from_config(file: &Path) -> Result<Assumed, Fault> {
    let bad = |message: String| {
        let remedy = "name a config file of hitless; `dataplane --config FILE --check` checks it in full";
        Fault::operator("bad-config", format!("{}: {message}", file.display()), remedy)
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let whole: Table = text.parse().map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
    let number = |table: &str, key: &str, default| match whole.get(table).and_then(|table| table.get(key)) {
        None => Ok(default),
        Some(Value::Integer(number)) if (1..=i64::from(u32::MAX)).contains(number) => Ok(*number as u64),
        Some(other) => Err(bad(format!("{table}.{key} = {other}: not a number from 1 to 4294967295"))),
    };
    let pools = whole.get("pool").and_then(Value::as_array).into_iter().flatten();
    let backends = pools.filter_map(|pool| pool.get("backend")?.as_array()).flatten();
    let addresses: BTreeSet<_> = backends.filter_map(|backend| backend.get("address")?.as_str()).collect();
    Ok(Assumed {
        flows: number("limits", "flows_max", FLOWS_DEFAULT)?,
        workers: number("runtime", "workers", 1)?,
        backends: addresses.len().max(1) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Assumed, Fault> {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("hitless.toml");
        std::fs::write(&file, text).expect("write");
        from_config(&file)
    }

    #[test]
    fn sizes_come_from_the_config_and_bad_ones_are_named() {
        assert_eq!(read(""), Ok(Assumed::default()));
        let text = "[limits]\nflows_max = 1000\n[[pool]]\nname = \"a\"\n[[pool.backend]]\naddress = \"192.0.2.1:1\"\n\
                    [[pool.backend]]\naddress = \"192.0.2.2:1\"\n[[pool]]\n[[pool.backend]]\naddress = \"192.0.2.1:1\"\n";
        assert_eq!(read(text), Ok(Assumed { flows: 1000, workers: 1, backends: 2 }));
        let message = |text| read(text).expect_err("bad").message;
        assert!(message("[limits]\nflows_max = \"many\"").contains("limits.flows_max = \"many\""));
        assert!(message("[limits]\nflows_max = -1").contains("limits.flows_max = -1"));
        assert!(message("limits").contains("hitless.toml"));
        assert!(from_config(Path::new("/nonexistent")).expect_err("absent").message.contains("/nonexistent"));
    }
}
