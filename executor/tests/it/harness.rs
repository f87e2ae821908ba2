//! A database of its own for each test, with the roles and the migrations of the repository; and the daemon.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postgres::{Client, NoTls};
use serde_json::Value;

/// Whatever is waited for has to come within this.
const DEADLINE: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A migrated database that goes away with the test.
pub struct Database {
    pub socket_dir: PathBuf,
    pub name: String,
    /// For sockets and files of the test.
    pub dir: PathBuf,
}

impl Database {
    /// `None` where no server is given, after having said so.
    pub fn new(test: &str) -> Option<Self> {
        let Some(socket_dir) = std::env::var_os("SEP_TEST_PG") else {
            // Written past the capture of the test's output: a skipped test must not look like one that ran.
            let _ = writeln!(std::io::stderr(), "skipped: {test} needs SEP_TEST_PG");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sep_test_{}_{number}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let database = Self { socket_dir: socket_dir.into(), name, dir };
        database.create();
        Some(database)
    }

    fn create(&self) {
        let mut server = self.connect_elsewhere();
        // Roles belong to the server, and two tests may make them at the same time.
        server.batch_execute("begin; select pg_advisory_xact_lock(hashtext('sep_test_roles'))").unwrap();
        for role in ["sep_owner", "sep_executor", "sep_sync", "sep_readonly"] {
            let known = server.query_opt("select from pg_roles where rolname = $1", &[&role]).unwrap();
            if known.is_none() {
                server.batch_execute(&format!("create role {role} login")).unwrap();
            }
        }
        server.batch_execute("commit").unwrap();
        let name = &self.name;
        server.batch_execute(&format!("create database {name} owner sep_owner")).unwrap();
        let mut superuser = self.connect("postgres");
        let prepare = format!(
            "set client_min_messages = warning; create extension timescaledb;
             revoke all on database {name} from public;
             grant connect on database {name} to sep_executor, sep_sync, sep_readonly"
        );
        superuser.batch_execute(&prepare).unwrap();
        self.migrate();
    }

    /// Runs the repository's migrations as refinery does: as sep_owner, one transaction each, with the history.
    fn migrate(&self) {
        let mut owner = self.connect("sep_owner");
        owner
            .batch_execute(
                "set client_min_messages = warning;
                 create table refinery_schema_history (version int4 primary key, name varchar(255),
                     applied_on varchar(255), checksum varchar(255))",
            )
            .unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let mut files: Vec<(i32, PathBuf)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                (name[1..name.find("__").unwrap()].parse().unwrap(), path.clone())
            })
            .collect();
        files.sort();
        for (version, path) in files {
            let mut transaction = owner.transaction().unwrap();
            if let Err(error) = transaction.batch_execute(&std::fs::read_to_string(&path).unwrap()) {
                panic!("{}: {}", path.display(), error.as_db_error().unwrap().message());
            }
            transaction.execute("insert into refinery_schema_history values ($1)", &[&version]).unwrap();
            transaction.commit().unwrap();
        }
    }

    /// A connection to this database.
    pub fn connect(&self, role: &str) -> Client {
        self.connect_to(&self.name, role)
    }

    /// A connection of the superuser to the server's own database.
    pub fn connect_elsewhere(&self) -> Client {
        self.connect_to("postgres", "postgres")
    }

    fn connect_to(&self, name: &str, role: &str) -> Client {
        postgres::Config::new().host_path(&self.socket_dir).user(role).dbname(name).connect(NoTls).unwrap()
    }

    /// A number out of a query.
    pub fn count(&self, query: &str) -> i64 {
        self.connect("postgres").query_one(query, &[]).unwrap().get(0)
    }

    /// Waits until the query gives the number.
    pub fn wait_for(&self, query: &str, number: i64) {
        let mut client = self.connect("postgres");
        let mut found = -1;
        wait_until(&format!("{query} = {number}"), || {
            found = client.query_one(query, &[]).unwrap().get(0);
            found == number
        });
    }

    /// Starts the daemon; its database is found in `socket_dir`.
    pub fn start(&self, name: &str, socket_dir: &Path) -> Daemon {
        self.start_with(name, socket_dir, &mut Command::new(env!("CARGO_BIN_EXE_sep-executor")))
    }

    /// Starts the daemon by another command, to which its arguments are added.
    pub fn start_with(&self, name: &str, socket_dir: &Path, command: &mut Command) -> Daemon {
        let socket = self.dir.join(format!("{name}.sock"));
        let config = self.write_config(name, socket_dir, "primary");
        let notify = self.dir.join(format!("{name}.notify"));
        let log = self.dir.join(format!("{name}.log"));
        let manager = UnixDatagram::bind(&notify).unwrap();
        manager.set_read_timeout(Some(DEADLINE)).unwrap();
        let child = command
            .args(["run", "--config", config.to_str().unwrap()])
            .env("NOTIFY_SOCKET", &notify)
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon { child, socket, manager, log }
    }

    /// Writes a configuration; gives its path.
    pub fn write_config(&self, name: &str, socket_dir: &Path, account: &str) -> PathBuf {
        let config = self.dir.join(format!("{name}.yaml"));
        let text = format!(
            "mode: observe\naccount: {account}\n\
             database: {{ socket_dir: {}, port: 5432, name: {}, user: sep_executor }}\n\
             api: {{ socket: {}, group: {} }}\n",
            socket_dir.display(),
            self.name,
            self.dir.join(format!("{name}.sock")).display(),
            own_group()
        );
        std::fs::write(&config, text).unwrap();
        config
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut server = self.connect_elsewhere();
        let dropped = server.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        let _ = std::fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            dropped.unwrap();
        }
    }
}

fn own_group() -> String {
    let id = Command::new("id").arg("-gn").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// Waits for a condition, and fails with its name where it does not come true.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "waited {} s in vain for: {what}", DEADLINE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running sep-executor; killed when dropped.
pub struct Daemon {
    child: Child,
    pub socket: PathBuf,
    manager: UnixDatagram,
    /// What it wrote to standard error; shown where the test fails.
    log: PathBuf,
}

impl Daemon {
    /// What the daemon told its service manager next.
    pub fn told(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.manager.recv(&mut buffer).expect("the daemon tells its manager something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Waits until the service manager is told a line that begins like this; gives it.
    pub fn wait_told(&self, start: &str) -> String {
        let started = Instant::now();
        loop {
            let told = self.told();
            if told.starts_with(start) {
                return told;
            }
            assert!(started.elapsed() < DEADLINE, "waited in vain for {start}, last told: {told}");
        }
    }

    /// A request: status code, headers, body. `None` where no connection is made or no answer comes.
    pub fn request(&self, method: &str, path: &str) -> Option<(u16, String, String)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, head.to_owned(), body.to_owned()))
    }

    /// /api/status: its code and its JSON.
    pub fn status(&self) -> Option<(u16, Value)> {
        let (code, _, body) = self.request("GET", "/api/status")?;
        Some((code, serde_json::from_str(&body).unwrap()))
    }

    /// Waits until /api/status has this code and says this; gives the whole of it.
    pub fn wait_status(&self, code: u16, status: &str) -> Value {
        let mut last = None;
        let mut fits = |found: Option<(u16, Value)>| {
            let fit = found.as_ref().is_some_and(|(c, body)| *c == code && body["status"] == status);
            last = found;
            fit
        };
        let started = Instant::now();
        while !fits(self.status()) {
            assert!(started.elapsed() < DEADLINE, "waited in vain for {code} {status}; last: {last:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        last.unwrap().1
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; gives whether it ended well.
    pub fn wait(&mut self) -> bool {
        let mut ended = None;
        wait_until("the daemon's end", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap().success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{}:\n{log}", self.log.display());
        }
    }
}

/// One signal as arguments of ingest_signals(), with what a test varies.
#[derive(Clone)]
pub struct Sample {
    pub account: &'static str,
    pub pair: &'static str,
    /// Minutes before the newest bar of the run.
    pub age: i32,
    pub content: &'static str,
}

/// A sample for EUR_USD that can be traded.
pub fn sample(age: i32) -> Sample {
    Sample { account: "primary", pair: "EUR_USD", age, content: "content" }
}

/// Close of the newest bar, in seconds since 1970: the same for the whole run, so that a minute that ends in
/// between does not turn one sample into another.
fn newest_bar() -> &'static f64 {
    static BAR: OnceLock<f64> = OnceLock::new();
    BAR.get_or_init(|| {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() / 60.0).floor() * 60.0
    })
}

/// Sends a batch as sep_sync does; gives outcome, inserted, duplicates.
pub fn ingest(
    client: &mut Client,
    batch: &str,
    samples: &[Sample],
) -> Result<(String, i32, i32), postgres::Error> {
    let accounts: Vec<&str> = samples.iter().map(|s| s.account).collect();
    let pairs: Vec<&str> = samples.iter().map(|s| s.pair).collect();
    let ages: Vec<i32> = samples.iter().map(|s| s.age).collect();
    let contents: Vec<&str> = samples.iter().map(|s| s.content).collect();
    let row = client.query_one(
        "with given as (
             select a, p, c, to_timestamp($6) - make_interval(mins => m) as closed
             from unnest($2::text[], $3::text[], $4::integer[], $5::text[]) g(a, p, m, c))
         select i.* from (
             select array_agg(a) as a, array_agg(p) as p, array_agg(closed) as closed, array_agg('qfh'::text) as st,
                    array_agg('M1'::text) as tf, array_agg('buy'::text) as side, array_agg(0.7) as conf,
                    array_agg('{\"entropy\": 0.5}'::jsonb) as metrics, array_agg(1.09) as stop, array_agg(1.11) as target,
                    array_agg(now() + interval '1 hour') as expires, array_agg(sha256('model')) as model,
                    array_agg(sha256(c::bytea)) as content, array_agg(null::text) as reason
             from given) g,
         ingest_signals(sha256($1::text::bytea), g.a, g.st, g.p, g.tf, g.closed, g.side, g.conf, g.metrics, g.stop,
                        g.target, g.expires, g.model, g.content, g.reason) i",
        &[&batch, &accounts, &pairs, &ages, &contents, newest_bar()],
    )?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// The SQLSTATE of a failure.
pub fn sqlstate<T: std::fmt::Debug>(result: Result<T, postgres::Error>) -> String {
    result.unwrap_err().code().map(|code| code.code().to_owned()).unwrap_or_default()
}
