//! From text to the file's keys: YAML's syntax, duplicate keys, unknown keys, wrong types.
//!
//! Two readers see the text: saphyr's parser for places and duplicates, serde_yaml for types. Their
//! messages are put into the house's words here; values that may be secrets are kept out of them.

use std::path::Path;

use super::positions::{Position, Positions};
use super::problem::{InventoryError, InventoryErrors, Place, Problem, nearest};
use super::spec;

/// Keys under which a value may be a secret by mistake.
const SECRET_KEYS: [&str; 2] = ["credentials", "tls"];

/// Reads the keys of `text` and their places.
pub(super) fn read(text: &str, file: &Path) -> Result<(spec::File, Positions), InventoryErrors> {
    let one = |position: Option<Position>, path: &str, problem: Problem| {
        let place = Place { file: file.to_owned(), position, path: path.to_owned() };
        InventoryErrors(vec![InventoryError { place, problem }])
    };
    let positions = Positions::read(text).map_err(|error| {
        let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
        one(Some(at), "", syntax(error.info()))
    })?;
    if !positions.duplicates.is_empty() {
        let errors = positions.duplicates.iter().map(|duplicate| InventoryError {
            place: Place {
                file: file.to_owned(),
                position: Some(duplicate.second),
                path: duplicate.path.clone(),
            },
            problem: Problem::DuplicateKey { first: duplicate.first },
        });
        return Err(InventoryErrors(errors.collect()));
    }
    if positions.is_empty() {
        return Err(one(None, "", Problem::NoHosts));
    }
    let spec: spec::File = serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(|at| Position { line: at.line(), column: at.column() });
        let (path, problem) = explain(&error.to_string());
        // An unknown key is shown where it stands; a wrong type where its value begins.
        one(at, path.as_deref().unwrap_or_default(), problem)
    })?;
    if spec.hosts.as_ref().is_none_or(|hosts| hosts.is_empty()) {
        let at = positions.nearest("hosts").map(|(_, at)| at);
        return Err(one(at, "", Problem::NoHosts));
    }
    let mut names = Vec::new();
    for name in spec.hosts.iter().flat_map(|hosts| hosts.keys()).filter(|name| !super::checks::is_name(name))
    {
        let path = format!("hosts.{name}");
        let at = positions.nearest(&path).map(|(_, at)| at);
        let problem = Problem::Name { found: name.clone(), suggestion: super::checks::name_from(name) };
        names.push(InventoryError {
            place: Place { file: file.to_owned(), position: at, path: "hosts".to_owned() },
            problem,
        });
    }
    if !names.is_empty() {
        return Err(InventoryErrors(names));
    }
    Ok((spec, positions))
}

fn syntax(message: &str) -> Problem {
    let hint = if message.contains("anchor") || message.contains("alias") {
        Some("a value that begins with `*` or `&`, such as a cron schedule, must be quoted")
    } else if message.contains("tab") {
        Some("indent with spaces")
    } else if message.contains("unexpected character") {
        Some("a value that begins with `@`, `` ` `` or `%` must be quoted")
    } else if message.contains("mapping values are not allowed") {
        Some("a value that holds `: ` must be quoted; otherwise look at the indentation")
    } else {
        None
    };
    Problem::Syntax { message: message.to_owned(), hint }
}

/// How serde and serde_yaml begin what they say after the path.
const OPENINGS: [&str; 5] =
    ["invalid type: ", "invalid value: ", "invalid length ", "unknown field ", "expected "];

/// Splits serde_yaml's `a.b.c: message at line 3 column 5` and puts it into words; with the path.
fn explain(error: &str) -> (Option<String>, Problem) {
    let whole = error.rfind(" at line ").map_or(error, |end| &error[..end]);
    let split = OPENINGS.iter().filter_map(|opening| whole.find(&format!(": {opening}"))).min();
    let (path, message) = match split {
        Some(at) => (Some(whole[..at].to_owned()), &whole[at + 2..]),
        None => (None, whole),
    };
    // Looked for in the whole text: a key may hold anything, and hiding too much does no harm.
    let secret = SECRET_KEYS.iter().any(|key| whole.contains(key));
    let wrong_type = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|opening| message.strip_prefix(opening))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let problem = if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
        let found = quoted.next().unwrap_or_default();
        let known: Vec<_> = quoted.collect();
        let suggestion = nearest(&found, known.iter().map(String::as_str));
        Problem::UnknownKey { found, suggestion, known }
    } else if secret {
        Problem::SecretShape
    } else if let Some((found, expected)) = wrong_type {
        Problem::WrongType { found: found_in_words(found), expected: expected_in_words(expected) }
    } else if message.contains("more than one document") {
        Problem::SeveralDocuments
    } else {
        syntax(message)
    };
    (path, problem)
}

/// What serde calls a value, as people say it.
fn found_in_words(found: &str) -> String {
    match found {
        "map" => "a mapping".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" => "nothing".to_owned(),
        _ => match found.split_once(' ') {
            Some(("string", text)) => format!("the text {text}"),
            Some(("integer" | "floating" | "boolean", rest)) => rest.trim_start_matches("point ").to_owned(),
            _ => found.to_owned(),
        },
    }
}

/// What serde calls a type, as people say it.
fn expected_in_words(expected: &str) -> String {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "a boolean" => "true or false",
        "a sequence" => "a list, as in [22, 80]",
        "a map" => "a mapping of keys and values",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use crate::inventory::{Origin, parse};

    use super::*;

    /// Damages a whole inventory in many places: each time it is read or refused with words, and no
    /// reader panics.
    #[test]
    fn damaged_files_are_read_or_refused() {
        const TEXT: &str = include_str!("../../../inventory.yaml");
        let origin = Origin { file: Path::new("i.yaml"), folder: Path::new("/"), home: None };
        let mut refused = 0;
        for (step, (at, _)) in TEXT.char_indices().enumerate().filter(|(step, _)| step % 5 == 0) {
            let (before, after) = TEXT.split_at(at);
            let bad =
                ["", "\t", "*", "&a ", ": ", "\"", "{", "[", "\n", "!x ", "<<: ", "\u{0}", "ß", "- ", "? "];
            let damaged = [format!("{before}{}{after}", bad[step / 5 % bad.len()]), before.to_owned()];
            for text in damaged {
                if let Err(errors) = parse(&text, &origin) {
                    refused += 1;
                    assert!(!errors.0.is_empty());
                    assert!(errors.0.iter().all(|error| error.to_string().len() > "i.yaml: ".len()));
                }
            }
        }
        assert!(refused > 200, "the damage is real: {refused}");
    }
}
