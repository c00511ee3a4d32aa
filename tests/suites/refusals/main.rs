//! Bad input: one clear message that names the culprit, the documented exit code, and nothing touched.

mod binaries;
mod config;
mod segments;
