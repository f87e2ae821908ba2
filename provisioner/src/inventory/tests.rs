//! What `parse` makes of whole files: values, places and the words of every refusal.

use std::path::Path;

use super::*;
use crate::secret::SecretRef;
use model::Mode;

fn parsed(text: &str) -> Result<Inventory, InventoryErrors> {
    let origin = Origin {
        file: Path::new("inventory.yaml"),
        folder: Path::new("/home/me/trading"),
        home: Some(Path::new("/home/me")),
    };
    parse(text, &origin)
}

/// A host `a` with the two keys that are required, and `rest` beneath it.
fn host(rest: &str) -> String {
    let mut text =
        "hosts:\n  a:\n    ssh: {address: 10.0.0.1}\n    volume: {device: /dev/disk/by-id/v}\n".to_owned();
    for line in rest.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

fn refused(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

fn refused_host(rest: &str) -> String {
    refused(&host(rest))
}

#[test]
fn two_keys_are_enough() {
    let inventory = parsed(&host("")).unwrap();
    insta::assert_snapshot!(serde_yaml::to_string(&inventory.hosts).unwrap(), @r"
    - name: a
      ssh:
        address: 10.0.0.1
        port: 22
        user: root
        host_key: null
        identity: null
        known_hosts: null
      hardware:
        memory: null
        cores: null
      volume:
        device: /dev/disk/by-id/v
        mount: /mnt/sep_data
        filesystem: ext4
        options: defaults,discard,noatime
        size: 50000000000
      postgres:
        version: 17
        port: 5432
        max_connections: 24
        settings: {}
      firewall:
        open:
        - 22
        - 80
        - 443
        ssh_from: []
        ssh_rate: 30
      nginx:
        http_port: 80
        https_port: 443
        extra_port: null
        tls: null
      backup:
        schedule: 0 2 * * *
        keep: 7
      retention:
        market_candles: 1095
        system_logs: 90
      budgets:
        database: 35000000000
        backups: 8000000000
        cache: 5000000000
        reserve: 2000000000
        logs: 3000000000
      executor:
        enabled: true
        account: primary
        mode: observe
        binary: null
        credentials: {}
    ");
    assert!(inventory.warnings.is_empty());
}

#[test]
fn every_key_is_read() {
    let text = "\
defaults:
  ssh: {user: deploy, port: 2222}
  postgres: {settings: {work_mem: 32MB, jit: true}}
  executor: {credentials: {oanda: {env: OANDA_TOKEN}}}
  firewall: {open: [2222, 80, 443]}
hosts:
  zeta:
    ssh:
      address: zeta.example.com
      host_key: SHA256:uNiVztksCsDhcc0u9e8BrCd2X0Zcw5mCxcD0zTwCCMs
      identity: ~/.ssh/zeta
      known_hosts: keys/known_hosts
    hardware: {memory: 8GiB, cores: 2}
    volume:
      device: /dev/disk/by-uuid/0b3c
      mount: /srv/sep
      filesystem: xfs
      options: defaults,noatime
      size: 100GB
    postgres:
      version: 16
      port: 5433
      max_connections: 20
      settings: {random_page_cost: 1.25, jit: false, timescaledb.max_background_workers: 8, search_path: \"'a, b'\"}
    firewall: {open: [2222, 8081, 8443, 8080], ssh_from: [203.0.113.0/24], ssh_rate: 5}
    nginx:
      http_port: 8081
      https_port: 8443
      extra_port: 8080
      tls: {certificate: tls/full.pem, key: {file: ~/tls/key.pem}}
    backup: {schedule: 30 3 * * sun, keep: 4}
    retention: {market_candles: forever, system_logs: 2w}
    budgets: {database: 70GB, backups: 16GB, cache: 10GB, reserve: 4GB, logs: 1GiB}
    executor:
      enabled: false
      account: swing-1
      mode: observe
      binary: build/sep-executor
      credentials: {mail: {command: [pass, show, mail]}}
  alpha:
    ssh: {address: 10.0.0.1}
    volume: {device: /dev/disk/by-id/v}
";
    let inventory = parsed(text).unwrap();
    assert_eq!(inventory.names(), ["zeta", "alpha"], "the order of the file");
    let zeta = inventory.host("zeta").unwrap();
    assert_eq!((zeta.ssh.user.as_str(), zeta.ssh.port), ("deploy", 2222));
    assert_eq!(zeta.ssh.identity.as_deref(), Some(Path::new("/home/me/.ssh/zeta")));
    assert_eq!(zeta.ssh.known_hosts.as_deref(), Some(Path::new("/home/me/trading/keys/known_hosts")));
    assert_eq!(zeta.hardware.memory, Some(8 << 30));
    assert_eq!((zeta.volume.mount.as_str(), zeta.volume.size), ("/srv/sep", 100_000_000_000));
    let settings: Vec<_> =
        zeta.postgres.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        settings,
        [
            "jit=off",
            "random_page_cost=1.25",
            "search_path=a, b",
            "timescaledb.max_background_workers=8",
            "work_mem=32MB"
        ]
    );
    assert_eq!(zeta.firewall.open, [2222, 8081, 8443, 8080], "lists replace as a whole");
    let tls = zeta.nginx.tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Path::new("/home/me/trading/tls/full.pem"));
    assert_eq!(tls.key, SecretRef::File("/home/me/tls/key.pem".into()));
    assert_eq!((zeta.retention.market_candles, zeta.retention.system_logs), (0, 14));
    assert_eq!(zeta.budgets.logs, 1 << 30);
    assert_eq!(zeta.executor.mode, Mode::Observe);
    let credentials: Vec<_> = zeta.executor.credentials.keys().collect();
    assert_eq!(credentials, ["mail", "oanda"], "maps merge key by key");
    let alpha = inventory.host("alpha").unwrap();
    assert_eq!(alpha.postgres.settings["jit"], "on");
    assert_eq!(alpha.retention.market_candles, 1095);
}

#[test]
fn a_host_is_chosen_by_name_or_by_being_alone() {
    let one = parsed(&host("")).unwrap();
    assert_eq!(one.only(None).unwrap().name, "a");
    let two = parsed("defaults: {volume: {device: /dev/disk/by-id/v}}\nhosts:\n  sandbox: {ssh: {address: a}}\n  live: {ssh: {address: b}}\n").unwrap();
    insta::assert_snapshot!(two.only(None).unwrap_err(), @"inventory.yaml: there are 2 hosts: name one with --host (sandbox, live)");
    insta::assert_snapshot!(two.only(Some("sanbox")).unwrap_err(), @"inventory.yaml: no host `sanbox`: did you mean `sandbox`?");
    insta::assert_snapshot!(two.only(Some("production")).unwrap_err(), @"inventory.yaml: no host `production`: there is sandbox, live");
}

#[test]
fn the_shape_of_the_file() {
    insta::assert_snapshot!(refused(""), @"inventory.yaml: no hosts: expected at least one under `hosts:`; `sepctl init` writes a file to start from");
    insta::assert_snapshot!(refused("# nothing\n"), @"inventory.yaml: no hosts: expected at least one under `hosts:`; `sepctl init` writes a file to start from");
    insta::assert_snapshot!(refused("hosts:\n"), @"inventory.yaml:1:1: no hosts: expected at least one under `hosts:`; `sepctl init` writes a file to start from");
    insta::assert_snapshot!(refused("hosts: {}\n"), @"inventory.yaml:1:1: no hosts: expected at least one under `hosts:`; `sepctl init` writes a file to start from");
    insta::assert_snapshot!(refused("hosts: [a]\n"), @"inventory.yaml:1:8: hosts: found a list, expected a mapping of keys and values");
    insta::assert_snapshot!(refused("droplets: {}\n"), @"inventory.yaml:1:1: unknown key `droplets`: expected one of defaults, hosts");
    insta::assert_snapshot!(refused("hosts:\n  a: {}\n---\nhosts: {}\n"), @"inventory.yaml: the file holds several documents: remove the lines that begin with `---`");
    insta::assert_snapshot!(refused("hosts:\n  Sandbox 1: {}\n  ß: {}\n"), @r"
    inventory.yaml:2:3: hosts: found `Sandbox 1`, expected a name of lower-case letters, digits, `_` and `-`: did you mean `sandbox-1`?
    inventory.yaml:3:3: hosts: found `ß`, expected a name of lower-case letters, digits, `_` and `-`
    ");
}

#[test]
fn syntax() {
    insta::assert_snapshot!(refused("hosts:\n  a:\n    ssh: {address: 10.0.0.1\n    volume: x\n"), @"inventory.yaml:4:11: not YAML: while parsing a flow mapping, did not find expected ',' or '}'");
    insta::assert_snapshot!(refused("hosts:\n\ta:\n"), @"inventory.yaml:2:2: not YAML: tabs disallowed within this context (block indentation) (indent with spaces)");
    insta::assert_snapshot!(refused("hosts:\n  a:\n   ssh: x\n  volume: {\n"), @"inventory.yaml:5:1: not YAML: while parsing a node, did not find expected node content");
    insta::assert_snapshot!(refused_host("backup: {schedule: */5 * * * *}"), @"inventory.yaml:5:24: not YAML: while parsing node, found unknown anchor (a value that begins with `*` or `&`, such as a cron schedule, must be quoted)");
    insta::assert_snapshot!(refused_host("backup:\n  schedule: * 2 * * *"), @"inventory.yaml:6:17: not YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character (a value that begins with `*` or `&`, such as a cron schedule, must be quoted)");
    insta::assert_snapshot!(refused_host("ssh_note: a: b"), @"inventory.yaml:5:16: not YAML: mapping values are not allowed in this context (a value that holds `: ` must be quoted; otherwise look at the indentation)");
    insta::assert_snapshot!(refused_host("executor: {account: @me}"), @"inventory.yaml:5:25: not YAML: unexpected character: `@' (a value that begins with `@`, `` ` `` or `%` must be quoted)");
}

#[test]
fn unknown_and_duplicate_keys() {
    insta::assert_snapshot!(refused_host("postgres:\n  max_conections: 20"), @"inventory.yaml:6:7: hosts.a.postgres: unknown key `max_conections`: did you mean `max_connections`?");
    insta::assert_snapshot!(refused_host("postgress: {port: 1}"), @"inventory.yaml:5:5: hosts.a: unknown key `postgress`: did you mean `postgres`?");
    insta::assert_snapshot!(refused_host("backup: {colour: red}"), @"inventory.yaml:5:14: hosts.a.backup: unknown key `colour`: expected one of schedule, keep");
    insta::assert_snapshot!(refused_host("backup:\n  keep: 1\n  schedule: 0 2 * * *\n  keep: 2\nbackup: {}"), @r"
    inventory.yaml:8:7: hosts.a.backup.keep: the key stands twice, first at 6:7: remove one of them
    inventory.yaml:9:5: hosts.a.backup: the key stands twice, first at 5:5: remove one of them
    ");
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(refused_host("postgres:\n  port: many"), @r#"inventory.yaml:6:13: hosts.a.postgres.port: found the text "many", expected a whole number from 0 to 65535"#);
    insta::assert_snapshot!(refused_host("postgres: {port: 70000}"), @"inventory.yaml:5:22: hosts.a.postgres.port: found `70000`, expected a whole number from 0 to 65535");
    insta::assert_snapshot!(refused_host("postgres: {port: -1}"), @"inventory.yaml:5:22: hosts.a.postgres.port: found `-1`, expected a whole number from 0 to 65535");
    insta::assert_snapshot!(refused_host("postgres: 17"), @"inventory.yaml:5:15: hosts.a.postgres: found `17`, expected a mapping of keys and values");
    insta::assert_snapshot!(refused_host("firewall:\n  open: 22"), @"inventory.yaml:6:13: hosts.a.firewall.open: found `22`, expected a list, as in [22, 80]");
    insta::assert_snapshot!(refused_host("firewall: {open: [22, http]}"), @r#"inventory.yaml:5:27: hosts.a.firewall.open[1]: found the text "http", expected a whole number from 0 to 65535"#);
    insta::assert_snapshot!(refused_host("executor: {enabled: yes}"), @r#"inventory.yaml:5:25: hosts.a.executor.enabled: found the text "yes", expected true or false"#);
    insta::assert_snapshot!(refused_host("retention: {system_logs: [1]}"), @"inventory.yaml:5:30: hosts.a.retention.system_logs: found a list, expected a single value");
    insta::assert_snapshot!(refused_host("postgres: {settings: {work_mem: {a: 1}}}"), @"inventory.yaml:5:37: hosts.a.postgres.settings.work_mem: found a mapping, expected a single value");
    insta::assert_snapshot!(refused_host("postgres: {version: '17'}"), @r#"inventory.yaml:5:25: hosts.a.postgres.version: found the text "17", expected a whole number from 0 to 65535"#);
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "\
defaults:
  postgres:
    version: 13
    settings: {work_mem: 64MiB}
hosts:
  one:
    ssh: {user: Root}
    volume: {device: /dev/vda, size: 50}
  two:
    ssh: {address: 10.0.0.2:22}
    volume: {device: /dev/disk/by-id/v}
    backup: {schedule: 0 2 31 2 *}
    postgres: {port: 80}
";
    insta::assert_snapshot!(refused(text), @r#"
    inventory.yaml:3:14: defaults.postgres.version: PostgreSQL 13 is not supported: expected a major version from 14 to 18
    inventory.yaml:4:26: defaults.postgres.settings.work_mem: found `64MiB`, expected an amount with one of PostgreSQL's units kB, MB, GB, TB (powers of 1024, in this case of letters), as in 64MB: did you mean `64MB`?
    inventory.yaml:7:5: hosts.one.ssh.address: missing: expected a DNS name or IP address, as in `address: 203.0.113.10`
    inventory.yaml:7:17: hosts.one.ssh.user: found `Root`, expected the name of a unix user, such as root
    inventory.yaml:8:22: hosts.one.volume.device: found /dev/vda, a name that the kernel gives anew at each boot and that may be the system disk: write the volume's /dev/disk/by-id/... path (`ls -l /dev/disk/by-id` on the droplet)
    inventory.yaml:8:38: hosts.one.volume.size: found `50`, expected a size such as 64MB or 8GiB: it has no unit
    inventory.yaml:10:20: hosts.two.ssh.address: found `10.0.0.2:22`, expected only a DNS name or an IP address: write the port as ssh.port
    inventory.yaml:12:24: hosts.two.backup.schedule: `0 2 31 2 *` never fires: none of these months has such a day; five fields are expected (minute hour day month weekday), as in "0 2 * * *"
    inventory.yaml:13:22: hosts.two.postgres.port: port 80 is nginx's for HTTP already: give one of them another port
    "#);
}

#[test]
fn ssh_and_network() {
    insta::assert_snapshot!(refused("hosts:\n  a:\n    ssh:\n      address:\n    volume:\n"), @r"
    inventory.yaml:4:7: hosts.a.ssh.address: missing: expected a DNS name or IP address, as in `address: 203.0.113.10`
    inventory.yaml:5:5: hosts.a.volume.device: missing: expected the volume's path, as in `device: /dev/disk/by-id/scsi-0DO_Volume_sep-data`
    ");
    insta::assert_snapshot!(refused("hosts:\n  a:\n"), @r"
    inventory.yaml:2:3: hosts.a.ssh.address: missing: expected a DNS name or IP address, as in `address: 203.0.113.10`
    inventory.yaml:2:3: hosts.a.volume.device: missing: expected the volume's path, as in `device: /dev/disk/by-id/scsi-0DO_Volume_sep-data`
    ");
    let keys = "defaults: {volume: {device: /dev/disk/by-id/v}}\nhosts:\n  a:\n    ssh: {address: root@10.0.0.1, host_key: 'SHA256:abc'}\n    firewall: {ssh_from: [10.0.0.5/8, office], ssh_rate: 0}\n    hardware: {memory: 512MB, cores: 0}\n";
    insta::assert_snapshot!(refused(keys), @r"
    inventory.yaml:4:20: hosts.a.ssh.address: found `root@10.0.0.1`, expected only a DNS name or an IP address: write the user as ssh.user
    inventory.yaml:4:45: hosts.a.ssh.host_key: found `SHA256:` with 3 characters after it, expected 43 of base64; `ssh-keyscan -t ed25519 ADDRESS | ssh-keygen -lf -` prints one to compare on the droplet's console
    inventory.yaml:5:27: hosts.a.firewall.ssh_from[0]: `10.0.0.5/8` is no network: it has bits set beyond its prefix: write 10.0.0.0/8
    inventory.yaml:5:39: hosts.a.firewall.ssh_from[1]: `office` is no network: expected an IP address or CIDR such as 203.0.113.7 or 10.0.0.0/8
    inventory.yaml:5:58: hosts.a.firewall.ssh_rate: found 0, expected 1 to 10000 new connections a minute
    inventory.yaml:6:24: hosts.a.hardware.memory: found 512 MB, expected at least 1GB
    inventory.yaml:6:38: hosts.a.hardware.cores: found 0, expected 1 to 1024 cores
    ");
    let same = "defaults: {volume: {device: /dev/disk/by-id/v}}\nhosts:\n  a: {ssh: {address: X.example}}\n  b: {ssh: {address: x.example}}\n  c: {ssh: {address: x.example, port: 2222}, firewall: {open: [2222, 80, 443]}}\n";
    insta::assert_snapshot!(refused(same), @"inventory.yaml:4:22: hosts.b.ssh.address: this is the address of `a` too: each host needs one of its own, or another ssh.port");
}

#[test]
fn volume_and_budgets() {
    let volume =
        |keys: &str| refused(&format!("hosts:\n  a:\n    ssh: {{address: x}}\n    volume: {{{keys}}}\n"));
    let device = |device: &str| volume(&format!("device: {device}"));
    insta::assert_snapshot!(device("/dev/vda"), @"inventory.yaml:4:22: hosts.a.volume.device: found /dev/vda, a name that the kernel gives anew at each boot and that may be the system disk: write the volume's /dev/disk/by-id/... path (`ls -l /dev/disk/by-id` on the droplet)");
    insta::assert_snapshot!(device("/dev/nvme0n1p1"), @"inventory.yaml:4:22: hosts.a.volume.device: found /dev/nvme0n1p1, a name that the kernel gives anew at each boot and that may be the system disk: write the volume's /dev/disk/by-id/... path (`ls -l /dev/disk/by-id` on the droplet)");
    insta::assert_snapshot!(device("/dev/disk/by-id/../../vda"), @"inventory.yaml:4:22: hosts.a.volume.device: found /dev/disk/by-id/../../vda, expected a path such as /dev/disk/by-id/scsi-0DO_Volume_sep-data, or under /dev/disk/by-uuid/");
    insta::assert_snapshot!(device("sep-data"), @"inventory.yaml:4:22: hosts.a.volume.device: found sep-data, expected a path such as /dev/disk/by-id/scsi-0DO_Volume_sep-data, or under /dev/disk/by-uuid/");
    let mount = |mount: &str| volume(&format!("device: /dev/disk/by-id/v, mount: {mount}"));
    for (path, why) in [
        ("mnt/sep", "not an absolute path"),
        ("/", "the system disk"),
        ("/mnt", "a folder of the system"),
        ("/etc/sep", "a folder of the system"),
        ("/usr", "a folder of the system"),
        ("/var/lib/postgresql", "a folder of the system"),
        ("/mnt/../etc", "not written plainly"),
        ("/mnt/sep/", "not written plainly"),
        ("/mnt//sep", "not written plainly"),
        ("'/mnt/sep data'", "other than letters"),
    ] {
        let message = mount(path);
        assert!(message.contains(why) && message.contains("a.volume.mount: found `"), "{path}: {message}");
    }
    assert!(
        parsed(&host("").replace("v}", "v, mount: /var/lib/postgresql/sep, options: 'rw,discard'}")).is_ok()
    );
    insta::assert_snapshot!(volume("device: /dev/disk/by-id/v, filesystem: ext3, options: 'defaults,nofail,ro, x,'"), @r"
    inventory.yaml:4:53: hosts.a.volume.filesystem: found `ext3`, expected `ext4` or `xfs`: did you mean `ext4`?
    inventory.yaml:4:68: hosts.a.volume.options: found the mount option `nofail`, which sepctl always adds: remove it
    inventory.yaml:4:68: hosts.a.volume.options: found the mount option `ro`, with which the database could not write: remove it
    inventory.yaml:4:68: hosts.a.volume.options: found the mount option ` x`, which holds a blank or `#`: remove it
    inventory.yaml:4:68: hosts.a.volume.options: found the mount option ``, which is empty: remove it
    ");
    insta::assert_snapshot!(volume("device: /dev/disk/by-id/v, size: 40GB"), @"inventory.yaml:4:47: hosts.a.volume.size: the budgets come to 50 GB (database 35 GB, backups 8 GB, cache 5 GB, reserve 2 GB) and the volume has 40 GB: enlarge the volume or lower a budget");
    insta::assert_snapshot!(refused_host("budgets: {backups: 20GB, cache: 5G, logs: 20GB}"), @r"
    inventory.yaml:5:24: hosts.a.budgets.backups: the budgets come to 62 GB (database 35 GB, backups 20 GB, cache 5 GB, reserve 2 GB) and the volume has 50 GB: enlarge the volume or lower a budget
    inventory.yaml:5:37: hosts.a.budgets.cache: found `5G`, expected a size such as 64MB or 8GiB: `G` is not a unit of size
    inventory.yaml:5:47: hosts.a.budgets.logs: found 20 GB, expected at most 12.5 GB: the logs share a system disk of 25 GB with everything else
    ");
    let inventory = parsed(&host("").replace("/v}", "/scsi-0DO_Volume_sep_data}")).unwrap();
    insta::assert_snapshot!(inventory.warnings[0], @"inventory.yaml:4:22: hosts.a.volume.device: found /dev/disk/by-id/scsi-0DO_Volume_sep_data, but DigitalOcean's volume names hold no `_`: is it /dev/disk/by-id/scsi-0DO_Volume_sep-data? (`ls /dev/disk/by-id` on the droplet shows it)");
}

#[test]
fn ports() {
    insta::assert_snapshot!(refused_host("postgres: {port: 443}"), @"inventory.yaml:5:22: hosts.a.postgres.port: port 443 is nginx's for TLS already: give one of them another port");
    insta::assert_snapshot!(refused_host("nginx: {http_port: 8080, extra_port: 8080}"), @r"
    inventory.yaml:5:24: hosts.a.nginx.http_port: port 8080 is nginx's (nginx.http_port) and would be closed: add 8080 to firewall.open
    inventory.yaml:5:42: hosts.a.nginx.extra_port: port 8080 is nginx's for HTTP already: give one of them another port
    ");
    insta::assert_snapshot!(refused_host("nginx: {http_port: 5432}\nfirewall: {open: [22, 443]}"), @"inventory.yaml:5:24: hosts.a.nginx.http_port: port 5432 is PostgreSQL's already: give one of them another port");
    insta::assert_snapshot!(refused_host("firewall: {open: [80, 443, 80, 0, 5432]}"), @r"
    inventory.yaml:5:16: hosts.a.firewall.open: port 22, by which sepctl and you reach the droplet, would be closed: add 22 to firewall.open
    inventory.yaml:5:32: hosts.a.firewall.open[2]: port 80 is listed twice: remove one of them
    inventory.yaml:5:36: hosts.a.firewall.open[3]: found port 0, expected 1 to 65535
    inventory.yaml:5:39: hosts.a.firewall.open[4]: port 5432 is the database's and must not be open to the world: remove it, and use `sepctl psql`, which goes through SSH
    ");
    insta::assert_snapshot!(refused_host("firewall: {open: [22]}\nnginx: {extra_port: 8080}"), @r"
    inventory.yaml:5:16: hosts.a.firewall.open: port 80 is nginx's (nginx.http_port) and would be closed: add 80 to firewall.open
    inventory.yaml:5:16: hosts.a.firewall.open: port 443 is nginx's (nginx.https_port) and would be closed: add 443 to firewall.open
    inventory.yaml:5:16: hosts.a.firewall.open: port 8080 is nginx's (nginx.extra_port) and would be closed: add 8080 to firewall.open
    ");
    insta::assert_snapshot!(refused(&host("").replace("10.0.0.1", "10.0.0.1, port: 2222")), @"inventory.yaml:3:36: hosts.a.ssh.port: port 2222, by which sepctl and you reach the droplet, would be closed: add 2222 to firewall.open");
}

#[test]
fn postgres_settings() {
    let setting = |text: &str| refused_host(&format!("postgres:\n  settings:\n    {text}"));
    insta::assert_snapshot!(setting("work_men: 64MB"), @"inventory.yaml:7:19: hosts.a.postgres.settings.work_men: PostgreSQL has no setting `work_men`: did you mean `work_mem`?");
    insta::assert_snapshot!(setting("Work_Mem: 64MB"), @"inventory.yaml:7:19: hosts.a.postgres.settings.Work_Mem: PostgreSQL has no setting `Work_Mem`: did you mean `work_mem`?");
    insta::assert_snapshot!(setting("quantum_flux: 1"), @"inventory.yaml:7:23: hosts.a.postgres.settings.quantum_flux: PostgreSQL has no setting `quantum_flux`");
    insta::assert_snapshot!(setting("work_mem: 64mb"), @"inventory.yaml:7:19: hosts.a.postgres.settings.work_mem: found `64mb`, expected an amount with one of PostgreSQL's units kB, MB, GB, TB (powers of 1024, in this case of letters), as in 64MB: did you mean `64MB`?");
    insta::assert_snapshot!(setting("work_mem: lots"), @"inventory.yaml:7:19: hosts.a.postgres.settings.work_mem: found `lots`, expected an amount with one of PostgreSQL's units kB, MB, GB, TB (powers of 1024, in this case of letters), as in 64MB");
    insta::assert_snapshot!(setting("data_directory: /var/lib"), @"inventory.yaml:7:25: hosts.a.postgres.settings.data_directory: `data_directory` is not to be set here: the cluster lives under volume.mount");
    insta::assert_snapshot!(setting("port: 1"), @"inventory.yaml:7:15: hosts.a.postgres.settings.port: `port` is not to be set here: write it as postgres.port");
    insta::assert_snapshot!(setting("listen_addresses: '*'"), @"inventory.yaml:7:27: hosts.a.postgres.settings.listen_addresses: `listen_addresses` is not to be set here: the database is reached through SSH alone; `localhost` may be written");
    insta::assert_snapshot!(setting("shared_preload_libraries: pg_stat_statements"), @r#"inventory.yaml:7:35: hosts.a.postgres.settings.shared_preload_libraries: the value must hold `timescaledb`, as in "timescaledb,pg_stat_statements""#);
    insta::assert_snapshot!(setting("timezone: Europe/Berlin"), @"inventory.yaml:7:19: hosts.a.postgres.settings.timezone: the value must be UTC: every time in the schema is");
    insta::assert_snapshot!(setting("fsync: false"), @"inventory.yaml:7:16: hosts.a.postgres.settings.fsync: the value would lose the database at a power cut: remove it");
    insta::assert_snapshot!(setting("autovacuum: off"), @"inventory.yaml:7:21: hosts.a.postgres.settings.autovacuum: the value would end in a database that stops by itself (transaction wraparound): remove it");
    insta::assert_snapshot!(setting("search_path: \"it's\""), @"inventory.yaml:7:22: hosts.a.postgres.settings.search_path: the value holds a single quote without its partner: add or remove one");
    insta::assert_snapshot!(setting("search_path: \"a\\nport = 1\""), @"inventory.yaml:7:22: hosts.a.postgres.settings.search_path: the value holds a line break or control character: write it on one line");
    insta::assert_snapshot!(refused_host("postgres: {version: 19, max_connections: 3}"), @r"
    inventory.yaml:5:25: hosts.a.postgres.version: PostgreSQL 19 is not supported: expected a major version from 14 to 18
    inventory.yaml:5:46: hosts.a.postgres.max_connections: found 3, expected 10 to 1000: the executor, sync, backup and retention need some, and three are kept for you
    ");
    let old = parsed(&host("postgres:\n  version: 14")).unwrap();
    insta::assert_snapshot!(old.warnings[0], @"inventory.yaml:6:16: hosts.a.postgres.version: PostgreSQL 14 went out of support on 2026-11-12: it gets no more security fixes; plan the move to version 17");
    for good in ["listen_addresses: localhost", "my_app.any: 1", "autovacuum_work_mem: -1", "work_mem: 4096"]
    {
        parsed(&host(&format!("postgres:\n  settings:\n    {good}"))).unwrap();
    }
}

#[test]
fn memory() {
    let on_8_gb =
        |postgres: &str| host(&format!("hardware: {{memory: 8GB, cores: 2}}\npostgres: {{{postgres}}}"));
    parsed(&on_8_gb("settings: {shared_buffers: 2GB, effective_cache_size: 6GB, work_mem: 64MB, maintenance_work_mem: 512MB}")).unwrap();
    parsed(&on_8_gb("max_connections: 100")).unwrap();
    insta::assert_snapshot!(refused(&on_8_gb("max_connections: 100, settings: {work_mem: 64MB}")), @"inventory.yaml:6:59: hosts.a.postgres.settings.work_mem: at worst PostgreSQL would use 2048MB shared_buffers + 13056MB work_mem (102 connections and workers x 64MB x hash_mem_multiplier 2) + 384MB autovacuum + 512MB maintenance_work_mem + 1024MB for the system = 17024MB, and the machine has 8192MB: lower work_mem to 20MB or less, or max_connections");
    insta::assert_snapshot!(refused(&on_8_gb("settings: {shared_buffers: 7GB}")), @"inventory.yaml:6:43: hosts.a.postgres.settings.shared_buffers: at worst PostgreSQL would use 7168MB shared_buffers + 3328MB work_mem (26 connections and workers x 64MB x hash_mem_multiplier 2) + 384MB autovacuum + 512MB maintenance_work_mem + 1024MB for the system = 12416MB, and the machine has 8192MB: lower shared_buffers (2GB, a quarter, is usual) or the maintenance settings");
    insta::assert_snapshot!(refused(&on_8_gb("settings: {shared_buffers: 9GB}")), @"inventory.yaml:6:43: hosts.a.postgres.settings.shared_buffers: at worst PostgreSQL would use 9216MB shared_buffers + 3328MB work_mem (26 connections and workers x 64MB x hash_mem_multiplier 2) + 384MB autovacuum + 512MB maintenance_work_mem + 1024MB for the system = 14464MB, and the machine has 8192MB: lower shared_buffers (2GB, a quarter, is usual) or the maintenance settings");
    // What is said to fit does fit, and the next megabyte does not.
    parsed(&on_8_gb("max_connections: 100, settings: {work_mem: 20MB}")).unwrap();
    assert!(parsed(&on_8_gb("max_connections: 100, settings: {work_mem: 21MB}")).is_err());
    // Without hardware.memory the droplet's facts decide later.
    parsed(&host("postgres: {max_connections: 100, settings: {work_mem: 64MB}}")).unwrap();
}

#[test]
fn secrets_written_out_are_refused_and_never_shown() {
    const SECRET: &str = "hunter2";
    for (keys, expected) in [
        (
            "executor: {credentials: {oanda: hunter2}}",
            "executor.credentials.oanda: the secret itself stands here",
        ),
        ("executor: {credentials: {oanda: [hunter2]}}", "executor.credentials.oanda: the secret itself"),
        ("executor: {credentials: hunter2}", "hosts.a.executor.credentials: expected one of"),
        ("executor: {credentials: [hunter2]}", "hosts.a.executor.credentials: expected one of"),
        ("executor: {credentials: {oanda: {hunter2: x}}}", "executor.credentials.oanda: expected one of"),
        ("executor: {credentials: {oanda: {env: hunter2, file: x}}}", "expected one of"),
        (
            "executor: {credentials: {oanda: {command: hunter2}}}",
            "credentials.oanda.command: expected one of",
        ),
        (
            "executor: {credentials: {oanda: {env: hunter2-x}}}",
            "expected the name of an environment variable",
        ),
        ("executor: {credentials: {oanda: {env: {x: hunter2}}}}", "credentials.oanda.env: expected one of"),
        (
            "executor: {credentials: {'my token': {command: hunter2}}}",
            "executor.credentials.my token.command: ",
        ),
        ("nginx: {tls: hunter2}", "hosts.a.nginx.tls: expected one of"),
        ("nginx: {tls: {certificate: c, key: hunter2}}", "nginx.tls.key: the secret itself"),
    ] {
        let errors = parsed(&host(keys)).unwrap_err();
        let message = errors.to_string();
        assert!(message.contains(expected), "{keys}: {message}");
        assert!(!message.contains(SECRET) && !format!("{errors:?}").contains(SECRET), "{keys}: {message}");
        assert!(message.starts_with("inventory.yaml:5:"), "{keys}: {message}");
    }
    insta::assert_snapshot!(refused_host("executor: {credentials: {oanda: 12345, 'Oanda Live': {command: []}, b: {file: ''}}}\nnginx: {tls: {key: {file: x}}}"), @r"
    inventory.yaml:5:37: hosts.a.executor.credentials.oanda: the secret itself stands here: move it to a file that only you can read and write {file: PATH}, or use {env: NAME} or {command: [PROGRAM, ARGUMENT, ...]}; if this file was ever shared or committed, replace the secret
    inventory.yaml:5:44: hosts.a.executor.credentials.Oanda Live: the command is empty: expected {command: [PROGRAM, ARGUMENT, ...]}
    inventory.yaml:5:73: hosts.a.executor.credentials.b: the path is empty: expected one, or no such key
    inventory.yaml:6:13: hosts.a.nginx.tls.certificate: missing: expected a PEM file beside the key, as in `certificate: fullchain.pem`
    ");
}

#[test]
fn the_rest() {
    insta::assert_snapshot!(refused_host("backup: {schedule: '@daily', keep: 0}\nretention: {market_candles: 90, system_logs: 0d}\nexecutor: {account: Main Account, mode: live}"), @r#"
    inventory.yaml:5:24: hosts.a.backup.schedule: `@daily` is a nickname, which is not accepted here; five fields are expected (minute hour day month weekday), as in "0 2 * * *"
    inventory.yaml:5:40: hosts.a.backup.keep: found 0, expected at least 1: the newest verified set is never deleted
    inventory.yaml:6:33: hosts.a.retention.market_candles: found `90`, expected a length of time such as 90d or 3y: it has no unit
    inventory.yaml:6:50: hosts.a.retention.system_logs: found `0d`, expected a length of time such as 90d or 3y: it would keep nothing; `forever` keeps everything
    inventory.yaml:7:25: hosts.a.executor.account: found `Main Account`, expected a name of lower-case letters, digits, `_` and `-`: did you mean `main-account`?
    inventory.yaml:7:45: hosts.a.executor.mode: mode `live` trades, and trading is not part of this release: write `observe`
    "#);
    insta::assert_snapshot!(refused_host("executor: {mode: observ}"), @"inventory.yaml:5:22: hosts.a.executor.mode: found `observ`, expected `observe`: did you mean `observe`?");
    insta::assert_snapshot!(refused_host("executor: {mode: yolo, binary: ''}"), @r"
    inventory.yaml:5:22: hosts.a.executor.mode: found `yolo`, expected `observe`
    inventory.yaml:5:36: hosts.a.executor.binary: the path is empty: expected one, or no such key
    ");
}

#[test]
fn a_mistake_in_defaults_is_told_once_and_where_it_stands() {
    let text = "defaults:\n  volume: {device: /dev/sda}\nhosts:\n  a: {ssh: {address: x}}\n  b: {ssh: {address: y}}\n";
    insta::assert_snapshot!(refused(text), @"inventory.yaml:2:20: defaults.volume.device: found /dev/sda, a name that the kernel gives anew at each boot and that may be the system disk: write the volume's /dev/disk/by-id/... path (`ls -l /dev/disk/by-id` on the droplet)");
}
