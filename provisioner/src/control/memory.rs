//! What is remembered of a host between two commands. Losing it costs a round trip, nothing else.

use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exchange::{Desired, PROTOCOL};
use crate::facts::Facts;
use crate::hash;
use crate::inventory::model::Host;
use crate::resource::Resource;

/// Of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub facts: Facts,
    /// Known here only: a name made with it tells others on the host nothing of the secrets in a desired state.
    salt: String,
}

impl Memory {
    /// What was kept of this host.
    pub fn recall(host: &Host) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(place(host)).ok()?).ok()
    }

    /// New memory of a host that was not known.
    pub fn new(facts: Facts) -> Self {
        let mut bytes = [0; 16];
        // Without randomness the name is new each time, which is as good as none.
        let random = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        let salt = match random {
            Ok(()) => hash::hex(&bytes),
            Err(_) => format!("{:?}", std::time::Instant::now()),
        };
        Self { facts, salt }
    }

    /// Keeps it for the next command.
    pub fn keep(&self, host: &Host) {
        let path = place(host);
        let (Some(folder), Ok(text)) = (path.parent(), serde_json::to_vec(self)) else { return };
        // Without it the next exchange takes one more round trip.
        let _ = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    }

    /// The desired state that was made from these facts, under its name.
    pub fn desired(&self, resources: Vec<Resource>) -> Result<Desired, serde_json::Error> {
        let content = serde_json::to_vec(&(PROTOCOL, &resources, &self.facts))?;
        let name = hash::sha256(&[self.salt.as_bytes(), &content].concat());
        Ok(Desired { protocol: PROTOCOL, name, resources, assumed: self.facts.clone() })
    }
}

fn place(host: &Host) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache"));
    let ssh = &host.ssh;
    let key = hash::sha256(format!("{}:{}:{}", ssh.address, ssh.port, ssh.user).as_bytes());
    cache.join("sepctl").join("facts").join(format!("{key}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::User;

    fn facts(memory: u64) -> Facts {
        let text = |text: &str| text.to_owned();
        Facts { os: text("debian"), os_version: text("13"), architecture: text("x86_64"), memory, cores: 2 }
    }

    #[test]
    fn a_name_stands_for_one_content_and_one_memory() {
        let named = |memory: &Memory, user: &str| {
            memory.desired(vec![User { name: user.into() }.into()]).unwrap().name
        };
        let memory = Memory::new(facts(1));
        let same_facts = Memory::new(facts(1));
        let other_facts = Memory { facts: facts(2), ..memory.clone() };
        assert_eq!(named(&memory, "a"), named(&memory.clone(), "a"));
        for other in [named(&memory, "b"), named(&same_facts, "a"), named(&other_facts, "a")] {
            assert_ne!(named(&memory, "a"), other);
        }
    }
}
