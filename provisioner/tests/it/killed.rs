//! Deployments that end in the middle: the next one makes good whatever they left.

use crate::deployed::deployed;
use crate::droplet::{Droplet, can_boot};
use crate::workstation::Workstation;

#[test]
fn a_deployment_killed_anywhere_is_made_good_by_the_next() {
    if !can_boot("a_deployment_killed_anywhere_is_made_good_by_the_next") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "killed");
    let workstation = Workstation::of(&droplet);
    let killed = |place: &str| {
        droplet.set_failpoint(place);
        let deployed = workstation.deploy();
        droplet.clear_failpoint();
        assert_eq!(deployed.code, Some(1), "{place}: {deployed:#?}");
        let failed = deployed.failed.clone().unwrap();
        assert!(failed.contains("the host's side ended"), "{place}: {failed}");
        assert!(failed.contains(&format!("failpoint {place} hit")), "{place}: {failed}");
        deployed
    };
    let service = ["service sep-executor.service"];
    let both = ["file /etc/sep/executor.yaml", service[0]];

    // Before anything was done, nothing is; the lock is free again.
    droplet.told("echo 'account: other' >> /etc/sep/executor.yaml");
    for place in ["host-locked", "host-before-apply"] {
        assert_eq!(killed(place).applied, 0);
        assert_eq!(workstation.plan(), both, "{place}");
    }
    // The file is right, and the service runs with the old one: this is seen, though nobody changes the file now.
    killed("host-after-apply");
    assert_eq!(workstation.plan(), service);
    let pid = "systemctl show -p MainPID --value sep-executor.service";
    let before = droplet.told(pid);
    assert_eq!(workstation.mend().applied, 1);
    assert_ne!(droplet.told(pid), before);
    assert_eq!(workstation.plan(), [""; 0]);

    // The server's files are right, and it has read the old ones.
    let connections = "runuser -u postgres -- psql -XAtqc";
    droplet.told("sed -i 's/^work_mem.*/work_mem = 1MB/' /etc/postgresql/17/sep/conf.d/90-sep.conf && systemctl reload postgresql@17-sep");
    killed("host-postgres-files-written");
    assert_eq!(droplet.told(&format!("{connections} 'show work_mem'")), "1MB");
    assert_eq!(workstation.plan(), ["postgres_config 17/sep"]);
    workstation.mend();
    assert_eq!(droplet.told(&format!("{connections} 'show work_mem'")), "64MB");

    // `current` is the new release, and the old one still runs.
    let switch = "mkdir -p /opt/sep/releases/other && cp /opt/sep/current/sep-executor /opt/sep/releases/other/ && \
                  ln -sfn /opt/sep/releases/other /opt/sep/current && systemctl restart sep-executor";
    droplet.told(switch);
    killed("host-release-linked");
    let exe = "readlink /proc/$(systemctl show -p MainPID --value sep-executor)/exe";
    assert_eq!(droplet.told(exe), "/opt/sep/releases/other/sep-executor");
    assert_eq!(workstation.plan(), ["release sep-executor", service[0]]);
    workstation.mend();
    assert!(!droplet.told(exe).contains("other"));
    assert_eq!(workstation.plan(), [""; 0]);

    // Killed after each single step, again and again: each run gets one step further.
    droplet.told(
        "rm /etc/cron.d/sep-backup /opt/sep/bin/sepctl /mnt/sep_data/ballast && chmod 777 /mnt/sep_data/backups && \
         usermod --shell /bin/bash sep && nft delete table inet sep && \
         runuser -u postgres -- psql -XAtqc 'alter role sep_sync createdb'",
    );
    let mut left = workstation.plan();
    assert_eq!(left.len(), 7, "{left:?}");
    while !left.is_empty() {
        killed("host-after-apply");
        left.remove(0);
        assert_eq!(workstation.plan(), left);
    }
}
