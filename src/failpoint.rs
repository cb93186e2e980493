//! Steps at which a debug build can be made to end at once, so that a test cuts short each of them. Release
//! builds carry none of this.

/// Ends the process if `LETHE_FAILPOINT` names this step: without a destructor or a farewell to anybody, which
/// to everybody else is a kill -9.
#[cfg(debug_assertions)]
pub fn reach(step: &str) {
    if std::env::var_os("LETHE_FAILPOINT").is_some_and(|named| named == step) {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn reach(_step: &str) {}
