//! What is said of a worker.

use super::macros::words;

words! {
    /// Whether a worker is there.
    pub enum WorkerState {
        /// Its lease is valid.
        Alive = "alive",
        /// Its lease ended, or it deregistered. Other workers take over what it still holds.
        Lost = "lost",
        /// It is lost, and everything that it held was taken over. Its row is removed after an hour.
        Gone = "gone",
    }
}
