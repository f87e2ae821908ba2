//! `sepctl sandbox`: droplets on this machine, for trying and testing deployments.

use std::io::Write;

use clap::{Args, Subcommand};

use crate::door::Failure;
use crate::sandbox::{self, Hierarchies, Name, Report, SandboxError, Steps, UpOptions};

/// Droplets on this machine, for trying and testing deployments
#[derive(Debug, Args)]
pub struct SandboxArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a droplet and boot it; boot it again if it is off; leave it alone if it runs
    Up {
        #[arg(default_value = sandbox::DEFAULT_NAME, value_parser = Name::new)]
        name: Name,
        /// Start with a copy of this droplet's disk and volume, with a machine id and host key of its own
        #[arg(long, value_name = "OTHER", value_parser = Name::new, conflicts_with_all = ["volume", "volume_size"])]
        from: Option<Name>,
        /// Name of the volume, seen as /dev/disk/by-id/scsi-0DO_Volume_NAME [default: sep-data]
        #[arg(long, value_name = "NAME", value_parser = sandbox::parse_volume_name)]
        volume: Option<String>,
        /// Size of the volume; the file is sparse [default: 50GiB]
        #[arg(long, value_name = "SIZE", value_parser = sandbox::parse_size)]
        volume_size: Option<u64>,
    },
    /// Stop a droplet and remove every trace of it
    Down {
        #[arg(default_value = sandbox::DEFAULT_NAME, value_parser = Name::new)]
        name: Name,
        /// All droplets of this machine
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Make a droplet bare again: empty disk and volume, same keys and address
    Reset {
        #[arg(default_value = sandbox::DEFAULT_NAME, value_parser = Name::new)]
        name: Name,
    },
    /// Shut a droplet down cleanly and boot it again
    Reboot {
        #[arg(default_value = sandbox::DEFAULT_NAME, value_parser = Name::new)]
        name: Name,
    },
    /// End everything in a droplet at once, as a power cut does, and boot it again
    CutPower {
        #[arg(default_value = sandbox::DEFAULT_NAME, value_parser = Name::new)]
        name: Name,
        /// Do not boot it again
        #[arg(long)]
        stay_off: bool,
    },
    /// Show one droplet, or all
    Status {
        #[arg(value_parser = Name::new)]
        name: Option<Name>,
    },
    /// Run a command as root in a droplet, through its namespaces: works without network and sshd
    Exec {
        #[arg(value_parser = Name::new)]
        name: Name,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

impl Verb {
    fn word(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Down { .. } => "down",
            Self::Reset { .. } => "reset",
            Self::Reboot { .. } => "reboot",
            Self::CutPower { .. } => "cut-power",
            Self::Status { .. } => "status",
            Self::Exec { .. } => "exec",
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        match error {
            // The command has spoken for itself.
            SandboxError::CommandFailed { .. } => Self::silent(error.exit_code()),
            _ => Self::new(error.to_string()),
        }
    }
}

/// Runs the verb. `out` gets the droplets concerned as a table or JSON, `talk` the steps with their times.
pub fn cmd_sandbox(
    args: &SandboxArgs,
    json: bool,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<(), SandboxError> {
    if let Verb::Status { name } = &args.verb {
        return Report::take(name.as_ref())?.write(json, out);
    }
    sandbox::check_requirements(args.verb.word())?;
    let hierarchies = Hierarchies::find()?;
    if let Verb::Exec { name, command } = &args.verb {
        return sandbox::exec(name, command, &hierarchies);
    }
    sweep(&hierarchies, talk)?;
    let done = run(&args.verb, &hierarchies, talk);
    let swept = sweep(&hierarchies, talk);
    let shown = done?;
    swept?;
    Report::take(shown.as_ref())?.write(json, out)
}

/// Runs a verb that changes something; gives the droplet to show, `None` for all there are.
fn run(verb: &Verb, hierarchies: &Hierarchies, talk: &mut dyn Write) -> Result<Option<Name>, SandboxError> {
    match verb {
        Verb::Up { name, from, volume, volume_size } => {
            let options = UpOptions { from: from.clone(), volume: volume.clone(), volume_size: *volume_size };
            sandbox::up(name, &options, hierarchies, &mut Steps::new(talk, name))?;
            Ok(Some(name.clone()))
        }
        Verb::Down { name, all } => {
            let names = if *all { sandbox::names()? } else { vec![name.clone()] };
            for name in &names {
                sandbox::down(name, hierarchies, &mut Steps::new(talk, name))?;
            }
            Ok(None)
        }
        Verb::Reset { name } => {
            sandbox::reset(name, hierarchies, &mut Steps::new(talk, name))?;
            Ok(Some(name.clone()))
        }
        Verb::Reboot { name } => {
            sandbox::reboot(name, hierarchies, &mut Steps::new(talk, name))?;
            Ok(Some(name.clone()))
        }
        Verb::CutPower { name, stay_off } => {
            sandbox::cut_power(name, *stay_off, hierarchies, &mut Steps::new(talk, name))?;
            Ok(Some(name.clone()))
        }
        // Both have been dealt with by the caller; for all droplets there is nothing to do.
        Verb::Status { .. } | Verb::Exec { .. } => Ok(None),
    }
}

fn sweep(hierarchies: &Hierarchies, talk: &mut dyn Write) -> Result<(), SandboxError> {
    let swept = sandbox::orphans(hierarchies)?;
    if !swept.is_empty() {
        // Talk that nobody can read any more must not stop the work.
        let _ = writeln!(talk, "swept what an interrupted command had left: {}", swept.join(", "));
    }
    Ok(())
}
