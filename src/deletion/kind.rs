//! The list of all kinds of tasks. A new kind is a line here and a file beside this one.

/// What a task does: `cleanup_tasks.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One sample with its images.
    SampleDelete,
    /// One image of a sample that stays.
    ImageDelete,
    /// The root of a user's erasure: plans, waits for its parts, removes what is left.
    UserDelete,
    /// At most 1,000 objects of a user's erasure, and their rows.
    UserDeletePart,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::SampleDelete,
        Self::ImageDelete,
        Self::UserDelete,
        Self::UserDeletePart,
    ];

    /// The value of `cleanup_tasks.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SampleDelete => "sample-delete",
            Self::ImageDelete => "image-delete",
            Self::UserDelete => "user-delete",
            Self::UserDeletePart => "user-delete-part",
        }
    }

    /// The kind of that name; none for a task that a newer version wrote.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
