//! Random regular expressions, asked of a PostgreSQL that the test starts.
//!
//! Small patterns over three letters, with everything that decides what is matched: alternatives, greedy
//! and lazy quantifiers, groups, back references, look-around. Without a PostgreSQL 15 there is nothing to
//! compare with, and the test says so. `DRIFTDB_REGEXP_FUZZ=seed:count` asks more.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{answer, parse};
use driftdb_types::EvalContext;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A pattern in the making.
struct Pattern<'a> {
    random: &'a mut Random,
    text: String,
    groups: u64,
    in_look: bool,
}

impl Pattern<'_> {
    fn alternatives(&mut self, depth: u32) {
        self.branch(depth);
        while self.random.below(4) == 0 {
            self.text.push('|');
            self.branch(depth);
        }
    }

    fn branch(&mut self, depth: u32) {
        for _ in 0..self.random.below(4) {
            self.part(depth);
        }
    }

    fn part(&mut self, depth: u32) {
        match self.random.below(if depth == 0 { 9 } else { 18 }) {
            0..=3 => self.text.push_str(self.random.one_of(&["a", "b", "c"])),
            4 => {
                let set = self.random.one_of(&[".", "[ab]", "[^b]", r"\w", "[[:alpha:]]"]);
                self.text.push_str(set);
            }
            5 => {
                let assertion = self.random.one_of(&["^", "$", r"\y", r"\m", r"\M", r"\Y"]);
                return self.text.push_str(assertion);
            }
            6..=8 if self.groups > 0 && !self.in_look => {
                let group = self.random.below(self.groups) + 1;
                self.text.push_str(&format!("\\{group}"));
            }
            6..=8 => self.text.push('a'),
            9..=13 => {
                self.groups += u64::from(!self.in_look);
                self.text.push('(');
                self.alternatives(depth - 1);
                self.text.push(')');
            }
            14..=15 => {
                self.text.push_str("(?:");
                self.alternatives(depth - 1);
                self.text.push(')');
            }
            _ => {
                self.text.push_str(self.random.one_of(&["(?=", "(?!", "(?<=", "(?<!"]));
                let outer = std::mem::replace(&mut self.in_look, true);
                self.alternatives(depth - 1);
                self.in_look = outer;
                return self.text.push(')');
            }
        }
        let quantifiers = [
            "", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}",
            "{1}", "{1,1}?", "{1,1}", "{0}", "{2,3}",
        ];
        self.text.push_str(self.random.one_of(&quantifiers));
    }
}

fn tabbed(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The calls that are compared, without their answers: name, and arguments after it.
fn cases(seed: u64, count: usize) -> Vec<(&'static str, &'static str, Vec<String>)> {
    let mut random = Random(seed);
    let mut cases = Vec::new();
    for _ in 0..count {
        let mut pattern =
            Pattern { random: &mut random, text: String::new(), groups: 0, in_look: false };
        pattern.alternatives(3);
        let pattern = pattern.text;
        for _ in 0..2 {
            let length = random.below(8);
            let subject: String =
                (0..length).map(|_| random.one_of(&["a", "a", "b", "b", "c", " "])).collect();
            let flags = random.one_of(&["g", "g", "gi", "gn"]).to_owned();
            let args = vec![subject, pattern.clone()];
            cases.push(("fn", "regexp_match", args.clone()));
            let marked = [args.clone(), vec![r"<\&|\1|\2>".to_owned(), flags]].concat();
            cases.push(("fn", "regexp_replace", marked));
            cases.push(("op", "~", args));
        }
    }
    cases
}

/// A command that does not run as root, which PostgreSQL refuses.
fn unprivileged(program: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !is_root {
        return Command::new(format!("{BIN}/{program}"));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(format!("{BIN}/{program}"));
    command
}

/// A server of the test's own, on a socket in its directory.
struct Server(PathBuf);

impl Server {
    fn start() -> Option<Self> {
        if !Path::new(BIN).exists() {
            return None;
        }
        let dir = std::env::temp_dir().join(format!("driftdb-regexp-{}", std::process::id()));
        std::fs::create_dir_all(&dir).ok()?;
        // Of no use, and not needed, where this is not root.
        Command::new("chown").arg("postgres").arg(&dir).stderr(Stdio::null()).status().ok()?;
        let server = Self(dir);
        let quiet = |command: &mut Command| {
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success()).then_some(())
        };
        let data = server.0.join("data");
        let made = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D"];
        quiet(unprivileged("initdb").args(made).arg(&data))?;
        let options = format!("-c listen_addresses= -c fsync=off -k {}", server.0.display());
        quiet(
            unprivileged("pg_ctl")
                .args(["-w", "-l"])
                .arg(server.0.join("log"))
                .args(["-o", &options])
                .arg("-D")
                .arg(&data)
                .arg("start"),
        )?;
        Some(server)
    }

    fn ask(&self, script: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-qAt", "-U", "postgres", "-h"]).arg(&self.0);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = psql.spawn().expect("psql");
        let mut stdin = psql.stdin.take().expect("its input");
        stdin.write_all(script.as_bytes()).expect("psql reads");
        drop(stdin);
        let out = psql.wait_with_output().expect("an answer");
        String::from_utf8(out.stdout).expect("text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = unprivileged("pg_ctl");
        stop.args(["-w", "-m", "immediate", "stop", "-D"]).arg(self.0.join("data"));
        let stopped = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let removed = std::fs::remove_dir_all(&self.0);
        if stopped.is_err() || removed.is_err() {
            eprintln!("{} is left behind", self.0.display());
        }
    }
}

#[test]
fn random_regular_expressions_match_as_in_postgresql() {
    let Some(server) = Server::start() else {
        eprintln!("skipped: no PostgreSQL 15 in {BIN} that could be started");
        return;
    };
    let asked = std::env::var("DRIFTDB_REGEXP_FUZZ").unwrap_or_default();
    let (seed, count) = asked.split_once(':').unwrap_or(("1", "300"));
    let cases = cases(seed.parse().expect("a seed"), count.parse().expect("a count"));
    let mut script = String::from(
        "set client_min_messages = error; set statement_timeout = '5s';
create function pg_temp.answer(q text) returns text language plpgsql as $$
declare r text; begin execute q into r; return 'ok ' || coalesce(r, 'NULL');
exception when others then return 'error ' || sqlstate || ' ' || sqlerrm; end $$;
create temp table q(id int, q text);
copy q from stdin;
",
    );
    for (id, (kind, name, args)) in cases.iter().enumerate() {
        let quoted: Vec<String> =
            args.iter().map(|arg| format!("'{}'", arg.replace('\'', "''"))).collect();
        let call = match *kind {
            "op" => quoted.join(&format!(" {name} ")),
            _ => format!("{name}({})", quoted.join(", ")),
        };
        script.push_str(&format!("{id}\t{}\n", tabbed(&format!("select ({call})::text"))));
    }
    script.push_str("\\.\ncopy (select pg_temp.answer(q) from q order by id) to stdout;\n");
    let answers = server.ask(&script);
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for ((kind, name, args), expected) in cases.iter().zip(answers) {
        let mut line = format!("{kind}\t{name}\t{expected}");
        for arg in args {
            line.push_str(&format!("\ttext\t{}", tabbed(arg)));
        }
        let case = parse(&line);
        let got = match answer(&case, &EvalContext::default()) {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("error {} {}", error.state.code(), error.message),
        };
        if got != case.expected {
            wrong.push(format!("{name}{args:?}\n    want {}\n    got  {got}", case.expected));
        }
    }
    let shown = wrong[..wrong.len().min(40)].join("\n");
    assert!(wrong.is_empty(), "{} of {} differ:\n{shown}", wrong.len(), cases.len());
}
