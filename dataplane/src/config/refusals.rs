//! Every way to get a config wrong that has a message of its own: (what stands in the example,
//! what stands there instead, the message as the operator reads it).

pub(super) const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "flows_max = 4096",
        "flowsmax = 4096",
        "edge.toml:15: limits.flowsmax: unknown key; known here: flows_max, datagram_bytes_max, socket_buffer_bytes, receive_buffers, shards",
    ),
    (
        "[snat]",
        "[snats]",
        "edge.toml:23: snats: unknown key; known here: service, control, runtime, limits, balance, snat, listener, pool",
    ),
    ("weight = 1", "wait = 1", "edge.toml:42: pool[0].backend[0].wait: unknown key; known here: name, address, weight"),
    (
        "flows_max = 4096",
        "flows_max = 99999999",
        "edge.toml:15: limits.flows_max = 99999999: too large; use a number from 64 to 16777216",
    ),
    (
        "flows_max = 4096",
        "flows_max = -1",
        "edge.toml:15: limits.flows_max = -1: too small; use a number from 64 to 16777216",
    ),
    (
        "flows_max = 4096",
        "flows_max = 1e3",
        "edge.toml:15: limits.flows_max = 1e3: invalid type: floating point 1000.0; expected a whole number",
    ),
    (
        "flows_max = 4096",
        "flows_max = \"many\"",
        "edge.toml:15: limits.flows_max = \"many\": invalid type: string \"many\"; expected a whole number",
    ),
    (
        "flows_max = 4096",
        "flows_max = 99999999999999999999999",
        "edge.toml:15: limits.flows_max = 99999999999999999999999: too large; use a smaller number",
    ),
    ("flows_max = 4096", "flows_max 4096", "edge.toml:15: flows_max: key with no value; expected ="),
    (
        "flows_max = 4096",
        "flows_max = 4096\nflows_max = 1",
        "edge.toml:16: flows_max = flows_max: duplicate key; see the TOML rules for this line",
    ),
    (
        "flows_max = 4096",
        "flows_max =",
        "edge.toml:15: limits.flows_max: string values must be quoted; expected literal string",
    ),
    (
        "receive_buffers = 4096",
        "receive_buffers = 4000",
        "edge.toml:18: limits.receive_buffers = 4000: not a power of two; use 4096",
    ),
    (
        "datagram_bytes_max = 2048",
        "datagram_bytes_max = 65508",
        "edge.toml:16: limits.datagram_bytes_max = 65508: too large; use a number from 64 to 65507",
    ),
    (
        "workers = 1",
        "workers = 2",
        "edge.toml:10: runtime.workers = 2: this version runs one worker; set runtime.workers = 1",
    ),
    ("workers = 1", "workers = 0", "edge.toml:10: runtime.workers = 0: too small; use a number from 1 to 64"),
    (
        "cpus = [0]",
        "cpus = [9]",
        "edge.toml:11: runtime.cpus[0] = 9: no such processor is online on this host; choose from 0, 1",
    ),
    (
        "cpus = [0]",
        "cpus = [0, 1]",
        "edge.toml:11: runtime.cpus = [0, 1]: 2 processors for 1 worker(s); list one processor per worker, or leave the key out",
    ),
    (
        "cpus = [0]",
        "cpus = [1, 1]",
        "edge.toml:11: runtime.cpus[1] = 1: the processor is listed twice; give each worker a processor of its own",
    ),
    (
        "\"auto\"",
        "\"realtime\"",
        "edge.toml:12: runtime.scheduling = \"realtime\": unknown scheduling class; use \"other\", \"fifo\" or \"auto\"",
    ),
    (
        "name = \"edge\"",
        "name = \"\"",
        "edge.toml:3: service.name = \"\": not a usable name; use 1 to 64 letters, digits and . _ - : / [ ] %",
    ),
    (
        "[control]",
        "control = 3\n[other]",
        "edge.toml:6: other: unknown key; known here: service, control, runtime, limits, balance, snat, listener, pool",
    ),
    (
        "00112233445566778899aabbccddeeff",
        "0011",
        "edge.toml:21: balance.key: not 32 hexadecimal digits (it has 4 characters); make one with 'openssl rand -hex 16'",
    ),
    (
        "\"192.0.2.1\"",
        "\"192.0.2.300\"",
        "edge.toml:24: snat.v4[1] = \"192.0.2.300\": not an address; write \"192.0.2.0/28\", \"192.0.2.5-192.0.2.9\" or \"192.0.2.1\"",
    ),
    (
        "\"192.0.2.1\"",
        "\"192.0.2.7\"",
        "edge.toml:24: snat.v4[2] = \"192.0.2.5-192.0.2.9\": overlaps 192.0.2.7; list every address once",
    ),
    (
        "\"192.0.2.1\"",
        "\"2001:db8::1\"",
        "edge.toml:24: snat.v4[1] = \"2001:db8::1\": an IPv6 address; move it to snat.v6",
    ),
    (
        "127.64.0.0/24",
        "127.64.0.9/24",
        "edge.toml:24: snat.v4[0] = \"127.64.0.9/24\": the address has bits outside its prefix; write \"127.64.0.0/24\" for the block or \"127.64.0.9\" for one address",
    ),
    (
        "127.64.0.0/24",
        "127.0.0.0/8",
        "edge.toml:24: snat.v4[0] = \"127.0.0.0/8\": more than 1048576 addresses in all; use smaller ranges",
    ),
    (
        "127.64.0.0/24",
        "0.0.0.0/24",
        "edge.toml:24: snat.v4[0] = \"0.0.0.0/24\": contains unspecified addresses, which cannot be a source; leave them out",
    ),
    (
        "192.0.2.5-192.0.2.9",
        "192.0.2.9-192.0.2.5",
        "edge.toml:24: snat.v4[2] = \"192.0.2.9-192.0.2.5\": the range ends before it starts or mixes families; write \"192.0.2.0/28\", \"192.0.2.5-192.0.2.9\" or \"192.0.2.1\"",
    ),
    (
        "v6 = []",
        "v6 = [\"fe80::1\"]",
        "edge.toml:25: snat.v6[0] = \"fe80::1\": contains link-local addresses, which cannot be a source; leave them out",
    ),
    (
        "v6 = []",
        "v6 = [\"2001:db8::/64\"]",
        "edge.toml:25: snat.v6[0] = \"2001:db8::/64\": more than 1048576 addresses in all; use smaller ranges",
    ),
    (
        "40000-40015",
        "40000-40014",
        "edge.toml:27: snat.ports = \"40000-40014\": 15 ports for 16 sockets; widen the range or lower snat.sockets",
    ),
    (
        "40000-40015",
        "0-40014",
        "edge.toml:27: snat.ports = \"0-40014\": not a range of ports; write \"40000-40015\", ports from 1 to 65535",
    ),
    (
        "40000-40015",
        "5290-5310",
        "edge.toml:27: snat.ports = \"5290-5310\": contains the port of listener \"dns\"; choose ports that no listener uses",
    ),
    ("sockets = 16", "sockets = 5000", "edge.toml:26: snat.sockets = 5000: too large; use a number from 1 to 4096"),
    (
        "\"30s\"",
        "\"30\"",
        "edge.toml:28: snat.reuse_delay = \"30\": not a duration with its unit; write a duration from \"0s\" to \"1h\"",
    ),
    ("\"30s\"", "30", "edge.toml:28: snat.reuse_delay = 30: invalid type: integer 30; expected a text in quotes"),
    ("\"30s\"", "\"2h\"", "edge.toml:28: snat.reuse_delay = \"2h\": too long; write a duration from \"0s\" to \"1h\""),
    (
        "\"60s\"",
        "\"1ms\"",
        "edge.toml:35: listener[0].idle_timeout = \"1ms\": too short; write a duration from \"10ms\" to \"7days\"",
    ),
    (
        "\"60s\"",
        "\"9999999999999years\"",
        "edge.toml:35: listener[0].idle_timeout = \"9999999999999years\": not a duration with its unit; write a duration from \"10ms\" to \"7days\"",
    ),
    (
        "mode = \"forward\"",
        "mode = \"quic\"",
        "edge.toml:32: listener[0].mode = \"quic\": QUIC termination is not in this version; use mode = \"forward\"",
    ),
    (
        "mode = \"forward\"",
        "mode = \"tcp\"",
        "edge.toml:32: listener[0].mode = \"tcp\": unknown mode; use mode = \"forward\"",
    ),
    (
        "pool = \"resolvers\"",
        "pool = \"resolver\"",
        "edge.toml:34: listener[0].pool = \"resolver\": no pool has this name; choose from resolvers or add a [[pool]]",
    ),
    ("pool = \"resolvers\"\n", "", "edge.toml:30: listener[0].pool: the key is missing; add 'pool = …'"),
    (
        "0.0.0.0:5300",
        "0.0.0.0",
        "edge.toml:33: listener[0].addresses[0] = \"0.0.0.0\": the port is missing; write it like \"0.0.0.0:5300\"",
    ),
    (
        "0.0.0.0:5300",
        "localhost:53",
        "edge.toml:33: listener[0].addresses[0] = \"localhost:53\": not an address and port; write \"192.0.2.1:5300\" or \"[2001:db8::1]:5300\"; host names are not resolved",
    ),
    (
        "0.0.0.0:5300",
        "0.0.0.0:0",
        "edge.toml:33: listener[0].addresses[0] = \"0.0.0.0:0\": port 0 cannot be served or reached; name a port from 1 to 65535",
    ),
    (
        "0.0.0.0:5300\"",
        "0.0.0.0:5300\", \"127.0.0.1:5300\"",
        "edge.toml:33: listener[0].addresses[1] = \"127.0.0.1:5300\": overlaps 0.0.0.0:5300 (line 33); remove one of the two",
    ),
    (
        "0.0.0.0:5300\"",
        "0.0.0.0:5300\", \"0.0.0.0:5300\"",
        "edge.toml:33: listener[0].addresses[1] = \"0.0.0.0:5300\": the address is already listened on (line 33); remove one of the two",
    ),
    (
        "\"0.0.0.0:5300\", \"[::]:5300\"",
        "",
        "edge.toml:33: listener[0].addresses = []: no address to listen on; list at least one, such as \"0.0.0.0:5300\"",
    ),
    (
        "[::]:5300",
        "[fe80::1]:5300",
        "edge.toml:33: listener[0].addresses[1] = \"[fe80::1]:5300\": a link-local address without its interface; add the interface: \"[fe80::1%eth0]:5300\"",
    ),
    (
        "[::]:5300",
        "[::ffff:1.2.3.4]:5300",
        "edge.toml:33: listener[0].addresses[1] = \"[::ffff:1.2.3.4]:5300\": an IPv4 address in IPv6 clothes; write \"1.2.3.4:5300\"",
    ),
    (
        "[::]:5300",
        "[ff02::1]:5300",
        "edge.toml:33: listener[0].addresses[1] = \"[ff02::1]:5300\": a multicast or broadcast address; name one host's address",
    ),
    (
        "127.0.0.1:5301",
        "127.0.0.1:5300",
        "edge.toml:41: pool[0].backend[0].address = \"127.0.0.1:5300\": this is listener \"dns\" itself (0.0.0.0:5300): packets would go round for ever; name the server's address",
    ),
    (
        "127.0.0.1:5301",
        "0.0.0.0:5301",
        "edge.toml:41: pool[0].backend[0].address = \"0.0.0.0:5301\": a wildcard address cannot be reached; name one host's address",
    ),
    (
        "127.0.0.1:5301",
        "127.0.0.1",
        "edge.toml:41: pool[0].backend[0].address = \"127.0.0.1\": the port is missing; write it like \"127.0.0.1:5300\"",
    ),
    (
        "[::1]:5302",
        "127.0.0.1:5301",
        "edge.toml:44: pool[0].backend[1].address = \"127.0.0.1:5301\": 127.0.0.1:5301 is already the address of backend \"ns1\"; give it the same name in every pool, or another address",
    ),
    (
        "name = \"ns1\"",
        "name = \"n s\"",
        "edge.toml:40: pool[0].backend[0].name = \"n s\": not a usable name; use 1 to 64 letters, digits and . _ - : / [ ] %",
    ),
    (
        "weight = 1",
        "weight = -1",
        "edge.toml:42: pool[0].backend[0].weight = -1: too small; use a number from 0 to 1000",
    ),
    (
        "weight = 1",
        "weight = 1001",
        "edge.toml:42: pool[0].backend[0].weight = 1001: too large; use a number from 0 to 1000",
    ),
    (
        "weight = 1\n[[pool.backend]]\naddress = \"[::1]:5302\"",
        "weight = 0",
        "edge.toml:37: pool[0]: every backend of pool \"resolvers\" has weight 0; give at least one backend a weight above 0",
    ),
    (
        "[[pool.backend]]\nname = \"ns1\"\naddress = \"127.0.0.1:5301\"\nweight = 1\n[[pool.backend]]\naddress = \"[::1]:5302\"",
        "",
        "edge.toml:37: pool[0]: pool \"resolvers\" has no backend; add a [[pool.backend]] below it",
    ),
    (
        "[[pool]]",
        "[[pool]]\nname = \"resolvers\"\nbackend = [{ address = \"10.0.0.1:1\" }]\n[[pool]]",
        "edge.toml:41: pool[1].name = \"resolvers\": another pool has this name; give every pool a name of its own",
    ),
    (
        "address = \"[::1]:5302\"",
        "weight = 2",
        "edge.toml:43: pool[0].backend[1].address: the key is missing; add 'address = …'",
    ),
];
