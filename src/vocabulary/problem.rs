//! Why a request failed, as a word that programs compare.

use super::macros::words;

words! {
    /// Why a request failed, as a word that stays the same from version to version. A newer version may add others.
    pub enum ProblemCode {
        /// The request is malformed, and no single field is to blame.
        BadRequest = "bad-request",
        /// A field of the body, or a parameter, breaks a rule: `errors` names it.
        InvalidInput = "invalid-input",
        /// The query has a parameter that this operation does not know.
        UnknownParameter = "unknown-parameter",
        /// The query has a parameter more than once.
        RepeatedParameter = "repeated-parameter",
        /// The cursor is not one that this list gave out for these filters.
        InvalidCursor = "invalid-cursor",
        /// The signature or the time of a webhook is wrong or missing.
        InvalidSignature = "invalid-signature",
        /// No credentials were sent.
        CredentialsMissing = "credentials-missing",
        /// The credentials are malformed, expired, unknown or of another kind.
        CredentialsInvalid = "credentials-invalid",
        /// The credentials are valid and do not give this right.
        Forbidden = "forbidden",
        /// The session is pending: the user has to complete a task first.
        SessionPending = "session-pending",
        /// The session is an impersonation, which may change nothing.
        SessionImpersonated = "session-impersonated",
        /// Only an admin may do this.
        AdminRequired = "admin-required",
        /// The token's role does not suffice: `x-required-role` of the operation says which one does.
        RoleTooLow = "role-too-low",
        /// There is nothing at this path.
        NotFound = "not-found",
        /// There is no such sample, or it belongs to someone else.
        SampleNotFound = "sample-not-found",
        /// There is no such row for this caller, or rows of its type may not be deleted alone.
        EntityNotFound = "entity-not-found",
        /// The deletion of this sample was never asked for, or it belongs to someone else.
        DeletionNotFound = "deletion-not-found",
        /// There is no such task.
        TaskNotFound = "task-not-found",
        /// The erasure of this user was never asked for.
        ErasureNotFound = "erasure-not-found",
        /// The path does not answer to this method: `Allow` lists those that it does.
        MethodNotAllowed = "method-not-allowed",
        /// The request did not arrive in time.
        RequestTimeout = "request-timeout",
        /// The present state does not allow this.
        Conflict = "conflict",
        /// The same `svix-id` was seen before, with another body.
        WebhookConflict = "webhook-conflict",
        /// A completed or cancelled task cannot be tried again.
        TaskFinished = "task-finished",
        /// The sample's user is deleted.
        UserDeleted = "user-deleted",
        /// Somebody else asked for the deletion, so this caller cannot take it back.
        DeletedByOther = "deleted-by-other",
        /// The cleanup has begun, so the deletion cannot be taken back.
        CleanupBegun = "cleanup-begun",
        /// No deletion is pending that could be taken back.
        NoDeletionPending = "no-deletion-pending",
        /// The body is too large.
        PayloadTooLarge = "payload-too-large",
        /// The body is of a type that is not understood.
        UnsupportedMediaType = "unsupported-media-type",
        /// The caller has to wait: `Retry-After` says how long.
        TooManyRequests = "too-many-requests",
        /// The head of the request is too large.
        HeadersTooLarge = "headers-too-large",
        /// Something failed on the side of the service. Its log has the cause under the `requestId`.
        Internal = "internal",
        /// The service cannot answer now: `Retry-After` says when to try again.
        Unavailable = "unavailable",
        /// The database cannot answer now.
        DatabaseUnavailable = "database-unavailable",
        /// The keys that verify sessions cannot be had now.
        KeysUnavailable = "keys-unavailable",
        /// This process cannot do its work yet, or not any more.
        NotReady = "not-ready",
    }
}
