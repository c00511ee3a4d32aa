//! `[[pool]]` and `[[pool.backend]]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use toml::Spanned;

use super::Checker;
use crate::config::error::{ConfigError, Warning};
use crate::config::ids::stable_id;
use crate::config::{Backend, Listener, Member, Pool, raw, value};
use crate::limits;

impl Checker<'_> {
    pub(super) fn pools(&self, raw: &[Spanned<raw::Pool>]) -> Result<(Vec<Pool>, Vec<Backend>), ConfigError> {
        if raw.is_empty() {
            return Err(self.source.absent("pool", "no pool of backends", "add a [[pool]]"));
        }
        if let Some(extra) = raw.get(limits::POOLS_MAX) {
            let problem = format!("more than {} pools", limits::POOLS_MAX);
            return Err(self.source.bad_table(extra.span(), problem, "merge pools"));
        }
        let mut pools: Vec<Pool> = Vec::new();
        let mut backends = Backends::default();
        let mut ids = BTreeMap::new();
        for pool in raw {
            let raw::Pool { name, backend } = pool.get_ref();
            let id = self.unique_name("pool", name, &mut ids)?;
            if backend.is_empty() {
                return Err(self.source.bad_table(
                    pool.span(),
                    format!("pool \"{}\" has no backend", name.get_ref()),
                    "add a [[pool.backend]] below it",
                ));
            }
            let members = self.members(backend, &mut backends)?;
            if members.iter().all(|m| m.weight == 0) {
                return Err(self.source.bad_table(
                    pool.span(),
                    format!("every backend of pool \"{}\" has weight 0", name.get_ref()),
                    "give at least one backend a weight above 0",
                ));
            }
            pools.push(Pool { id, name: name.get_ref().clone(), members });
        }
        Ok((pools, backends.list))
    }

    fn members(&self, raw: &[Spanned<raw::Backend>], backends: &mut Backends) -> Result<Vec<Member>, ConfigError> {
        let mut members: Vec<Member> = Vec::new();
        for entry in raw {
            let weight = entry.get_ref().weight.as_ref();
            let weight = self.number(weight, 1, 0, u64::from(limits::WEIGHT_MAX))? as u32;
            let backend = self.backend(entry.get_ref(), backends)?;
            if members.iter().any(|m| m.backend == backend) {
                return Err(self.source.bad(
                    entry.get_ref().address.span(),
                    "the address is twice in this pool",
                    "remove one, or give one a larger weight",
                ));
            }
            members.push(Member { backend, weight });
        }
        Ok(members)
    }

    /// The position of a backend that is known already, or of a new one.
    fn backend(&self, raw: &raw::Backend, known: &mut Backends) -> Result<usize, ConfigError> {
        let raw::Backend { name, address: text, weight: _ } = raw;
        let address: SocketAddr = self.text(text, value::socket_address)?;
        if address.ip().is_unspecified() {
            return Err(self.source.bad(
                text.span(),
                "a wildcard address cannot be reached",
                "name one host's address",
            ));
        }
        if let Some(name) = name {
            self.text(name, value::name)?;
        }
        let place = name.as_ref().map_or(text.span(), Spanned::span);
        let name = name.as_ref().map_or_else(|| address.to_string(), |n| n.get_ref().clone());

        let by_address = known.by_address.get(&address).copied();
        let by_name = known.by_name.get(&name).copied();
        match (by_address, by_name) {
            (Some(a), Some(n)) if a == n => return Ok(a),
            (Some(a), _) => {
                let other = &known.list[a].name;
                return Err(self.source.bad(
                    place,
                    format!("{address} is already the address of backend \"{other}\""),
                    "give it the same name in every pool, or another address",
                ));
            }
            (None, Some(n)) => {
                let other = known.list[n].address;
                return Err(self.source.bad(
                    place,
                    format!("\"{name}\" is already the name of the backend at {other}"),
                    "give one of them another name",
                ));
            }
            (None, None) => {}
        }
        if known.list.len() == limits::BACKENDS_MAX {
            let problem = format!("more than {} backends", limits::BACKENDS_MAX);
            return Err(self.source.bad(place, problem, "run a second dataplane for the rest"));
        }
        let id = stable_id("backend", &name);
        self.unique_id(place, "backend", &name, id, &mut known.ids)?;
        let position = known.list.len();
        known.by_address.insert(address, position);
        known.by_name.insert(name.clone(), position);
        let origin = self.source.origin(text.span());
        known.list.push(Backend { id, name, address, origin });
        Ok(position)
    }

    pub(super) fn unique_name(
        &self,
        kind: &str,
        name: &Spanned<String>,
        ids: &mut BTreeMap<u32, String>,
    ) -> Result<u32, ConfigError> {
        self.text(name, value::name)?;
        let id = stable_id(kind, name.get_ref());
        if ids.get(&id) == Some(name.get_ref()) {
            return Err(self.source.bad(
                name.span(),
                format!("another {kind} has this name"),
                format!("give every {kind} a name of its own"),
            ));
        }
        self.unique_id(name.span(), kind, name.get_ref(), id, ids)?;
        Ok(id)
    }

    /// Two names whose 32-bit ids collide cannot both be used; id 0 means "none" in records.
    fn unique_id(
        &self,
        place: std::ops::Range<usize>,
        kind: &str,
        name: &str,
        id: u32,
        ids: &mut BTreeMap<u32, String>,
    ) -> Result<(), ConfigError> {
        let other = if id == 0 {
            Some("the reserved id 0".to_owned())
        } else {
            ids.insert(id, name.to_owned()).map(|other| format!("that of \"{other}\""))
        };
        let Some(other) = other else { return Ok(()) };
        Err(self.source.bad(
            place,
            format!("the id that follows from the name of this {kind} collides with {other}"),
            format!("give this {kind} another name"),
        ))
    }

    pub(super) fn pools_are_used(&mut self, listeners: &[Listener], pools: &[Pool]) {
        for (i, pool) in pools.iter().enumerate() {
            if !listeners.iter().any(|l| l.pool == i) {
                let message = format!("pool \"{}\" is not used by any listener", pool.name);
                self.warnings.push(Warning::new("pool-unused", message));
            }
        }
    }
}

#[derive(Default)]
struct Backends {
    list: Vec<Backend>,
    by_address: BTreeMap<SocketAddr, usize>,
    by_name: BTreeMap<String, usize>,
    ids: BTreeMap<u32, String>,
}
