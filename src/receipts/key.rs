//! Ed25519 keys: the private one that signs receipts, and the public ones that verify them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::body::{Hash, hex, sha256};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// What the subject key is derived from, with the private key: the same private key always gives the same subjects.
const SUBJECT_KEY_LABEL: &[u8] = b"lethe receipt subject key";
/// Characters of a key's id.
const ID_LENGTH: usize = 16;

/// Why a text is no key. No message repeats key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptKeyError {
    #[error("is not PEM text (-----BEGIN …)")]
    NotPem,
    #[error("is not an Ed25519 private key (PKCS#8)")]
    NotPrivate,
    #[error("is not an Ed25519 public key (SubjectPublicKeyInfo)")]
    NotPublic,
    #[error("holds no public key")]
    Empty,
}

/// Turns users' ids into subjects.
#[derive(Clone)]
pub struct SubjectKey(Hash);

impl SubjectKey {
    /// The key as the database has it. `None` unless it is 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Hash::try_from(bytes).ok().map(Self)
    }

    /// The key, to be stored.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// HMAC-SHA-256 of these bytes.
    #[must_use]
    pub fn of(&self, bytes: &[u8]) -> Hash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut tag = Hash::default();
        tag.copy_from_slice(hmac::sign(&key, bytes).as_ref());
        tag
    }
}

/// A private key that signs receipts. `Debug` shows its id only.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    /// The public half.
    pub public: PublicKey,
    /// Makes the subjects of the receipts that this key signs.
    pub subjects: SubjectKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, Unspecified> {
        Self::of(Ed25519KeyPair::generate()?)
    }

    /// The key in a PKCS#8 document in PEM form, as `openssl genpkey -algorithm ed25519` writes it. Its line breaks may
    /// be written as `\n`.
    ///
    /// # Errors
    /// [`ReceiptKeyError`] if the text is not such a key.
    pub fn from_pem(text: &str) -> Result<Self, ReceiptKeyError> {
        let text = text.replace("\\r", "").replace("\\n", "\n");
        let document = pem::parse(text.trim()).map_err(|_| ReceiptKeyError::NotPem)?;
        Self::from_pkcs8(document.contents())
    }

    /// The key in a PKCS#8 document.
    ///
    /// # Errors
    /// [`ReceiptKeyError::NotPrivate`] if it is not such a document.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, ReceiptKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(document).map_err(|_| ReceiptKeyError::NotPrivate)?;
        Self::of(pair).map_err(|_| ReceiptKeyError::NotPrivate)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, Unspecified> {
        let public = PublicKey::from_raw(pair.public_key().as_ref()).ok_or(Unspecified)?;
        let seed = pair.seed()?.as_be_bytes()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref());
        let subject_key = hmac::sign(&key, SUBJECT_KEY_LABEL);
        Ok(Self {
            pair: Arc::new(pair),
            public,
            subjects: SubjectKey::new(subject_key.as_ref()).ok_or(Unspecified)?,
        })
    }

    /// The PKCS#8 document, to be stored.
    ///
    /// # Errors
    /// When the library cannot write it.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, Unspecified> {
        Ok(self.pair.to_pkcs8v1()?.as_ref().to_vec())
    }

    /// The signature of a receipt's hash, 64 bytes.
    ///
    /// # Errors
    /// When the library cannot sign.
    pub fn sign(&self, hash: &Hash) -> Result<Vec<u8>, Unspecified> {
        Ok(self.pair.try_sign(hash)?.as_ref().to_vec())
    }
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Hash);

/// What `/.well-known/lethe-receipts.json` says of keys.
#[derive(Deserialize)]
struct Published {
    keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishedKey {
    public_key: String,
}

impl PublicKey {
    /// The key from its 32 bytes.
    #[must_use]
    pub fn from_raw(bytes: &[u8]) -> Option<Self> {
        Hash::try_from(bytes).ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first 8 bytes of the key's SHA-256, in hex.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = hex(&sha256(&self.0));
        id.truncate(ID_LENGTH);
        id
    }

    /// The SubjectPublicKeyInfo in base64, which is what stands between the first and the last line of a PEM file.
    #[must_use]
    pub fn to_base64(self) -> String {
        STANDARD.encode([SPKI_PREFIX.as_slice(), &self.0].concat())
    }

    /// The inverse of [`PublicKey::to_base64`].
    ///
    /// # Errors
    /// [`ReceiptKeyError::NotPublic`] for anything else.
    pub fn from_base64(text: &str) -> Result<Self, ReceiptKeyError> {
        let info = STANDARD
            .decode(text)
            .map_err(|_| ReceiptKeyError::NotPublic)?;
        Self::from_spki(&info)
    }

    fn from_spki(info: &[u8]) -> Result<Self, ReceiptKeyError> {
        info.strip_prefix(&SPKI_PREFIX)
            .and_then(Self::from_raw)
            .ok_or(ReceiptKeyError::NotPublic)
    }

    /// All keys of a text: PEM, one or several, or the JSON of `/.well-known/lethe-receipts.json`.
    ///
    /// # Errors
    /// [`ReceiptKeyError`] if a key cannot be read, or there is none.
    pub fn read_all(text: &str) -> Result<Vec<Self>, ReceiptKeyError> {
        let keys: Vec<Self> = match serde_json::from_str::<Published>(text) {
            Ok(published) => published
                .keys
                .iter()
                .map(|key| Self::from_base64(&key.public_key))
                .collect::<Result<_, _>>()?,
            Err(_) => pem::parse_many(text)
                .map_err(|_| ReceiptKeyError::NotPem)?
                .iter()
                .map(|document| Self::from_spki(document.contents()))
                .collect::<Result<_, _>>()?,
        };
        if keys.is_empty() {
            return Err(ReceiptKeyError::Empty);
        }
        Ok(keys)
    }

    /// Whether this is the key's signature of a receipt's hash.
    #[must_use]
    pub fn has_signed(&self, hash: &Hash, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(hash, signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 8410, section 10.3, with its public key of section 10.1.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_private_key_may_carry_escaped_line_breaks() {
        for text in [PRIVATE.to_owned(), PRIVATE.replace('\n', "\\n")] {
            let key = SigningKey::from_pem(&text).unwrap();
            assert_eq!(PublicKey::read_all(PUBLIC).unwrap(), [key.public]);
            assert!(PUBLIC.contains(&key.public.to_base64()));
            assert_eq!(
                format!("{key:?}"),
                format!("SigningKey({})", key.public.id())
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (text, error) in [
            ("", ReceiptKeyError::NotPem),
            ("hunter2", ReceiptKeyError::NotPem),
            (PUBLIC, ReceiptKeyError::NotPrivate),
        ] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), error, "{text}");
        }
        for (text, error) in [
            ("", ReceiptKeyError::Empty),
            (PRIVATE, ReceiptKeyError::NotPublic),
            (r#"{"keys":[]}"#, ReceiptKeyError::Empty),
            (
                r#"{"keys":[{"publicKey":"AAAA"}]}"#,
                ReceiptKeyError::NotPublic,
            ),
        ] {
            assert_eq!(PublicKey::read_all(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_stored_key_signs_and_makes_subjects_as_before() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        let hash = sha256(b"x");
        assert!(key.public.has_signed(&hash, &again.sign(&hash).unwrap()));
        assert!(
            !key.public
                .has_signed(&sha256(b"y"), &again.sign(&hash).unwrap())
        );
        assert_eq!(key.subjects.of(b"user_a"), again.subjects.of(b"user_a"));
    }
}
