//! Deletes users and samples: soft delete, plan, removal of rows and restore. The rules stand in the functions of
//! schema `lethe`; this room calls them.

pub mod protection;
pub mod remove;
pub mod requests;
pub mod restore;
pub mod webhook_ids;
