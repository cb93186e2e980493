//! What every room does alike with PostgreSQL: bounded transactions, time limits for answers, tries after a
//! conflict, and what an error means. It knows no table.

pub mod retry;
pub mod sqlstate;
pub mod timeout;
pub mod transaction;
pub mod url;
