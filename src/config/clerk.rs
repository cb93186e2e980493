//! Which webhooks and sessions are accepted.

use super::insecure;
use super::reader::{Reader, Section, read_all};
use super::variables::{
    CLERK_AUTHORIZED_PARTIES, CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY,
    CLERK_WEBHOOK_SIGNING_SECRET,
};
use crate::http::session::SessionConfig;
use crate::http::session_keys::SessionKeys;
use crate::http::webhook_signature::WebhookSecret;

/// Which webhooks and sessions are accepted.
#[derive(Debug, Clone)]
pub struct Clerk {
    /// At least one; several while rotating.
    pub webhook_secrets: Vec<WebhookSecret>,
    pub sessions: SessionConfig,
}

/// The webhook signing secrets alone, for `lethe send-webhook`. At least one.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(pub Vec<WebhookSecret>);

impl Section for Clerk {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        read_all!(Self {
            webhook_secrets: WebhookSecrets::read(reader).map(|secrets| secrets.0),
            sessions: SessionConfig::read(reader),
        })
    }
}

impl Section for WebhookSecrets {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const REMEDY: &str = "Copy the signing secret (whsec_…) of the endpoint from Clerk's \
                              dashboard, Webhooks; separate several by commas.";
        reader.required(&CLERK_WEBHOOK_SIGNING_SECRET, REMEDY)?;
        let entries = reader.list(&CLERK_WEBHOOK_SIGNING_SECRET);
        if entries.is_empty() {
            reader.fault(&CLERK_WEBHOOK_SIGNING_SECRET, "holds no secret", REMEDY);
            return None;
        }
        let mut secrets = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            match entry.parse::<WebhookSecret>() {
                Ok(secret) => secrets.push(secret),
                Err(error) => {
                    let problem = format!("has an entry (number {number}) {error}");
                    reader.fault(&CLERK_WEBHOOK_SIGNING_SECRET, &problem, REMEDY);
                }
            }
        }
        Some(Self(secrets))
    }
}

impl Section for SessionConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        read_all!(Self {
            keys: session_keys(reader),
            // `Some`, because to `read_all!` a `None` means a fault, and these two may be unset.
            issuer: Some(reader.text(&CLERK_ISSUER).map(str::to_owned)),
            authorized_parties: Some(reader.list(&CLERK_AUTHORIZED_PARTIES))
                .map(|parties| parties.into_iter().map(str::to_owned).collect()),
        })
    }
}

/// The stronger layer's variable wins; within a layer the offline key does, for it needs no
/// network. Both are checked.
fn session_keys(reader: &mut Reader<'_>) -> Option<SessionKeys> {
    let pem = pem(reader);
    let url = insecure::url(reader, &CLERK_JWKS_URL, insecure::Connection::Jwks);
    let jwks = url.map(SessionKeys::Jwks);
    match (reader.rank(&CLERK_JWT_KEY), reader.rank(&CLERK_JWKS_URL)) {
        (None, None) => {
            reader.fault(
                &CLERK_JWT_KEY,
                "or CLERK_JWKS_URL is required, and neither is set",
                "Copy the PEM public key or the JWKS URL from Clerk's dashboard, API keys. \
                 CLERK_JWT_KEY_FILE may name a file that holds the key.",
            );
            None
        }
        (None, Some(_)) => jwks,
        (Some(key), Some(url)) if url < key => jwks,
        (Some(_), _) => pem,
    }
}

fn pem(reader: &mut Reader<'_>) -> Option<SessionKeys> {
    match SessionKeys::from_pem(reader.text(&CLERK_JWT_KEY)?) {
        Ok(keys) => Some(keys),
        Err(error) => {
            reader.fault(
                &CLERK_JWT_KEY,
                &error.to_string(),
                "Copy the PEM public key (-----BEGIN PUBLIC KEY-----…) from Clerk's dashboard, \
                 API keys; on one line, write \\n for its line breaks.",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::ConfigError;
    use crate::config::layer::Origin;
    use crate::config::source::Source;
    use crate::config::testing::{PEM, WHSEC, at_fault, parse};

    const SECRET: (&str, &str) = ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC);
    const KEY: (&str, &str) = ("CLERK_JWT_KEY", PEM);

    fn secrets(value: &str) -> Result<WebhookSecrets, ConfigError> {
        parse(&[("CLERK_WEBHOOK_SIGNING_SECRET", value)])
    }

    #[test]
    fn several_secrets_are_accepted_while_rotating() {
        assert_eq!(secrets(&format!("{WHSEC}, {WHSEC},")).unwrap().0.len(), 2);
    }

    #[test]
    fn a_secret_that_svix_refuses_is_a_fault_that_does_not_show_it() {
        for bad in ["hunter2", "whsec_", "whsec_hunter2!", ","] {
            let error = secrets(bad).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{bad}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let error = secrets(&format!("{WHSEC},whsec_?,sk_test_x")).unwrap_err();
        let problems = error.faults.iter().map(|fault| fault.problem.as_str());
        assert_eq!(
            problems.collect::<Vec<_>>(),
            [
                "has an entry (number 2) that is not whsec_ and base64.",
                "has an entry (number 3) that does not begin with whsec_.",
            ]
        );
        // 15 bytes.
        let error = secrets("whsec_aHVudGVyMmh1bnRlcjIh").unwrap_err();
        assert_eq!(
            error.faults[0].problem,
            "has an entry (number 1) that has fewer than 16 bytes."
        );
    }

    #[test]
    fn a_key_that_cannot_be_used_is_one_fault() {
        let private = PEM.replace("PUBLIC KEY", "PRIVATE KEY");
        for key in ["pk_test_x", &private] {
            let error = parse::<Clerk>(&[SECRET, ("CLERK_JWT_KEY", key)]).unwrap_err();
            assert_eq!(at_fault(&error), ["CLERK_JWT_KEY"]);
        }
    }

    #[test]
    fn the_offline_key_comes_first_unless_a_stronger_layer_names_a_url() {
        let url = ("CLERK_JWKS_URL", "https://clerk.example/jwks.json");
        let keys = |source: Source| Clerk::parse(&source).unwrap().sessions.keys;
        let same = Source::empty().with(Origin::Environment, [SECRET, KEY, url]);
        assert!(matches!(keys(same), SessionKeys::Fixed(_)));
        let dev = Source::empty()
            .with(Origin::Environment, [url])
            .with(Origin::Dev, [SECRET, KEY]);
        assert!(matches!(keys(dev), SessionKeys::Jwks(_)));
    }

    #[test]
    fn parties_are_a_list_and_the_issuer_is_kept_to_the_letter() {
        let parties = "https://a.example, https://b.example";
        let clerk: Clerk = parse(&[
            SECRET,
            KEY,
            ("CLERK_ISSUER", "https://clerk.example/"),
            ("CLERK_AUTHORIZED_PARTIES", parties),
        ])
        .unwrap();
        let SessionConfig {
            issuer,
            authorized_parties,
            ..
        } = clerk.sessions;
        assert_eq!(issuer.as_deref(), Some("https://clerk.example/"));
        assert_eq!(
            authorized_parties,
            ["https://a.example", "https://b.example"]
        );
    }
}
