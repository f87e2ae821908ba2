//! A checksum over the whole file, kept where Parquet readers do not look.
//!
//! After Parquet's first four bytes stand sixteen that name the seal and the SHA-256 of the whole file with
//! the digest's own place zeroed. Parquet finds its data by offsets from the end of the file, so every
//! reader takes such a file; ours never hands damaged bytes to the Parquet library. Files of other writers
//! have no seal and are read without one.

use crate::digest::Digest;
use crate::table::{MAGIC, TableError};

const TAG: &[u8; 16] = b"sep-seal-sha256:";
const DIGEST_AT: usize = MAGIC.len() + TAG.len();
const END: usize = DIGEST_AT + 32;

/// What is written after the magic before anything else: the tag, and room for the digest.
pub(super) const ROOM: [u8; 48] = {
    let mut room = [0; 48];
    let mut at = 0;
    while at < TAG.len() {
        room[at] = TAG[at];
        at += 1;
    }
    room
};

/// Fills the room.
pub(super) fn set(bytes: &mut [u8]) {
    let digest = Digest::of(bytes);
    if let Some(place) = bytes.get_mut(DIGEST_AT..END) {
        place.copy_from_slice(digest.as_bytes());
    }
}

/// Whether a file has a seal.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.get(MAGIC.len()..).is_some_and(|after_magic| after_magic.starts_with(TAG))
}

/// Whether a sealed file is whole.
pub(super) fn check(bytes: &[u8]) -> Result<(), TableError> {
    if !is_sealed(bytes) {
        return Ok(());
    }
    let whole = match (bytes.get(..DIGEST_AT), bytes.get(DIGEST_AT..END), bytes.get(END..)) {
        (Some(before), Some(recorded), Some(after)) => {
            Digest::of_pieces(&[before, &[0; 32], after]).as_bytes() == recorded
        }
        _ => false,
    };
    if whole { Ok(()) } else { Err(TableError::SealBroken { size: bytes.len() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        let mut bytes = [MAGIC, &ROOM, b"data", MAGIC].concat();
        set(&mut bytes);
        bytes
    }

    #[test]
    fn a_whole_file_passes_and_any_change_after_the_tag_is_seen() {
        let bytes = sealed();
        assert_eq!(check(&bytes), Ok(()));
        for at in DIGEST_AT..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(check(&damaged), Err(TableError::SealBroken { size: bytes.len() }), "byte {at}");
            assert_eq!(check(&bytes[..at]), Err(TableError::SealBroken { size: at }), "cut at {at}");
        }
    }

    #[test]
    fn files_without_a_seal_are_left_to_the_parquet_library() {
        assert_eq!(check(b"PAR1 something else"), Ok(()));
    }
}
