//! A file with its whole content, or its absence.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Machine, MachineError, Ownership};
use crate::plan::{Action, diff};

/// The content of a file. A sensitive one never shows in a diff or a debug print; its serialised form is for the
/// exchange alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    content: String,
    sensitive: bool,
}

impl Text {
    /// Content that may be shown.
    pub fn plain(content: impl Into<String>) -> Self {
        Self { content: content.into(), sensitive: false }
    }

    /// Content that may not be shown.
    pub fn sensitive(content: impl Into<String>) -> Self {
        Self { content: content.into(), sensitive: true }
    }

    /// Whether it may not be shown, nor kept anywhere but in its file.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// How the content differs from what stands there; nothing where it does not.
    pub(super) fn diff_from(&self, found: &str) -> Vec<String> {
        if found == self.content {
            Vec::new()
        } else if self.sensitive {
            vec!["-[redacted]".into(), "+[redacted]".into()]
        } else {
            diff(found, &self.content)
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.content.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.sensitive { "[redacted]" } else { &self.content })
    }
}

/// A file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    pub path: String,
    pub content: Text,
    pub owner: String,
    pub group: String,
    pub mode: u32,
}

impl File {
    /// root's own, readable by all.
    pub fn new(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            content: Text::plain(content),
            owner: "root".into(),
            group: "root".into(),
            mode: 0o644,
        }
    }

    /// Another owner, group and mode.
    pub fn owned(mut self, owner: &str, group: &str, mode: u32) -> Self {
        (self.owner, self.group, self.mode) = (owner.to_owned(), group.to_owned(), mode);
        self
    }

    fn ownership(&self) -> Ownership {
        Ownership { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode }
    }
}

/// Diff lines for owner, group and mode.
pub(super) fn ownership_diff(found: &Ownership, wanted: &Ownership) -> Vec<String> {
    if found == wanted {
        return Vec::new();
    }
    let line = |sign: char, o: &Ownership| format!("{sign}{}:{} {:04o}", o.owner, o.group, o.mode);
    vec![line('-', found), line('+', wanted)]
}

impl Kind for File {
    fn id(&self) -> String {
        format!("file {}", self.path)
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let path = Path::new(&self.path);
        let Some(found) = machine.metadata(path)? else {
            return Ok(Some(Finding::with(Action::Create, "is missing", self.content.diff_from(""))));
        };
        if found.is_dir {
            return Err(MachineError::Expectation(format!(
                "found a directory at {}, expected a file; move it away",
                self.path
            )));
        }
        if !found.is_file {
            return Ok(Some(Finding::new(Action::Update, "is a link or a special file, not a file")));
        }
        let mut lines = ownership_diff(&found.ownership, &self.ownership());
        let content = self.content.diff_from(&machine.read(path)?.unwrap_or_default());
        let why = match (content.is_empty(), lines.is_empty()) {
            (true, true) => return Ok(None),
            (false, _) => "its content differs",
            (true, false) => "its owner or mode differs",
        };
        lines.extend(content);
        Ok(Some(Finding::with(Action::Update, why, lines)))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let path = Path::new(&self.path);
        if machine.metadata(path)?.is_some_and(|found| found.is_file)
            && machine.read(path)?.is_some_and(|found| found.as_bytes() == self.content.as_bytes())
        {
            // Who may read it changes; when it was written does not, so nothing is restarted for it.
            return Ok(machine.set_ownership(path, &self.ownership())?);
        }
        if let Some(parent) = path.parent()
            && machine.metadata(parent)?.is_none()
        {
            let root = Ownership { owner: "root".into(), group: "root".into(), mode: 0o755 };
            machine.create_dir(parent, &root)?;
        }
        Ok(machine.write(path, self.content.as_bytes(), &self.ownership())?)
    }
}

/// A file or link that must not be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absent {
    pub path: String,
    /// Why it has to go, in one sentence.
    pub why: String,
}

impl Kind for Absent {
    fn id(&self) -> String {
        format!("absent {}", self.path)
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let found = machine.metadata(Path::new(&self.path))?;
        Ok(found.map(|_| Finding::new(Action::Remove, self.why.clone())))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        Ok(machine.remove(Path::new(&self.path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_text_never_shows() {
        let text = Text::sensitive("hunter2");
        assert_eq!(text.diff_from("hunter1"), ["-[redacted]", "+[redacted]"]);
        assert!(text.diff_from("hunter2").is_empty());
        assert_eq!(format!("{text:?}"), "[redacted]");
    }
}
