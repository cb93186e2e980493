//! Where notices go.

use super::insecure::{self, Connection};
use super::reader::{Reader, Section};
use super::variables::{NOTIFY_WEBHOOK_SECRET, NOTIFY_WEBHOOK_URL};
use crate::notices::endpoint::{Endpoint, parse_secret};

/// `NOTIFY_WEBHOOK_URL` with `NOTIFY_WEBHOOK_SECRET`, if they are set.
#[derive(Debug, Clone)]
pub struct Notices(pub Option<Endpoint>);

impl Section for Notices {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const REMEDY: &str = "Make one with `echo whsec_$(openssl rand -base64 32)`, and give it to the receiver, too.";
        let url_is_set = reader.rank(&NOTIFY_WEBHOOK_URL).is_some();
        let secret_is_set = reader.rank(&NOTIFY_WEBHOOK_SECRET).is_some();
        if !url_is_set && !secret_is_set {
            return Some(Self(None));
        }
        let url = insecure::url(reader, &NOTIFY_WEBHOOK_URL, Connection::Notices);
        if !url_is_set {
            reader.fault(
                &NOTIFY_WEBHOOK_URL,
                "is not set, and NOTIFY_WEBHOOK_SECRET is",
                "Set both, or neither.",
            );
        }
        let mut secrets = Vec::new();
        let entries = reader.list(&NOTIFY_WEBHOOK_SECRET);
        let count = entries.len();
        if count == 0 {
            reader.fault(
                &NOTIFY_WEBHOOK_SECRET,
                "holds no secret, and NOTIFY_WEBHOOK_URL is set",
                REMEDY,
            );
        }
        for (number, entry) in (1..).zip(entries) {
            match parse_secret(entry) {
                Ok(secret) => secrets.push(secret),
                Err(error) => {
                    let problem = format!("has an entry (number {number}) that {error}");
                    reader.fault(&NOTIFY_WEBHOOK_SECRET, &problem, REMEDY);
                }
            }
        }
        let is_whole = count > 0 && secrets.len() == count;
        let url = url?;
        is_whole.then(|| Self(Some(Endpoint::new(url, secrets))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{WHSEC, at_fault, parse};

    const URL: &str = "https://example.com/hooks?token=hunter2";

    #[test]
    fn both_are_set_or_neither() {
        assert!(parse::<Notices>(&[]).unwrap().0.is_none());
        let both = [
            ("NOTIFY_WEBHOOK_URL", URL),
            ("NOTIFY_WEBHOOK_SECRET", WHSEC),
        ];
        let shown = format!("{:?}", parse::<Notices>(&both).unwrap().0.unwrap());
        assert_eq!(shown, "Endpoint(example.com)");
        for (given, fault) in [
            (both[0], "NOTIFY_WEBHOOK_SECRET"),
            (both[1], "NOTIFY_WEBHOOK_URL"),
        ] {
            let error = parse::<Notices>(&[given]).unwrap_err();
            assert_eq!(at_fault(&error), [fault]);
        }
    }

    #[test]
    fn a_weak_secret_and_an_unencrypted_url_are_refused() {
        let error = parse::<Notices>(&[
            ("NOTIFY_WEBHOOK_URL", "http://hooks.example.com/"),
            ("NOTIFY_WEBHOOK_SECRET", "hunter2"),
        ])
        .unwrap_err();
        assert_eq!(
            at_fault(&error),
            ["NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET"]
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        let allowed = parse::<Notices>(&[
            ("ALLOW_INSECURE", "notices"),
            ("NOTIFY_WEBHOOK_URL", "http://hooks.example.com/"),
            ("NOTIFY_WEBHOOK_SECRET", WHSEC),
        ]);
        assert!(allowed.unwrap().0.is_some());
    }
}
