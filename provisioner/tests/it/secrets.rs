//! Secrets go from where they are kept to /etc/sep/credentials and to the executor, and are seen nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::deployed::{command, copy, deployed};
use crate::droplet::{Droplet, can_boot, said, unique_name};

const KINDS: [&str; 3] = ["by_env", "by_file", "by_command"];
const HOME: &str = "/etc/sep/credentials";
const LOADED: &str = "/run/credentials/sep-executor.service";
const VARIABLE: &str = "SEPCTL_TEST_TOKEN";

#[test]
fn a_secret_is_seen_where_it_belongs_and_nowhere_else() {
    if !can_boot("a_secret_is_seen_where_it_belongs_and_nowhere_else") {
        return;
    }
    let base = deployed();
    let droplet = copy(&base, "secrets");
    let mut secrets = Secrets::new(&droplet);
    planned_and_deployed(&droplet, &secrets, "create");
    only_where_they_belong(&droplet, &secrets, &[]);
    the_executor_has_them(&droplet, &secrets);

    // Nothing is left to do, and a secret that changes is a change that shows nothing of itself.
    let output = secrets.run(&droplet, &["plan", "--check"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (before, old) = (droplet.told("systemctl show -P MainPID sep-executor"), secrets.cores.clone());
    secrets.change();
    planned_and_deployed(&droplet, &secrets, "update");
    only_where_they_belong(&droplet, &secrets, &old);
    the_executor_has_them(&droplet, &secrets);
    assert_ne!(droplet.told("systemctl show -P MainPID sep-executor"), before);
    let output = secrets.run(&droplet, &["deploy", "--yes"]);
    assert!(said(&output).contains("nothing to do"), "{}", said(&output));
    assert_ne!(droplet.told("systemctl show -P MainPID sep-executor"), before);
}

#[test]
fn a_secret_that_cannot_be_had_stops_before_anything_is_touched() {
    if !can_boot("a_secret_that_cannot_be_had_stops_before_anything_is_touched") {
        return;
    }
    let base = deployed();
    let folder = std::env::temp_dir().join(unique_name("no-secret"));
    fs::create_dir(&folder).expect("the temporary folder is writable");
    let inventory = folder.join("inventory.yaml");
    let text = fs::read_to_string(&base.inventory).expect("an inventory");
    for (reference, expected) in [
        ("{env: SEPCTL_TEST_UNSET}", "SEPCTL_TEST_UNSET is not set"),
        ("{file: nowhere}", "nowhere cannot be read"),
        ("{command: [sh, -c, 'echo s3cr3t; echo s3cr3t >&2; exit 3']}", "`sh` ended with exit status: 3"),
    ] {
        fs::write(&inventory, format!("{text}    executor: {{ credentials: {{ token: {reference} }} }}\n"))
            .expect("the temporary folder is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sepctl"));
        let output = command.arg("--inventory").arg(&inventory).args(["deploy", "--yes"]).output();
        let output = output.expect("sepctl is built");
        assert_eq!(output.status.code(), Some(1), "{reference}: {}", said(&output));
        assert!(said(&output).contains(expected), "{reference}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{reference}: {}", said(&output));
    }
    fs::remove_dir_all(&folder).expect("it was made just now");
    assert_eq!(base.told(&format!("ls -A {HOME}")), "");
}

/// Three secrets, one of each kind of reference, with all that a shell or JSON could trip over around a core that can be
/// searched for.
struct Secrets {
    folder: PathBuf,
    cores: Vec<String>,
    generation: u32,
}

impl Secrets {
    fn new(droplet: &Droplet) -> Self {
        let folder = std::env::temp_dir().join(unique_name("secrets"));
        fs::create_dir_all(folder.join("cache")).expect("the temporary folder is writable");
        let mut secrets = Self { folder, cores: Vec::new(), generation: 0 };
        secrets.change();
        let text = fs::read_to_string(&droplet.inventory).expect("an inventory");
        let credentials = format!(
            "    executor:\n      credentials:\n        by_env: {{env: {VARIABLE}}}\n        by_file: {{file: {file}}}\n        \
             by_command: {{command: [cat, {other}]}}\n",
            file = secrets.folder.join("by_file").display(),
            other = secrets.folder.join("by_command").display(),
        );
        fs::write(&droplet.inventory, text + &credentials).expect("the droplet's folder is writable");
        secrets
    }

    /// Every secret takes another value.
    fn change(&mut self) {
        self.generation += 1;
        let generation = self.generation;
        self.cores = KINDS
            .iter()
            .map(|kind| format!("{}s3cr3t{generation}x{}", kind.replace('_', ""), std::process::id()))
            .collect();
        for kind in &KINDS[1..] {
            let path = self.folder.join(kind);
            fs::write(&path, self.value(kind) + "\n").expect("the temporary folder is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
    }

    fn value(&self, kind: &str) -> String {
        let core = KINDS.iter().position(|known| *known == kind).map(|at| &self.cores[at]);
        format!("'$x\"{}\\n {{% é", core.expect("a kind"))
    }

    fn command(&self, droplet: &Droplet, args: &[&str]) -> Command {
        let mut command = command(droplet, args);
        command.env(VARIABLE, self.value("by_env")).env("XDG_CACHE_HOME", self.folder.join("cache"));
        command
    }

    fn run(&self, droplet: &Droplet, args: &[&str]) -> Output {
        let output = self.command(droplet, args).output().expect("sepctl is built");
        self.must_not_be_in(&format!("{args:?}"), &said(&output));
        output
    }

    fn must_not_be_in(&self, place: &str, text: &str) {
        for core in &self.cores {
            assert!(!text.contains(core), "{core} stands in {place}:\n{text}");
        }
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn planned_and_deployed(droplet: &Droplet, secrets: &Secrets, action: &str) {
    for args in [&["plan"][..], &["-v", "plan"], &["inventory", "show"], &["status"]] {
        let output = secrets.run(droplet, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        if args.contains(&"plan") {
            assert!(said(&output).contains("[redacted]"), "{}", said(&output));
        }
    }
    let output = secrets.run(droplet, &["--json", "plan"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let changes = plan["hosts"][0]["changes"].as_array().expect("changes");
    for kind in KINDS {
        let id = format!("file {HOME}/{kind}");
        let change =
            changes.iter().find(|change| change["resource"] == *id).expect("the credential's change");
        assert_eq!(change["action"], action, "{change}");
        assert!(change["diff"].to_string().contains("+[redacted]"), "{change}");
    }
    assert!(changes.iter().any(|change| change["resource"] == "service sep-executor.service"), "{plan}");

    let mut child = secrets
        .command(droplet, &["-v", "deploy", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sepctl is built");
    watch(&mut child, secrets);
    let output = child.wait_with_output().expect("it was started");
    assert!(output.status.success(), "{}", said(&output));
    secrets.must_not_be_in("what deploy said", &said(&output));
}

/// Looks at every process on both sides, again and again, for as long as the deployment takes: a droplet's processes are
/// processes of this machine, too.
fn watch(deployment: &mut Child, secrets: &Secrets) {
    let own = std::process::id().to_string();
    let (mut here, mut there) = (0, 0);
    while deployment.try_wait().expect("it was started").is_none() {
        for process in fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path()) {
            let number = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if number == own || number.parse::<u32>().is_err() {
                continue;
            }
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned()
            };
            let (arguments, environment) = (read("cmdline"), read("environ"));
            here += u32::from(number == deployment.id().to_string());
            there += u32::from(arguments.starts_with("/opt/sep/agent/") && arguments.contains("host"));
            secrets.must_not_be_in(&format!("the arguments of {}", process.display()), &arguments);
            // Who keeps a secret in the environment has given it to this one himself, and to the command it asks.
            let given =
                number == deployment.id().to_string() || parent(&process) == deployment.id().to_string();
            for (kind, core) in KINDS.iter().zip(&secrets.cores) {
                let allowed = *kind == "by_env" && given;
                assert!(allowed || !environment.contains(core), "{core} in the environment of {arguments:?}");
            }
        }
    }
    assert!(
        here > 0 && there > 0,
        "seen {here} times here and {there} times there: too seldom to say anything"
    );
}

fn parent(process: &Path) -> String {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.unwrap_or_default().trim().to_owned()
}

fn only_where_they_belong(droplet: &Droplet, secrets: &Secrets, old: &[String]) {
    let places = "/etc /opt /var /run /tmp /root /home /mnt/sep_data";
    let search = |core: &str| droplet.told(&format!("grep -rlaF -D skip {core} {places} 2>/dev/null | sort"));
    for (kind, core) in KINDS.iter().zip(&secrets.cores) {
        assert_eq!(search(core), format!("{HOME}/{kind}\n{LOADED}/{kind}"));
        let shown = droplet.told(&format!("stat -c '%U:%G %a' {HOME}/{kind}; cat {HOME}/{kind}"));
        assert_eq!(shown, format!("root:root 600\n{}", secrets.value(kind)));
    }
    for core in old {
        assert_eq!(search(core), "", "an old secret stays");
    }
    assert_eq!(droplet.told(&format!("stat -c '%U:%G %a' {HOME}")), "root:root 700");
    let journal = droplet.told("journalctl -q --no-pager -o export -a");
    assert!(journal.contains("sep-executor"), "the journal is empty");
    secrets.must_not_be_in("the journal", &journal);
    let cached = Command::new("grep").args(["-rlaF", "s3cr3t"]).arg(secrets.folder.join("cache")).output();
    assert_eq!(String::from_utf8_lossy(&cached.expect("grep is installed").stdout), "");
    assert!(secrets.folder.join("cache/sepctl").exists(), "nothing was remembered");
    // The user that the executor runs as reads the originals no more than anybody else.
    for user in ["sep", "nobody", "www-data"] {
        assert!(
            !droplet.exec(&format!("runuser -u {user} -- cat {HOME}/by_file")).status.success(),
            "{user}"
        );
    }
    let output = droplet.exec(&format!("runuser -u nobody -- cat {LOADED}/by_file"));
    assert!(!output.status.success(), "{}", said(&output));
}

fn the_executor_has_them(droplet: &Droplet, secrets: &Secrets) {
    let pid = droplet.told("systemctl show -P MainPID sep-executor");
    let environment = droplet.told(&format!("tr '\\0' '\\n' < /proc/{pid}/environ"));
    secrets.must_not_be_in("the executor's environment", &environment);
    assert!(
        environment.lines().any(|line| line == format!("CREDENTIALS_DIRECTORY={LOADED}")),
        "{environment}"
    );
    for kind in KINDS {
        // As the executor itself: its user, its view of the file system.
        let line = format!("nsenter -t {pid} -m -S $(id -u sep) -G $(id -g sep) cat {LOADED}/{kind}");
        assert_eq!(droplet.told(&line), secrets.value(kind));
    }
}
