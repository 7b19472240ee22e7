//! Running statements and showing what they answer.

use std::io::{BufRead, Read, Write};

use super::client::{Client, Event, ResultColumn};
use super::split::{is_blank, statement_end};
use super::table::{format_report, format_table};

const HELP: &str = "\
Statements end with a semicolon and may take several lines.
  \\q   leave
  \\?   this help
";

/// A script: statements, and between them the data of COPY … FROM STDIN.
pub(super) struct Source {
    reader: Box<dyn BufRead>,
}

impl Source {
    pub(super) fn text(text: &str) -> Self {
        Self { reader: Box::new(std::io::Cursor::new(text.to_owned())) }
    }

    pub(super) fn stdin() -> Self {
        Self { reader: Box::new(std::io::BufReader::new(std::io::stdin())) }
    }

    /// The next line with its end; none at the end.
    fn line(&mut self) -> anyhow::Result<Option<String>> {
        /// A line this long is not SQL.
        const MAX_BYTES: u64 = 256 << 20;
        let mut line = String::new();
        let count = self.reader.by_ref().take(MAX_BYTES).read_line(&mut line)?;
        Ok((count > 0).then_some(line))
    }
}

pub(super) struct Shell {
    client: Client,
}

impl Shell {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Runs texts, each as a whole; false at the first that fails.
    pub(super) fn run_texts(&mut self, texts: &[String]) -> anyhow::Result<bool> {
        for text in texts {
            if !self.run(text, &mut Source::stdin())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs a script statement by statement; false at the first that fails.
    pub(super) fn run_script(&mut self, mut source: Source) -> anyhow::Result<bool> {
        let mut pending = String::new();
        while let Some(line) = source.line()? {
            if is_blank(&pending) && line.trim() == "\\q" {
                return Ok(true);
            }
            pending.push_str(&line);
            if !self.run_complete(&mut pending, &mut source)? {
                return Ok(false);
            }
        }
        if is_blank(&pending) { Ok(true) } else { self.run(&pending, &mut source) }
    }

    /// Runs the whole statements at the beginning of a text, and takes them off.
    fn run_complete(&mut self, pending: &mut String, source: &mut Source) -> anyhow::Result<bool> {
        while let Some(end) = statement_end(pending) {
            let rest = pending.split_off(end);
            let statement = std::mem::replace(pending, rest);
            let statement = statement.trim_start_matches(['\n', '\r']);
            if !is_blank(statement.trim_end_matches(';')) && !self.run(statement, source)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A prompt, until `\q` or the end of the input.
    pub(super) fn interact(&mut self) -> anyhow::Result<bool> {
        println!("DriftDB {}. \\q leaves, \\? helps.", env!("CARGO_PKG_VERSION"));
        let mut source = Source::stdin();
        let mut pending = String::new();
        loop {
            self.prompt(is_blank(&pending))?;
            let Some(line) = source.line()? else {
                println!();
                return Ok(true);
            };
            if is_blank(&pending) {
                pending.clear();
                match line.trim() {
                    "" => continue,
                    "\\q" | "exit" | "quit" => return Ok(true),
                    "\\?" | "help" => {
                        print!("{HELP}");
                        continue;
                    }
                    command if command.starts_with('\\') => {
                        eprintln!("invalid command {command}; try \\?");
                        continue;
                    }
                    _ => {}
                }
            }
            pending.push_str(&line);
            // An error leaves nothing behind but its message.
            if !self.run_complete(&mut pending, &mut source)? {
                pending.clear();
            }
        }
    }

    fn prompt(&self, is_new: bool) -> anyhow::Result<()> {
        let state = match self.client.status {
            b'T' => "*",
            b'E' => "!",
            _ => "",
        };
        print!("driftdb{}{state}> ", if is_new { "=" } else { "-" });
        Ok(std::io::stdout().flush()?)
    }

    /// Runs a string of statements; whether all of them succeeded. `source` has the data of COPY.
    fn run(&mut self, text: &str, source: &mut Source) -> anyhow::Result<bool> {
        self.client.query(text)?;
        let mut columns: Option<Vec<ResultColumn>> = None;
        let mut rows = Vec::new();
        let mut is_ok = true;
        let mut out = std::io::stdout();
        loop {
            match self.client.next()? {
                Event::Columns(new) => columns = Some(new),
                Event::Row(row) => rows.push(row),
                Event::Complete(tag) => match columns.take() {
                    Some(columns) => {
                        let rows = std::mem::take(&mut rows);
                        write!(out, "{}", format_table(&columns, &rows))?;
                    }
                    None => writeln!(out, "{tag}")?,
                },
                Event::Notice(report) => eprint!("{}", format_report(&report, text)),
                Event::Error(report) => {
                    is_ok = false;
                    columns = None;
                    rows.clear();
                    out.flush()?;
                    eprint!("{}", format_report(&report, text));
                }
                Event::CopyData(bytes) => out.write_all(&bytes)?,
                Event::CopyIn => self.send_copy(source)?,
                Event::Ready => return Ok(is_ok),
                Event::Other => {}
            }
        }
    }

    /// Sends lines up to `\.` or the end.
    fn send_copy(&mut self, source: &mut Source) -> anyhow::Result<()> {
        while let Some(line) = source.line()? {
            if line.trim_end() == "\\." {
                break;
            }
            self.client.copy_data(line.as_bytes())?;
        }
        self.client.copy_done()
    }
}
