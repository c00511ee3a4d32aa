//! What the targets have in common: where they begin, and walls round what they map.

#[cfg(not(sanitized))]
mod walls;

/// Before the first input: writes seeds if that is what the process is for, and sees that the walls stand.
///
/// # Panics
/// When they do not.
pub fn begin(name: &str) {
    tests::untrusted::write_seeds(name);
    #[cfg(not(sanitized))]
    walls::stand();
}

/// A target of the library `tests`, by name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(init: $crate::begin($name), |data: &[u8]| {
            (tests::untrusted::target($name).run)(data);
        });
    };
}
