//! Random text for secrets and ids.

use std::fmt::Write as _;

/// `BYTES` random bytes as twice as many lowercase hex digits.
pub(super) fn random_hex<const BYTES: usize>() -> String {
    let mut text = String::with_capacity(2 * BYTES);
    for byte in rand::random::<[u8; BYTES]>() {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
