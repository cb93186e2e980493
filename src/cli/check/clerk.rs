//! Trying what the API needs: Clerk's secrets and keys, and the admins' tokens.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::table::Finding;
use super::urls::without_user;
use crate::cause::chain;
use crate::config::{Clerk, Serve};
use crate::http::session::SessionVerifier;
use crate::http::session_keys::SessionKeys;
use crate::reconcile::clerk_api::{ClerkApi, ClerkBackend, Patience};

pub(super) async fn check(serve: &Serve) -> Vec<Finding> {
    vec![
        Finding::works(
            "webhook secrets",
            format!("{} can be used", serve.clerk.webhook_secrets.len()),
        ),
        session_keys(&serve.clerk).await,
        issuer(&serve.clerk),
        admins(serve),
    ]
}

async fn session_keys(clerk: &Clerk) -> Finding {
    const NAME: &str = "Clerk's keys";
    let (detail, remedy) = match &clerk.sessions.keys {
        SessionKeys::Fixed(_) => (
            "CLERK_JWT_KEY is an RSA public key".to_owned(),
            "Copy the PEM public key from Clerk's dashboard, API keys.",
        ),
        SessionKeys::Jwks(url) => (
            format!("fetched from {}", without_user(url.as_str())),
            "Open CLERK_JWKS_URL from this machine: it must answer with RSA keys. Or give the key \
             itself as CLERK_JWT_KEY.",
        ),
    };
    let verifier = SessionVerifier::new(clerk.sessions.clone());
    let warm = match &verifier {
        Ok(verifier) => verifier.warm_up().await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(error)),
    };
    match warm {
        Ok(()) => Finding::works(NAME, detail),
        Err(problem) => Finding::wrong(NAME, problem, remedy),
    }
}

/// Asks Clerk's Backend API for one user, as a comparison begins.
pub(super) async fn backend(backend: &ClerkBackend, limit: Duration) -> Finding {
    const NAME: &str = "Clerk's Backend API";
    let patience = Patience {
        connect: limit,
        request: limit,
        tries: 1,
        throttles: 0,
        ..Patience::default()
    };
    let oldest = async {
        let api = ClerkApi::new(backend.clone(), patience, CancellationToken::new())?;
        api.oldest_user().await
    };
    match oldest.await {
        Ok(_) => Finding::works(
            NAME,
            format!("lists users at {}", without_user(backend.url.as_str())),
        ),
        Err(error) => Finding::wrong(
            NAME,
            chain(&error),
            "Copy CLERK_SECRET_KEY (sk_…) from Clerk's dashboard, API keys, of the instance whose users \
             these are.",
        ),
    }
}

fn issuer(clerk: &Clerk) -> Finding {
    const NAME: &str = "issuer and parties";
    match (
        &clerk.sessions.issuer,
        clerk.sessions.authorized_parties.len(),
    ) {
        (Some(issuer), 1..) => Finding::works(NAME, format!("{issuer}, and azp is checked")),
        (Some(issuer), 0) => Finding::note(
            NAME,
            format!("{issuer}; azp is not checked"),
            "Set CLERK_AUTHORIZED_PARTIES to your application's origins.",
        ),
        (None, _) => Finding::note(
            NAME,
            "iss is not checked",
            "Set CLERK_ISSUER to your instance's Frontend API URL.",
        ),
    }
}

fn admins(serve: &Serve) -> Finding {
    const NAME: &str = "admin tokens";
    let names: Vec<&str> = serve.admin_tokens.names().collect();
    if names.is_empty() {
        return Finding::note(
            NAME,
            "none: /admin is closed to everybody",
            "Set ADMIN_API_TOKENS to name:token pairs.",
        );
    }
    Finding::works(NAME, names.join(", "))
}
