//! `sepctl init`: writes an inventory to start from.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::door::Failure;
use crate::inventory::{self, InventoryErrors, Origin};

/// Write a commented inventory.yaml to start from
///
/// Every key is in it, with what it is for and what it is by default. A file that is there already is
/// never overwritten.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sepctl init
  sepctl init trading --address 203.0.113.10
  sepctl --inventory hosts/live.yaml init live --address live.example.com --volume /dev/disk/by-id/scsi-0DO_Volume_live")]
pub struct InitArgs {
    /// Name of the host: lower-case letters, digits, `_` and `-`
    #[arg(default_value = "droplet")]
    pub name: String,
    /// The droplet's DNS name or IP address; without it you fill it in
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// The volume's path under /dev/disk/by-id
    #[arg(long, value_name = "DEVICE", default_value = VOLUME)]
    pub volume: String,
}

/// Why no inventory was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("{} is there already and is not overwritten: edit it, or name another with --inventory FILE", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    /// What was asked for makes no inventory; the places are those of the text that was not written.
    #[error("nothing was written, because it would be refused:\n{0}")]
    Refused(InventoryErrors),
    #[error("cannot write to the terminal: {0}")]
    Talk(io::Error),
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        Self::new(error.to_string())
    }
}

const STARTER: &str = include_str!("starter.yaml");
const NAME: &str = "  droplet:\n";
const ADDRESS: &str = "      address:\n";
const VOLUME: &str = "/dev/disk/by-id/scsi-0DO_Volume_sep-data";

/// Stands in for an address that is yet to be filled in, so that the rest can be checked.
const SOME_ADDRESS: &str = "203.0.113.10";

/// Writes the inventory to `file` and tells on `out` what to do next.
pub fn cmd_init(args: &InitArgs, file: &Path, out: &mut dyn Write) -> Result<(), InitError> {
    let text = starter(args, args.address.as_deref());
    let checked = match args.address {
        Some(_) => text.clone(),
        None => starter(args, Some(SOME_ADDRESS)),
    };
    let origin = Origin { file, folder: file.parent().unwrap_or(file), home: None };
    inventory::parse(&checked, &origin).map_err(InitError::Refused)?;
    write_new(file, &text)?;
    let shown = file.display();
    let next = match args.address {
        Some(_) => "look it through".to_owned(),
        None => format!("fill in hosts.{}.ssh.address", args.name),
    };
    writeln!(out, "Wrote {shown}. Next: {next}, then run `sepctl inventory check` and `sepctl plan`.")
        .map_err(InitError::Talk)
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<(), InitError> {
    let fail = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
        _ => InitError::Write { path: path.to_owned(), source },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
        // Half a file would stand in the way of the next try.
        let _ = std::fs::remove_file(path);
        fail(source)
    })
}

fn starter(args: &InitArgs, address: Option<&str>) -> String {
    let mut text = STARTER
        .replace(NAME, &format!("  {}:\n", quoted(&args.name)))
        .replace(&format!("device: {VOLUME}\n"), &format!("device: {}\n", quoted(&args.volume)));
    if let Some(address) = address {
        text = text.replace(ADDRESS, &format!("      address: {}\n", quoted(address)));
    }
    text
}

/// A YAML scalar: as it is where that is safe, else in double quotes (JSON's, which YAML reads).
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let number_like = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let address = text.parse::<std::net::Ipv4Addr>().is_ok();
    if !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') && (address || !number_like) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Inventory;

    fn args(address: Option<&str>) -> InitArgs {
        InitArgs { name: "droplet".into(), address: address.map(str::to_owned), volume: VOLUME.into() }
    }

    fn parse(text: &str) -> Result<Inventory, InventoryErrors> {
        let origin = Origin { file: Path::new("inventory.yaml"), folder: Path::new("/x"), home: None };
        inventory::parse(text, &origin)
    }

    /// The starter with the `#` taken from every line that is `#key...`.
    fn uncommented(text: &str) -> String {
        let line = |line: &str| match line.trim_start().strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => {
                line.replacen('#', "", 1) + "\n"
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn the_starter_lacks_only_the_address() {
        insta::assert_snapshot!(parse(STARTER).unwrap_err(), @"inventory.yaml:11:7: hosts.droplet.ssh.address: missing: expected a DNS name or IP address, as in `address: 203.0.113.10`");
        let text = starter(&args(Some("203.0.113.10")), Some("203.0.113.10"));
        let inventory = parse(&text).unwrap();
        assert_eq!(inventory.warnings, []);
        assert_eq!(inventory.only(None).unwrap().ssh.address, "203.0.113.10");
    }

    #[test]
    fn what_the_starter_calls_defaults_are_the_defaults() {
        let text = starter(&args(Some("a.example")), Some("a.example"));
        let written_out = uncommented(&text);
        assert!(written_out.contains("\n      max_connections: 24\n"), "{written_out}");
        let hosts = parse(&written_out).unwrap().hosts;
        assert_eq!(hosts, parse(&text).unwrap().hosts);
    }

    #[test]
    fn every_key_is_in_the_starter() {
        let text = starter(&args(Some("a.example")), Some("a.example"));
        let host = serde_json::to_value(parse(&text).unwrap().hosts.remove(0)).unwrap();
        for (section, keys) in host.as_object().unwrap().iter().filter(|(name, _)| *name != "name") {
            for key in keys.as_object().unwrap().keys() {
                let below = STARTER.split_once(&format!("{section}:")).expect(section).1;
                assert!(below.contains(&format!("{key}:")), "{section}.{key} is not in the starter");
            }
        }
    }

    #[test]
    fn a_file_that_is_there_is_left_alone_and_nonsense_is_not_written() {
        let folder = std::env::temp_dir().join(format!("sepctl-init-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("inventory.yaml");
        let mut out = Vec::new();
        let bad = InitArgs { name: "My Host".into(), ..args(Some("10.0.0.1:22")) };
        assert!(matches!(cmd_init(&bad, &file, &mut out), Err(InitError::Refused(_))));
        assert!(!file.exists());
        let tricky = InitArgs { address: Some("x\n      port: 99".into()), ..args(None) };
        assert!(matches!(cmd_init(&tricky, &file, &mut out), Err(InitError::Refused(_))));
        cmd_init(&args(Some("10.0.0.1")), &file, &mut out).unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.contains("      address: 10.0.0.1\n"));
        let again = cmd_init(&args(None), &file, &mut out).unwrap_err();
        assert!(matches!(again, InitError::Exists(_)), "{again}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
        assert_eq!(inventory::read(&file).unwrap().hosts.len(), 1);
        let told = String::from_utf8(out).unwrap().replace(folder.to_str().unwrap(), "");
        insta::assert_snapshot!(told, @"Wrote /inventory.yaml. Next: look it through, then run `sepctl inventory check` and `sepctl plan`.");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
