//! What would change on a host: plain data, made by checking resources, shown to people and machines.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Update,
    Remove,
    Start,
    Restart,
    Reload,
}

impl Action {
    /// In the words of a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    /// One sign before the resource's name, as in a diff.
    pub fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Remove => '-',
            Self::Start | Self::Restart | Self::Reload => '↻',
        }
    }
}

/// One resource that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Position in the desired state.
    pub index: usize,
    /// Such as `file /etc/sep/executor.yaml`.
    pub resource: String,
    pub action: Action,
    /// One sentence.
    pub why: String,
    /// Lines that begin with `+`, `-` or a space. Secrets never stand in them.
    pub diff: Vec<String>,
}

/// The result of checking every resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub changes: Vec<Change>,
    pub unchanged: usize,
}

impl Report {
    /// Names exactly these changes: a go is given for a digest, and holds for nothing else.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for change in &self.changes {
            hash.update(serde_json::to_vec(change).unwrap_or_default());
            hash.update([0]);
        }
        crate::hash::hex(&hash.finalize())
    }
}

/// A line diff in the form of [`Change::diff`], with two lines of context.
pub fn diff(old: &str, new: &str) -> Vec<String> {
    let diff = similar::TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(2).iter().enumerate() {
        if number > 0 {
            lines.push(" …".to_owned());
        }
        for op in group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    similar::ChangeTag::Delete => '-',
                    similar::ChangeTag::Insert => '+',
                    similar::ChangeTag::Equal => ' ',
                };
                lines.push(format!("{sign}{}", change.value().trim_end_matches('\n')));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_changed_lines_with_their_neighbours() {
        let old = "a\nb\nc\nd\ne\nf\n";
        let new = "a\nb\nc\nX\ne\nf\n";
        assert_eq!(diff(old, new), [" b", " c", "-d", "+X", " e", " f"]);
        assert_eq!(diff("", "a\n"), ["+a"]);
    }

    #[test]
    fn the_digest_changes_with_what_would_be_done() {
        let change = Change {
            index: 0,
            resource: "file /a".into(),
            action: Action::Update,
            why: "content differs".into(),
            diff: vec!["+a".into()],
        };
        let one = Report { changes: vec![change.clone()], unchanged: 1 };
        let mut other = one.clone();
        other.changes[0].diff = vec!["+b".into()];
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.digest(), Report { changes: vec![change], unchanged: 7 }.digest());
    }
}
