//! Who may do what at the API, and why credentials are refused.

use super::macros::labels;

labels! {
    /// What the holder of an admin's token may do. Each role may also do what the roles before it may.
    pub enum Role {
        /// Reads.
        Viewer = "viewer",
        /// Also retries, restores, pauses and resumes.
        Operator = "operator",
        /// Also deletes and cancels.
        Admin = "admin",
    }
}

labels! {
    /// Why credentials were refused: `lethe_auth_failures_total{reason}`.
    pub enum AuthFailure {
        /// A request without credentials, for what needs some.
        Missing = "missing",
        /// Not one `Authorization: Bearer` header.
        Malformed = "malformed",
        /// Neither an admin's token nor a session token that Clerk signed for this application.
        Invalid = "invalid",
        /// A session token of the past.
        Expired = "expired",
        /// A session whose user has tasks to complete first.
        Pending = "pending",
        /// A session in which somebody acts for the user.
        Impersonated = "impersonated",
        /// A session where an admin's token is needed, or a token whose role is too low.
        Role = "role",
        /// A webhook whose signature or time is wrong.
        Signature = "signature",
        /// Not looked at, because too many credentials from this address were wrong.
        Throttled = "throttled",
    }
}
