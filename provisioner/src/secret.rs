//! Secrets: by reference in the inventory, redacted everywhere once read.
//!
//! Owns how a reference is written and how it is fetched. No error and no `Debug` here ever holds a byte
//! of a secret.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// Where a secret is to be had. The inventory never holds one inline. Written as a mapping with one key:
/// `{env: NAME}`, `{file: PATH}` or `{command: [PROGRAM, ARGUMENT, ...]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// Name of an environment variable.
    Env(String),
    /// A file on the workstation; its trailing newline is dropped.
    File(PathBuf),
    /// A program and its arguments; its standard output is the secret.
    Command(Vec<String>),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Command(words) => write!(f, "the command `{}`", words.first().map_or("", |w| w)),
        }
    }
}

/// A secret in memory. Shown, logged or turned into JSON for people it reads `[redacted]`;
/// only [`Secret::expose`] gives the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves, for writing them to where they belong.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a secret could not be had. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable {name} is not set: export {name}, or refer to a file")]
    EnvMissing { name: String },
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the command to get the secret is empty: write {{command: [PROGRAM, ARGUMENT, ...]}}")]
    CommandEmpty,
    #[error("`{program}` could not be run: {source}")]
    CommandStart { program: String, source: io::Error },
    #[error("`{program}` ended with {status}: run it by hand to see why (what it wrote is not shown here)")]
    CommandFailed { program: String, status: ExitStatus },
    #[error("{reference} is empty: expected the secret there")]
    Empty { reference: SecretRef },
}

/// A secret as it was fetched.
#[derive(Debug)]
pub struct Fetched {
    pub secret: Secret,
    /// Set where the secret came from a file that others on this machine may read.
    pub exposed: Option<ExposedFile>,
}

/// A secret's file that more than its owner may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedFile {
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
}

impl fmt::Display for ExposedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "{path} holds a secret and has mode {:04o}: run `chmod 600 {path}`", self.mode)
    }
}

impl SecretRef {
    /// Fetches the secret. Relative paths and the command's working folder are taken from `base`, the
    /// inventory's folder. One trailing newline is dropped. The command runs without a shell and may ask
    /// on the terminal (`pass`, `op`); its standard error goes there too.
    pub fn read(&self, base: &Path) -> Result<Fetched, SecretError> {
        let (mut bytes, exposed) = match self {
            Self::Env(name) => {
                use std::os::unix::ffi::OsStringExt;
                let value =
                    std::env::var_os(name).ok_or_else(|| SecretError::EnvMissing { name: name.clone() })?;
                (value.into_vec(), None)
            }
            Self::File(path) => read_file(&base.join(path))?,
            Self::Command(words) => (run(words, base)?, None),
        };
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return Err(SecretError::Empty { reference: self.clone() });
        }
        Ok(Fetched { secret: Secret::new(bytes), exposed })
    }
}

fn read_file(path: &Path) -> Result<(Vec<u8>, Option<ExposedFile>), SecretError> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let fail = |source| SecretError::File { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(fail)?;
    let exposed = (mode & 0o077 != 0).then(|| ExposedFile { path: path.to_owned(), mode });
    Ok((bytes, exposed))
}

fn run(words: &[String], base: &Path) -> Result<Vec<u8>, SecretError> {
    let (name, arguments) = words.split_first().ok_or(SecretError::CommandEmpty)?;
    // A bare name is looked up in PATH; a relative path is the inventory's.
    let program = if name.contains('/') { base.join(name) } else { PathBuf::from(name) };
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::inherit());
    if !base.as_os_str().is_empty() {
        command.current_dir(base);
    }
    let output =
        command.output().map_err(|source| SecretError::CommandStart { program: name.clone(), source })?;
    if !output.status.success() {
        return Err(SecretError::CommandFailed { program: name.clone(), status: output.status });
    }
    Ok(output.stdout)
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Env(name) => map.serialize_entry("env", name)?,
            Self::File(path) => map.serialize_entry("file", path)?,
            Self::Command(words) => map.serialize_entry("command", words)?,
        }
        map.end()
    }
}

/// By hand: the derived form of an enum is a tag in YAML (`!env NAME`), and its errors quote values.
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = SecretRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one of {env: NAME}, {file: PATH}, {command: [PROGRAM, ARGUMENT, ...]}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
                let reference = match map.next_key::<String>()?.as_deref() {
                    Some("env") => SecretRef::Env(map.next_value()?),
                    Some("file") => SecretRef::File(map.next_value()?),
                    Some("command") => SecretRef::Command(map.next_value()?),
                    Some(_) => return Err(de::Error::custom("expected the key `env`, `file` or `command`")),
                    None => return Err(de::Error::invalid_length(0, &self)),
                };
                match map.next_key::<de::IgnoredAny>()? {
                    Some(_) => Err(de::Error::custom("expected only one of `env`, `file` and `command`")),
                    None => Ok(reference),
                }
            }
        }
        deserializer.deserialize_map(OneKey)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder of its own for one test, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sepctl-secret-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str, mode: u32) {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_loses_one_newline_and_its_mode_is_looked_at() {
        let folder = Folder::new("file");
        folder.file("closed", "t0ken\n", 0o600);
        folder.file("open", "t0ken\n\n", 0o644);
        let closed = SecretRef::File("closed".into()).read(&folder.0).unwrap();
        assert_eq!(closed.secret.expose(), b"t0ken");
        assert_eq!(closed.exposed, None);
        let open = SecretRef::File("open".into()).read(&folder.0).unwrap();
        assert_eq!(open.secret.expose(), b"t0ken\n");
        let warning = open.exposed.unwrap().to_string();
        assert!(warning.contains("mode 0644") && warning.contains("chmod 600"), "{warning}");
    }

    #[test]
    fn a_command_runs_in_the_folder_and_without_a_shell() {
        let folder = Folder::new("command");
        folder.file("token", "abc\n", 0o600);
        let words = ["cat", "token"].map(String::from).to_vec();
        assert_eq!(SecretRef::Command(words).read(&folder.0).unwrap().secret.expose(), b"abc");
        let words = ["echo", "$HOME; ls"].map(String::from).to_vec();
        assert_eq!(SecretRef::Command(words).read(&folder.0).unwrap().secret.expose(), b"$HOME; ls");
        folder.file("get", "#!/bin/sh\necho s3cret\n", 0o700);
        let own = SecretRef::Command(vec!["./get".into()]).read(&folder.0).unwrap();
        assert_eq!(own.secret.expose(), b"s3cret");
    }

    #[test]
    fn failures_name_the_reference_and_hold_no_secret() {
        let folder = Folder::new("fail");
        folder.file("empty", "\n", 0o600);
        folder.file("leak", "#!/bin/sh\necho s3cret\nexit 3\n", 0o700);
        let message = |reference: SecretRef| reference.read(&folder.0).unwrap_err().to_string();
        insta::assert_snapshot!(message(SecretRef::Env("SEPCTL_TEST_UNSET".into())), @"the environment variable SEPCTL_TEST_UNSET is not set: export SEPCTL_TEST_UNSET, or refer to a file");
        assert!(message(SecretRef::File("none".into())).contains("fail/none cannot be read: No such file"));
        assert!(message(SecretRef::File("empty".into())).contains("is empty"));
        insta::assert_snapshot!(message(SecretRef::Command(vec!["./leak".into()])), @"`./leak` ended with exit status: 3: run it by hand to see why (what it wrote is not shown here)");
        insta::assert_snapshot!(message(SecretRef::Command(vec![])), @"the command to get the secret is empty: write {command: [PROGRAM, ARGUMENT, ...]}");
        assert!(
            message(SecretRef::Command(vec!["sepctl-no-such-program".into()])).contains("could not be run")
        );
    }

    #[test]
    fn references_read_back_as_written_and_secrets_do_not_show() {
        let reference = SecretRef::Command(vec!["pass".into(), "oanda".into()]);
        let json = serde_json::to_string(&reference).unwrap();
        assert_eq!(json, r#"{"command":["pass","oanda"]}"#);
        assert_eq!(serde_json::from_str::<SecretRef>(&json).unwrap(), reference);
        let yaml = serde_yaml::to_string(&SecretRef::Env("X".into())).unwrap();
        assert_eq!(yaml, "env: X\n");
        assert_eq!(serde_yaml::from_str::<SecretRef>(&yaml).unwrap(), SecretRef::Env("X".into()));
        assert!(serde_yaml::from_str::<SecretRef>("{env: X, file: y}").is_err());
        assert_eq!(format!("{:?}", Secret::new(b"s3cret".to_vec())), "[redacted]");
    }
}
