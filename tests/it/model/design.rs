//! What can be switched: the rules of the design, each of which may be left out, and the limits that make
//! the model finite.

/// A lease lasts so many ticks.
pub const LEASE_TICKS: i8 = 2;
/// How far the clock of the second worker is ahead of the database's. Nothing may depend on it.
pub const SKEW_TICKS: [i8; 2] = [0, 2];

/// What a write that ends a claim looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The claim's token, and that the task is running.
    Token,
    /// Only that the task is running.
    Status,
    /// Nothing: the task is found by its id.
    Nothing,
}

/// Who says that a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The database, by its own clock.
    Database,
    /// The rescuer, by its clock.
    Rescuer,
}

/// The rules. `Design::SOUND` has them all; a known bug is one of them left out.
#[derive(Clone, Copy, Debug)]
pub struct Design {
    pub fence: Fence,
    pub expiry: Expiry,
    /// The store is no longer asked so many ticks before the lease ends.
    pub margin_ticks: i8,
    /// A worker counts its lease from when it sent the heartbeat, not from when the answer came.
    pub counts_from_sending: bool,
    /// A heartbeat changes nothing once the worker's row is lost.
    pub lost_stays_lost: bool,
    /// A job checks the lease under which its task was claimed, not at the one that its worker has when
    /// the job begins.
    pub keeps_claims_lease: bool,
    /// A worker gives back tasks that its own row holds and that none of its jobs knows.
    pub releases_strays: bool,
    /// The object is deleted before the rows.
    pub objects_first: bool,
    /// A restore locks the task's row before it looks at it.
    pub restore_locks: bool,
    /// A key is kept as long as another sample that names it is live or can be restored.
    pub restorable_protects: bool,
    /// A settle that cannot remove a row, because somebody holds it, ends the attempt and not the task.
    pub held_rows_fail: bool,
}

impl Design {
    pub const SOUND: Self = Self {
        fence: Fence::Token,
        expiry: Expiry::Database,
        margin_ticks: 1,
        counts_from_sending: true,
        lost_stays_lost: true,
        keeps_claims_lease: true,
        releases_strays: true,
        objects_first: true,
        restore_locks: true,
        restorable_protects: true,
        held_rows_fail: true,
    };
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub tasks: usize,
    /// Ticks that pass while there is something else to do. Time that must pass is not counted.
    pub ticks: u8,
    /// Faults of any kind, in any order.
    pub faults: u8,
    pub max_attempts: u8,
    /// The images of all samples name one key: there is one object.
    pub shared_key: bool,
}
