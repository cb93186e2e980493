//! Lethe on the database of an unkind application: foreign keys without an index, triggers that sleep, raise or
//! return null, row level security, keys that many rows share, rows that another session holds, statistics of
//! another day, serializable transactions, and other tables with the names of Lethe's.

mod application;
mod beside;
mod failures;
mod isolation;
mod planning;
mod rights;
mod story;
mod upkeep;
