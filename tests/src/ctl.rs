//! controlctl, as scripts use it: arguments in, JSON and an exit code out.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::build::executables;

/// Documented exit codes.
pub mod exit {
    pub const OK: i32 = 0;
    pub const FAILED: i32 = 1;
    pub const USAGE: i32 = 2;
    pub const REFUSED: i32 = 3;
    pub const UNDONE: i32 = 4;
    pub const UNREACHABLE: i32 = 5;
    pub const TIMED_OUT: i32 = 6;
}

/// Speaks with one controld.
#[derive(Debug, Clone)]
pub struct Ctl {
    program: PathBuf,
    socket: PathBuf,
}

/// What controlctl said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ctl {
    pub fn new(program: PathBuf, socket: PathBuf) -> Self {
        Self { program, socket }
    }

    /// Asks at a socket where nobody answers.
    pub fn nowhere() -> Self {
        Self::new(executables().controlctl.clone(), "/nonexistent/control.sock".into())
    }

    /// Runs controlctl with these arguments behind the socket's.
    ///
    /// # Panics
    /// When it cannot be run or dies.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Answer {
        let output = Command::new(&self.program)
            .arg("--socket")
            .arg(&self.socket)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("controlctl runs");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("controlctl writes UTF-8");
        Answer {
            code: output.status.code().expect("controlctl is not killed"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// As [`Ctl::run`], with `--json`.
    pub fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Answer {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.run(std::iter::once(OsStr::new("--json").to_owned()).chain(args))
    }
}

impl Answer {
    /// Insists on an exit code.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        let Self { code: found, stdout, stderr } = &self;
        assert!(*found == code, "exit code {found}, expected {code}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// The JSON document on standard output.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}\n{}\n{}", self.stdout, self.stderr))
    }
}
