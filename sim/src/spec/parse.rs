//! The text of a spec.
//!
//! ```text
//! # What this is about; copied to the head of the golden file.
//! setup      { SQL }                       before each permutation, in a session of its own
//! teardown   { SQL }                       after it
//! session NAME
//!   setup    { SQL }                       once per permutation
//!   step NAME { SQL }
//! check      { SQL }                       the state that a permutation leaves
//! always     { SQL }                       true after every permutation, at every level
//! anomaly "NAME" forbidden from "LEVEL"    or: forbidden never
//! seen STEP "ROWS" check "ROWS"            what shows the anomaly: all of it; several lines: any
//! serial                                   at SERIALIZABLE some serial execution explains all
//! levels "LEVEL" …                         only these
//! patience "200 ms"                        time that may pass before a blocked step counts as blocked
//! permutation STEP …                       in full in the golden file; a step whose session is
//!                                          blocked comes when it goes on
//! permutation all                          every interleaving, as a summary
//! ```
//!
//! ROWS are rows with `;` between them, their columns with `|`; or a command tag; or `ERROR` and a
//! SQLSTATE. The first part is PostgreSQL's isolation tester's; the judgements are ours.

use std::time::Duration;

use super::{Anomaly, Permutation, SessionSpec, Spec, Step, level_of};

enum Token {
    /// A word, or what stood between double quotes.
    Word(String),
    /// What stood between braces.
    Block(String),
}

/// Reads a spec.
///
/// # Errors
/// What is wrong, and in which line.
pub(super) fn parse(name: &str, text: &str) -> Result<Spec, String> {
    let tokens = tokens(text).map_err(|what| format!("{name}: {what}"))?;
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), line: 0, spec: empty(name) };
    let parsed = parser.parse().and_then(|()| parser.finish());
    parser.spec.about = about(text);
    parsed.map_err(|what| format!("{name}, line {}: {what}", parser.line))?;
    Ok(parser.spec)
}

fn empty(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        about: String::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        sessions: Vec::new(),
        steps: Vec::new(),
        check: None,
        always: Vec::new(),
        anomaly: None,
        is_serial: false,
        levels: Vec::new(),
        patience: Duration::ZERO,
        permutations: Vec::new(),
    }
}

/// The comment at the head.
fn about(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches('#').trim()).collect();
    lines.join("\n")
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (until, skipped) = match first {
            '\n' => {
                line += 1;
                rest = &rest[1..];
                continue;
            }
            '#' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '{' => (rest.find('}'), 1),
            '"' => (rest[1..].find('"').map(|at| at + 1), 1),
            _ => {
                let is_end = |c: char| c.is_whitespace() || c == '{' || c == '"';
                (Some(rest.find(is_end).unwrap_or(rest.len())), 0)
            }
        };
        let until = until.ok_or_else(|| format!("line {line}: \"{first}\" is never closed"))?;
        let inner = rest[skipped..until].to_owned();
        let newlines = inner.matches('\n').count();
        let token = if first == '{' { Token::Block(inner) } else { Token::Word(inner) };
        tokens.push((line, token));
        line += newlines;
        rest = &rest[until + skipped..];
    }
    Ok(tokens)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<(usize, Token)>>,
    line: usize,
    spec: Spec,
}

impl Parser {
    fn word(&mut self, what: &str) -> Result<String, String> {
        match self.tokens.next() {
            Some((line, Token::Word(word))) => {
                self.line = line;
                Ok(word)
            }
            _ => Err(format!("{what} is expected")),
        }
    }

    fn block(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some((line, Token::Block(text))) => {
                self.line = line;
                let lines = text.trim().lines().map(str::trim);
                Ok(lines.collect::<Vec<_>>().join("\n"))
            }
            _ => Err("a block in braces is expected".into()),
        }
    }

    /// The next word if it is none that begins a declaration.
    fn argument(&mut self) -> Option<String> {
        const DECLARATIONS: [&str; 12] = [
            "setup",
            "teardown",
            "session",
            "step",
            "check",
            "always",
            "anomaly",
            "seen",
            "serial",
            "levels",
            "patience",
            "permutation",
        ];
        let (_, Token::Word(word)) = self.tokens.peek()? else { return None };
        // `check` also names the final state, after `seen`; its block tells them apart.
        if DECLARATIONS.contains(&word.as_str()) {
            return None;
        }
        self.word("an argument").ok()
    }

    fn parse(&mut self) -> Result<(), String> {
        while self.tokens.peek().is_some() {
            match self.word("a declaration")?.as_str() {
                "setup" => {
                    let block = self.block()?;
                    match self.spec.sessions.last_mut() {
                        Some(session) => session.setup.push(block),
                        None => self.spec.setup.push(block),
                    }
                }
                "teardown" => {
                    let block = self.block()?;
                    self.spec.teardown.push(block);
                }
                "session" => {
                    let name = self.word("the session's name")?;
                    self.spec.sessions.push(SessionSpec { name, setup: Vec::new() });
                }
                "step" => self.step()?,
                "check" => self.spec.check = Some(self.block()?),
                "always" => {
                    let block = self.block()?;
                    self.spec.always.push(block);
                }
                "anomaly" => self.anomaly()?,
                "seen" => self.seen()?,
                "serial" => self.spec.is_serial = true,
                "levels" => {
                    while let Some(level) = self.argument() {
                        self.spec.levels.push(level_of(&level)?);
                    }
                }
                "patience" => {
                    let text = self.word("a time")?;
                    let millis = text.strip_suffix(" ms").and_then(|text| text.parse().ok());
                    let millis =
                        millis.ok_or_else(|| format!("\"{text}\" is not like \"200 ms\""))?;
                    self.spec.patience = Duration::from_millis(millis);
                }
                "permutation" => self.permutation()?,
                other => return Err(format!("\"{other}\" begins nothing")),
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let name = self.word("the step's name")?;
        let sql = self.block()?;
        let session = self.spec.sessions.len().checked_sub(1).ok_or("a step needs a session")?;
        if self.spec.steps.iter().any(|step| step.name == name) || name == "check" {
            return Err(format!("the name \"{name}\" is taken"));
        }
        self.spec.steps.push(Step { name, session, sql });
        Ok(())
    }

    fn anomaly(&mut self) -> Result<(), String> {
        let name = self.word("the anomaly's name")?;
        if self.word("forbidden")? != "forbidden" {
            return Err("\"forbidden from LEVEL\" or \"forbidden never\" is expected".into());
        }
        let forbidden_from = match self.word("from or never")?.as_str() {
            "never" => None,
            _ => Some(level_of(&self.word("a level")?)?),
        };
        self.spec.anomaly = Some(Anomaly { name, forbidden_from, signs: Vec::new() });
        Ok(())
    }

    fn seen(&mut self) -> Result<(), String> {
        let mut sign = Vec::new();
        loop {
            let is_check =
                matches!(self.tokens.peek(), Some((_, Token::Word(word))) if word == "check");
            let step = if is_check {
                self.word("check")?
            } else {
                let Some(step) = self.argument() else { break };
                step
            };
            if is_check && matches!(self.tokens.peek(), Some((_, Token::Block(_)))) {
                // The declaration: it belongs to nothing before.
                self.spec.check = Some(self.block()?);
                break;
            }
            let rows = self.word("what the step answers")?;
            sign.push((step, rows));
        }
        let anomaly = self.spec.anomaly.as_mut().ok_or("seen needs an anomaly before it")?;
        anomaly.signs.push(sign);
        Ok(())
    }

    fn permutation(&mut self) -> Result<(), String> {
        let mut steps = Vec::new();
        while let Some(name) = self.argument() {
            if name == "all" {
                self.spec.permutations.push(Permutation::All);
                return Ok(());
            }
            steps.push(self.spec.step_of(&name)?);
        }
        self.spec.permutations.push(Permutation::Steps(steps));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        let spec = &mut self.spec;
        if spec.permutations.is_empty() {
            spec.permutations.push(Permutation::All);
        }
        for (step, _) in spec.anomaly.iter().flat_map(|anomaly| anomaly.signs.iter().flatten()) {
            if step != "check" {
                spec.step_of(step)?;
            }
        }
        if spec.is_serial && spec.check.is_none() {
            return Err("serial needs a check".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use driftdb_concurrency::IsolationLevel;

    use super::*;

    const SPEC: &str = r#"# Lost update.
# Twice.
setup { CREATE TABLE t (a int) }
session one
setup { BEGIN }
step a { SELECT 1;
         SELECT 2 }
session two
step "b" { COMMIT }
check { SELECT a FROM t }
anomaly "lost" forbidden from "repeatable read"
seen a "1;2" check "3"
seen b "COMMIT"
serial
patience "20 ms"
levels "read committed" serializable
permutation a b
permutation all
"#;

    #[test]
    fn every_part_has_its_place() {
        let spec = parse("x", SPEC).unwrap();
        assert_eq!(spec.about, "Lost update.\nTwice.");
        assert_eq!(spec.sessions[0].setup, ["BEGIN"]);
        assert_eq!(spec.steps[0].sql, "SELECT 1;\nSELECT 2");
        assert_eq!((spec.steps[1].session, spec.steps[1].name.as_str()), (1, "b"));
        let anomaly = spec.anomaly.unwrap();
        assert_eq!(anomaly.forbidden_from, Some(IsolationLevel::RepeatableRead));
        let sign = |step: &str, rows: &str| (step.to_owned(), rows.to_owned());
        assert_eq!(
            anomaly.signs,
            [vec![sign("a", "1;2"), sign("check", "3")], vec![sign("b", "COMMIT")]]
        );
        assert!(spec.is_serial);
        assert_eq!(spec.patience, Duration::from_millis(20));
        assert_eq!(spec.levels, [IsolationLevel::ReadCommitted, IsolationLevel::Serializable]);
        assert_eq!(spec.permutations, [Permutation::Steps(vec![0, 1]), Permutation::All]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, what) in [
            ("setup {", "line 1: \"{\" is never closed"),
            ("\nstep a { x }", "line 2: a step needs a session"),
            ("session s\nstep a { x }\nstep a { y }", "line 3: the name \"a\" is taken"),
            ("session s\npermutation b", "line 2: there is no step \"b\""),
            ("what", "line 1: \"what\" begins nothing"),
            ("levels \"read twice\"", "no isolation level \"read twice\""),
            ("serial", "serial needs a check"),
        ] {
            let error = parse("x", text).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
