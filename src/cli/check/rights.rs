//! Whether the role in the database may do what it must, and no more; and whether the limits that hold are those that are
//! configured here.

use sqlx::PgConnection;

use super::table::Finding;
use super::trial::{READ_THE_LOG, Trial};
use crate::safety::{self, SafetyOptions, SafetySettings};
use crate::schema::{self, needs::TableRight};
use crate::vocabulary::ProcessRole;

/// Without a role, the rights of all roles are tried.
pub(super) fn or_all(roles: &[ProcessRole]) -> &[ProcessRole] {
    if roles.is_empty() {
        ProcessRole::ALL
    } else {
        roles
    }
}

/// `application` are the rights on the application's tables; without them, those that are known without the catalog.
pub(super) async fn missing(
    trial: &Trial,
    connection: &mut PgConnection,
    roles: &[ProcessRole],
    application: Option<&[TableRight]>,
) -> Finding {
    const NAME: &str = "rights";
    match trial
        .answer(schema::missing_rights(connection, roles, application))
        .await
    {
        Ok(missing) if missing.is_empty() => Finding::works(
            NAME,
            "this role may use the tables and functions that are there",
        ),
        Ok(missing) => Finding::wrong(
            NAME,
            format!("missing: {}", missing.join(", ")),
            "Grant them to this role, as the database's owner: `lethe map grants` prints the rights of each kind of process.",
        ),
        Err(problem) => Finding::wrong(NAME, problem, READ_THE_LOG),
    }
}

pub(super) async fn surplus(
    trial: &Trial,
    connection: &mut PgConnection,
    roles: &[ProcessRole],
    application: Option<&[TableRight]>,
) -> Finding {
    const NAME: &str = "surplus rights";
    match trial
        .answer(schema::surplus_rights(connection, roles, application))
        .await
    {
        Ok(surplus) if surplus.is_empty() => Finding::works(NAME, "none"),
        Ok(surplus) => Finding::note(
            NAME,
            format!("this role needs less than it has: {}", surplus.join(", ")),
            "Let serve and worker log in with roles of their own, with the rights that `lethe map grants` prints.",
        ),
        Err(problem) => Finding::wrong(NAME, problem, READ_THE_LOG),
    }
}

/// The stricter of what serve and worker recorded holds. Another value here means that some process was started with
/// another configuration, or that this one was not started yet.
pub(super) async fn limits(
    trial: &Trial,
    connection: &mut PgConnection,
    configured: SafetyOptions,
) -> Finding {
    const NAME: &str = "limits of erasures";
    let settings = match trial.answer(safety::settings(&mut *connection)).await {
        Ok(settings) => settings,
        // The line about migrations says why.
        Err(problem) => return Finding::note(NAME, format!("not known: {problem}"), ""),
    };
    let detail = in_words(&settings);
    if !differs(&settings, configured) {
        return Finding::works(NAME, detail);
    }
    let recorded = trial.answer(safety::configured(connection)).await;
    let processes: Vec<String> = recorded
        .unwrap_or_default()
        .into_iter()
        .map(|one| {
            let at = one.started_at.to_seconds();
            format!("{} ({}) of {at}", one.role, one.process)
        })
        .collect();
    Finding::note(
        NAME,
        format!(
            "{detail}; this configuration says otherwise. The stricter values hold of those that were recorded last by: {}",
            processes.join(", ")
        ),
        "Give ERASURE_LIMIT_PER_HOUR and USER_ERASURE_DELAY_MS the same value for serve and worker, and restart them.",
    )
}

fn in_words(settings: &SafetySettings) -> String {
    let limit = match settings.erasure_limit_per_hour {
        0 => "no limit".to_owned(),
        limit => format!("{limit} users an hour"),
    };
    let mut words = format!("{limit}, a delay of {} ms", settings.user_erasure_delay_ms);
    if settings.erasures_held > 0 {
        words.push_str(&format!(", {} erasures are held", settings.erasures_held));
    }
    if settings.paused {
        words.push_str("; claiming is paused");
    }
    words
}

fn differs(settings: &SafetySettings, configured: SafetyOptions) -> bool {
    let limit = configured.erasure_limit_per_hour;
    let delay = configured.user_erasure_delay;
    limit.is_some_and(|limit| i64::from(limit) != i64::from(settings.erasure_limit_per_hour))
        || delay.is_some_and(|delay| {
            i128::from(settings.user_erasure_delay_ms) != delay.as_millis() as i128
        })
}
