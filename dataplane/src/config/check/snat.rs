//! `[snat]`.

use toml::Spanned;

use super::Checker;
use crate::config::error::{ConfigError, Warning};
use crate::config::{Backend, Listener, Snat, raw, value};
use crate::core::ranges::{AddressRange, AddressRanges, RangesError};
use crate::limits;

const SOCKETS_DEFAULT: u64 = 16;
const REUSE_DELAY_DEFAULT_NS: u64 = 30_000_000_000;

impl Checker<'_> {
    pub(super) fn snat(&mut self, raw: &raw::Snat) -> Result<Snat, ConfigError> {
        let raw::Snat { v4, v6, sockets, ports, reuse_delay } = raw;
        let max = limits::UPSTREAM_SOCKETS_MAX as u64;
        let sockets = self.number(sockets.as_ref(), SOCKETS_DEFAULT, 1, max)? as usize;
        let ports = match ports {
            None => None,
            Some(text) => {
                let range = self.text(text, value::port_range)?;
                if range.count() < sockets {
                    return Err(self.source.bad(
                        text.span(),
                        format!("{} ports for {sockets} sockets", range.count()),
                        "widen the range or lower snat.sockets",
                    ));
                }
                Some(range)
            }
        };
        let reuse_delay_ns = match reuse_delay {
            None => REUSE_DELAY_DEFAULT_NS,
            Some(text) => self.text(text, |t| value::duration_ns(t, 0, limits::REUSE_DELAY_NS_MAX))?,
        };
        if reuse_delay_ns == 0 {
            let message = "snat.reuse_delay is 0: a late reply can reach another client; set it \
                           above the slowest backend's answer time";
            self.warnings.push(Warning::new("reuse-delay-zero", message.to_owned()));
        }
        Ok(Snat {
            v4: self.sources(v4.as_ref(), true)?,
            v6: self.sources(v6.as_ref(), false)?,
            sockets,
            ports,
            reuse_delay_ns,
            v4_origin: self.source.origin_of("snat.v4"),
            v6_origin: self.source.origin_of("snat.v6"),
            ports_origin: self.source.origin_of("snat.ports"),
        })
    }

    fn sources(
        &self,
        list: Option<&Spanned<Vec<Spanned<String>>>>,
        v4: bool,
    ) -> Result<Option<AddressRanges>, ConfigError> {
        let Some(list) = list.filter(|l| !l.get_ref().is_empty()) else {
            return Ok(None);
        };
        let items = list.get_ref();
        if let Some(extra) = items.get(limits::SNAT_RANGES_MAX) {
            let problem = format!("more than {} ranges", limits::SNAT_RANGES_MAX);
            return Err(self.source.bad(extra.span(), problem, "join neighbouring ranges"));
        }
        let mut ranges: Vec<AddressRange> = Vec::new();
        let mut total = 0u128;
        for text in items {
            let range = self.text(text, value::address_range)?;
            if range.first().is_ipv4() != v4 {
                let (is, other) = if v4 { ("IPv6", "snat.v6") } else { ("IPv4", "snat.v4") };
                return Err(self.source.bad(text.span(), format!("an {is} address"), format!("move it to {other}")));
            }
            total = total.saturating_add(range.len());
            if total > u128::from(limits::SNAT_ADDRESSES_MAX) {
                return Err(self.source.bad(
                    text.span(),
                    format!("more than {} addresses in all", limits::SNAT_ADDRESSES_MAX),
                    "use smaller ranges",
                ));
            }
            ranges.push(range);
        }
        AddressRanges::new(&ranges).map(Some).map_err(|e| {
            let at = match e {
                RangesError::Overlap(_, second) => items.get(second).map(Spanned::span),
                _ => None,
            };
            let problem = match e {
                RangesError::Overlap(first, _) => format!("overlaps {}", ranges[first]),
                other => other.to_string(),
            };
            self.source.bad(at.unwrap_or(list.span()), problem, "list every address once")
        })
    }

    /// Upstream sockets are bound to the wildcard address, so a listener's port is not free.
    pub(super) fn ports_are_free(
        &self,
        snat: &Snat,
        listeners: &[Listener],
        backends: &[Backend],
    ) -> Result<(), ConfigError> {
        let Some(ports) = &snat.ports else {
            return Ok(());
        };
        for listener in listeners {
            for own in &listener.addresses {
                let used = backends.iter().any(|b| b.address.is_ipv4() == own.address.is_ipv4());
                if used && ports.contains(own.address.port()) {
                    return Err(self.source.bad_key(
                        "snat.ports",
                        format!("contains the port of listener \"{}\"", listener.name),
                        "choose ports that no listener uses",
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn sources_are_used(&mut self, snat: &Snat, backends: &[Backend]) {
        for (key, list, v4) in [("snat.v4", &snat.v4, true), ("snat.v6", &snat.v6, false)] {
            if list.is_some() && !backends.iter().any(|b| b.address.is_ipv4() == v4) {
                let message = format!("{key} is not used: no backend has an address of that family");
                self.warnings.push(Warning::new("snat-unused", message));
            }
        }
    }
}
