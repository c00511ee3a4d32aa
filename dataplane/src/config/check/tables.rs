//! `[service]`, `[runtime]` and `[limits]`.

use super::Checker;
use crate::config::error::ConfigError;
use crate::config::host::Host;
use crate::config::{Limits, Runtime, Scheduling, raw, value};
use crate::limits;

const SERVICE_DEFAULT: &str = "hitless";
const FLOWS_DEFAULT: u64 = 65_536;
const DATAGRAM_BYTES_DEFAULT: u64 = 2048;
const SOCKET_BUFFER_BYTES_DEFAULT: u64 = 4 * 1024 * 1024;
const RECEIVE_BUFFERS_DEFAULT: u64 = 4096;

impl Checker<'_> {
    pub(super) fn service(&self, raw: &raw::Service) -> Result<String, ConfigError> {
        let Some(name) = &raw.name else {
            return Ok(SERVICE_DEFAULT.to_owned());
        };
        self.text(name, value::name)?;
        Ok(name.get_ref().clone())
    }

    pub(super) fn runtime(&self, raw: &raw::Runtime, host: &Host) -> Result<Runtime, ConfigError> {
        let max = limits::WORKERS_MAX as u64;
        let workers = self.number(raw.workers.as_ref(), 1, 1, max)? as usize;
        if workers > limits::WORKERS_RUN_MAX
            && let Some(given) = &raw.workers
        {
            return Err(self.source.bad(given.span(), "this version runs one worker", "set runtime.workers = 1"));
        }
        let scheduling = match &raw.scheduling {
            None => Scheduling::Other,
            Some(given) => match given.get_ref().as_str() {
                "other" => Scheduling::Other,
                "fifo" => Scheduling::Fifo,
                "auto" => Scheduling::Auto,
                _ => {
                    return Err(self.source.bad(
                        given.span(),
                        "unknown scheduling class",
                        "use \"other\", \"fifo\" or \"auto\"",
                    ));
                }
            },
        };
        Ok(Runtime { workers, cpus: self.cpus(raw, workers, host)?, scheduling })
    }

    fn cpus(&self, raw: &raw::Runtime, workers: usize, host: &Host) -> Result<Vec<u32>, ConfigError> {
        let Some(list) = &raw.cpus else {
            return Ok(Vec::new());
        };
        let mut cpus = Vec::new();
        for item in list.get_ref() {
            let there = u32::try_from(*item.get_ref()).ok().filter(|n| host.cpus.contains(n));
            let Some(cpu) = there else {
                let known: Vec<_> = host.cpus.iter().map(u32::to_string).collect();
                return Err(self.source.bad(
                    item.span(),
                    "no such processor is online on this host",
                    format!("choose from {}", known.join(", ")),
                ));
            };
            if cpus.contains(&cpu) {
                return Err(self.source.bad(
                    item.span(),
                    "the processor is listed twice",
                    "give each worker a processor of its own",
                ));
            }
            cpus.push(cpu);
        }
        if !cpus.is_empty() && cpus.len() != workers {
            return Err(self.source.bad(
                list.span(),
                format!("{} processors for {workers} worker(s)", cpus.len()),
                "list one processor per worker, or leave the key out",
            ));
        }
        Ok(cpus)
    }

    pub(super) fn limits(&self, raw: &raw::Limits) -> Result<Limits, ConfigError> {
        let flows_max = self.number(raw.flows_max.as_ref(), FLOWS_DEFAULT, limits::FLOWS_MIN, limits::FLOWS_MAX)?;
        let shards = self.number(raw.shards.as_ref(), 1, 1, limits::SHARDS_MAX as u64)?;
        if flows_max < shards * limits::FLOWS_MIN {
            return Err(self.source.bad_key(
                "limits.shards",
                format!("{flows_max} flows for {shards} shards are too few: each has at least {}", limits::FLOWS_MIN),
                "use fewer shards, or raise limits.flows_max",
            ));
        }
        let datagram_bytes_max = self.number(
            raw.datagram_bytes_max.as_ref(),
            DATAGRAM_BYTES_DEFAULT,
            limits::DATAGRAM_BYTES_MIN as u64,
            limits::DATAGRAM_BYTES_MAX as u64,
        )?;
        let socket_buffer_bytes = self.number(
            raw.socket_buffer_bytes.as_ref(),
            SOCKET_BUFFER_BYTES_DEFAULT,
            limits::SOCKET_BUFFER_BYTES_MIN as u64,
            limits::SOCKET_BUFFER_BYTES_MAX as u64,
        )?;
        let receive_buffers = self.number(
            raw.receive_buffers.as_ref(),
            RECEIVE_BUFFERS_DEFAULT,
            limits::RX_BUFFERS_MIN as u64,
            limits::RX_BUFFERS_MAX as u64,
        )?;
        if !receive_buffers.is_power_of_two() {
            return Err(self.source.bad_key(
                "limits.receive_buffers",
                "not a power of two",
                format!("use {}", receive_buffers.next_power_of_two()),
            ));
        }
        Ok(Limits {
            // At most FLOWS_MAX, which is below 2^32.
            flows_max: flows_max as u32,
            shards: shards as usize,
            datagram_bytes_max: datagram_bytes_max as usize,
            socket_buffer_bytes: socket_buffer_bytes as usize,
            receive_buffers: receive_buffers as usize,
            socket_buffer_origin: self.source.origin_of("limits.socket_buffer_bytes"),
        })
    }
}
