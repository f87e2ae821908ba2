//! `sepctl deploy` on real droplets: what it changes, what it leaves alone, and what a reboot leaves of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployed::{deployed, sql};
use crate::droplet::{Droplet, can_boot, said, wait_until};
use crate::workstation::Workstation;

/// Status code and body of a plain request to the droplet from outside, by curl.
pub fn get(droplet: &Droplet, url: &str, options: &[&str]) -> (u16, String) {
    let url = url.replace("DROPLET", &droplet.address);
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "10", "--write-out", "\n%{http_code}"])
        .args(options)
        .arg(url)
        .output()
        .expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, code) = text.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

/// The release that answers on /api/status, as seen from outside.
fn serving(droplet: &Droplet) -> String {
    let (code, body) = get(droplet, "http://DROPLET/api/status", &[]);
    assert_eq!(code, 200, "{body}");
    let status: Value = serde_json::from_str(&body).unwrap();
    status["release"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[test]
fn the_second_deployment_changes_nothing() {
    if !can_boot("the_second_deployment_changes_nothing") {
        return;
    }
    let base = deployed();
    let workstation = Workstation::of(&base);
    let journal =
        "wc -l < /var/lib/sep/journal.jsonl; stat -c '%n %Y' /etc/sep/* /etc/cron.d/* /etc/nginx/conf.d/*";
    let before = base.told(journal);
    let second = workstation.deploy();
    assert_eq!((second.code, second.applied, second.failed.as_deref()), (Some(0), 0, None), "{second:#?}");
    assert_eq!(second.planned, [""; 0]);
    assert_eq!(workstation.plan(), [""; 0]);
    let output = workstation.sepctl(&["deploy"]);
    assert!(output.status.success(), "nothing to do needs no consent: {}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains(": nothing to do, "), "{}", said(&output));
    assert_eq!(base.told(journal), before);
    // A change is asked for, and without a terminal nobody can answer.
    let changed = Workstation::of(&base).set("backup.keep", json!(9));
    let output = changed.sepctl(&["deploy"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no terminal to ask for consent on"), "{}", said(&output));
    assert_eq!(base.told(journal), before);
}

/// A line of the inventory, what it must change, and what is then so on the droplet.
struct Line {
    key: &'static str,
    value: Value,
    resources: &'static [&'static str],
    shows: (&'static str, &'static str),
}

fn line(
    key: &'static str,
    value: Value,
    resources: &'static [&'static str],
    shows: (&'static str, &'static str),
) -> Line {
    Line { key, value, resources, shows }
}

#[test]
fn a_line_of_the_inventory_changes_exactly_what_it_is_about() {
    if !can_boot("a_line_of_the_inventory_changes_exactly_what_it_is_about") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "lines");
    let psql = "runuser -u postgres -- psql -XAtqc";
    let started = || sql(&droplet, "postgres", "select pg_postmaster_start_time()");
    let lines = [
        line(
            "postgres.settings.work_mem",
            json!("48MB"),
            &["postgres_config 17/sep"],
            ("'show work_mem'", "48MB"),
        ),
        line(
            "postgres.max_connections",
            json!(30),
            &["postgres_config 17/sep"],
            ("'show max_connections'", "30"),
        ),
        line(
            "backup.schedule",
            json!("30 3 * * 1"),
            &["file /etc/cron.d/sep-backup"],
            ("grep -c '^30 3 \\* \\* 1 root' /etc/cron.d/sep-backup", "1"),
        ),
        line(
            "backup.keep",
            json!(3),
            &["file /etc/systemd/system/sep-backup.service", "service sep-backup.service"],
            (
                "systemctl show -p ExecStart -p NeedDaemonReload sep-backup.service | grep -oE '(keep 3|Reload=no)'",
                "keep 3\nReload=no",
            ),
        ),
        line(
            "retention.system_logs",
            json!("30d"),
            &["file /etc/systemd/system/sep-retention.service", "service sep-retention.service"],
            ("systemctl show -p ExecStart sep-retention.service | grep -c '1095, 30)'", "2"),
        ),
        line(
            "budgets.logs",
            json!("2GB"),
            &["file /etc/systemd/journald.conf.d/sep.conf", "service systemd-journald.service"],
            ("systemd-analyze cat-config systemd/journald.conf | grep -c '^SystemMaxUse=1907M'", "1"),
        ),
        line(
            "executor.account",
            json!("second"),
            &["file /etc/sep/executor.yaml", "service sep-executor.service"],
            (
                "journalctl -o cat -u sep-executor | tail -n 50 | grep -c 'starts: mode observe, account second'",
                "1",
            ),
        ),
        line(
            "firewall.open",
            json!([22, 80, 443, 8080]),
            &["firewall inet sep"],
            ("nft list chain inet sep input | grep -c 'dport { 22, 80, 443, 8080 } accept'", "1"),
        ),
        line(
            "nginx.extra_port",
            json!(8080),
            &["file /etc/nginx/conf.d/sep.conf", "service nginx.service"],
            ("ss -Htln sport = :8080 | grep -c 0.0.0.0:8080", "1"),
        ),
    ];
    let mut workstation = Workstation::of(&droplet);
    assert_eq!(workstation.plan(), [""; 0], "a copy is as its origin is");
    sql(&droplet, "sep_trading", "insert into accounts values ('second', 'oanda')");
    let copied = "select 'second', key, value from system_config where account = 'primary'";
    sql(&droplet, "sep_trading", &format!("insert into system_config (account, key, value) {copied}"));
    for Line { key, value, resources, shows } in lines {
        let before = started();
        workstation = workstation.set(key, value);
        let deployed = workstation.mend();
        assert_eq!(deployed.planned, resources, "{key}");
        assert!(deployed.applied <= resources.len(), "{key}: {deployed:#?}");
        let (question, answer) = shows;
        let question =
            if question.starts_with("'show") { format!("{psql} {question}") } else { question.to_owned() };
        assert_eq!(droplet.told(&question), answer, "{key}");
        // Only what a reload cannot bring restarts the server.
        assert_eq!(started() != before, key == "postgres.max_connections", "{key}");
    }
    assert_eq!(workstation.plan(), [""; 0]);
    assert_eq!(get(&droplet, "http://DROPLET:8080/api/status", &[]).0, 200);
}

#[test]
fn a_user_with_sudo_deploys_as_root_does() {
    if !can_boot("a_user_with_sudo_deploys_as_root_does") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "sudo");
    // Nothing of ours is there yet for this user to run, and the release has to come once more.
    droplet.told("rm -r /opt/sep/agent && rm -r /opt/sep/releases/* /var/lib/sep/incoming");
    let root = Workstation::of(&droplet);
    let admin = Workstation::of(&droplet).set("ssh.user", json!("admin"));
    let own = ["file /etc/ssh/sshd_config.d/10-sep.conf", "service ssh.service", "postgres_config 17/sep"];
    let deployed = admin.mend();
    let expected: Vec<&str> =
        own.into_iter().chain(["release sep-executor", "service sep-executor.service"]).collect();
    assert_eq!(deployed.planned, expected);
    let second = admin.deploy();
    assert_eq!((second.code, second.applied), (Some(0), 0), "{second:#?}");
    assert_eq!(
        droplet.told("stat -c '%U %a' /opt/sep/agent /opt/sep/current/sep-executor"),
        "root 755\nroot 755"
    );
    let output = admin.sepctl(&["status", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    // Whoever deploys by sudo has shut the door for root's own logins.
    assert!(!droplet.ssh("true").status.success());
    let refused = root_is_refused(&droplet);
    assert!(refused.contains("user `root` was not let in"), "{refused}");
    drop(root);
}

fn root_is_refused(droplet: &Droplet) -> String {
    Workstation::of(droplet).set("ssh.user", json!("root")).refused(&["plan"], 1)
}

#[test]
fn everything_is_back_after_a_reboot() {
    if !can_boot("everything_is_back_after_a_reboot") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "reboot");
    let workstation = Workstation::of(&droplet);
    sql(&droplet, "sep_trading", "update system_config set updated_at = updated_at");
    for how in ["reboot", "cut-power"] {
        droplet.told("touch /run/this-boot");
        droplet.verb(how);
        assert_eq!(droplet.told("test -e /run/this-boot || echo another"), "another", "{how}");
        let well = || workstation.sepctl(&["status", "--json"]);
        wait_until("a droplet that is well", Duration::from_secs(60), || well().status.success());
        let status: Value = serde_json::from_slice(&well().stdout).unwrap();
        assert_eq!(status["hosts"][0]["well"], true, "{how}: {status}");
        assert_eq!(droplet.told("findmnt -no SOURCE,FSTYPE /mnt/sep_data"), "/dev/sda ext4", "{how}");
        assert!(droplet.told("nft list table inet sep").contains("policy drop"), "{how}");
        assert_eq!(get(&droplet, "http://DROPLET/api/status", &[]).0, 200, "{how}");
        assert_eq!(workstation.plan(), [""; 0], "{how}");
        let second = workstation.deploy();
        assert_eq!((second.code, second.applied), (Some(0), 0), "{how}: {second:#?}");
    }
}

/// A file beside the inventory, as an executor to be released.
fn program(workstation: &Workstation, name: &str, bytes: &[u8]) -> PathBuf {
    let path = workstation.inventory.with_file_name(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_release_is_switched_when_it_works_and_not_otherwise() {
    if !can_boot("a_release_is_switched_when_it_works_and_not_otherwise") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "release");
    let workstation = Workstation::of(&droplet);
    let first = serving(&droplet);

    // What follows the last section of an ELF file is nobody's business but the hash's.
    let built = PathBuf::from(env!("CARGO_BIN_EXE_sepctl")).with_file_name("sep-executor");
    let mut bytes = fs::read(built).unwrap();
    bytes.extend([0; 64]);
    let path = program(&workstation, "second", &bytes);
    let workstation = workstation.set("executor.binary", json!(path));
    let deployed = workstation.mend();
    assert_eq!(deployed.planned, ["release sep-executor", "service sep-executor.service"]);
    let second = sepctl::hash::sha256(&bytes);
    assert_ne!(first, second);
    assert_eq!(serving(&droplet), second);
    assert_eq!(workstation.plan(), [""; 0]);

    // Refused by its own check, before anything is switched; then one that says it could run and cannot.
    let ends = "#!/bin/sh\n[ \"$1\" = check ] && exit 0\necho 'no broker today' >&2\nexit 1\n";
    let broken: [(&str, Vec<u8>, i32, &str); 3] = [
        (
            "false",
            fs::read("/bin/false").unwrap(),
            1,
            "sep-executor check --config /etc/sep/executor.yaml` ended with status 1",
        ),
        (
            "no-program",
            b"not a program\n".to_vec(),
            1,
            "sep-executor check --config /etc/sep/executor.yaml` ended with status",
        ),
        ("ends", ends.into(), 4, "did not become healthy and the one before runs again"),
    ];
    let pid = "systemctl show -p MainPID --value sep-executor.service";
    let mut workstation = workstation;
    for (name, bytes, code, message) in broken {
        let before = droplet.told(pid);
        let path = program(&workstation, name, &bytes);
        workstation = workstation.set("executor.binary", json!(path));
        let deployed = workstation.deploy();
        assert_eq!(deployed.code, Some(code), "{name}: {deployed:#?}");
        assert_eq!(deployed.applied, 0, "{name}");
        assert!(deployed.failed.as_deref().unwrap().contains(message), "{name}: {deployed:#?}");
        let heading = if code == 4 { "rolled back: " } else { "error: " };
        assert!(deployed.stderr.contains(heading), "{name}: {deployed:#?}");
        assert_eq!(serving(&droplet), second, "{name}");
        assert_eq!(droplet.told("basename $(readlink /opt/sep/current)"), second, "{name}");
        assert_eq!(droplet.told(pid) == before, code == 1, "{name}: what was not switched was not restarted");
    }
    let workstation = workstation.set("executor.binary", json!(path));
    assert_eq!(workstation.plan(), [""; 0], "a failed release leaves no drift behind");
}
