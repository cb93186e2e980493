//! What a user or a sample consists of: soft delete, plan, hard delete, restore.

pub mod requests;
pub mod restore;
mod use_case;
