//! The values of metric labels that stand nowhere else.

use super::macros::labels;
use super::{EntityType, ErrorClass};

labels! {
    /// How a claim of a task ended: `lethe_tasks_settled_total{outcome}`.
    pub enum SettleOutcome {
        /// Nothing is left to do.
        Completed = "completed",
        /// The task goes back to the queue without using up an attempt: more to do, a shutdown, an outage.
        Released = "released",
        /// The next attempt is made later.
        Failed = "failed",
        /// A person must look.
        Dead = "dead",
    }
}

labels! {
    /// Why a worker does no work at the moment: `lethe_worker_problem{problem}`. Its log has the details.
    pub enum WorkerProblem {
        /// The object store or its configuration is at fault.
        StoreOutage = "store-outage",
        /// The worker has no lease yet, because it cannot register in the database.
        NotRegistered = "not-registered",
        /// Row level security or a missing right would hide rows, so that live objects could be deleted.
        HiddenRows = "hidden-rows",
        /// For a minute tasks of several users failed, and no task got on: rows are held or slow, or the database or the
        /// store refuses to remove them.
        NoProgress = "no-progress",
    }
}

labels! {
    /// How a request to the object store ended: `lethe_s3_requests_total{outcome}`.
    pub enum S3Outcome {
        /// Everything that was asked was done.
        Ok = "ok",
        /// A 200 in which some keys failed or were not answered for.
        Partial = "partial",
        /// Refused as a whole; the classes are those of [`ErrorClass`].
        Transient = "transient",
        /// The store asks for a slower pace.
        Throttle = "throttle",
        /// The store or its configuration is at fault.
        Outage = "outage",
        /// The request is refused.
        Blocked = "blocked",
        /// No retry can help.
        Permanent = "permanent",
    }
}

impl From<ErrorClass> for S3Outcome {
    fn from(class: ErrorClass) -> Self {
        match class {
            // A request does not crash its worker; a crash that was noticed at a request will pass.
            ErrorClass::Transient | ErrorClass::Crash => Self::Transient,
            ErrorClass::Throttle => Self::Throttle,
            ErrorClass::Outage => Self::Outage,
            ErrorClass::Blocked => Self::Blocked,
            ErrorClass::Permanent => Self::Permanent,
        }
    }
}

labels! {
    /// How a delivery of a notice ended: `lethe_notice_attempts_total{outcome}`.
    pub enum NoticeOutcome {
        /// The receiver answered with 2xx.
        Delivered = "delivered",
        /// It is tried again later.
        Failed = "failed",
        /// That was the last attempt.
        GivenUp = "given-up",
    }
}

labels! {
    /// What woke a worker: `lethe_wakeups_total{source}`.
    pub enum WakeSource {
        /// A notification.
        Notify = "notify",
        /// The poll interval.
        Poll = "poll",
    }
}

labels! {
    /// What became of a delivery of Clerk's webhook: `lethe_webhook_events_total{outcome}`.
    pub enum WebhookOutcome {
        /// An erasure was committed.
        Accepted = "accepted",
        /// The same event was delivered before.
        Repeated = "repeated",
        /// The same `svix-id` came with another body.
        Conflict = "conflict",
        /// The event is of no concern to Lethe.
        Ignored = "ignored",
        /// A `user.deleted` without the id of a user.
        MissingUser = "missing-user",
        /// A `user.deleted` whose object is no user, or not deleted, or whose id is none of Clerk's users'.
        NotAUser = "not-a-user",
        /// The signature, the time or the body is wrong.
        Rejected = "rejected",
        /// The event could not be committed; Svix delivers it again.
        Unavailable = "unavailable",
    }
}

labels! {
    /// What reconciliation compares the rows with: `lethe_reconciled_total{source}`.
    pub enum ReconcileSource {
        /// The application's own soft deletes.
        Database = "database",
        /// Clerk's list of users.
        Clerk = "clerk",
    }
}

labels! {
    /// The tables of the built-in map, from which rows are removed: `lethe_rows_deleted_total{table}`.
    pub enum TableName {
        /// One row a user.
        Users = "users",
        /// Groups of samples.
        Collections = "collections",
        /// Samples.
        Samples = "samples",
        /// Images of samples; each names an object.
        SampleImages = "sample_images",
    }
}

impl TableName {
    /// The table of the rows of a type.
    #[must_use]
    pub const fn of(entity: EntityType) -> Self {
        match entity {
            EntityType::User => Self::Users,
            EntityType::Collection => Self::Collections,
            EntityType::Sample => Self::Samples,
            EntityType::SampleImage => Self::SampleImages,
        }
    }
}
