//! One question to a deployed host: a verb of its `sepctl host`, answered as JSON.

use serde::de::DeserializeOwned;

use super::ControlError;
use crate::desired::INSTALLED;
use crate::ssh::{Connection, sudo};

/// Runs `sepctl host VERB ARGS` there and reads its answer. `args` hold no secrets and are quoted here.
pub async fn call<T: DeserializeOwned>(
    connection: &Connection,
    user: &str,
    args: &[String],
) -> Result<T, ControlError> {
    let host = connection.host().to_owned();
    let words: Vec<String> = args.iter().map(|word| quote(word)).collect();
    let sudo = sudo(user);
    let command = format!("{sudo}{INSTALLED} host {}", words.join(" "));
    let finished = connection.exec(&command).await?.finish().await;
    let said = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
    match finished.status {
        Some(0) => serde_json::from_slice(&finished.stdout)
            .map_err(|e| ControlError::Answer { host, reason: e.to_string() }),
        Some(127 | 126) => Err(ControlError::NotDeployed { host }),
        _ if said.contains("command not found") => Err(ControlError::NotDeployed { host }),
        _ => Err(ControlError::Answer { host, reason: said.trim_start_matches("error: ").to_owned() }),
    }
}

/// A word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quote("/mnt/sep_data"), "/mnt/sep_data");
        assert_eq!(quote("it's; rm -r /"), "'it'\\''s; rm -r /'");
        assert_eq!(quote(""), "''");
    }
}
