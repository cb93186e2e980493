//! Steps at which a debug build can be made to end at once, so that a test cuts short each of them. Release
//! builds carry none of this.

/// Ends the process if `LETHE_FAILPOINT` names this step. No destructor runs and nothing is deregistered: to
/// everybody else this is a kill -9.
#[cfg(debug_assertions)]
pub fn reach(step: &str) {
    if std::env::var_os("LETHE_FAILPOINT").is_some_and(|named| named == step) {
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn reach(_step: &str) {}
