//! Whether the values of resolved hosts make sense, alone and together.
//!
//! Pure, and knows nothing of the machine: what only the droplet can tell (is this device the root disk?)
//! is checked there.

mod database;
mod ports;
mod storage;

use super::findings::Findings;
use super::model::Host;
use super::network::{check_address, check_host_key, check_network};
use super::problem::Problem;
use crate::inventory::cron;

/// Names go into file names, unit names, rows and messages.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// The nearest thing to `text` that is a name, if there is one.
pub(super) fn name_from(text: &str) -> Option<String> {
    let name: String = text
        .trim()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .take(63)
        .collect();
    is_name(name.trim_matches('-')).then(|| name.trim_matches('-').to_owned())
}

/// Checks one host by itself.
pub(super) fn host(host: &Host, findings: &mut Findings<'_>) {
    ssh(host, findings);
    hardware(host, findings);
    ports::check(host, findings);
    storage::check(host, findings);
    database::check(host, findings);
    if let Err(why) = cron::check(&host.backup.schedule) {
        let found = host.backup.schedule.clone();
        findings.refuse("backup.schedule", Problem::Schedule { found, why });
    }
    if host.backup.keep == 0 {
        let expected = "at least 1: the newest verified set is never deleted";
        findings.refuse("backup.keep", Problem::Range { found: "0".to_owned(), expected });
    }
    name("executor.account", &host.executor.account, findings);
    for credential in host.executor.credentials.keys() {
        name(&format!("executor.credentials.{credential}"), credential, findings);
    }
}

/// Checks all hosts against one another.
pub(super) fn together(hosts: &[Host], findings: &mut Findings<'_>) {
    for (index, host) in hosts.iter().enumerate() {
        let same = |other: &&Host| {
            other.ssh.port == host.ssh.port && other.ssh.address.eq_ignore_ascii_case(&host.ssh.address)
        };
        if host.ssh.address.is_empty() {
            continue;
        }
        if let Some(other) = hosts[..index].iter().find(same) {
            findings.examine(&host.name);
            findings.refuse("ssh.address", Problem::SameAddress { other: other.name.clone() });
        }
    }
}

fn name(key: &str, found: &str, findings: &mut Findings<'_>) {
    if !is_name(found) {
        let problem = Problem::Name { found: found.to_owned(), suggestion: name_from(found) };
        findings.refuse(key, problem);
    }
}

fn ssh(host: &Host, findings: &mut Findings<'_>) {
    let ssh = &host.ssh;
    if !ssh.address.is_empty()
        && let Err(remedy) = check_address(&ssh.address)
    {
        findings.refuse("ssh.address", Problem::Address { found: ssh.address.clone(), remedy });
    }
    let first = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let rest = |b: u8| first(b) || b.is_ascii_digit() || b == b'-' || b == b'.';
    let user = ssh.user.as_bytes();
    if !(user.first().copied().is_some_and(first) && user.len() <= 32 && user.iter().copied().all(rest)) {
        let expected = "the name of a unix user, such as root";
        findings.refuse("ssh.user", Problem::Range { found: format!("`{}`", ssh.user), expected });
    }
    if let Some(Err(why)) = ssh.host_key.as_deref().map(check_host_key) {
        findings.refuse("ssh.host_key", Problem::HostKey(why));
    }
    for (index, network) in host.firewall.ssh_from.iter().enumerate() {
        if let Err(why) = check_network(network) {
            let problem = Problem::Network { found: network.clone(), why };
            findings.refuse(&format!("firewall.ssh_from[{index}]"), problem);
        }
    }
    if !(1..=10_000).contains(&host.firewall.ssh_rate) {
        let expected = "1 to 10000 new connections a minute";
        let found = host.firewall.ssh_rate.to_string();
        findings.refuse("firewall.ssh_rate", Problem::Range { found, expected });
    }
}

/// The least memory that the database, the executor and the system run in.
const LEAST_MEMORY: u64 = 900 * crate::tuning::memory::MIB;

fn hardware(host: &Host, findings: &mut Findings<'_>) {
    if let Some(memory) = host.hardware.memory.filter(|&memory| memory < LEAST_MEMORY) {
        let found = super::units::about_size(memory);
        findings.refuse("hardware.memory", Problem::Range { found, expected: "at least 1GB" });
    }
    if let Some(cores) = host.hardware.cores.filter(|cores| !(1..=1024).contains(cores)) {
        let problem = Problem::Range { found: cores.to_string(), expected: "1 to 1024 cores" };
        findings.refuse("hardware.cores", problem);
    }
}
