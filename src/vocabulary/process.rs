//! What is said of a process.

use super::macros::words;

words! {
    /// What a process of Lethe does.
    pub enum ProcessRole {
        /// It serves the API.
        Serve = "serve",
        /// It deletes objects and rows.
        Worker = "worker",
    }
}
