//! The vocabulary of a droplet: one kind of resource a file, each with its shape, its check and its apply.
//!
//! A check looks at the machine, never at a journal of what was done, and changes nothing. It is asked both for
//! the plan, with what lies [`Ahead`], and right before and after the apply. Kinds do not know each other.

mod ballast;
mod certificate;
mod directory;
mod file;
mod filesystem;
mod firewall;
mod link;
mod mount;
mod packages;
mod postgres_cluster;
mod postgres_config;
mod postgres_database;
mod postgres_role;
mod release;
mod schema;
mod service;
mod user;

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use ballast::Ballast;
pub use certificate::Certificate;
pub use directory::Directory;
pub use file::{Absent, File, Text};
pub use filesystem::Filesystem;
pub use firewall::Firewall;
pub use link::Link;
pub use mount::Mount;
pub use packages::Packages;
pub use postgres_cluster::PostgresCluster;
pub use postgres_config::PostgresConfig;
pub use postgres_database::PostgresDatabase;
pub use postgres_role::PostgresRole;
pub use release::{Release, status as api_status};
pub use schema::{Migration, Schema};
pub use service::{Ready, Service};
pub use user::User;

use crate::exchange::Ask;
use crate::machine::{Command, Machine, MachineError};
use crate::plan::Action;

/// What every kind can do.
pub trait Kind {
    /// Kind and name, such as `file /etc/sep/executor.yaml`; unique in a desired state.
    fn id(&self) -> String;

    /// `None`: as desired. An error: cannot be told, so the plan fails rather than taking it for unchanged.
    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError>;

    /// Makes it so. Called only where `check` found something; checked again afterwards.
    fn apply(&self, machine: &Machine, workstation: &mut dyn Workstation) -> Result<(), ApplyError>;

    /// systemd units that `check` will ask for, so that all are read at once.
    fn units(&self) -> Vec<String> {
        Vec::new()
    }

    /// Programs that `check` will ask through [`Machine::probe`], so that all run side by side. They only look.
    fn probes(&self) -> Vec<Command> {
        Vec::new()
    }
}

/// What a check found to be different.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub action: Action,
    pub why: String,
    /// As [`crate::plan::Change::diff`].
    pub diff: Vec<String>,
}

impl Finding {
    /// A finding without a diff.
    pub fn new(action: Action, why: impl Into<String>) -> Self {
        Self { action, why: why.into(), diff: Vec::new() }
    }

    /// With a diff.
    pub fn with(action: Action, why: impl Into<String>, diff: Vec<String>) -> Self {
        Self { action, why: why.into(), diff }
    }
}

/// What the plan will have done, by resource, by the time a resource's turn comes.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<String, Action>);

impl Ahead {
    /// Notes a change.
    pub fn add(&mut self, id: String, action: Action) {
        self.0.insert(id, action);
    }

    /// Whether that resource will have been changed.
    pub fn changes(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Whether a resource of that kind will have been changed.
    pub fn changes_kind(&self, kind: &str) -> bool {
        self.0.keys().any(|id| id.split(' ').next() == Some(kind))
    }

    /// Whether a resource that writes this path will have been changed.
    pub fn writes(&self, path: &str) -> bool {
        self.0.keys().any(|id| id.split_once(' ').is_some_and(|(_, name)| name == path))
    }

    /// Whether a filesystem will have been mounted over this path: what lies there now is not what will be there.
    pub fn mounts_over(&self, path: &str) -> bool {
        self.0.iter().any(|(id, action)| {
            let point = id.strip_prefix("mount ").filter(|_| *action == Action::Create);
            point.is_some_and(|point| Path::new(path).starts_with(point))
        })
    }
}

/// What an apply may ask of the workstation.
pub trait Workstation {
    /// Waits for the workstation to do it.
    fn ask(&mut self, ask: Ask) -> Result<(), MachineError>;
}

/// Why an apply failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The resource was put back to what it was before.
    #[error("{0}")]
    RolledBack(String),
}

/// Any resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Resource {
    Absent(Absent),
    Ballast(Ballast),
    Certificate(Certificate),
    Directory(Directory),
    File(File),
    Filesystem(Filesystem),
    Firewall(Firewall),
    Link(Link),
    Mount(Mount),
    Packages(Packages),
    PostgresCluster(PostgresCluster),
    PostgresConfig(PostgresConfig),
    PostgresDatabase(PostgresDatabase),
    PostgresRole(PostgresRole),
    Release(Release),
    Schema(Schema),
    Service(Service),
    User(User),
}

impl Resource {
    /// Whether a secret stands in it.
    pub fn is_sensitive(&self) -> bool {
        matches!(self, Self::File(file) if file.content.is_sensitive())
    }

    /// The kind behind it.
    pub fn kind(&self) -> &dyn Kind {
        match self {
            Self::Absent(r) => r,
            Self::Ballast(r) => r,
            Self::Certificate(r) => r,
            Self::Directory(r) => r,
            Self::File(r) => r,
            Self::Filesystem(r) => r,
            Self::Firewall(r) => r,
            Self::Link(r) => r,
            Self::Mount(r) => r,
            Self::Packages(r) => r,
            Self::PostgresCluster(r) => r,
            Self::PostgresConfig(r) => r,
            Self::PostgresDatabase(r) => r,
            Self::PostgresRole(r) => r,
            Self::Release(r) => r,
            Self::Schema(r) => r,
            Self::Service(r) => r,
            Self::User(r) => r,
        }
    }
}

macro_rules! into_resource {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Resource {
            fn from(resource: $kind) -> Self {
                Self::$kind(resource)
            }
        }
    )*};
}

into_resource!(
    Absent,
    Ballast,
    Certificate,
    Directory,
    File,
    Filesystem,
    Firewall,
    Link,
    Mount,
    Packages,
    PostgresCluster,
    PostgresConfig,
    PostgresDatabase,
    PostgresRole,
    Release,
    Schema,
    Service,
    User
);
