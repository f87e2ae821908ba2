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
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "tokio",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "Instant",
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
    // The one way of the inventory to the disk, and to the name of the folder that `~` stands for.
    ("inventory/file.rs", "std::fs"),
    ("inventory/file.rs", "std::env"),
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
        let own = own_modules(&code);
        for import in forbidden.iter().copied().flatten() {
            // Modules of ours are names in small letters; all else is looked for as it is written.
            let theirs =
                import.contains("::") || import.starts_with(char::is_uppercase) || *import == "tokio";
            let imported = if theirs { code.contains(import) } else { own.contains(*import) };
            if imported && !EXCEPTIONS.contains(&(name.as_str(), import)) {
                broken.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(broken.is_empty(), "against the rules of ARCHITECTURE.md:\n{}", broken.join("\n"));
    let ruled: BTreeSet<String> =
        FORBIDDEN.iter().flat_map(|(ruled, _)| *ruled).map(|module| (*module).to_owned()).collect();
    assert_eq!(seen, ruled, "a rule speaks of a module that is not there");
}

/// The modules of its own crate that a file speaks of: `qfh` for `use crate::qfh::Window`, and both names for
/// `use crate::{qfh::{Window, score}, lane}`.
fn own_modules(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = BTreeSet::new();
    for text in code.split("crate::").skip(1) {
        let Some(list) = text.strip_prefix('{') else {
            modules.insert(name(text));
            continue;
        };
        // The names of a list at its own depth begin after its brace or a comma.
        let (mut depth, mut begins) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && !c.is_whitespace() => {
                    modules.insert(name(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    modules
}

#[test]
fn own_modules_are_found_however_they_are_imported() {
    let code = "use crate::plan;\nuse crate::{facts::{Facts, Memory}, host,\n    control::push};\nlet x = crate::ssh::open();";
    let found = own_modules(code);
    assert_eq!(found, ["control", "facts", "host", "plan", "ssh"].map(str::to_owned).into());
}

/// Layers of `gpu/src`: a module imports its own layer and those before it, and nothing after it. The engine comes
/// first: plain data in, plain data out.
const ENGINE: &[&str] =
    &["aggregate", "backtest", "bars", "lane", "qfh", "session", "synth", "variant", "verdict"];
/// What computes with it, and what keeps files.
const BELOW: &[&str] = &[
    "account",
    "backend",
    "check",
    "costs",
    "history",
    "import",
    "model",
    "sma",
    "spark",
    "store",
    "table_file",
    "train",
    "trials",
    "whole_file",
    "windows",
];
/// What speaks: to people, to the droplet.
const ON_TOP: &[&str] =
    &["cli", "commands", "error", "leaktest", "lib", "main", "output", "replicate", "report", "signals"];

#[test]
fn the_engine_knows_no_file_no_clock_and_no_command() {
    let root = workspace().join("gpu/src");
    let mut seen = BTreeSet::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let module = name.split(['/', '.']).next().unwrap_or_default().to_owned();
        seen.insert(module.clone());
        if ON_TOP.contains(&module.as_str()) || name.ends_with("/tests.rs") {
            continue;
        }
        let code = code(&path);
        let engine = ENGINE.contains(&module.as_str());
        for own in own_modules(&code) {
            let own = own.as_str();
            assert!(!ON_TOP.contains(&own), "{name} imports {own}, which stands above it");
            assert!(!engine || !BELOW.contains(&own), "{name} imports {own}: the engine stands below it");
        }
        for outside in ["std::fs", "std::env", "std::process", "Timestamp::now", "SystemTime", "Instant"] {
            assert!(!engine || !code.contains(outside), "{name} uses {outside}: the engine is pure");
        }
    }
    let ruled: BTreeSet<String> = [ENGINE, BELOW, ON_TOP].concat().into_iter().map(str::to_owned).collect();
    assert_eq!(seen, ruled, "each module has its layer here, and each name a module");
}

#[test]
fn the_leaking_evaluation_can_make_nothing_but_counts() {
    let root = workspace().join("gpu/src");
    // It reads the definition of the model; its command shows what it counts; errors leave by their door.
    let (may_import, may_be_imported_by) = (["qfh"], ["lib.rs", "commands/replicate.rs", "error.rs"]);
    let mut seen = 0;
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let code = code(&path);
        if name == "replicate.rs" || name.starts_with("replicate/") {
            seen += 1;
            let foreign: Vec<String> = own_modules(&code)
                .into_iter()
                .filter(|module| !may_import.contains(&module.as_str()))
                .collect();
            assert!(foreign.is_empty(), "{name} imports {foreign:?}: it must make no signal and no model");
            assert!(!code.contains("sep_contract"), "{name} imports the contract, which has signals");
        } else if !may_be_imported_by.contains(&name.as_str()) {
            assert!(!own_modules(&code).contains("replicate"), "{name} uses the leaking evaluation");
        }
    }
    assert!(seen >= 2, "the rule speaks of a module that is not there");
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
