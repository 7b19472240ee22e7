//! Commands of the shell, which begin with a backslash.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::copy::Copying;
use super::describe;
use super::help;
use super::shell::{Shell, Source};
use super::split::is_blank;

/// What is to be done after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next piece.
    Go,
    /// It failed; its message has been shown.
    Failed,
    /// The end of the shell.
    Quit,
}

/// The name of a command and its arguments. In quotes a backslash means what it does in C, and a quote that
/// is doubled one; names keep their own quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.trim().chars().peekable();
    while let Some(&next) = chars.peek() {
        if next.is_whitespace() {
            chars.next();
            continue;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match (quote, c) {
                (None, '\'') => quote = Some(c),
                (Some('\''), '\'') if chars.next_if_eq(&'\'').is_some() => word.push(c),
                (Some('\''), '\'') => quote = None,
                (Some('\''), '\\') => word.extend(chars.next().map(escaped)),
                (None, '"') => {
                    quote = Some(c);
                    word.push(c);
                }
                (Some('"'), '"') => {
                    quote = None;
                    word.push(c);
                }
                _ => word.push(c),
            }
        }
        words.push(word);
    }
    words
}

/// What a character after a backslash stands for.
fn escaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        other => other,
    }
}

impl Shell {
    /// Runs a command (without its backslash). `buffer` is the statement that is being written.
    pub(super) fn command(
        &mut self,
        line: &str,
        buffer: &mut String,
        source: &mut Source,
    ) -> anyhow::Result<Next> {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (name, arguments) =
            words.split_first().map_or(("", &[][..]), |(name, rest)| (*name, rest));
        let first = arguments.first().copied();
        let done = match (name, arguments) {
            ("q" | "quit", []) => return Ok(Next::Quit),
            ("?", _) => self.print(help::COMMANDS)?,
            ("h" | "help", _) => self.print(&help::on_sql(&arguments.join(" ")))?,
            ("g" | "gx", []) => return self.go(name == "gx", buffer, source),
            ("watch", _) => return self.watch(arguments, buffer, source),
            ("p" | "print", []) => {
                let text = if is_blank(buffer) { self.last.clone() } else { buffer.clone() };
                self.print(&format!("{}\n", text.trim_end()))?
            }
            ("r" | "reset", []) => {
                buffer.clear();
                self.say("Query buffer reset (cleared).")?
            }
            ("e" | "edit", _) => self.edit(first, buffer)?,
            ("echo", _) => self.print(&format!("{}\n", arguments.join(" ")))?,
            ("i" | "include" | "ir", [path]) => return self.include(path),
            ("o" | "out", _) => self.redirect(first)?,
            ("copy", _) => return self.copy_command(line, source),
            ("timing", _) => self.set_timing(first)?,
            ("x", _) => self.set("expanded", first)?,
            ("t", _) => self.set("tuples_only", first)?,
            ("a", []) => {
                let format = if self.display.format == super::display::Format::Aligned {
                    "unaligned"
                } else {
                    "aligned"
                };
                self.set("format", Some(format))?
            }
            ("pset", [name]) => self.set(name, None)?,
            ("pset", [name, value]) => self.set(name, Some(value))?,
            ("c" | "connect", [database]) => {
                let name = describe::identifier(database);
                return self.run_quietly(&format!("USE {name}"));
            }
            ("conninfo", []) => {
                return self.run_own(
                    "SELECT current_database() AS \"Database\", current_user AS \"User\", \
                     version() AS \"Server\"",
                    &mut Copying::none(),
                );
            }
            (name, _) if describe::is_one(name) => return self.describe(name, first),
            _ => self.refuse(&format!("invalid command \\{name}; try \\?"))?,
        };
        Ok(done)
    }

    fn print(&mut self, text: &str) -> anyhow::Result<Next> {
        self.out.write_all(text.as_bytes())?;
        Ok(Next::Go)
    }

    /// A note on what was done, where somebody sits.
    fn say(&mut self, text: &str) -> anyhow::Result<Next> {
        if self.is_interactive {
            println!("{text}");
        }
        Ok(Next::Go)
    }

    pub(super) fn refuse(&mut self, text: &str) -> anyhow::Result<Next> {
        self.out.flush()?;
        eprintln!("{text}");
        Ok(Next::Failed)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> anyhow::Result<Next> {
        match self.display.set(name, value) {
            Ok(said) => self.say(&said),
            Err(error) => self.refuse(&error),
        }
    }

    fn set_timing(&mut self, value: Option<&str>) -> anyhow::Result<Next> {
        self.is_timing = match value {
            None => !self.is_timing,
            Some("on") => true,
            Some("off") => false,
            Some(other) => return self.refuse(&format!("\"{other}\" is neither on nor off")),
        };
        self.say(if self.is_timing { "Timing is on." } else { "Timing is off." })
    }

    /// Runs a statement of a command's: what was run last stays what it is.
    fn run_own(&mut self, sql: &str, copying: &mut Copying<'_>) -> anyhow::Result<Next> {
        let last = self.last.clone();
        let is_ok = self.run(sql, copying)?;
        self.last = last;
        Ok(if is_ok { Next::Go } else { Next::Failed })
    }

    fn run_quietly(&mut self, sql: &str) -> anyhow::Result<Next> {
        Ok(if self.ask(sql)?.is_some() { Next::Go } else { Next::Failed })
    }

    /// `\g`: what is written, or was run last.
    fn go(
        &mut self,
        expanded: bool,
        buffer: &mut String,
        source: &mut Source,
    ) -> anyhow::Result<Next> {
        let text = self.taken(buffer);
        let before = std::mem::replace(&mut self.display.expanded, expanded);
        self.display.expanded |= before;
        let is_ok = self.run(&text, &mut Copying::lines(source));
        self.display.expanded = before;
        Ok(if is_ok? { Next::Go } else { Next::Failed })
    }

    fn taken(&mut self, buffer: &mut String) -> String {
        if is_blank(buffer) {
            buffer.clear();
            self.last.clone()
        } else {
            std::mem::take(buffer).trim_start().to_owned()
        }
    }

    /// `\watch [seconds [times]]`
    fn watch(
        &mut self,
        arguments: &[&str],
        buffer: &mut String,
        source: &mut Source,
    ) -> anyhow::Result<Next> {
        let seconds = arguments.first().map_or(Ok(2.0), |text| text.parse::<f64>());
        let times = arguments.get(1).map_or(Ok(u64::MAX), |text| text.parse::<u64>());
        let (Ok(seconds), Ok(times)) = (seconds, times) else {
            return self.refuse("usage: \\watch [seconds [times]]");
        };
        let Ok(pause) = std::time::Duration::try_from_secs_f64(seconds) else {
            return self.refuse("usage: \\watch [seconds [times]]");
        };
        let text = self.taken(buffer);
        for time in 0..times {
            if time > 0 {
                self.env.sleep(pause);
            }
            if !self.run(&text, &mut Copying::lines(source))? {
                return Ok(Next::Failed);
            }
            self.out.flush()?;
        }
        Ok(Next::Go)
    }

    /// `\i`
    fn include(&mut self, path: &str) -> anyhow::Result<Next> {
        /// Files within files beyond this are taken for one that includes itself.
        const DEEPEST: u32 = 50;
        if self.depth == DEEPEST {
            return self.refuse(&format!("{path}: files include each other too deeply"));
        }
        let text = match crate::options::read_text(&self.env, Path::new(path)) {
            Ok(text) => text,
            Err(error) => return self.refuse(&error.to_string()),
        };
        self.depth += 1;
        let next = self.run_pieces(Source::text(&text));
        self.depth -= 1;
        next
    }

    /// `\o`
    fn redirect(&mut self, path: Option<&str>) -> anyhow::Result<Next> {
        self.out.flush()?;
        self.out = match path {
            None => Box::new(std::io::stdout()),
            Some(path) => match super::copy::create(path) {
                Ok(file) => Box::new(std::io::BufWriter::new(file)),
                Err(error) => return self.refuse(&format!("{path}: {error}")),
            },
        };
        Ok(Next::Go)
    }

    /// `\e`: what is written, or was run last, in the user's editor.
    fn edit(&mut self, path: Option<&str>, buffer: &mut String) -> anyhow::Result<Next> {
        let own = std::env::temp_dir().join(format!("driftdb-{}.sql", std::process::id()));
        let file = path.map_or(&*own, Path::new);
        if path.is_none() {
            let text = if is_blank(buffer) { &self.last } else { &*buffer };
            let written = super::copy::create_private(file)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                return self.refuse(&format!("{}: {error}", file.display()));
            }
        }
        let editor = ["PSQL_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(std::env::var_os);
        let editor = editor.unwrap_or_else(|| "vi".into());
        let mut command = std::process::Command::new("sh");
        // The variable may hold arguments, too.
        command.arg("-c").arg("exec $0 \"$1\"").arg(&editor).arg(file);
        let status = command.status().context("could not start the editor")?;
        let text = crate::options::read_text(&self.env, file);
        if path.is_none() {
            super::copy::remove(&own);
        }
        match text {
            Ok(text) if status.success() => *buffer = text,
            Ok(_) => return self.refuse("the editor failed"),
            Err(error) => return self.refuse(&error.to_string()),
        }
        Ok(Next::Go)
    }

    /// `\copy`: COPY whose file is the client's.
    fn copy_command(&mut self, line: &str, source: &mut Source) -> anyhow::Result<Next> {
        let command = match super::copy::parse(line) {
            Ok(command) => command,
            Err(error) => return self.refuse(&error),
        };
        let sql = command.sql();
        let mut copying = match Copying::of(&command, source) {
            Ok(copying) => copying,
            Err(error) => return self.refuse(&format!("{}: {error}", command.file)),
        };
        self.run_own(&sql, &mut copying)
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn arguments_are_words_or_in_quotes() {
        assert_eq!(words("pset null '(no value)'"), ["pset", "null", "(no value)"]);
        assert_eq!(words(" d \"Odd Name\".b  "), ["d", "\"Odd Name\".b"]);
        assert_eq!(words(r"echo 'a\tb\\' 'it''s'"), ["echo", "a\tb\\", "it's"]);
        assert!(words("").is_empty());
    }
}
