//! What somebody changed by hand on the droplet: the plan names exactly that, the deployment mends it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sepctl::control::Prepared;
use sepctl::facts::Facts;
use serde_json::json;

use crate::deploy::get;
use crate::deployed::{deployed, sql};
use crate::droplet::{Droplet, can_boot};
use crate::workstation::Workstation;

const MOUNT: &str = "/mnt/sep_data";

/// A change made by hand, the resources that the plan must name for it, and what must be so once it is mended.
struct Case {
    hand: &'static str,
    named: &'static [&'static str],
    mended: (&'static str, &'static str),
}

const fn case(
    hand: &'static str,
    named: &'static [&'static str],
    question: &'static str,
    answer: &'static str,
) -> Case {
    Case { hand, named, mended: (question, answer) }
}

const PSQL: &str = "psql() { runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 \"$@\"; }; cd /; ";

/// Files, links, accounts, packages, units, the firewall.
const SYSTEM: &[Case] = &[
    case(
        "echo 'account: other' >> /etc/sep/executor.yaml",
        &["file /etc/sep/executor.yaml", "service sep-executor.service"],
        "grep -c account: /etc/sep/executor.yaml",
        "1",
    ),
    case(
        "chmod 666 /etc/cron.d/sep-backup",
        &["file /etc/cron.d/sep-backup"],
        "stat -c %a /etc/cron.d/sep-backup",
        "644",
    ),
    case(
        "chown sep /etc/cron.d/sep-backup",
        &["file /etc/cron.d/sep-backup"],
        "stat -c %U /etc/cron.d/sep-backup",
        "root",
    ),
    case(
        "ln -sf /dev/null /etc/cron.d/sep-backup",
        &["file /etc/cron.d/sep-backup"],
        "grep -c sep-backup.service /etc/cron.d/sep-backup",
        "1",
    ),
    case(
        "rm /etc/apt/apt.conf.d/52sep-unattended",
        &["file /etc/apt/apt.conf.d/52sep-unattended"],
        "apt-config dump APT::Periodic::Unattended-Upgrade",
        "APT::Periodic::Unattended-Upgrade \"1\";",
    ),
    case(
        "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/10-sep.conf && systemctl reload ssh",
        &["file /etc/ssh/sshd_config.d/10-sep.conf", "service ssh.service"],
        "sshd -T | grep -E '^(passwordauthentication|kbdinteractiveauthentication) '",
        "passwordauthentication no\nkbdinteractiveauthentication no",
    ),
    case(
        "echo '# by hand' >> /etc/systemd/system/sep-retention.timer",
        &["file /etc/systemd/system/sep-retention.timer", "service sep-retention.timer"],
        "systemctl show -p NeedDaemonReload --value sep-retention.timer",
        "no",
    ),
    case(
        "echo 'Nice=19' >> /etc/systemd/system/sep-backup.service && systemctl daemon-reload",
        &["file /etc/systemd/system/sep-backup.service", "service sep-backup.service"],
        "systemctl show -p Nice -p NeedDaemonReload sep-backup.service",
        "Nice=10\nNeedDaemonReload=no",
    ),
    case("systemctl stop nginx", &["service nginx.service"], "systemctl is-active nginx", "active"),
    case(
        "systemctl disable --now cron 2>/dev/null",
        &["service cron.service"],
        "systemctl is-active cron; systemctl is-enabled cron",
        "active\nenabled",
    ),
    case(
        "nft delete table inet sep",
        &["firewall inet sep"],
        "nft list table inet sep | grep -c 'policy drop'",
        "2",
    ),
    case(
        "nft insert rule inet sep input tcp dport 9999 accept",
        &["firewall inet sep"],
        "nft list table inet sep | grep -c 9999 || true",
        "0",
    ),
    case(
        "sed -i 's/policy drop/policy accept/' /etc/sep/firewall.nft",
        &["firewall inet sep"],
        "grep -c 'policy drop' /etc/sep/firewall.nft",
        "2",
    ),
    case(
        "dpkg --remove --force-depends xfsprogs >/dev/null 2>&1; apt-mark unhold postgresql-17 >/dev/null",
        &["packages apt"],
        "command -v mkfs.xfs; apt-mark showhold",
        "/usr/sbin/mkfs.xfs\npostgresql-17\npostgresql-17-timescaledb",
    ),
    case(
        "usermod --shell /bin/bash sep",
        &["user sep"],
        "getent passwd sep | cut -d: -f7",
        "/usr/sbin/nologin",
    ),
    case(
        "ln -sfn /bin/true /opt/sep/bin/sepctl",
        &["link /opt/sep/bin/sepctl"],
        "readlink /opt/sep/bin/sepctl | grep -c /opt/sep/agent/",
        "1",
    ),
    case(
        "rm /opt/sep/bin/sepctl",
        &["link /opt/sep/bin/sepctl"],
        "test -x /opt/sep/bin/sepctl && echo there",
        "there",
    ),
    case(
        "ln -s ../sites-available/default /etc/nginx/sites-enabled/default",
        &["absent /etc/nginx/sites-enabled/default", "service nginx.service"],
        "ls /etc/nginx/sites-enabled",
        "",
    ),
    case(
        "rm /etc/sep/tls/certificate.pem",
        &["certificate /etc/sep/tls/certificate.pem", "service nginx.service"],
        "openssl x509 -noout -checkend 86400 -in /etc/sep/tls/certificate.pem; stat -c '%a' /etc/sep/tls/key.pem",
        "Certificate will not expire\n600",
    ),
    case(
        "chmod 644 /etc/sep/tls/key.pem",
        &["certificate /etc/sep/tls/certificate.pem", "service nginx.service"],
        "stat -c '%a' /etc/sep/tls/key.pem",
        "600",
    ),
    case(
        "mkdir /opt/sep/releases/other && cp /opt/sep/current/sep-executor /opt/sep/releases/other/ && \
         ln -sfn /opt/sep/releases/other /opt/sep/current && systemctl restart sep-executor",
        &["release sep-executor", "service sep-executor.service"],
        "readlink /opt/sep/current /proc/$(systemctl show -p MainPID --value sep-executor)/exe | grep -c other || true",
        "0",
    ),
    case(
        "cd /opt/sep/current && cp sep-executor /tmp/x && echo more >> /tmp/x && mv /tmp/x sep-executor",
        &["release sep-executor", "service sep-executor.service"],
        "cd /opt/sep/current && test $(sha256sum < sep-executor | cut -c1-64) = $(basename $(pwd -P)) && echo whole",
        "whole",
    ),
];

/// The volume, and the database on it.
const DATA: &[Case] = &[
    case(
        "mount -o remount,relatime /mnt/sep_data",
        &["mount /mnt/sep_data"],
        "findmnt -no OPTIONS /mnt/sep_data | grep -c noatime",
        "1",
    ),
    case(
        "systemctl disable mnt-sep_data.mount 2>/dev/null",
        &["mount /mnt/sep_data"],
        "systemctl is-enabled mnt-sep_data.mount",
        "enabled",
    ),
    case(
        "sed -i 's/Options=.*/Options=defaults/' /etc/systemd/system/mnt-sep_data.mount",
        &["mount /mnt/sep_data"],
        "systemctl show -p NeedDaemonReload --value mnt-sep_data.mount; grep -c noatime /etc/systemd/system/mnt-sep_data.mount",
        "no\n1",
    ),
    case(
        "chmod 777 /mnt/sep_data/backups",
        &["directory /mnt/sep_data/backups"],
        "stat -c '%U %a' /mnt/sep_data/backups",
        "postgres 750",
    ),
    case(
        "rmdir /mnt/sep_data/cache",
        &["directory /mnt/sep_data/cache"],
        "stat -c '%U %a' /mnt/sep_data/cache",
        "root 755",
    ),
    case(
        "rm /mnt/sep_data/ballast",
        &["ballast /mnt/sep_data/ballast"],
        "stat -c '%s' /mnt/sep_data/ballast",
        "1000000000",
    ),
    case(
        "psql -c 'alter role sep_sync createdb'",
        &["postgres_role sep_sync"],
        "psql -c \"select rolcreatedb from pg_roles where rolname = 'sep_sync'\"",
        "f",
    ),
    case(
        "psql -c 'alter role sep_readonly reset default_transaction_read_only'",
        &["postgres_role sep_readonly"],
        "psql -c \"select rolconfig from pg_roles where rolname = 'sep_readonly'\"",
        "{default_transaction_read_only=on,statement_timeout=30s}",
    ),
    case(
        "psql -c 'grant pg_write_all_data to sep_sync'",
        &["postgres_role sep_sync"],
        "psql -c \"select pg_has_role('sep_sync', 'pg_write_all_data', 'member')\"",
        "f",
    ),
    case(
        "psql -c 'alter database sep_trading owner to postgres'",
        &["postgres_database sep_trading"],
        "psql -c \"select pg_get_userbyid(datdba) from pg_database where datname = 'sep_trading'\"",
        "sep_owner",
    ),
    case(
        "psql -c 'grant connect, temporary on database sep_rehearsal to public; revoke connect on database sep_rehearsal from sep_sync'",
        &["postgres_database sep_rehearsal"],
        "psql -c \"select has_database_privilege('sep_sync', 'sep_rehearsal', 'connect'), datacl::text like '%{=%' from pg_database where datname = 'sep_rehearsal'\"",
        "t|f",
    ),
    case(
        "psql -c 'drop database sep_rehearsal with (force)'",
        &["postgres_database sep_rehearsal", "schema sep_rehearsal"],
        "psql -d sep_rehearsal -c \"select count(*) > 3, to_regclass('trading_signals') is not null from refinery_schema_history\"",
        "t|t",
    ),
    case(
        "psql -c \"alter system set work_mem = '1GB'\" && psql -c 'select pg_reload_conf()'",
        &["postgres_config 17/sep"],
        "psql -c 'show work_mem'",
        "64MB",
    ),
    case(
        "echo 'work_mem = 1GB' >> /etc/postgresql/17/sep/conf.d/90-sep.conf && systemctl reload postgresql@17-sep",
        &["postgres_config 17/sep"],
        "psql -c 'show work_mem'",
        "64MB",
    ),
    case(
        "echo 'max_connections = 99' >> /etc/postgresql/17/sep/conf.d/90-sep.conf && systemctl restart postgresql@17-sep",
        &["postgres_config 17/sep"],
        "psql -c 'show max_connections'",
        "24",
    ),
    // Nobody gets in any more, the superuser least of all.
    case(
        "echo 'local all all reject' > /etc/postgresql/17/sep/pg_hba.conf && systemctl reload postgresql@17-sep",
        &[
            "postgres_config 17/sep",
            "postgres_role sep_owner",
            "postgres_role sep_executor",
            "postgres_role sep_sync",
            "postgres_role sep_readonly",
            "postgres_role root",
            "postgres_database sep_trading",
            "schema sep_trading",
            "postgres_database sep_rehearsal",
            "schema sep_rehearsal",
        ],
        "psql -c 'select 1'",
        "1",
    ),
    // As a deployment leaves it that ended right after writing the file: it is right, and not read.
    case(
        "cd /etc/postgresql/17/sep && cp -p pg_hba.conf /root/ && echo 'local all all reject' > pg_hba.conf && \
         systemctl reload postgresql@17-sep && until ! psql -c '' 2>/dev/null; do :; done && cp -p /root/pg_hba.conf .",
        &[
            "postgres_config 17/sep",
            "postgres_role sep_owner",
            "postgres_role sep_executor",
            "postgres_role sep_sync",
            "postgres_role sep_readonly",
            "postgres_role root",
            "postgres_database sep_trading",
            "schema sep_trading",
            "postgres_database sep_rehearsal",
            "schema sep_rehearsal",
        ],
        "psql -c 'select 1'",
        "1",
    ),
    case(
        "chmod 666 /etc/postgresql/17/sep/pg_ident.conf",
        &["postgres_config 17/sep"],
        "stat -c '%U %a' /etc/postgresql/17/sep/pg_ident.conf",
        "postgres 640",
    ),
    case(
        "systemctl stop postgresql@17-sep && mv /etc/postgresql/17/sep /root/sep",
        &[
            "postgres_cluster 17/sep",
            "postgres_config 17/sep",
            "service postgresql@17-sep.service",
            "postgres_role sep_owner",
            "postgres_role sep_executor",
            "postgres_role sep_sync",
            "postgres_role sep_readonly",
            "postgres_role root",
            "postgres_database sep_trading",
            "schema sep_trading",
            "postgres_database sep_rehearsal",
            "schema sep_rehearsal",
        ],
        "psql -d sep_trading -c 'select count(*) from accounts'",
        "1",
    ),
    case(
        "systemctl stop sep-executor postgresql@17-sep && umount /mnt/sep_data",
        &[
            "mount /mnt/sep_data",
            "directory /mnt/sep_data/postgresql",
            "directory /mnt/sep_data/backups",
            "directory /mnt/sep_data/cache",
            "ballast /mnt/sep_data/ballast",
            "service postgresql@17-sep.service",
            "postgres_role sep_owner",
            "postgres_role sep_executor",
            "postgres_role sep_sync",
            "postgres_role sep_readonly",
            "postgres_role root",
            "postgres_database sep_trading",
            "schema sep_trading",
            "postgres_database sep_rehearsal",
            "schema sep_rehearsal",
            "service sep-executor.service",
        ],
        "psql -d sep_trading -c 'select count(*) from accounts'",
        "1",
    ),
];

/// Kinds that a test of their own is about: `filesystem` is never mended without a word.
const APART: &[&str] = &["filesystem"];

fn mends(test: &str, label: &str, cases: &[Case]) {
    if !can_boot(test) {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, label);
    let workstation = Workstation::of(&droplet);
    for Case { hand, named, mended: (question, answer) } in cases {
        droplet.told(&format!("{PSQL}{hand}"));
        // Exactly these: whatever the case before had left would be named, too.
        assert_eq!(workstation.plan(), *named, "{hand}");
        let deployed = workstation.mend();
        assert_eq!(deployed.planned, *named, "{hand}");
        assert_eq!(droplet.told(&format!("{PSQL}{question}")), *answer, "{hand}");
    }
    assert_eq!(workstation.plan(), [""; 0]);
    assert_eq!(get(&droplet, "http://DROPLET/api/status", &[]).0, 200);
    let output = workstation.sepctl(&["status"]);
    assert!(output.status.success(), "{}", crate::droplet::said(&output));
}

#[test]
fn the_system_is_mended() {
    mends("the_system_is_mended", "system", SYSTEM);
}

#[test]
fn the_volume_and_the_database_are_mended() {
    mends("the_volume_and_the_database_are_mended", "data", DATA);
}

#[test]
fn every_kind_of_resource_has_a_case() {
    let folder = std::env::temp_dir().join(format!("sepctl-kinds-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("inventory.yaml");
    let executor = Path::new(env!("CARGO_BIN_EXE_sepctl"));
    let inventory = json!({ "hosts": { "one": {
        "ssh": { "address": "203.0.113.10" },
        "volume": { "device": "/dev/disk/by-id/scsi-0DO_Volume_sep-data" },
        "executor": { "binary": executor },
    } } });
    fs::write(&file, inventory.to_string()).unwrap();
    let host = sepctl::inventory::read(&file).unwrap().hosts.remove(0);
    let facts = Facts {
        os: "debian".into(),
        os_version: "13".into(),
        architecture: "x86_64".into(),
        memory: 8 << 30,
        cores: 2,
    };
    let prepared = Prepared::load(&host, &folder);
    fs::remove_dir_all(&folder).unwrap();
    let resources = prepared.unwrap().desired(&host, &facts).unwrap();
    let ids: Vec<String> = resources.iter().map(|resource| resource.kind().id()).collect();
    let kind = |id: &str| id.split(' ').next().unwrap().to_owned();
    let wanted: BTreeSet<String> = ids.iter().map(|id| kind(id)).collect();
    let named = || SYSTEM.iter().chain(DATA).flat_map(|case| case.named);
    let tested: BTreeSet<String> =
        named().map(|id| kind(id)).chain(APART.iter().map(|kind| (*kind).to_owned())).collect();
    assert_eq!(tested, wanted);
    for id in named() {
        assert!(ids.iter().any(|known| known == id), "there is no resource `{id}`");
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id names one resource");
}

#[test]
fn data_is_never_made_up_for_what_is_gone() {
    if !can_boot("data_is_never_made_up_for_what_is_gone") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "gone");
    let workstation = Workstation::of(&droplet);

    // A migration whose content is not the one that was applied: named, and left for people.
    let tamper = "update refinery_schema_history set checksum = '1' where version = 2";
    let checksum =
        sql(&droplet, "sep_trading", "select checksum from refinery_schema_history where version = 2");
    sql(&droplet, "sep_trading", tamper);
    let refused = workstation.refused(&["deploy", "--yes"], 1);
    assert!(refused.contains("schema sep_trading: migration V2__"), "{refused}");
    assert!(refused.contains("an applied migration never changes"), "{refused}");
    assert_eq!(
        sql(&droplet, "sep_trading", "select checksum from refinery_schema_history where version = 2"),
        "1"
    );
    sql(
        &droplet,
        "sep_trading",
        &format!("update refinery_schema_history set checksum = '{checksum}' where version = 2"),
    );
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum) values (99, 'later', '', '1')";
    sql(&droplet, "sep_trading", newer);
    let refused = workstation.refused(&["plan"], 1);
    assert!(refused.contains("has migration V99__later, which this sepctl does not know"), "{refused}");
    sql(&droplet, "sep_trading", "delete from refinery_schema_history where version = 99");
    assert_eq!(workstation.plan(), [""; 0]);

    // An empty volume in place of the one that holds the cluster: it is formatted, for it is empty, and mounted;
    // but no new cluster takes the place of the one whose data is missing.
    let device = "/dev/disk/by-id/scsi-0DO_Volume_sep-data";
    droplet.told(&format!(
        "systemctl stop sep-executor postgresql@17-sep && umount {MOUNT} && wipefs -qa {device}"
    ));
    let named = workstation.plan();
    assert_eq!(named[..2], [format!("filesystem {device}"), format!("mount {MOUNT}")]);
    let deployed = workstation.deploy();
    assert_eq!(deployed.code, Some(1), "{deployed:#?}");
    let failed = deployed.failed.unwrap();
    assert!(failed.contains("postgres_cluster 17/sep"), "{failed}");
    assert!(failed.contains("sepctl makes no new cluster in its place"), "{failed}");
    assert_eq!(droplet.told(&format!("findmnt -no FSTYPE {MOUNT}; ls {MOUNT}/postgresql")), "ext4");
}
