//! What keeps erasures within bounds: pause and resume, the limit of erasures in an hour, the delay before an erasure
//! begins, and its cancellation. The rules are functions of the database (migrations/0007_safety.sql), so that they
//! hold for SQL of the application too; the API and the command line share this room.

mod cancel;
mod configure;
mod pause;
mod state;

pub use cancel::{
    CancelOutcome, CancelledErasure, HeldCancelled, cancel, cancel_held, cancelled_erasure,
};
pub use configure::{Configured, SafetyOptions, configure, configured};
pub use pause::{pause, resume};
pub use state::{PauseState, SafetySettings, SafetyState, settings};
