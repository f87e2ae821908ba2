//! The command line: one verb a file.

pub mod backup;
pub mod daily;
pub mod deploy;
mod host;
pub mod init;
pub mod inventory;
pub mod plan;
pub mod psql;
pub mod sandbox;
pub mod ssh;
pub mod status;
pub mod sync;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::door::{Door, Failure};
use crate::inventory::Inventory;
use crate::inventory::model::Host;

/// Deploys and operates a self-hosted trading droplet.
#[derive(Debug, Parser)]
#[command(name = "sepctl", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The inventory file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SEPCTL_INVENTORY",
        default_value = "inventory.yaml"
    )]
    pub inventory: PathBuf,
    /// Only this host of the inventory
    #[arg(long, global = true, value_name = "NAME")]
    pub host: Option<String>,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
    /// More detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Init(init::InitArgs),
    Inventory(inventory::InventoryArgs),
    Plan(plan::PlanArgs),
    Deploy(deploy::DeployArgs),
    Status(status::StatusArgs),
    Sync(sync::SyncArgs),
    Daily(daily::DailyArgs),
    Backup(backup::BackupArgs),
    Psql(psql::PsqlArgs),
    Ssh(ssh::SshArgs),
    Sandbox(sandbox::SandboxArgs),
    /// Print a completion script for a shell
    Completions {
        shell: clap_complete::Shell,
    },
    /// The host's side of an exchange (started over SSH)
    #[command(hide = true)]
    Host(host::HostArgs),
}

const EXAMPLES: &str = "\
Examples:
  sepctl init                    write a commented inventory.yaml
  sepctl plan                    what would change, and why
  sepctl deploy                  plan, ask, apply
  sepctl status                  services, database, disk, last backup
  sepctl sync signals.parquet    push signals, each exactly once
  sepctl daily                   train again where it is due, make signals, push them

Exit status: 0 ok, 1 failed, 2 usage, 3 drift found by `plan --check`, 4 rolled back";

/// Runs the program; the result is its exit status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let mut door = Door::standard(cli.global.json, cli.global.verbose);
    match dispatch(cli, &mut door) {
        Ok(()) => 0,
        Err(failure) => door.fail(&failure),
    }
}

fn dispatch(cli: Cli, door: &mut Door) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Init(args) => Ok(init::cmd_init(args, &global.inventory, &mut door.out)?),
        Verb::Inventory(args) => {
            Ok(inventory::cmd_inventory(args, &global.inventory, door.json, &mut door.out, &mut door.talk)?)
        }
        Verb::Sandbox(args) => Ok(sandbox::cmd_sandbox(args, door.json, &mut door.out, &mut door.talk)?),
        Verb::Plan(args) => block_on(plan::cmd_plan(global, args, door)),
        Verb::Deploy(args) => block_on(deploy::cmd_deploy(global, args, door)),
        Verb::Status(args) => block_on(status::cmd_status(global, args, door)),
        Verb::Backup(args) => block_on(backup::cmd_backup(global, args, door)),
        Verb::Sync(args) => block_on(sync::cmd_sync(global, args, door)),
        Verb::Daily(args) => block_on(daily::cmd_daily(global, args, door)),
        Verb::Psql(args) => block_on(psql::cmd_psql(global, args, door)),
        Verb::Ssh(args) => block_on(ssh::cmd_ssh(global, args, door)),
        Verb::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "sepctl", &mut door.out);
            Ok(door.out.flush()?)
        }
        Verb::Host(args) => host::cmd_host(args, door),
    }
}

/// One thread is enough: the work is waiting for a host.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // What is still under way is only waiting for a host that is no longer needed.
    runtime.shutdown_background();
    result
}

impl Global {
    /// The hosts that the command is for: all, or the one named; with the warnings said.
    pub fn hosts(&self, door: &mut Door) -> Result<Vec<Host>, Failure> {
        let inventory = self.read(door)?;
        match &self.host {
            None => Ok(inventory.hosts),
            Some(name) => Ok(vec![inventory.host(name)?.clone()]),
        }
    }

    /// The one host that the command is for.
    pub fn host(&self, door: &mut Door) -> Result<Host, Failure> {
        Ok(self.read(door)?.only(self.host.as_deref())?.clone())
    }

    fn read(&self, door: &mut Door) -> Result<Inventory, Failure> {
        let inventory = crate::inventory::read(&self.inventory)?;
        for warning in &inventory.warnings {
            door.say(&format!("warning: {warning}"));
        }
        Ok(inventory)
    }

    /// The folder that relative paths of the inventory are relative to.
    pub fn folder(&self) -> PathBuf {
        match self.inventory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }
}
