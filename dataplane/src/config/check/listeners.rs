//! `[[listener]]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use toml::Spanned;

use super::Checker;
use crate::config::error::ConfigError;
use crate::config::{Backend, Listener, ListenerAddress, Mode, Pool, raw, value};
use crate::limits;

const IDLE_TIMEOUT_DEFAULT_NS: u64 = 60_000_000_000;

impl Checker<'_> {
    pub(super) fn listeners(
        &self,
        raw: &[Spanned<raw::Listener>],
        pools: &[Pool],
    ) -> Result<Vec<Listener>, ConfigError> {
        if raw.is_empty() {
            let remedy = "add a [[listener]]";
            return Err(self.source.absent("listener", "nothing to listen on", remedy));
        }
        if let Some(extra) = raw.get(limits::LISTENERS_MAX) {
            let problem = format!("more than {} listeners", limits::LISTENERS_MAX);
            return Err(self.source.bad_table(extra.span(), problem, "merge listeners"));
        }
        let mut listeners = Vec::new();
        let mut taken = Vec::new();
        let mut ids = BTreeMap::new();
        for listener in raw {
            let raw::Listener { name, mode, addresses, pool, idle_timeout } = listener.get_ref();
            let idle_timeout_ns = match idle_timeout {
                None => IDLE_TIMEOUT_DEFAULT_NS,
                Some(text) => self
                    .text(text, |t| value::duration_ns(t, limits::IDLE_TIMEOUT_NS_MIN, limits::IDLE_TIMEOUT_NS_MAX))?,
            };
            listeners.push(Listener {
                id: self.unique_name("listener", name, &mut ids)?,
                name: name.get_ref().clone(),
                mode: self.mode(mode.as_ref())?,
                addresses: self.addresses(addresses, &mut taken)?,
                pool: self.pool(pool, pools)?,
                idle_timeout_ns,
            });
        }
        Ok(listeners)
    }

    fn mode(&self, given: Option<&Spanned<String>>) -> Result<Mode, ConfigError> {
        let Some(given) = given else {
            return Ok(Mode::Forward);
        };
        let (problem, remedy) = match given.get_ref().as_str() {
            "forward" => return Ok(Mode::Forward),
            "quic" => ("QUIC termination is not in this version", "use mode = \"forward\""),
            _ => ("unknown mode", "use mode = \"forward\""),
        };
        Err(self.source.bad(given.span(), problem, remedy))
    }

    fn pool(&self, given: &Spanned<String>, pools: &[Pool]) -> Result<usize, ConfigError> {
        pools.iter().position(|p| &p.name == given.get_ref()).ok_or_else(|| {
            let known: Vec<_> = pools.iter().map(|p| p.name.as_str()).collect();
            self.source.bad(
                given.span(),
                "no pool has this name",
                format!("choose from {} or add a [[pool]]", known.join(", ")),
            )
        })
    }

    fn addresses(
        &self,
        list: &Spanned<Vec<Spanned<String>>>,
        taken: &mut Vec<(SocketAddr, usize)>,
    ) -> Result<Vec<ListenerAddress>, ConfigError> {
        if list.get_ref().is_empty() {
            return Err(self.source.bad(
                list.span(),
                "no address to listen on",
                "list at least one, such as \"0.0.0.0:5300\"",
            ));
        }
        let mut addresses = Vec::new();
        for text in list.get_ref() {
            let address = self.text(text, value::socket_address)?;
            let origin = self.source.origin(text.span());
            if let Some((other, line)) = taken.iter().find(|(other, _)| collide(address, *other)) {
                let problem = if address == *other {
                    format!("the address is already listened on (line {line})")
                } else {
                    format!("overlaps {other} (line {line})")
                };
                return Err(self.source.bad(text.span(), problem, "remove one of the two"));
            }
            if taken.len() == limits::LISTENER_ADDRESSES_MAX {
                let problem = format!("more than {} addresses", limits::LISTENER_ADDRESSES_MAX);
                return Err(self.source.bad(text.span(), problem, "listen on a wildcard address"));
            }
            taken.push((address, origin.line.unwrap_or_default()));
            addresses.push(ListenerAddress { address, origin });
        }
        Ok(addresses)
    }

    /// A backend that is one of our own listeners would send packets round for ever.
    pub(super) fn no_loops(&self, listeners: &[Listener], backends: &[Backend]) -> Result<(), ConfigError> {
        for backend in backends {
            for listener in listeners {
                let own = listener.addresses.iter().map(|a| a.address).find(|own| {
                    *own == backend.address || (backend.address.ip().is_loopback() && collide(*own, backend.address))
                });
                let Some(own) = own else { continue };
                return Err(ConfigError {
                    file: self.source.file.into(),
                    line: backend.origin.line,
                    key: backend.origin.key.as_str().into(),
                    value: Some(format!("\"{}\"", backend.address).into()),
                    problem: format!(
                        "this is listener \"{}\" itself ({own}): packets would go round for ever",
                        listener.name
                    )
                    .into(),
                    remedy: "name the server's address".into(),
                });
            }
        }
        Ok(())
    }
}

/// Whether two sockets without SO_REUSEPORT could not both be bound to these.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
        && a.port() == b.port()
        && (a.ip() == b.ip() && scope(a) == scope(b) || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}
