//! The desired state that this host was last found in or brought to, so that it need not travel while it stays the same.
//!
//! Never evidence of what the machine is: each exchange checks the machine itself against it. A state with secrets is
//! not held: they stand in their own files and nowhere else. Not holding one costs a round trip, nothing else.

use std::path::Path;

use crate::exchange::{Desired, PROTOCOL};
use crate::hash;
use crate::machine::{Machine, Ownership};
use crate::resource::Resource;

const HELD: &str = "/var/lib/sep/desired";

/// The state of that name, if it is held whole.
pub fn recall(name: &str) -> Option<Desired> {
    read(&std::fs::read(HELD).ok()?, name)
}

fn read(file: &[u8], name: &str) -> Option<Desired> {
    let (sum, state) = file.split_at_checked(64)?;
    if hash::sha256(state).as_bytes() != sum {
        return None;
    }
    let desired: Desired = serde_json::from_slice(state).ok()?;
    (desired.name == name && desired.protocol == PROTOCOL).then_some(desired)
}

/// Keeps this one, and no other.
pub fn keep(machine: &Machine, desired: &Desired) {
    if desired.resources.iter().any(Resource::is_sensitive) {
        // Without it the state travels again the next time, and so does each secret, on standard input.
        let _ = machine.remove(Path::new(HELD));
        return;
    }
    let root = Ownership { owner: "root".into(), group: "root".into(), mode: 0o600 };
    if let Some(file) = written(desired) {
        // Without it the state travels again the next time.
        let _ = machine.write(Path::new(HELD), &file, &root);
    }
}

fn written(desired: &Desired) -> Option<Vec<u8>> {
    let state = serde_json::to_vec(desired).ok()?;
    Some([hash::sha256(&state).into_bytes(), state].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    #[test]
    fn only_a_whole_state_of_that_name_is_recalled() {
        let assumed = Facts {
            os: "debian".into(),
            os_version: "13".into(),
            architecture: "x86_64".into(),
            memory: 1,
            cores: 1,
        };
        let desired = Desired { protocol: PROTOCOL, name: "n".into(), resources: Vec::new(), assumed };
        let mut file = written(&desired).unwrap();
        assert_eq!(read(&file, "n").unwrap().assumed, desired.assumed);
        assert!(read(&file, "m").is_none());
        assert!(read(b"short", "n").is_none());
        let end = file.len() - 2;
        file[end] ^= 1;
        assert!(read(&file, "n").is_none());
    }
}
