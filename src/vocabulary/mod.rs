//! The words that more than one room uses: what the database stores, the API shows, the command line accepts
//! and the metrics are labelled with. Each set of words is one enum, and each kind of id one type.

mod access;
mod audit;
mod entity_id;
mod erasure;
mod ids;
mod json;
mod labels;
mod macros;
mod problem;
mod process;
mod task;
mod time;
mod window;
mod worker;

pub use access::{AuthFailure, Role};
pub use audit::AuditEvent;
pub use entity_id::EntityId;
pub use erasure::{ErasureStatus, UserStatus};
pub use ids::{AuditId, TaskId, UserId, UserIdError, WorkerId};
pub use labels::{
    NoticeOutcome, ReconcileSource, S3Outcome, SettleOutcome, TableName, WakeSource,
    WebhookOutcome, WorkerProblem,
};
pub use problem::ProblemCode;
pub use process::ProcessRole;
pub use task::{EntityType, ErrorClass, TaskKind, TaskStatus};
pub use time::Timestamp;
pub use window::StatsWindow;
pub use worker::WorkerState;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use poem_openapi::types::ToJSON;

    /// The word of each value is one and the same in the database, the API and on the command line.
    macro_rules! assert_same_words {
        ($($name:ident),+) => {
            $(for value in $name::ALL {
                let word = value.as_str();
                assert_eq!($name::parse(word), Some(*value));
                assert_eq!(value.to_json(), Some(word.into()));
                assert_eq!(value.to_possible_value().unwrap().get_name(), word);
            })+
        };
    }

    #[test]
    fn a_word_is_the_same_everywhere() {
        assert_same_words!(
            TaskStatus,
            TaskKind,
            EntityType,
            ErrorClass,
            AuditEvent,
            ErasureStatus,
            UserStatus,
            ProblemCode,
            StatsWindow,
            WorkerState
        );
        assert_eq!(TaskStatus::parse("finished"), None);
    }

    #[test]
    fn a_requests_outcome_has_the_word_of_its_class() {
        for class in ErrorClass::ALL {
            if *class != ErrorClass::Crash {
                assert_eq!(S3Outcome::from(*class).as_str(), class.as_str());
            }
        }
    }
}
