//! Whose webhooks and sessions are believed.

use jsonwebtoken::DecodingKey;
use svix::webhooks::Webhook;

use super::reader::{Reader, Section};
use super::secret::Secret;
use super::variables::{
    CLERK_AUTHORIZED_PARTIES, CLERK_ISSUER, CLERK_JWKS_URL, CLERK_JWT_KEY,
    CLERK_WEBHOOK_SIGNING_SECRET,
};

/// What every Svix signing secret begins with.
const WEBHOOK_SECRET_PREFIX: &str = "whsec_";

/// Whose webhooks and sessions are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clerk {
    /// At least one, each accepted by Svix; several while rotating.
    pub webhook_secrets: Vec<Secret>,
    /// What verifies session tokens.
    pub jwt: JwtKeys,
    /// Checked against `iss` when set, to the letter.
    pub issuer: Option<String>,
    /// Checked against `azp` when there are any.
    pub authorized_parties: Vec<String>,
}

/// What verifies session tokens (RS256).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKeys {
    /// An RSA public key that is known to parse, with real line breaks.
    Pem(String),
    /// An `http` or `https` URL from which the keys are fetched.
    Jwks(String),
}

/// The webhook signing secrets alone, for `lethe send-webhook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecrets(pub Vec<Secret>);

impl Section for Clerk {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let webhook_secrets = WebhookSecrets::read(reader);
        let jwt = jwt_keys(reader);
        let issuer = reader.text(&CLERK_ISSUER).map(str::to_owned);
        let parties = reader.list(&CLERK_AUTHORIZED_PARTIES);
        Some(Self {
            webhook_secrets: webhook_secrets?.0,
            jwt: jwt?,
            issuer,
            authorized_parties: parties.into_iter().map(str::to_owned).collect(),
        })
    }
}

impl Section for WebhookSecrets {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const REMEDY: &str = "Copy the signing secret (whsec_…) of the endpoint from Clerk's \
                              dashboard, Webhooks; separate several by commas.";
        reader.required(&CLERK_WEBHOOK_SIGNING_SECRET, REMEDY)?;
        let secrets = reader.list(&CLERK_WEBHOOK_SIGNING_SECRET);
        if secrets.is_empty() {
            reader.fault(&CLERK_WEBHOOK_SIGNING_SECRET, "holds no secret", REMEDY);
        }
        for (index, secret) in secrets.iter().enumerate() {
            let problem = if !secret.starts_with(WEBHOOK_SECRET_PREFIX) {
                format!(
                    "has an entry (number {}) that does not begin with whsec_",
                    index + 1
                )
            } else if Webhook::new(secret).is_err() {
                format!(
                    "has an entry (number {}) that is not whsec_ and base64",
                    index + 1
                )
            } else {
                continue;
            };
            reader.fault(&CLERK_WEBHOOK_SIGNING_SECRET, &problem, REMEDY);
        }
        Some(Self(secrets.into_iter().map(Secret::new).collect()))
    }
}

/// The stronger layer's variable wins; within a layer the offline key does, for it needs no
/// network. Both are checked.
fn jwt_keys(reader: &mut Reader<'_>) -> Option<JwtKeys> {
    let pem = pem(reader);
    let jwks = reader.http_url(&CLERK_JWKS_URL);
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
        (None, Some(_)) => jwks.map(JwtKeys::Jwks),
        (Some(key), Some(url)) if url < key => jwks.map(JwtKeys::Jwks),
        (Some(_), _) => pem.map(JwtKeys::Pem),
    }
}

/// The public key with its `\n` escapes made line breaks.
fn pem(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(&CLERK_JWT_KEY)?;
    let pem = text.replace("\\r", "").replace("\\n", "\n");
    let problem = if pem.contains("PRIVATE KEY-----") {
        "is a private key"
    } else if DecodingKey::from_rsa_pem(pem.as_bytes()).is_err() {
        "is not an RSA public key in PEM form"
    } else {
        return Some(pem);
    };
    reader.fault(
        &CLERK_JWT_KEY,
        problem,
        "Copy the PEM public key (-----BEGIN PUBLIC KEY-----…) from Clerk's dashboard, API keys; \
         on one line, write \\n for its line breaks.",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{PEM, WHSEC};
    use crate::config::{ConfigError, Origin, Source};

    fn parse(pairs: &[(&str, &str)]) -> Result<Clerk, ConfigError> {
        Clerk::parse(&Source::empty().with(Origin::Environment, pairs.iter().copied()))
    }

    fn secrets(value: &str) -> Result<WebhookSecrets, ConfigError> {
        let pairs = [("CLERK_WEBHOOK_SIGNING_SECRET", value)];
        WebhookSecrets::parse(&Source::empty().with(Origin::Environment, pairs))
    }

    #[test]
    fn both_the_secret_and_a_key_are_required() {
        let variables: Vec<String> = parse(&[])
            .unwrap_err()
            .faults
            .into_iter()
            .map(|fault| fault.variable)
            .collect();
        assert_eq!(variables, ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_JWT_KEY"]);
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
        assert_eq!(error.faults.len(), 2, "{error}");
    }

    #[test]
    fn a_key_may_carry_escaped_line_breaks() {
        for key in [
            PEM.to_owned(),
            PEM.replace('\n', "\\n"),
            PEM.replace('\n', "\\r\\n"),
        ] {
            let pairs = [
                ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
                ("CLERK_JWT_KEY", &key),
            ];
            assert_eq!(
                parse(&pairs).unwrap().jwt,
                JwtKeys::Pem(PEM.trim().to_owned())
            );
        }
    }

    #[test]
    fn a_key_that_is_none_is_a_fault() {
        let private = PEM.replace("PUBLIC KEY", "PRIVATE KEY");
        for key in [
            "pk_test_x",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            &private,
        ] {
            let pairs = [
                ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
                ("CLERK_JWT_KEY", key),
            ];
            let error = parse(&pairs).unwrap_err();
            assert_eq!(error.faults[0].variable, "CLERK_JWT_KEY");
            assert_eq!(error.faults.len(), 1, "{error}");
        }
    }

    #[test]
    fn the_offline_key_comes_first_unless_a_stronger_layer_names_a_url() {
        let url = [(
            "CLERK_JWKS_URL",
            "https://clerk.example/.well-known/jwks.json",
        )];
        let key = [
            ("CLERK_JWT_KEY", PEM),
            ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
        ];
        let same = Source::empty().with(Origin::Environment, key.into_iter().chain(url));
        assert!(matches!(Clerk::parse(&same).unwrap().jwt, JwtKeys::Pem(_)));
        let dev = Source::empty()
            .with(Origin::Environment, url)
            .with(Origin::Dev, key);
        assert!(matches!(Clerk::parse(&dev).unwrap().jwt, JwtKeys::Jwks(_)));
    }

    #[test]
    fn parties_are_a_list_and_the_issuer_is_kept_to_the_letter() {
        let clerk = parse(&[
            ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
            ("CLERK_JWT_KEY", PEM),
            ("CLERK_ISSUER", "https://clerk.example/"),
            (
                "CLERK_AUTHORIZED_PARTIES",
                "https://a.example, https://b.example",
            ),
        ])
        .unwrap();
        assert_eq!(clerk.issuer.as_deref(), Some("https://clerk.example/"));
        assert_eq!(
            clerk.authorized_parties,
            ["https://a.example", "https://b.example"]
        );
        assert!(!format!("{clerk:?}").contains(WHSEC));
    }
}
