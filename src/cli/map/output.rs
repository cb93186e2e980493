//! What a command says.

/// The command could not do its work.
pub(super) const FAILED: u8 = 1;
/// The map's file is invalid, or the id is none that it erases.
pub(super) const INVALID: u8 = 2;
/// The map is incomplete or dangerous.
pub(super) const FOUND: u8 = 3;
/// The map that is applied is another.
pub(super) const DIFFERS: u8 = 4;

/// What a command says, and its exit code.
#[derive(Debug, Default)]
pub struct MapOutput {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub errors: String,
    pub exit_code: u8,
}
