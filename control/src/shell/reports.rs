//! Reports of the last swaps, as files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::runfile::write_atomic;
use crate::report::SwapReport;

/// How many reports are kept.
pub const REPORTS_MAX: usize = 256;

/// The directory of the reports.
#[derive(Debug)]
pub struct Reports {
    dir: PathBuf,
    last: u64,
}

impl Reports {
    /// Opens the directory, making it if it is not there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("reports");
        fs::create_dir_all(&dir)?;
        let last = ids(&dir)?.last().copied().unwrap_or(0);
        Ok(Self { dir, last })
    }

    /// A number for the next swap.
    pub fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Writes a report, and removes the oldest above [`REPORTS_MAX`].
    ///
    /// # Errors
    /// What the kernel said.
    pub fn store(&self, report: &SwapReport) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(report).map_err(io::Error::other)?;
        write_atomic(&self.file(report.id), &bytes)?;
        let ids = ids(&self.dir)?;
        for &old in &ids[..ids.len().saturating_sub(REPORTS_MAX)] {
            fs::remove_file(self.file(old))?;
        }
        Ok(())
    }

    /// The last reports, oldest first. A file that is damaged is left out and logged.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn last(&self, count: usize) -> io::Result<Vec<SwapReport>> {
        let ids = ids(&self.dir)?;
        let mut reports = Vec::new();
        for &id in &ids[ids.len().saturating_sub(count)..] {
            match serde_json::from_slice(&fs::read(self.file(id))?) {
                Ok(report) => reports.push(report),
                Err(error) => tracing::warn!(file = %self.file(id).display(), %error, "report is damaged"),
            }
        }
        Ok(reports)
    }

    fn file(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id:08}.json"))
    }
}

/// Numbers of the reports there are, in order.
fn ids(dir: &Path) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(id) = name.to_str().and_then(|n| n.strip_suffix(".json")).and_then(|n| n.parse().ok()) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_bounded_and_numbers_rise_over_restarts() {
        let dir = tempfile::tempdir().expect("directory");
        let mut reports = Reports::open(dir.path()).expect("open");
        for _ in 0..REPORTS_MAX + 10 {
            let report = SwapReport { id: reports.next_id(), outcome: "committed".into(), ..SwapReport::default() };
            reports.store(&report).expect("store");
        }
        let all = reports.last(usize::MAX).expect("read");
        assert_eq!((all.len(), all[0].id), (REPORTS_MAX, 11));
        assert_eq!(reports.last(2).expect("read").iter().map(|r| r.id).collect::<Vec<_>>(), [265, 266]);
        let mut again = Reports::open(dir.path()).expect("open again");
        assert_eq!(again.next_id(), 267);
        fs::write(dir.path().join("reports/00000266.json"), "{").expect("damage");
        assert_eq!(again.last(2).expect("read").len(), 1, "a damaged report is left out");
    }
}
