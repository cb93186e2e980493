//! Verifies an exported chain of receipts, without a database.

use std::collections::BTreeMap;
use std::io::BufRead;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::body::{Body, Hash, START, VERSION, hash_of, hex};
use super::key::PublicKey;
use super::list::ExportedReceipt;

/// The first fault that was found. Receipts are named by their sequence number, which is not the number of the line.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    #[error("line {line} is no receipt: {why}")]
    Unreadable { line: u64, why: String },
    #[error("receipt {sequence} is missing: line {line} holds receipt {found}")]
    Missing {
        sequence: i64,
        line: u64,
        found: i64,
    },
    #[error(
        "receipt {sequence} is not in its place: line {line} holds receipt {found}, and receipt {sequence} stands in \
         line {stands_in}"
    )]
    Swapped {
        sequence: i64,
        line: u64,
        found: i64,
        stands_in: u64,
    },
    #[error("receipt {sequence} was changed (line {line}): {why}")]
    Changed {
        sequence: i64,
        line: u64,
        why: &'static str,
    },
    #[error("receipt {sequence} is forged (line {line}): {why}")]
    Forged {
        sequence: i64,
        line: u64,
        why: &'static str,
    },
    #[error(
        "the receipt with the anchored hash {head} is missing: the file ends with receipt {last}. Receipts at the end \
         were left out, or the chain was written anew"
    )]
    HeadMissing { head: String, last: i64 },
}

/// What a chain has, if nothing in it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The number of receipts, which is the sequence of the last one.
    pub receipts: i64,
    /// The hash of the last one.
    pub head: Hash,
    /// The keys that signed, by id: the sequence of each key's first and last receipt.
    pub keys: BTreeMap<String, (i64, i64)>,
    /// The sequence of the receipt with the anchored hash, if one was given.
    pub anchored: Option<i64>,
}

/// How an export is verified.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// The keys that may have signed; if `None`, those that the file names.
    pub trusted: Option<Vec<PublicKey>>,
    /// The hash of a receipt that was noted elsewhere, in hex. The chain must contain it.
    pub head: Option<String>,
}

impl Verification {
    /// Reads a whole export and passes each receipt on once it is verified.
    ///
    /// # Errors
    /// [`ChainError`] for the first thing that does not fit.
    pub fn run(
        &self,
        export: &mut impl BufRead,
        mut verified: impl FnMut(&Body),
    ) -> Result<Chain, ChainError> {
        let mut chain = Chain {
            receipts: 0,
            head: START,
            keys: BTreeMap::new(),
            anchored: None,
        };
        // Before the first receipt there is an anchor too: that of an empty chain.
        if self.is_head(&chain.head) {
            chain.anchored = Some(0);
        }
        let mut line = 0;
        let mut text = String::new();
        while read_line(export, &mut text)? {
            line += 1;
            if text.trim().is_empty() {
                continue;
            }
            let (receipt, body) = parse(&text, line)?;
            let sequence = chain.receipts + 1;
            if body.sequence != sequence {
                return Err(misplaced(export, sequence, line, body.sequence)?);
            }
            self.check(&mut chain, &receipt, &body, line)?;
            verified(&body);
        }
        match &self.head {
            Some(head) if chain.anchored.is_none() => Err(ChainError::HeadMissing {
                head: head.clone(),
                last: chain.receipts,
            }),
            _ => Ok(chain),
        }
    }

    fn is_head(&self, hash: &Hash) -> bool {
        self.head
            .as_ref()
            .is_some_and(|head| head.eq_ignore_ascii_case(&hex(hash)))
    }

    /// Checks a receipt that stands in its place, and adds it to the chain.
    fn check(
        &self,
        chain: &mut Chain,
        receipt: &ExportedReceipt,
        body: &Body,
        line: u64,
    ) -> Result<(), ChainError> {
        let sequence = body.sequence;
        let changed = |why| ChainError::Changed {
            sequence,
            line,
            why,
        };
        let forged = |why| ChainError::Forged {
            sequence,
            line,
            why,
        };
        if body.previous_hash != hex(&chain.head) {
            return Err(changed("it does not follow the receipt before"));
        }
        let hash = hash_of(&chain.head, &receipt.body);
        if receipt.hash != hex(&hash) {
            return Err(changed("its hash is that of another text"));
        }
        let key = PublicKey::from_base64(&receipt.public_key)
            .map_err(|_| forged("its public key is no Ed25519 key"))?;
        if key.id() != body.key_id {
            return Err(forged("its public key is not the one that it names"));
        }
        if let Some(trusted) = &self.trusted
            && !trusted.contains(&key)
        {
            return Err(forged(
                "it is signed with a key that is not among those given",
            ));
        }
        let signature = STANDARD.decode(&receipt.signature).unwrap_or_default();
        if !key.has_signed(&hash, &signature) {
            return Err(forged("its signature is not that of its key"));
        }
        chain.receipts = sequence;
        chain.head = hash;
        let used = chain
            .keys
            .entry(body.key_id.clone())
            .or_insert((sequence, sequence));
        used.1 = sequence;
        if self.is_head(&hash) {
            chain.anchored = Some(sequence);
        }
        Ok(())
    }
}

/// Reads the next line. False at the end.
fn read_line(export: &mut impl BufRead, text: &mut String) -> Result<bool, ChainError> {
    text.clear();
    Ok(export.read_line(text)? > 0)
}

fn parse(text: &str, line: u64) -> Result<(ExportedReceipt, Body), ChainError> {
    let unreadable = |why: String| ChainError::Unreadable { line, why };
    let receipt: ExportedReceipt =
        serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let body: Body = serde_json::from_str(&receipt.body)
        .map_err(|error| unreadable(format!("its body: {error}")))?;
    if body.version != VERSION {
        return Err(unreadable(format!(
            "its version is {}, and this program knows version {VERSION}",
            body.version
        )));
    }
    Ok((receipt, body))
}

/// Why `line` holds receipt `found` and not `sequence`: whether that one stands further down tells.
fn misplaced(
    export: &mut impl BufRead,
    sequence: i64,
    line: u64,
    found: i64,
) -> Result<ChainError, ChainError> {
    let mut text = String::new();
    let mut stands_in = line;
    while read_line(export, &mut text)? {
        stands_in += 1;
        if parse(&text, stands_in).is_ok_and(|(_, body)| body.sequence == sequence) {
            return Ok(ChainError::Swapped {
                sequence,
                line,
                found,
                stands_in,
            });
        }
    }
    Ok(ChainError::Missing {
        sequence,
        line,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipts::key::SigningKey;

    /// Receipts 1 to `count`, one a line.
    fn chain(key: &SigningKey, count: i64) -> Vec<String> {
        let mut previous = START;
        (1..=count)
            .map(|sequence| {
                let body = Body {
                    version: VERSION,
                    sequence,
                    subject: hex(&key.subjects.of(sequence.to_string().as_bytes())),
                    task_id: "7".into(),
                    requested_at: "2026-11-24T17:00:00Z".into(),
                    completed_at: "2026-11-24T17:00:01Z".into(),
                    rows_deleted: BTreeMap::new(),
                    kept: Vec::new(),
                    objects_deleted: 3,
                    objects_kept: 0,
                    keys_digest: None,
                    map_digest: "0".repeat(64),
                    key_id: key.public.id(),
                    previous_hash: hex(&previous),
                };
                let body = serde_json::to_string(&body).unwrap();
                previous = hash_of(&previous, &body);
                let line = ExportedReceipt {
                    body,
                    hash: hex(&previous),
                    signature: STANDARD.encode(key.sign(&previous).unwrap()),
                    public_key: key.public.to_base64(),
                };
                serde_json::to_string(&line).unwrap()
            })
            .collect()
    }

    fn verify(lines: &[String], how: &Verification) -> Result<Chain, ChainError> {
        how.run(&mut lines.join("\n").as_bytes(), |_| {})
    }

    fn fault(lines: &[String], how: &Verification) -> String {
        verify(lines, how).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_chain_is_valid_and_contains_its_anchors() {
        let key = SigningKey::generate().unwrap();
        let lines = chain(&key, 4);
        let whole = verify(&lines, &Verification::default()).unwrap();
        assert_eq!(whole.receipts, 4);
        assert_eq!(whole.keys, BTreeMap::from([(key.public.id(), (1, 4))]));
        let early = verify(&lines[..2], &Verification::default()).unwrap();
        let anchored = Verification {
            trusted: Some(vec![key.public]),
            head: Some(hex(&early.head)),
        };
        assert_eq!(verify(&lines, &anchored).unwrap().anchored, Some(2));
        let cut = fault(&lines[..1], &anchored);
        assert!(cut.contains("ends with receipt 1"), "{cut}");
    }

    #[test]
    fn a_missing_receipt_and_swapped_ones_are_told_apart() {
        let lines = chain(&SigningKey::generate().unwrap(), 4);
        let how = Verification::default();
        for gone in 0..3_usize {
            let mut rest = lines.clone();
            rest.remove(gone);
            let told = fault(&rest, &how);
            assert!(
                told.starts_with(&format!("receipt {} is missing", gone + 1)),
                "{told}"
            );
        }
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        let told = fault(&swapped, &how);
        assert!(told.starts_with("receipt 2 is not in its place"), "{told}");
    }

    #[test]
    fn a_changed_character_anywhere_in_a_line_is_found() {
        let lines = chain(&SigningKey::generate().unwrap(), 2);
        let how = Verification::default();
        for place in 0..lines[1].len() {
            let mut bytes = lines[1].clone().into_bytes();
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            let changed = [lines[0].clone(), String::from_utf8(bytes).unwrap()];
            assert!(verify(&changed, &how).is_err(), "{place}: {}", changed[1]);
        }
        let changed = lines[0].replace("objectsDeleted\\\":3", "objectsDeleted\\\":2");
        let told = fault(&[changed, lines[1].clone()], &how);
        assert!(told.starts_with("receipt 1 was changed"), "{told}");
    }

    #[test]
    fn a_chain_that_somebody_else_signed_is_forged_if_the_keys_are_known() {
        let (ours, theirs) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let lines = chain(&theirs, 2);
        assert!(verify(&lines, &Verification::default()).is_ok());
        let how = Verification {
            trusted: Some(vec![ours.public]),
            head: None,
        };
        let told = fault(&lines, &how);
        assert!(told.starts_with("receipt 1 is forged"), "{told}");
        // Our receipt with their signature.
        let mut mixed: ExportedReceipt = serde_json::from_str(&chain(&ours, 1)[0]).unwrap();
        mixed.signature = serde_json::from_str::<ExportedReceipt>(&lines[0])
            .unwrap()
            .signature;
        let told = fault(
            &[serde_json::to_string(&mixed).unwrap()],
            &Verification::default(),
        );
        assert!(told.starts_with("receipt 1 is forged"), "{told}");
    }
}
