//! A database server under test: started for the run, stopped and removed after it.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Where Debian keeps PostgreSQL's server programs.
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";

/// A running server.
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) port: u16,
    user: &'static str,
    database: &'static str,
    server: Child,
    dir: PathBuf,
}

impl System {
    /// Starts this very program as a DriftDB server.
    pub(crate) fn driftdb(
        engine: &str,
        control: &str,
        settings: &[String],
        scratch: &Path,
    ) -> Result<Self> {
        let name = format!("driftdb {engine} {control}");
        let dir = scratch.join(format!("driftdb-{engine}-{control}"));
        let port = free_port()?;
        let program = std::env::current_exe().context("where am I?")?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--data")
            .arg(&dir)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--set")
            .arg(format!("storage.engine={engine}"))
            .arg("--set")
            .arg(format!("concurrency.control={control}"));
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        let log = fs::File::create(dir.with_extension("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let server = command.spawn().context("could not start driftdb serve")?;
        let system = Self { name, port, user: "driftdb", database: "driftdb", server, dir };
        system.wait_until_ready()
    }

    /// Makes and starts a PostgreSQL with its default durability.
    pub(crate) fn postgres(scratch: &Path) -> Result<Self> {
        let dir = scratch.join("postgres");
        fs::create_dir_all(&dir)?;
        give_to("postgres", &dir)?;
        let initdb = unprivileged(&format!("{POSTGRES_BIN}/initdb"))
            .args(["-A", "trust", "-U", "driftdb", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&dir)
            .stdout(Stdio::null())
            .status()
            .context("could not run initdb (Debian: apt-get install postgresql-15)")?;
        if !initdb.success() {
            bail!("initdb failed");
        }
        let port = free_port()?;
        let log = fs::File::create(scratch.join("postgres.log"))?;
        let server = unprivileged(&format!("{POSTGRES_BIN}/postgres"))
            .arg("-D")
            .arg(&dir)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(&dir)
            // As DriftDB has for its cache; with the default of 64, 16 clients at SERIALIZABLE fail for
            // want of shared memory. Everything else, fsync above all, is the default.
            .args(["-c", "shared_buffers=256MB", "-c", "max_pred_locks_per_transaction=1024"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start postgres")?;
        let name = "postgres".to_owned();
        let system = Self { name, port, user: "driftdb", database: "postgres", server, dir };
        system.wait_until_ready()
    }

    /// Makes and starts a MariaDB with its default durability.
    pub(crate) fn mariadb(scratch: &Path) -> Result<Self> {
        let dir = scratch.join("mariadb");
        fs::create_dir_all(&dir)?;
        give_to("mysql", &dir)?;
        let owner = if is_root() { "--user=mysql" } else { "--skip-name-resolve" };
        let made = Command::new("mariadb-install-db")
            .args([owner, "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", dir.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("could not run mariadb-install-db (Debian: apt-get install mariadb-server)")?;
        if !made.success() {
            bail!("mariadb-install-db failed");
        }
        let port = free_port()?;
        let log = fs::File::create(scratch.join("mariadb.log"))?;
        let server = Command::new("mariadbd")
            .args(["--no-defaults", owner, "--bind-address=127.0.0.1"])
            // As DriftDB has for its cache; everything else is the default.
            .arg("--innodb-buffer-pool-size=256M")
            .arg(format!("--datadir={}", dir.display()))
            .arg(format!("--socket={}/socket", dir.display()))
            .arg(format!("--port={port}"))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start mariadbd")?;
        let (name, user, database) = ("mariadb".to_owned(), "root", "bench");
        let mut system = Self { name, port, user, database, server, dir };
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = system.server.try_wait()? {
                bail!("mariadb ended at once: {status}");
            }
            let mut create = system.mariadb_client_without_database();
            create.args(["-e", "CREATE DATABASE bench"]);
            create.stdout(Stdio::null()).stderr(Stdio::null());
            if create.status().is_ok_and(|status| status.success()) {
                return Ok(system);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("mariadb did not start within {START_TIMEOUT:?}")
    }

    fn mariadb_client_without_database(&self) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args([
                "--no-defaults",
                "--protocol=tcp",
                "-h",
                "127.0.0.1",
                "-N",
                "-B",
                "-u",
                self.user,
            ])
            .arg(format!("--port={}", self.port));
        command
    }

    /// MariaDB's client, which prints values only.
    pub(crate) fn mariadb_client(&self) -> Command {
        let mut command = self.mariadb_client_without_database();
        command.arg(self.database);
        command
    }

    fn wait_until_ready(mut self) -> Result<Self> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.server.try_wait()? {
                bail!("{} ended at once: {status}", self.name);
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.answers() {
                return Ok(self);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} did not start within {START_TIMEOUT:?}", self.name)
    }

    fn answers(&self) -> bool {
        let mut psql = self.client("psql");
        psql.args(["-Atqc", "select 1"]).stdout(Stdio::null()).stderr(Stdio::null());
        psql.status().is_ok_and(|status| status.success())
    }

    /// A client program with its connection options.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", self.user])
            .env("PGDATABASE", self.database);
        command
    }

    /// CPU time that the server has used so far, its ended and running children included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let own = ProcessTimes::of(self.server.id())?;
        let mut ticks = own.own + own.ended_children;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Ok(pid) = name.to_string_lossy().parse::<u32>() else { continue };
            // A process may end while we look: then it is in its parent's figure next time.
            let Ok(times) = ProcessTimes::of(pid) else { continue };
            if times.parent == self.server.id() {
                ticks += times.own + times.ended_children;
            }
        }
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // SIGTERM for a clean end; whoever does not listen is killed.
        let pid = self.server.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if matches!(self.server.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server.kill().ok();
        self.server.wait().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// USER_HZ, which is 100 on every Linux that Rust's standard library supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// From `/proc/PID/stat`, in ticks.
struct ProcessTimes {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl ProcessTimes {
    fn of(pid: u32) -> Result<Self> {
        let mut stat = String::new();
        fs::File::open(format!("/proc/{pid}/stat"))?.read_to_string(&mut stat)?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("a malformed stat line")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| -> Result<u64> {
            Ok(fields.get(index).context("a short stat line")?.parse()?)
        };
        Ok(Self {
            parent: u32::try_from(number(1)?)?,
            own: number(11)? + number(12)?,
            ended_children: number(13)? + number(14)?,
        })
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn is_root() -> bool {
    ProcessOwner::of_self().is_some_and(|uid| uid == 0)
}

struct ProcessOwner;

impl ProcessOwner {
    fn of_self() -> Option<u32> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("Uid:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &str) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

/// Started as root, a server runs as its own user.
fn give_to(user: &str, dir: &Path) -> Result<()> {
    if is_root() {
        let owned = Command::new("chown").arg(format!("{user}:")).arg(dir).status()?;
        if !owned.success() {
            bail!("could not give {} to the user {user}", dir.display());
        }
    }
    Ok(())
}
