//! What cannot or must not be done: one clear message, the right exit code, nothing touched.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployed::{deployed, sql};
use crate::droplet::{Droplet, can_boot, said, wait_until};
use crate::workstation::{Deployed, Workstation};

pub const VOLUME: &str = "/dev/disk/by-id/scsi-0DO_Volume_sep-data";

/// The one message of a refused command, without the droplet's name.
fn message(output: &Output, droplet: &Droplet) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(output.stdout.is_empty(), "{}", said(output));
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.matches("error: ").count(), 1, "one message: {text}");
    assert!(text.starts_with("error: "), "{text}");
    text.replace(&droplet.name, "HOST").trim_end().to_owned()
}

/// Without the plan that was shown before the refusal.
fn after_plan(mut output: Output) -> Output {
    assert!(!output.stdout.is_empty(), "{}", said(&output));
    output.stdout.clear();
    output
}

/// Both verbs say the same; the message of one.
pub fn refusal(workstation: &Workstation, droplet: &Droplet) -> String {
    let planned = message(&workstation.sepctl(&["plan"]), droplet);
    let deployed = message(&workstation.sepctl(&["deploy", "--yes"]), droplet);
    assert_eq!(planned, deployed);
    planned
}

/// A new key pair beside the inventory: the private key's path, and the public line without its comment.
fn key(workstation: &Workstation, kind: &str) -> (PathBuf, String) {
    let path = workstation.inventory.with_file_name(format!("key-{kind}"));
    let output =
        Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let line = fs::read_to_string(path.with_extension("pub")).unwrap();
    let line = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    (path, line)
}

fn fingerprint(public: &str) -> String {
    let mut child = Command::new("ssh-keygen")
        .args(["-l", "-f", "/dev/stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), public.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn only_the_right_host_and_the_right_user() {
    if !can_boot("only_the_right_host_and_the_right_user") {
        return;
    }
    let base = Droplet::from(&deployed(), "keys");
    // sshd would hang up on us after the first failed logins.
    base.told("echo 'PerSourcePenalties no' > /etc/ssh/sshd_config.d/99-test.conf && systemctl reload ssh");
    let workstation = || Workstation::of(&base);
    let own = fs::read_to_string(&base.known_hosts).unwrap();
    let own = own.split_once(' ').unwrap().1.trim();
    let (other, other_line) = key(&workstation(), "ed25519");
    let (found, expected) = (fingerprint(own), fingerprint(&other_line));
    let rebuilt = "do this: if you have rebuilt the host, take its new fingerprint from its console and replace the old entry";
    let somebody = "error: HOST: THE HOST KEY IS NOT THE EXPECTED ONE; somebody may be listening in";
    for policy in [&other_line, &expected] {
        assert_eq!(
            refusal(&workstation().set("ssh.host_key", json!(policy)), &base),
            format!(
                "{somebody}\n  found     {found}\n  expected  {expected} (ssh.host_key of the inventory)\n{rebuilt}"
            )
        );
    }
    let list = |text: String| {
        let path = base.inventory.with_file_name("known");
        fs::write(&path, text).unwrap();
        let own = workstation().set("ssh.host_key", Value::Null).set("ssh.known_hosts", json!(path));
        (refusal(&own, &base), path)
    };
    let address = &base.address;
    let (told, path) = list(format!("{address} {other_line}\n"));
    let path = path.display();
    assert_eq!(
        told,
        format!("{somebody}\n  found     {found}\n  expected  {expected} ({path}:1)\n{rebuilt}")
            .replace(&base.name, "HOST")
    );
    let (told, _) = list(format!("10.213.255.254 {own}\n"));
    let add = format!(
        "put\n    host_key: \"{found}\"\n  under `ssh:` in the inventory, or add this line to {path}:\n    {address} {own}"
    );
    assert_eq!(
        told,
        format!(
            "error: HOST: the host key is unknown\n  found     {found}\n  expected  an entry in {path}\n\
             do this: compare the fingerprint with the one on the host's console, then either {add}"
        )
        .replace(&base.name, "HOST")
    );
    let (told, _) = list(format!("{address} {own}\n@revoked {address} {own}\n"));
    assert_eq!(
        told,
        format!("error: HOST: the host key is marked as revoked in {path}").replace(&base.name, "HOST")
    );

    let identity = base.identity.display();
    assert_eq!(
        refusal(&workstation().set("ssh.user", json!("somebody")), &base),
        format!(
            "error: HOST: user `somebody` was not let in; tried {identity}\n\
             do this: put the public key into ~somebody/.ssh/authorized_keys on the host, or name another key as `ssh.identity`"
        )
        .replace(&base.name, "HOST")
    );
    let told = refusal(&workstation().set("ssh.identity", json!(other)), &base);
    assert!(
        told.starts_with(
            &format!("error: HOST: user `root` was not let in; tried {}", other.display())
                .replace(&base.name, "HOST")
        ),
        "{told}"
    );
    let told = refusal(&workstation().set("ssh.identity", json!("/nowhere/key")), &base);
    assert!(told.starts_with("error: cannot use the private key /nowhere/key: "), "{told}");
    assert!(told.contains("do this: give a readable, unencrypted OpenSSH key file"), "{told}");
    // No agent, and a home without keys.
    let keyless = workstation().set("ssh.identity", Value::Null);
    let output = keyless.command(&["plan"]).env("HOME", "/nonexistent").output().unwrap();
    let told = message(&output, &base);
    assert!(told.starts_with("error: HOST: no key to offer: "), "{told}");
    assert!(told.contains("do this: name a private key as `ssh.identity`"), "{told}");

    assert_eq!(workstation().plan(), [""; 0]);
}

#[test]
fn hosts_that_do_not_answer() {
    if !can_boot("hosts_that_do_not_answer") {
        return;
    }
    let base = deployed();
    let at = |port: u16| {
        Workstation::of(&base)
            .set("ssh.address", json!("127.0.0.1"))
            .set("ssh.port", json!(port))
            .set("firewall.open", json!([port, 80, 443]))
    };
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();

    // One that accepts and then says nothing; looked at again at the end.
    let silent = listen();
    let hanging = at(port(&silent));
    let waiting = hanging.spawn(&["plan"]);

    let gone = listen();
    let closed = port(&gone);
    drop(gone);
    assert_eq!(
        refusal(&at(closed), &base),
        format!(
            "error: cannot connect to 127.0.0.1:{closed}: Connection refused (os error 111)\n\
             do this: is sshd running there, and is `ssh.port` of the inventory its port?"
        )
    );

    // How the end of a connection looks depends on what was under way.
    let broken = |port: u16| {
        for verb in [&["plan"][..], &["deploy", "--yes"]] {
            let told = message(&at(port).sepctl(verb), &base);
            assert!(told.starts_with("error: HOST: the connection broke while agreeing on keys: "), "{told}");
            assert!(told.contains("do this: is `ssh.port` of the inventory an SSH server's?"), "{told}");
        }
    };
    let rude = listen();
    let rude_port = port(&rude);
    let hanging_up = std::thread::spawn(move || (0..2).for_each(|_| drop(rude.accept().unwrap())));
    broken(rude_port);
    hanging_up.join().unwrap();

    let other = listen();
    let other_port = port(&other);
    let speaking = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = other.accept().unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.0 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    broken(other_port);
    speaking.join().unwrap();

    let output = waiting.wait_with_output().unwrap();
    assert_eq!(
        message(&output, &base),
        format!(
            "error: HOST: no answer within 15 s while waiting for the SSH handshake (127.0.0.1:{})\n\
             do this: the host accepted the connection but does not answer; look at its console",
            port(&silent)
        )
    );
}

#[test]
fn hosts_that_sepctl_is_not_for() {
    if !can_boot("hosts_that_sepctl_is_not_for") {
        return;
    }
    let droplet = Droplet::up("unfit");
    let workstation = || Workstation::of(&droplet);
    let traces = "ls -d /opt/sep /var/lib/sep /etc/sep /tmp/tmp.* 2>/dev/null; true";

    droplet.told(
        "useradd --create-home plain && cp -r /root/.ssh /home/plain/ && chown -R plain: /home/plain/.ssh",
    );
    let plain = workstation().set("ssh.user", json!("plain"));
    let not_root = "error: HOST: the SSH user may not become root without a password\n\
                    do this: let `ssh.user` be root, or give the user a line in sudoers: NAME ALL=(ALL) NOPASSWD: ALL";
    assert_eq!(refusal(&plain, &droplet), not_root);

    droplet.told("cp /etc/os-release /root/ && sed -i 's/^ID=.*/ID=ubuntu/; s/^VERSION_ID=.*/VERSION_ID=\"24.04\"/' /etc/os-release");
    let ubuntu = "error: HOST: found ubuntu 24.04, expected Debian 13, whose archive holds PostgreSQL 17 and TimescaleDB\n\
                  do this: create the droplet from the Debian 13 image";
    assert_eq!(refusal(&workstation(), &droplet), ubuntu);
    droplet.told("cat /root/os-release > /etc/os-release");

    droplet.told("mount -t tmpfs -o size=100M none /opt");
    assert_eq!(
        refusal(&workstation(), &droplet),
        "error: HOST: found 100 MiB free on the system disk, expected at least 1024 MiB\n\
         do this: free some space: `apt-get clean` and `journalctl --vacuum-size=500M` often help"
    );
    droplet.told("umount /opt");
    assert_eq!(droplet.told(traces), "", "nothing was left on a host that was refused");

    let missing = workstation().set("volume.device", json!("/dev/disk/by-id/scsi-0DO_Volume_other"));
    assert_eq!(
        refusal(&missing, &droplet),
        format!(
            "error: HOST: filesystem /dev/disk/by-id/scsi-0DO_Volume_other: there is no device \
             /dev/disk/by-id/scsi-0DO_Volume_other; found: {VOLUME}; attach the volume, or correct `volume.device` in the inventory"
        )
    );
    // The same once sepctl is there.
    assert_eq!(droplet.told(traces), "/opt/sep");
    assert_eq!(refusal(&plain, &droplet), not_root);
    droplet.told("sed -i 's/^ID=.*/ID=ubuntu/; s/^VERSION_ID=.*/VERSION_ID=\"24.04\"/' /etc/os-release");
    assert_eq!(refusal(&workstation(), &droplet), ubuntu);
    assert_eq!(droplet.told(traces), "/opt/sep");
}

#[test]
fn one_deployment_at_a_time_and_only_what_was_shown() {
    if !can_boot("one_deployment_at_a_time_and_only_what_was_shown") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "two");
    let workstation = Workstation::of(&droplet);
    // Starts a deployment that has the lock and waits there.
    let held = || {
        droplet.set_failpoint("hold host-locked");
        let first = workstation.spawn(&["deploy", "--yes", "--json"]);
        let marked = || droplet.told("cat /run/sepctl-failpoint") == "held host-locked";
        wait_until("the lock", Duration::from_secs(30), marked);
        first
    };
    let drift = "chmod 600 /etc/cron.d/sep-backup";
    let cron = ["file /etc/cron.d/sep-backup"];

    droplet.told(drift);
    let first = held();
    let holder = format!(", sepctl {}, process {}, since 20", env!("CARGO_PKG_VERSION"), first.id());
    let told = message(&after_plan(workstation.sepctl(&["deploy", "--yes"])), &droplet);
    assert!(told.starts_with("error: HOST: another deployment is under way: "), "{told}");
    assert!(told.contains(&holder), "{told}");
    assert!(
        told.ends_with(
            "do this: wait for it; the lock is free as soon as that process ends, in whatever way"
        ),
        "{told}"
    );
    assert_eq!(workstation.plan(), cron, "a plan takes no lock");
    droplet.clear_failpoint();
    let first = Deployed::of(&first.wait_with_output().unwrap());
    assert_eq!((first.code, first.applied), (Some(0), 1), "{first:#?}");
    assert_eq!(workstation.plan(), [""; 0]);

    // Changed by hand between the plan and the go.
    droplet.told(drift);
    let first = held();
    droplet.told("chmod 777 /mnt/sep_data/backups");
    droplet.clear_failpoint();
    let first = Deployed::of(&first.wait_with_output().unwrap());
    assert_eq!((first.code, first.applied, &first.planned[..]), (Some(1), 0, &cron.map(str::to_owned)[..]));
    assert_eq!(
        first.stderr.replace(&droplet.name, "HOST"),
        "error: HOST: the host is no longer as the plan that was shown; it would now change: directory /mnt/sep_data/backups, \
         file /etc/cron.d/sep-backup\ndo this: nothing was applied; look at a new plan and decide again\n"
    );
    assert_eq!(workstation.plan(), ["directory /mnt/sep_data/backups", cron[0]]);

    // Somebody else has mended it meanwhile: that, too, is another plan.
    let first = held();
    droplet.told("chmod 750 /mnt/sep_data/backups; chmod 644 /etc/cron.d/sep-backup");
    droplet.clear_failpoint();
    let first = Deployed::of(&first.wait_with_output().unwrap());
    assert!(first.stderr.contains("it would now change: nothing"), "{first:#?}");
    assert_eq!((first.code, workstation.plan()), (Some(1), vec![]));
}

#[test]
fn what_cannot_be_made_right_is_named() {
    if !can_boot("what_cannot_be_made_right_is_named") {
        return;
    }
    let base = deployed();
    let droplet = Droplet::from(&base, "wrong");
    let workstation = || Workstation::of(&droplet);
    let cases = [
        (
            "systemctl stop cron && systemctl mask cron 2>/dev/null",
            "service cron.service: cron.service is masked on the host, expected it to run; run `systemctl unmask cron.service` there",
            "systemctl unmask cron 2>/dev/null && systemctl start cron",
        ),
        (
            "mv /etc/sep/executor.yaml /root/ && mkdir /etc/sep/executor.yaml",
            "file /etc/sep/executor.yaml: found a directory at /etc/sep/executor.yaml, expected a file; move it away",
            "rmdir /etc/sep/executor.yaml && mv /root/executor.yaml /etc/sep/",
        ),
        (
            "rmdir /mnt/sep_data/cache && touch /mnt/sep_data/cache",
            "directory /mnt/sep_data/cache: found no directory but something else at /mnt/sep_data/cache; move it away",
            "rm /mnt/sep_data/cache && mkdir /mnt/sep_data/cache",
        ),
        (
            "mv /mnt/sep_data/postgresql/17/sep /mnt/sep_data/away",
            "postgres_cluster 17/sep: /mnt/sep_data/postgresql/17/sep holds no data, though the cluster is configured; sepctl makes \
             no new cluster in its place. Attach the volume that holds it, or remove the configuration with pg_dropcluster",
            "mv /mnt/sep_data/away /mnt/sep_data/postgresql/17/sep",
        ),
    ];
    for (hand, expected, back) in cases {
        droplet.told(hand);
        assert_eq!(refusal(&workstation(), &droplet), format!("error: HOST: {expected}"), "{hand}");
        droplet.told(back);
        assert_eq!(workstation().plan(), [""; 0], "{hand}");
    }

    // An account that the database does not know would keep the executor waiting; its check says so at once.
    let pid = "systemctl show -p MainPID --value sep-executor";
    let before = droplet.told(pid);
    let deployed = workstation().set("executor.account", json!("second")).deploy();
    assert_eq!((deployed.code, deployed.applied), (Some(1), 1), "{deployed:#?}");
    let failed = deployed.failed.unwrap();
    assert!(
        failed.contains("service sep-executor.service") && failed.contains("account second is unknown"),
        "{failed}"
    );
    assert!(
        deployed
            .stderr
            .ends_with("do this: what was applied before it stays; mend the cause and deploy again\n")
    );
    assert_eq!(droplet.told(pid), before, "it runs on with what it has");
    workstation().mend();
    assert_eq!(sql(&droplet, "sep_trading", "select count(*) from accounts"), "1");

    // A setting that the server cannot start with: the old ones run again.
    let library =
        workstation().set("postgres.settings.shared_preload_libraries", json!("timescaledb,nowhere"));
    let deployed = library.deploy();
    assert_eq!(deployed.code, Some(4), "{deployed:#?}");
    assert!(
        deployed
            .stderr
            .contains("PostgreSQL did not start with the new settings and runs with the old ones again"),
        "{deployed:#?}"
    );
    assert_eq!(sql(&droplet, "sep_trading", "select count(*) from accounts"), "1");
    assert_eq!(workstation().plan(), [""; 0]);
}

#[test]
fn a_wrong_inventory_is_refused_before_anything_is_connected() {
    let folder = std::env::temp_dir().join(format!("sepctl-wrong-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("inventory.yaml");
    let head =
        "hosts:\n  one:\n    ssh: { address: 203.0.113.10 }\n    volume: { device: /dev/disk/by-id/x }\n";
    let refused = |file: &Path, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sepctl"))
            .arg("--inventory")
            .arg(file)
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    for (tail, place, says) in [
        ("    postgres: { prot: 5433 }\n", ":5:", "prot"),
        ("    firewall: { open: [80, 443] }\n", ":5:", "22"),
        ("    backup: { schedule: \"0 2 30 2 *\" }\n", ":5:", "0 2 30 2 *"),
        ("    ssh: { port: 2222 }\n", ":5:", "ssh"),
    ] {
        fs::write(&file, format!("{head}{tail}")).unwrap();
        for verb in [&["plan"][..], &["deploy", "--yes"]] {
            let told = refused(&file, verb);
            assert!(told.contains(&format!("inventory.yaml{place}")) && told.contains(says), "{told}");
        }
    }
    fs::write(&file, head).unwrap();
    let told = refused(&file, &["plan", "--host", "two"]);
    assert!(told.contains("two") && told.contains("one"), "{told}");
    let told = refused(&folder.join("nowhere.yaml"), &["plan"]);
    assert!(told.contains("nowhere.yaml"), "{told}");
    fs::remove_dir_all(&folder).unwrap();
}
