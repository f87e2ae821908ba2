//! The import rules of ARCHITECTURE.md, read off the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// No clock, no files, no network, no processes; nor what has them.
const PURE: &[&str] = &[
    "machine",
    "ssh",
    "control",
    "host",
    "commands",
    "door",
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "tokio",
];
/// The two sides and what sits on top of them.
const ABOVE: &[&str] = &["control", "host", "commands", "door", "sandbox"];

/// Modules of `provisioner/src`, and what they must not import: modules of ours, or paths of other crates.
const FORBIDDEN: &[(&[&str], &[&[&str]])] = &[
    (&["facts", "plan", "tuning", "render", "inventory"], &[PURE, &["resource"]]),
    (&["desired"], &[PURE]),
    // The two sides never know each other.
    (&["control"], &[&["host", "commands", "door", "sandbox"]]),
    (&["host"], &[&["control", "commands", "door", "ssh", "inventory", "desired", "sandbox"]]),
    // What stands below them.
    (&["resource", "backup", "exchange"], &[ABOVE, &["ssh", "inventory", "desired"]]),
    (&["machine"], &[ABOVE, &["ssh", "inventory", "desired", "resource", "exchange", "plan"]]),
    (&["ssh"], &[ABOVE, &["desired", "resource", "machine", "exchange", "plan"]]),
    (
        &["sandbox"],
        &[&["control", "host", "commands", "door", "ssh", "desired", "resource", "machine", "exchange"]],
    ),
    (&["door"], &[&["commands", "host", "sandbox"]]),
];

/// Files that may do what their module may not, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The one way of the inventory to the disk.
    ("inventory/file.rs", "std::fs"),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The code of a file: comments and its unit tests left out.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_what_they_may() {
    let root = workspace().join("provisioner/src");
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let module = name.split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some((_, forbidden)) = FORBIDDEN.iter().find(|(ruled, _)| ruled.contains(&module.as_str()))
        else {
            continue;
        };
        seen.insert(module);
        let code = code(&path);
        for import in forbidden.iter().copied().flatten() {
            if EXCEPTIONS.contains(&(name.as_str(), import)) {
                continue;
            }
            let written = if import.contains("::") || *import == "tokio" {
                vec![(*import).to_owned()]
            } else {
                vec![format!("crate::{import}::"), format!("crate::{import};"), format!("crate::{{{import}")]
            };
            if written.iter().any(|text| code.contains(text)) {
                broken.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(broken.is_empty(), "against the rules of ARCHITECTURE.md:\n{}", broken.join("\n"));
    let ruled: BTreeSet<String> =
        FORBIDDEN.iter().flat_map(|(ruled, _)| *ruled).map(|module| (*module).to_owned()).collect();
    assert_eq!(seen, ruled, "a rule speaks of a module that is not there");
}

#[test]
fn programs_import_the_contract_and_never_one_another() {
    for program in ["provisioner", "executor", "gpu"] {
        let manifest = std::fs::read_to_string(workspace().join(program).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        for other in ["sepctl", "sep-executor", "sep-gpu"] {
            let named = dependencies
                .lines()
                .any(|l| l.starts_with(&format!("{other}.")) || l.starts_with(&format!("{other} ")));
            assert!(!named, "{program} depends on {other}");
        }
    }
    let contract = std::fs::read_to_string(workspace().join("contract/Cargo.toml")).unwrap();
    for other in ["sepctl", "sep-executor", "sep-gpu", "tokio", "postgres"] {
        assert!(!contract.contains(&format!("\n{other}")), "contract depends on {other}");
    }
    for path in sources(&workspace().join("contract/src")) {
        let code = code(&path);
        for io in ["std::fs", "std::net", "std::process", "std::env"] {
            assert!(!code.contains(io), "{} uses {io}: the contract is pure", path.display());
        }
    }
}

#[test]
fn files_stay_short_and_have_a_subject() {
    for program in ["provisioner", "executor", "gpu", "contract"] {
        for path in sources(&workspace().join(program)) {
            if path.components().any(|part| part.as_os_str() == "target") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines: two ideas?", path.display());
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let drawer = ["util", "utils", "common", "helpers", "misc"].contains(&stem.as_str());
            assert!(!drawer, "{} is a drawer: name its subject", path.display());
            if path.ends_with("src/main.rs") {
                assert!(lines < 30, "{} has {lines} lines", path.display());
            }
            let documented = stem == "tests" || text.trim_start().starts_with("//!");
            assert!(documented, "{} does not say what it is for (//!)", path.display());
        }
    }
}
