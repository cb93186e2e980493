//! Deletes users and samples: soft delete, plan, hard delete and restore.

pub mod erase_user;
pub mod hard_delete;
pub mod protection;
pub mod requests;
pub mod restore;
pub mod webhook_ids;
