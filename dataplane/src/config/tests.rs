use std::path::Path;

use proptest::prelude::*;

use super::refusals::REFUSALS;
use super::*;

/// The example of the documentation, every key given.
const WHOLE: &str = r#"
[service]
name = "edge"

[control]
socket = "/run/hitless/control.sock"
anything = { goes = ["here", 1] }

[runtime]
workers = 1
cpus = [0]
scheduling = "auto"

[limits]
flows_max = 4096
datagram_bytes_max = 2048
socket_buffer_bytes = 4194304
receive_buffers = 4096

[balance]
key = "00112233445566778899aabbccddeeff"

[snat]
v4 = ["127.64.0.0/24", "192.0.2.1", "192.0.2.5-192.0.2.9"]
v6 = []
sockets = 16
ports = "40000-40015"
reuse_delay = "30s"

[[listener]]
name = "dns"
mode = "forward"
addresses = ["0.0.0.0:5300", "[::]:5300"]
pool = "resolvers"
idle_timeout = "60s"

[[pool]]
name = "resolvers"
[[pool.backend]]
name = "ns1"
address = "127.0.0.1:5301"
weight = 1
[[pool.backend]]
address = "[::1]:5302"
"#;

/// Nothing but what has no default.
const LEAST: &str = r#"
[[listener]]
name = "dns"
addresses = ["127.0.0.1:5300"]
pool = "p"
[[pool]]
name = "p"
backend = [{ address = "127.0.0.1:5301" }]
"#;

fn host() -> Host {
    Host { cpus: vec![0, 1], memory_bytes: Some(8 << 30) }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("edge.toml"), text, &host())
}

fn swapped(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "the example has no {from}");
    WHOLE.replacen(from, to, 1)
}

#[test]
fn the_whole_example() {
    let c = parse(WHOLE).unwrap();
    assert_eq!(c.service, "edge");
    assert_eq!(c.runtime.cpus, [0]);
    assert_eq!(c.runtime.scheduling, Scheduling::Auto);
    assert_eq!((c.limits.flows_max, c.limits.receive_buffers), (4096, 4096));
    assert_eq!(c.balance_key.0[..3], [0x00, 0x11, 0x22]);
    assert_eq!(c.snat.v4.as_ref().unwrap().len(), 256 + 1 + 5);
    assert_eq!((&c.snat.v6, c.snat.sockets), (&None, 16));
    assert_eq!(c.snat.ports.unwrap().count(), 16);
    assert_eq!(c.snat.reuse_delay_ns, 30_000_000_000);
    let l = &c.listeners[0];
    assert_eq!((l.pool, l.idle_timeout_ns, l.mode), (0, 60_000_000_000, Mode::Forward));
    assert_eq!(l.addresses[1].address, "[::]:5300".parse().unwrap());
    assert_eq!(l.addresses[1].origin.key, "listener[0].addresses[1]");
    assert_eq!(l.addresses[1].origin.line, Some(33));
    assert_eq!(c.pools[0].members.len(), 2);
    assert_eq!(c.backends[0].name, "ns1");
    assert_eq!(c.backends[1].name, "[::1]:5302");
    assert!(c.upstream_v4() && c.upstream_v6());
    assert_eq!(c.sources_for(&c.backends[0]).map(AddressRanges::len), Some(262));
    assert_eq!(c.sources_for(&c.backends[1]), None);
    assert_eq!(c.capacity.identities_per_backend_v4, 262 * 16);
    assert_eq!(c.capacity.identities_per_backend_v6, 16);
    assert_eq!(c.capacity.identities, 263 * 16);
    assert_eq!(c.capacity.flows_per_second, 263 * 16 / 90);
    assert_eq!(c.warnings, []);
    assert!(!format!("{c:?}").contains("0x11"), "the key does not show");
}

#[test]
fn the_least_example_and_its_warnings() {
    let c = parse(LEAST).unwrap();
    assert_eq!((c.service.as_str(), c.runtime.workers, c.limits.flows_max), ("hitless", 1, 65_536));
    assert_eq!((c.snat.sockets, c.snat.ports, c.snat.v4), (16, None, None));
    assert_eq!(c.balance_key, parse(LEAST).unwrap().balance_key);
    assert_eq!(c.warnings.len(), 1);
    assert_eq!(c.warnings[0].code, "snat-capacity");
    assert_eq!((c.warnings[0].asked, c.warnings[0].granted), (Some(65_536), Some(16)));
}

#[test]
fn pools_share_a_backend_by_address_and_name() {
    let shared =
        format!("{LEAST}\n[[pool]]\nname = \"q\"\nbackend = [{{ address = \"127.0.0.1:5301\", weight = 7 }}]\n");
    let c = parse(&shared).unwrap();
    assert_eq!(c.backends.len(), 1);
    assert_eq!(c.pools[1].members, [Member { backend: 0, weight: 7 }]);
    assert!(c.warnings.iter().any(|w| w.code == "pool-unused"), "{:?}", c.warnings);
    let renamed = shared.replace("weight = 7", "name = \"other\"");
    assert_eq!(parse(&renamed).unwrap_err().line, Some(12));
    let moved = LEAST.replace("5301\"", "5301\", name = \"a\"")
        + "[[pool]]\nname = \"q\"\nbackend = [{ address = \"127.0.0.1:5309\", name = \"a\" }]\n";
    assert!(parse(&moved).unwrap_err().problem.contains("already the name"));
}

#[test]
fn refusals_name_file_line_key_value_and_remedy() {
    for (from, to, expected) in REFUSALS {
        match parse(&swapped(from, to)) {
            Ok(_) => panic!("accepted {to}"),
            Err(e) => assert_eq!(e.to_string(), *expected),
        }
    }
}

#[test]
fn a_file_that_is_no_config() {
    let message = |path: &Path| Config::load(path).unwrap_err().to_string();
    assert_eq!(
        message(Path::new("/nonexistent")),
        "/nonexistent: cannot read the config: No such file or directory (os error 2); \
         name a readable file with --config"
    );
    assert!(message(Path::new("/")).contains("cannot read"));
    let binary = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(binary.path(), b"\x7fELF\xff\xfe").unwrap();
    assert!(message(binary.path()).contains("not UTF-8"));
    let endless = Path::new("/dev/zero");
    assert!(message(endless).contains("longer than"));
    assert_eq!(parse("").unwrap_err().to_string(), "edge.toml: pool: no pool of backends; add a [[pool]]");
}

#[test]
fn a_file_from_disk() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LEAST).unwrap();
    assert_eq!(Config::load(file.path()).unwrap().file, file.path());
}

#[test]
fn capacities_are_held_against_the_hosts_memory() {
    let small = Host { cpus: vec![0], memory_bytes: Some(1 << 30) };
    let check = |text: &str| Config::parse(Path::new("edge.toml"), text, &small);
    assert_eq!(
        check(&swapped("flows_max = 4096", "flows_max = 16000000")).unwrap_err().to_string(),
        "edge.toml:15: limits.flows_max = 16000000: the tables would take 4472 MiB of shared \
         memory, this host can give 1024 MiB; lower limits.flows_max"
    );
    let wide =
        swapped("127.64.0.0/24", "127.64.0.0/13").replace("sockets = 16", "sockets = 4096").replace("40015", "49015");
    assert_eq!(
        check(&wide).unwrap_err().to_string(),
        "edge.toml:23: snat: 2147512320 identities (sockets × addresses × backends), at most \
         67108864 are possible; shorten the address ranges or lower snat.sockets"
    );
    let buffers = swapped("receive_buffers = 4096", "receive_buffers = 32768")
        .replace("datagram_bytes_max = 2048", "datagram_bytes_max = 65507");
    assert_eq!(&*check(&buffers).unwrap_err().key, "limits.receive_buffers");
}

#[test]
fn counts_have_limits() {
    let many = |n: usize| {
        let mut text = LEAST.replace("[{", "[\n{");
        let list: Vec<_> = (0..n).map(|i| format!("{{ address = \"10.0.{}.{}:9\" }}", i / 256, i % 256)).collect();
        text = text.replace("{ address = \"127.0.0.1:5301\" }", &list.join(",\n"));
        parse(&text)
    };
    assert!(many(limits::BACKENDS_MAX).is_ok());
    let e = many(limits::BACKENDS_MAX + 1).unwrap_err();
    assert_eq!((&*e.problem, &*e.key), ("more than 1024 backends", "pool[0].backend[1024].address"));
    let pools: String = (0..limits::POOLS_MAX)
        .map(|i| format!("[[pool]]\nname = \"q{i}\"\nbackend = [{{ address = \"10.9.0.1:9\" }}]\n"))
        .collect();
    assert!(parse(&format!("{LEAST}{pools}")).unwrap_err().problem.contains("more than 64 pools"));
}

#[test]
fn a_name_in_two_places_is_one_id_each() {
    // "dns" as a listener and as a pool: ids are per kind.
    let c = parse(&LEAST.replace("\"p\"", "\"dns\"")).unwrap();
    assert_eq!(c.listeners[0].name, c.pools[0].name);
    assert_ne!(c.listeners[0].id, c.pools[0].id);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_edit_of_the_example_panics(
        at in 0..WHOLE.len(),
        cut in 0usize..40,
        insert in prop_oneof!["\\PC{0,6}", Just("[".to_owned()), Just("\"".to_owned()), Just("=".to_owned())],
    ) {
        let end = (at + cut).min(WHOLE.len());
        if let Err(e) = parse(&format!("{}{insert}{}", &WHOLE[..at], &WHOLE[end..])) {
            prop_assert!(!e.remedy.is_empty() && !e.problem.is_empty());
            prop_assert!(e.line.is_some() || !e.key.is_empty());
        }
    }
}
