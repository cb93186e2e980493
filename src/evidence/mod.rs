//! What shows that something was erased, or is waiting to be: users, the list of erasures, receipts, and the rows
//! that are soft-deleted. The API and the command line share this room, so that both print the same JSON.

mod deleted;
mod erasures;
mod exact_time;
mod receipt;
mod samples;
mod users;

pub use deleted::{Deleted, DeletedFilter, DeletedPage, list_deleted};
pub use erasures::{Erasure, ErasureFilter, ErasurePage, ErasureTask, list_erasures};
pub use receipt::{KeptRows, Parked, Receipt, Remaining, receipt};
pub use samples::{deletion_of_entity, deletion_of_sample};
pub use users::{User, UserCounts, is_user_id, is_user_known, user};
