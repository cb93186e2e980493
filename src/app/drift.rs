//! Readiness of a process whose tables changed under the erasure map.

use std::sync::Arc;

use crate::http::api::health::ReadyCheck;
use crate::map::drift::DriftState;

/// The names of tables and columns are for the log.
const BROKEN: &str = "The database no longer fits the erasure map: nothing is erased until it does. The log says what was \
                      found, and so does `lethe map check`.";

/// Not ready while something is breaking.
pub fn checked(ready: ReadyCheck, state: Arc<DriftState>) -> ReadyCheck {
    Arc::new(move || {
        let (ready, state) = (ready(), Arc::clone(&state));
        Box::pin(async move {
            match state.is_breaking() {
                true => Err(BROKEN.to_owned()),
                false => ready.await,
            }
        })
    })
}
