//! The key that signs receipts.

use super::reader::{Reader, Section};
use super::variables::RECEIPT_SIGNING_KEY;
use crate::receipts::key::SigningKey;

/// `RECEIPT_SIGNING_KEY`, if it is set.
#[derive(Debug, Clone)]
pub struct ReceiptKey(pub Option<SigningKey>);

impl Section for ReceiptKey {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let is_set = reader.rank(&RECEIPT_SIGNING_KEY).is_some();
        let Some(text) = reader.text(&RECEIPT_SIGNING_KEY) else {
            return (!is_set).then_some(Self(None));
        };
        match SigningKey::from_pem(text) {
            Ok(key) => Some(Self(Some(key))),
            Err(error) => {
                reader.fault(
                    &RECEIPT_SIGNING_KEY,
                    &error.to_string(),
                    "Make one with `openssl genpkey -algorithm ed25519`; on one line, write \\n for its line breaks.",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::ConfigError;
    use crate::config::testing::{PEM, at_fault, parse};

    #[test]
    fn a_key_that_cannot_sign_is_one_fault_that_does_not_show_it() {
        assert!(parse::<ReceiptKey>(&[]).unwrap().0.is_none());
        for text in ["hunter2", PEM] {
            let error: ConfigError =
                parse::<ReceiptKey>(&[("RECEIPT_SIGNING_KEY", text)]).unwrap_err();
            assert_eq!(at_fault(&error), ["RECEIPT_SIGNING_KEY"]);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
