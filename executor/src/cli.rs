//! The command line: `run`, `check`, `--version`, `--help`.
//!
//! Owns the arguments, the exit codes and the two streams. Four words need no parser of their own, and a
//! parser would be a fifth of the binary.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::api::{self, ApiError};
use crate::config::{Config, ConfigError};
use crate::release::VERSION;
use crate::run::{self, RunError};
use crate::store::{self, StoreError};

const HELP: &str = "\
Takes trading signals from the database, decides on each, records why, and serves its status.

Usage: sep-executor <COMMAND>

Commands:
  run --config FILE    Run until SIGTERM
  check --config FILE  Check the configuration and the database it names, then exit

Options:
  --version  Print the version
  --help     Print this help
";

/// Why the program ends without having done its work.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{found}; expected `run --config FILE` or `check --config FILE` (see --help)")]
    Usage { found: String },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("database {name} in {socket_dir}: {source}")]
    Store { name: String, socket_dir: String, source: StoreError },
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs the program: 0 done, 1 failed, 2 not understood.
pub fn main(args: impl Iterator<Item = OsString>, out: &mut dyn Write, talk: &mut dyn Write) -> ExitCode {
    match dispatch(args, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told if standard error is gone, too.
            let _ = writeln!(talk, "sep-executor: {error}");
            ExitCode::from(if matches!(error, CliError::Usage { .. }) { 2 } else { 1 })
        }
    }
}

fn dispatch(args: impl Iterator<Item = OsString>, out: &mut dyn Write) -> Result<(), CliError> {
    let args: Vec<OsString> = args.collect();
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    match words.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        ["--version" | "-V"] => Ok(writeln!(out, "sep-executor {VERSION}")?),
        ["--help" | "-h"] => Ok(out.write_all(HELP.as_bytes())?),
        ["run", "--config", _] => Ok(run::run(Config::load(&PathBuf::from(&args[2]))?)?),
        ["check", "--config", _] => check(&Config::load(&PathBuf::from(&args[2]))?, out),
        [] => Err(CliError::Usage { found: "no command given".to_owned() }),
        other => Err(CliError::Usage { found: format!("cannot make sense of `{}`", other.join(" ")) }),
    }
}

/// What a release is asked before it is switched to: could it work here?
fn check(config: &Config, out: &mut dyn Write) -> Result<(), CliError> {
    api::check(&config.api)?;
    let schema = store::probe(&config.database, &config.account).map_err(|source| CliError::Store {
        name: config.database.name.clone(),
        socket_dir: config.database.socket_dir.display().to_string(),
        source,
    })?;
    writeln!(
        out,
        "sep-executor {VERSION}: configuration and database are fine (mode {}, account {}, schema {schema})",
        config.mode, config.account
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> (String, String, ExitCode) {
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let code = main(args.iter().map(OsString::from), &mut out, &mut talk);
        (String::from_utf8(out).unwrap(), String::from_utf8(talk).unwrap(), code)
    }

    #[test]
    fn words_that_are_not_understood_are_named_and_exit_with_2() {
        for (args, found) in [
            (&[][..], "no command given"),
            (&["run"], "cannot make sense of `run`"),
            (&["start", "--config", "x"], "cannot make sense of `start --config x`"),
        ] {
            let (out, talk, code) = run(args);
            assert_eq!((out.as_str(), code), ("", ExitCode::from(2)));
            assert!(talk.starts_with(&format!("sep-executor: {found}; expected ")), "{talk}");
        }
    }

    #[test]
    fn the_version_is_data_and_a_missing_file_is_a_failure() {
        assert_eq!(
            run(&["--version"]),
            (format!("sep-executor {VERSION}\n"), String::new(), ExitCode::SUCCESS)
        );
        let (out, talk, code) = run(&["check", "--config", "/nowhere/executor.yaml"]);
        assert_eq!((out.as_str(), code), ("", ExitCode::from(1)));
        assert!(talk.starts_with("sep-executor: cannot read /nowhere/executor.yaml: "), "{talk}");
    }
}
