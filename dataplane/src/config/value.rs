//! Texts of the config to values: addresses, ranges, durations, keys, names. Pure.
//!
//! Each function returns what is wrong as (problem, remedy); the caller knows the place.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipnet::IpNet;

use crate::core::ranges::{AddressRange, PortRange};
use crate::limits::NAME_BYTES_MAX;

/// What is wrong, and what to write instead.
pub(super) type Complaint = (String, String);

fn complain<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, Complaint> {
    Err((problem.into(), remedy.into()))
}

/// A name that is safe in logs, JSON and a terminal.
pub(super) fn name(text: &str) -> Result<(), Complaint> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:[]%/".contains(c);
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(good) {
        return complain("not a usable name", format!("use 1 to {NAME_BYTES_MAX} letters, digits and . _ - : / [ ] %"));
    }
    Ok(())
}

/// `IP:PORT` of one host; an IPv6 scope may be an interface's number or name.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Complaint> {
    let Some(address) = text.parse().ok().or_else(|| named_scope(text)) else {
        if text.parse::<IpAddr>().is_ok() {
            let example = if text.contains(':') { format!("[{text}]:5300") } else { format!("{text}:5300") };
            return complain("the port is missing", format!("write it like \"{example}\""));
        }
        return complain(
            "not an address and port",
            "write \"192.0.2.1:5300\" or \"[2001:db8::1]:5300\"; host names are not resolved",
        );
    };
    if address.port() == 0 {
        return complain("port 0 cannot be served or reached", "name a port from 1 to 65535");
    }
    if let SocketAddr::V6(v6) = address {
        if let Some(v4) = v6.ip().to_ipv4_mapped() {
            return complain("an IPv4 address in IPv6 clothes", format!("write \"{v4}:{}\"", v6.port()));
        }
        if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 {
            return complain(
                "a link-local address without its interface",
                format!("add the interface: \"[{}%eth0]:{}\"", v6.ip(), v6.port()),
            );
        }
    }
    let ip = address.ip();
    if ip.is_multicast() || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast()) {
        return complain("a multicast or broadcast address", "name one host's address");
    }
    Ok(address)
}

fn named_scope(text: &str) -> Option<SocketAddr> {
    let (ip, rest) = text.strip_prefix('[')?.split_once('%')?;
    let (interface, port) = rest.split_once("]:")?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = nix::net::if_::if_nametoindex(interface).ok()?;
    Some(SocketAddrV6::new(ip, port.parse().ok()?, 0, scope).into())
}

/// A CIDR block, `A-B` or one address; all addresses of a block count, the first and last too.
pub(super) fn address_range(text: &str) -> Result<AddressRange, Complaint> {
    let form = "write \"192.0.2.0/28\", \"192.0.2.5-192.0.2.9\" or \"192.0.2.1\"";
    let range = if text.contains('/') {
        let Ok(net) = text.parse::<IpNet>() else {
            return complain("not a block of addresses", form);
        };
        if net.addr() != net.network() {
            return complain(
                "the address has bits outside its prefix",
                format!("write \"{}\" for the block or \"{}\" for one address", net.trunc(), net.addr()),
            );
        }
        AddressRange::new(net.network(), net.broadcast())
    } else if let Some((first, last)) = text.split_once('-') {
        let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse()) else {
            return complain("not a range of addresses", form);
        };
        AddressRange::new(first, last)
    } else {
        let Ok(one) = text.parse() else {
            return complain("not an address", form);
        };
        AddressRange::new(one, one)
    };
    let Some(range) = range else {
        return complain("the range ends before it starts or mixes families", form);
    };
    if let Some(what) = unusable_as_source(&range) {
        return complain(format!("contains {what} addresses, which cannot be a source"), "leave them out");
    }
    Ok(range)
}

fn unusable_as_source(range: &AddressRange) -> Option<&'static str> {
    let bad: &[(&str, &str, &str)] = &[
        ("0.0.0.0", "0.255.255.255", "unspecified"),
        ("224.0.0.0", "255.255.255.255", "multicast or reserved"),
        ("::", "::", "unspecified"),
        ("::ffff:0.0.0.0", "::ffff:255.255.255.255", "IPv4-mapped"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
    ];
    bad.iter().find_map(|(first, last, what)| {
        let block = AddressRange::new(first.parse().ok()?, last.parse().ok()?)?;
        block.overlaps(range).then_some(*what)
    })
}

/// `A-B` or one port.
pub(super) fn port_range(text: &str) -> Result<PortRange, Complaint> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = first.trim().parse().ok().zip(last.trim().parse().ok());
    match ports.and_then(|(first, last)| PortRange::new(first, last)) {
        Some(range) => Ok(range),
        None => complain("not a range of ports", "write \"40000-40015\", ports from 1 to 65535"),
    }
}

/// A duration with its unit, in nanoseconds within bounds.
pub(super) fn duration_ns(text: &str, min_ns: u64, max_ns: u64) -> Result<u64, Complaint> {
    let bounds = || {
        let show = |ns| humantime::format_duration(std::time::Duration::from_nanos(ns));
        format!("write a duration from \"{}\" to \"{}\"", show(min_ns), show(max_ns))
    };
    let Ok(duration) = humantime::parse_duration(text) else {
        return complain("not a duration with its unit", bounds());
    };
    match u64::try_from(duration.as_nanos()) {
        Ok(ns) if ns < min_ns => complain("too short", bounds()),
        Ok(ns) if ns <= max_ns => Ok(ns),
        _ => complain("too long", bounds()),
    }
}

/// 32 hexadecimal digits.
pub(super) fn key(text: &str) -> Result<[u8; 16], Complaint> {
    let digits = text.len();
    let mut key = [0; 16];
    if digits == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        return Ok(key);
    }
    complain(format!("not 32 hexadecimal digits (it has {digits} characters)"), "make one with 'openssl rand -hex 16'")
}
