//! Outgoing notices, as Standard Webhooks (<https://www.standardwebhooks.com>). Triggers write them in the transaction of
//! the change that they tell of (`migrations/0009_notices.sql`); a worker delivers them, at least once each.

pub mod deliver;
pub mod endpoint;
pub mod manage;
