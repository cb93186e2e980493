//! What a user or a sample consists of: soft delete, plan, hard delete, restore.

pub mod erase_user;
pub mod hard_delete;
pub mod protection;
pub mod requests;
pub mod restore;
pub mod webhook_ids;
