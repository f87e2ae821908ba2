//! SHA-256 digests that name contents.
//!
//! Owns the length-prefixed encoding that is hashed, so that a hash can be computed again anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; shown and read as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of some pieces, one after the other.
    pub fn of_pieces(pieces: &[&[u8]]) -> Self {
        let hasher = pieces.iter().fold(Sha256::new(), |hasher, piece| hasher.chain_update(piece));
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is no SHA-256 digest: expected 64 lower-case hexadecimal digits")]
pub struct DigestError {
    pub found: String,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refuse = || DigestError { found: text.to_owned() };
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        if text.len() != 64 {
            return Err(refuse());
        }
        let mut out = [0_u8; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]).ok_or_else(refuse)?, nibble(pair[1]).ok_or_else(refuse)?);
            *byte = high << 4 | low;
        }
        Ok(Self(out))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Builds the canonical text `title\n` followed by `name:LENGTH:value\n` for each field, LENGTH being the
/// value's bytes in decimal. No two different lists of fields give the same text.
pub(crate) struct Canonical(Vec<u8>);

impl Canonical {
    pub(crate) fn new(title: &str) -> Self {
        Self(format!("{title}\n").into_bytes())
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.0.extend_from_slice(format!("{name}:{}:{value}\n", value.len()).as_bytes());
        self
    }

    /// A float by the 16 hexadecimal digits of its IEEE 754 bits; -0 counts as 0.
    pub(crate) fn float(self, name: &str, value: f64) -> Self {
        let value = if value == 0.0 { 0.0 } else { value };
        self.field(name, &format!("{:016x}", value.to_bits()))
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha256_in_hex() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
        assert_eq!(expected.parse::<Digest>(), Ok(Digest::of(b"abc")));
        assert_eq!(Digest::of_pieces(&[b"a", b"", b"bc"]), Digest::of(b"abc"));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn fields_cannot_run_into_one_another() {
        let one = Canonical::new("t").field("a", "1\nb:1:2").digest();
        let two = Canonical::new("t").field("a", "1").field("b", "2").digest();
        assert_ne!(one, two);
        assert_eq!(
            Canonical::new("t").float("x", 0.0).digest(),
            Canonical::new("t").float("x", -0.0).digest()
        );
    }
}
