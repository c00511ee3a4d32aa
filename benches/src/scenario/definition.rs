//! The form of a scenario file, and its checks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::load::CLIENTS_MAX;
use crate::load::schedule::Mix;
use crate::token::{PAYLOAD_MAX, TOKEN_LEN};

/// Bursts of the paced load: what falls due within this time is sent together.
const TICK: Duration = Duration::from_micros(200);

/// A scenario is a paced load with swaps (`load`, `backends`, `swaps`), or one other measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub about: String,
    #[serde(default)]
    pub dataplane: Dataplane,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<Backends>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swaps: Option<Swaps>,
    /// With swaps: a second service with fewer flows, swapped in turn with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Saturation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translate: Option<Translate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUp>,
    /// Takes so long that only `--long`, or its name, runs it.
    #[serde(default)]
    pub long: bool,
    /// Figures that must hold, by name.
    #[serde(default)]
    pub bounds: BTreeMap<String, f64>,
}

/// How the service is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dataplane {
    pub flows_max: u64,
    pub snat: Vec<String>,
    pub snat_sockets: u32,
    /// Of each socket: rides over stalls of the host as long as this many bytes hold what comes.
    pub socket_buffer_bytes: u64,
    /// Service addresses that clients write to, in turn. The listener is a wildcard, so each reply must find
    /// the right one again.
    pub addresses: Vec<std::net::Ipv4Addr>,
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    pub scheduling: String,
}

impl Default for Dataplane {
    fn default() -> Self {
        Self {
            flows_max: 65_536,
            // With two backends, as many identities as flows.
            snat: vec!["127.64.0.0/21".to_owned()],
            snat_sockets: 16,
            socket_buffer_bytes: 4 << 20,
            addresses: vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()],
            idle_timeout: Duration::from_secs(60),
            scheduling: "auto".to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub requests_per_s: u64,
    /// Flows that last for the whole run.
    pub flows: usize,
    pub new_flows_per_s: u64,
    pub new_flow_packets: u32,
    #[serde(with = "duration")]
    pub new_flow_life: Duration,
    pub payload_bytes: usize,
    /// Client sockets.
    #[serde(default = "one")]
    pub sockets: usize,
    /// Flows send in a scattered order, not one after the other as they were set up: see [`Mix::scattered`].
    #[serde(default)]
    pub scattered: bool,
    /// Requests of one flow sent together: see [`Mix::train`].
    #[serde(default = "one")]
    pub train: usize,
}

fn one() -> usize {
    1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backends {
    pub count: u8,
    #[serde(with = "duration")]
    pub reply_delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swaps {
    pub count: u32,
    /// From the start of one to the start of the next; 0: at once.
    #[serde(with = "duration")]
    pub every: Duration,
    #[serde(with = "duration")]
    pub probation: Duration,
    /// The same load without a swap, before the first.
    #[serde(with = "duration")]
    pub before: Duration,
    #[serde(with = "duration")]
    pub after: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    pub flows: usize,
    pub payload_bytes: usize,
    /// Requests in flight at most, so that no queue overflows.
    pub window: usize,
    /// Pairs of measurements, ours and the baseline in turn.
    pub rounds: usize,
    #[serde(with = "duration")]
    pub settle: Duration,
    #[serde(with = "duration")]
    pub measure: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    pub flows: usize,
    pub flows_max: u64,
    /// The swaps of each service are spread over so many turns.
    pub rounds: u32,
}

/// The dataplane as busy as it can be, and swaps: see `scenario::background`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    pub flows: usize,
    pub payload_bytes: usize,
    /// Requests in flight at most, so that no queue overflows.
    pub window: usize,
    /// Requests of one flow that are sent together, so that the load needs less of its core than the dataplane of its.
    pub train: usize,
    pub swaps: u32,
    /// The load without a swap before each.
    #[serde(with = "duration")]
    pub before: Duration,
    #[serde(with = "duration")]
    pub probation: Duration,
}

/// Records from one layout into another, in memory: see `scenario::memory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Translate {
    pub records: usize,
    pub rounds: usize,
}

/// Flows looked up in a table of as many: see `scenario::memory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    pub flows: usize,
    /// Batches a round.
    pub batches: usize,
    pub rounds: usize,
}

/// The parts of a scenario that swaps under load.
#[derive(Debug, Clone, Copy)]
pub struct Swapping<'a> {
    pub load: &'a Load,
    pub backends: &'a Backends,
    pub swaps: &'a Swaps,
}

impl Scenario {
    /// Reads a scenario; `overrides` are `table.key=value` in TOML.
    pub fn parse(source: &str, text: &str, overrides: &[String]) -> Result<Self> {
        let wrong = |why: String| Error::Usage(format!("{source}: {why}"));
        let mut table: toml::Table = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for change in overrides {
            apply(&mut table, change)?;
        }
        let scenario: Self = table.try_into().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        scenario.check().map_err(wrong)?;
        Ok(scenario)
    }

    pub fn swapping(&self) -> Option<Swapping<'_>> {
        Some(Swapping { load: self.load.as_ref()?, backends: self.backends.as_ref()?, swaps: self.swaps.as_ref()? })
    }

    /// A bound that the scenario names.
    pub fn bound(&self, name: &str) -> Option<f64> {
        self.bounds.get(name).copied()
    }

    fn check(&self) -> Result<(), String> {
        let payload = |bytes: usize| {
            if (TOKEN_LEN..=PAYLOAD_MAX).contains(&bytes) {
                Ok(())
            } else {
                Err(format!("payload_bytes must be {TOKEN_LEN} to {PAYLOAD_MAX}"))
            }
        };
        if self.dataplane.addresses.is_empty() || !self.dataplane.addresses.iter().all(|a| a.is_loopback()) {
            return Err("dataplane.addresses must be loopback addresses: traffic stays on this host".to_owned());
        }
        if let Some(Beside { flows, flows_max, rounds }) = &self.beside {
            let swaps = self.swaps.as_ref().map_or(0, |swaps| swaps.count);
            if *flows == 0 || (*flows as u64) > *flows_max || *rounds == 0 || !swaps.is_multiple_of(*rounds) {
                return Err("beside: flows at most flows_max, and swaps.count a multiple of rounds".to_owned());
            }
        }
        let kinds = [
            self.load.is_some() || self.backends.is_some() || self.swaps.is_some(),
            self.saturation.is_some(),
            self.background.is_some(),
            self.translate.is_some(),
            self.look_up.is_some(),
        ];
        let what = "load, backends and swaps, or saturation, or background, or translate, or look_up";
        if kinds.iter().filter(|&&given| given).count() != 1 {
            return Err(format!("give either {what}"));
        }
        if let Some(Translate { records, rounds }) = self.translate {
            return if records > 0 && rounds > 0 { Ok(()) } else { Err("records and rounds must not be 0".to_owned()) };
        }
        if let Some(LookUp { flows, batches, rounds }) = self.look_up {
            let sound = flows > 0 && batches > 0 && rounds > 0 && u32::try_from(flows).is_ok();
            return if sound { Ok(()) } else { Err("flows, batches and rounds must not be 0".to_owned()) };
        }
        match (self.swapping(), &self.saturation, &self.background) {
            (Some(Swapping { load, backends, swaps }), None, None) => {
                payload(load.payload_bytes)?;
                load.mix().fault().map_or(Ok(()), Err)?;
                if backends.count == 0 || load.sockets == 0 {
                    return Err("backends.count and load.sockets must not be 0".to_owned());
                }
                // Enough for any run that is not a mistake.
                let longest = swaps.before + swaps.after + (swaps.every + Duration::from_secs(2)) * swaps.count;
                let flows = load.flows as u64 + load.new_flows_per_s * longest.as_secs();
                if flows > CLIENTS_MAX as u64 {
                    return Err(format!("{flows} flows; there are {CLIENTS_MAX} client addresses"));
                }
                if load.train * load.payload_bytes > PAYLOAD_MAX {
                    return Err(format!("a train of {} does not fit {PAYLOAD_MAX} bytes", load.train));
                }
                let turn = load.turn() * load.train as u32;
                if turn * 2 > self.dataplane.idle_timeout {
                    return Err(format!("each flow sends every {turn:?}: dataplane.idle_timeout is too short"));
                }
                Ok(())
            }
            (None, None, Some(background)) => {
                payload(background.payload_bytes)?;
                let Background { flows, window, train, swaps, payload_bytes, .. } = *background;
                if flows == 0 || flows > CLIENTS_MAX || swaps == 0 || train == 0 || train * payload_bytes > PAYLOAD_MAX
                {
                    return Err("flows, swaps and train must not be 0, and a train must fit one payload".to_owned());
                }
                if window < 2 * train {
                    return Err("window must have room for two trains".to_owned());
                }
                Ok(())
            }
            (None, Some(saturation), None) => {
                payload(saturation.payload_bytes)?;
                if saturation.rounds == 0 || saturation.flows == 0 || saturation.window == 0 {
                    return Err("rounds, flows and window must not be 0".to_owned());
                }
                Ok(())
            }
            _ => Err("give all of load, backends and swaps".to_owned()),
        }
    }
}

impl Load {
    /// How long until each of the steady flows has sent one request.
    pub fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.flows as f64 / self.requests_per_s as f64)
    }

    pub fn mix(&self) -> Mix {
        Mix {
            rate: self.requests_per_s,
            steady: self.flows,
            new_per_s: self.new_flows_per_s,
            new_packets: self.new_flow_packets,
            life_ns: self.new_flow_life.as_nanos() as u64,
            tick_ns: TICK.as_nanos() as u64,
            scattered: self.scattered,
            train: self.train,
        }
    }
}

/// Sets `table.key` to a TOML value; a bare word is taken as a string.
fn apply(table: &mut toml::Table, change: &str) -> Result<()> {
    let wrong = || Error::Usage(format!("\"{change}\" is not of the form table.key=value"));
    let (path, value) = change.split_once('=').ok_or_else(wrong)?;
    let parsed = toml::from_str::<toml::Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut names: Vec<&str> = path.split('.').collect();
    let last = names.pop().ok_or_else(wrong)?;
    let mut at = table;
    for name in names {
        let entry = at.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = entry.as_table_mut().ok_or_else(wrong)?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Durations as "200ms".
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|error| D::Error::custom(format!("\"{text}\": {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../scenarios/demo.toml");

    fn parse(overrides: &[&str]) -> Result<Scenario> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Scenario::parse("test", TEXT, &overrides)
    }

    #[test]
    fn overrides_change_single_keys() {
        let scenario = parse(&["load.flows=7", "swaps.every=1500ms", "dataplane.scheduling=other"]).expect("ok");
        assert_eq!(scenario.load.as_ref().expect("load").flows, 7);
        assert_eq!(scenario.swaps.as_ref().expect("swaps").every, Duration::from_millis(1500));
        assert_eq!(scenario.dataplane.scheduling, "other");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (change, expected) in [
            ("load.payload_bytes=63", "payload_bytes"),
            ("load.colour=1", "colour"),
            ("load.flows=0", "flows"),
            ("load.new_flows_per_s=9000", "new flows"),
            ("load.flows=9000000", "client addresses"),
            ("dataplane.idle_timeout=50ms", "idle_timeout"),
            ("swaps.every=soon", "soon"),
            ("dataplane.addresses=[\"192.0.2.1\"]", "loopback"),
            ("nonsense", "table.key=value"),
            ("name.x=1", "table.key=value"),
        ] {
            let error = parse(&[change]).expect_err(change);
            assert!(error.to_string().contains(expected), "{change}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
