use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/hitless.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn the_rest_of_the_file_is_not_judged() {
    let config = parse(
        "[service]\nname = \"edge\"\nunknown = 1\n[control]\nprobation = \"1s\"\nswap_cpus = [0, 1]\n\
         [limits]\nsocket_buffer_bytes = 4194304\n[[listener]]\nanything = true\n",
    )
    .expect("good config");
    assert_eq!(config.service, "edge");
    assert_eq!(config.probation, Duration::from_secs(1));
    assert_eq!(config.swap_cpus, [0, 1]);
    assert_eq!(config.socket_buffer_bytes, Some(4_194_304));
    assert_eq!(config.socket, Path::new("/run/hitless/control.sock"));
    assert_eq!(config.quiesce_timeout, Duration::from_millis(20));
}

#[test]
fn errors_name_file_line_and_key() {
    let cases = [
        ("[service]\nname = \"x\"\n", "/etc/hitless.toml:1: control: the table [control] is missing"),
        ("[control]\n\nsokcet = \"/x\"\n", "/etc/hitless.toml:3: control.sokcet: unknown field `sokcet`"),
        ("[control]\nsocket = 7\n", "/etc/hitless.toml:2: control.socket: invalid type: integer `7`"),
        ("[control]\nsocket = \"run/x\"\n", ":2: control.socket: \"run/x\" is not an absolute path"),
        ("# c\n[control]\nprobation = \"soon\"\n", ":3: control.probation: \"soon\" is no time"),
        ("[control]\nquiesce_timeout = \"1h\"\n", ":2: control.quiesce_timeout: 1h is outside 1ms to 10s"),
        ("[control]\nphase_timeout = \"0s\"\n", ":2: control.phase_timeout: 0s is outside"),
        ("[control]\nswap_cpus = [0, -1]\n", ":2: control.swap_cpus: there is no CPU -1"),
        ("[control]\nswap_cpus = [99999]\n", ":2: control.swap_cpus: there is no CPU 99999"),
        ("[control\n", "/etc/hitless.toml:1: "),
        ("[control]\nsocket = \"/a\"\nsocket = \"/b\"\n", ":3: control.socket: duplicate key"),
    ];
    for (text, expected) in cases {
        let error = parse(text).expect_err(expected);
        assert!(error.contains(expected), "{error}\n  should contain {expected}");
    }
    let long = format!("[control]\nsocket = \"/{}\"\n", "x".repeat(200));
    assert!(parse(&long).expect_err("too long").contains("control.socket"));
}

#[test]
fn what_the_host_lacks_names_its_key() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "[control]\nprobation = \"1s\"\nswap_cpus = [1000]\n").expect("write");
    let error = Config::load(&file).expect_err("no such CPU").to_string();
    assert!(error.contains("c.toml:3: control.swap_cpus: this process may not run on CPU 1000"), "{error}");
    let error = Config::load(&dir.path().join("none.toml")).expect_err("missing").to_string();
    assert!(error.contains("none.toml: No such file"), "{error}");
}

#[test]
fn an_error_about_a_default_names_the_table() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "\n[control]\nprobation = \"1s\"\n").expect("write");
    let config = Config::load(&file).expect("good");
    assert!(config.wrong("dataplane", "missing").to_string().contains("c.toml:2: control.dataplane: missing"));
    assert!(config.wrong("probation", "odd").to_string().contains("c.toml:3: control.probation: odd"));
}
