//! controlctl, as a script would use it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::report::SwapReport;
use crate::error::{Doing, Error, Result};
use crate::sys::interrupt::interrupted;

/// Longest that any verb may take; a swap has time limits of its own, well below.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub struct Ctl {
    binary: PathBuf,
    socket: PathBuf,
    dir: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub dataplane: Option<DataplaneStatus>,
    pub flows_live: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DataplaneStatus {
    pub pid: u32,
    pub version: String,
    pub generation: u64,
    pub scheduling: String,
    pub warnings: Vec<Value>,
}

impl Status {
    pub fn serving(&self) -> bool {
        self.dataplane.as_ref().is_some_and(|dataplane| dataplane.pid != 0 && dataplane.generation != 0)
    }
}

impl Ctl {
    pub fn new(binary: PathBuf, socket: PathBuf, dir: PathBuf) -> Self {
        Self { binary, socket, dir }
    }

    pub fn status(&self) -> Result<Status> {
        self.ask([OsStr::new("status")])
    }

    pub fn counters(&self) -> Result<Value> {
        self.ask([OsStr::new("counters")])
    }

    pub fn swap(&self, binary: &Path) -> Result<SwapReport> {
        self.ask([OsStr::new("swap"), binary.as_os_str()])
    }

    fn ask<T: DeserializeOwned>(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<T> {
        let (code, out, err) = self.run(args)?;
        if code != Some(0) {
            let code = code.map_or("a signal".to_owned(), |code| code.to_string());
            return Err(Error::World(format!("controlctl ended with {code}: {} {}", err.trim(), out.trim())));
        }
        last_document(&out).ok_or_else(|| Error::World(format!("controlctl's answer is not understood: {out}")))
    }

    /// Runs controlctl; output goes through files, so that no amount of it can block.
    fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(Option<i32>, String, String)> {
        let (out, err) = (self.dir.join("controlctl.out"), self.dir.join("controlctl.err"));
        let create = |path: &Path| File::create(path).doing(|| format!("creating {}", path.display()));
        let mut child = Command::new(&self.binary)
            .arg("--socket")
            .arg(&self.socket)
            .arg("--json")
            .args(args)
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&err)?)
            .spawn()
            .doing(|| format!("starting {}", self.binary.display()))?;
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().doing(|| "waiting for controlctl".to_owned())? {
                break status;
            }
            if interrupted() || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(if interrupted() {
                    Error::Interrupted
                } else {
                    Error::World(format!("controlctl gave no answer within {LIMIT:?}"))
                });
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        Ok((status.code(), read(&out), read(&err)))
    }
}

/// The last JSON document of an answer, out of its `done` envelope if it is in one.
fn last_document<T: DeserializeOwned>(text: &str) -> Option<T> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut last = documents.map_while(|document| document.ok()).last()?;
    if let Some(done) = last.get_mut("done") {
        last = done.take();
    }
    serde_json::from_value(last).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_bare_wrapped_and_after_events() {
        let bare = r#"{"outcome":"committed","blackout_ns":31000,"later":1,"error":null}"#;
        let wrapped = format!("{{\"event\":\"phase\",\"swap\":1,\"phase\":\"ready\"}}\n{{\"done\":{bare}}}\n");
        let pretty = "{\n  \"outcome\": \"committed\",\n  \"blackout_ns\": 31000\n}\n";
        for text in [bare, wrapped.as_str(), pretty] {
            let report: SwapReport = last_document(text).expect(text);
            assert!(report.committed());
            assert_eq!(report.blackout_ns, 31_000);
        }
        assert!(last_document::<SwapReport>("not json").is_none());
    }

    #[test]
    fn status_tells_whether_it_serves() {
        let text = r#"{"service":"x","dataplane":{"pid":7,"generation":1,"scheduling":"fifo"},"flows_live":3}"#;
        let status: Status = last_document(text).expect("status");
        assert!(status.serving());
        assert_eq!(status.flows_live, 3);
        assert!(!last_document::<Status>(r#"{"dataplane":null}"#).expect("status").serving());
    }
}
