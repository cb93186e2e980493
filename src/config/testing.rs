//! What the tests of this room share.

use super::fault::ConfigError;
use super::layer::Origin;
use super::reader::Section;
use super::source::Source;

/// A signing secret as Svix writes them.
pub(super) const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// An RSA public key of 2,048 bits whose private half was thrown away.
pub(super) const PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoTRpsw1ube7eZvMsY+iO
KaXtHJZp5dM/z7l43TNqvwZI3HB1CYcIBadWvcTeDP52JRveko41/vIyj1ZODsqp
NaXphqOcIgvJHfHnRhiolZS60MNNnn9IMJDL4Fvrgr/mMdT1wvByyQeuTJZ9HhYn
u+jdoHuXA9v2nMk4UhwGx/8NfC+yIH44n/tEIBJnnx4ec4HyExUH1olxvytUOe4G
c2JcgV1iEpfIbOcJAghnM6CYlfBvBCwyr0lAD6rE6PUpxrEMrhhLPOpN84P9PaS5
GgISCBYAsGQsN30bgSIPEmVSfr8ATdy4XBFphDCiAcZIFuRaWooxjuk4SciCfG+B
dQIDAQAB
-----END PUBLIC KEY-----";

pub(super) fn environment(pairs: &[(&str, &str)]) -> Source {
    Source::empty().with(Origin::Environment, pairs.iter().copied())
}

/// A section from the environment.
pub(super) fn parse<S: Section>(pairs: &[(&str, &str)]) -> Result<S, ConfigError> {
    S::parse(&environment(pairs))
}

/// The variables at fault.
pub(super) fn at_fault(error: &ConfigError) -> Vec<String> {
    error
        .faults
        .iter()
        .map(|fault| fault.variable.clone())
        .collect()
}
