//! Running statements and showing what they answer.

use std::io::{BufRead, Read, Write};

use driftdb_env::Env;

use super::client::{Client, Event, ResultColumn};
use super::copy::Copying;
use super::display::{Display, Row};
use super::meta::Next;
use super::split::{Piece, first_piece, is_blank};
use super::table::format_report;

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
    pub(super) fn line(&mut self) -> std::io::Result<Option<String>> {
        /// A line this long is not SQL.
        const MAX_BYTES: u64 = 256 << 20;
        let mut line = String::new();
        let count = self.reader.by_ref().take(MAX_BYTES).read_line(&mut line)?;
        Ok((count > 0).then_some(line))
    }
}

pub(super) struct Shell {
    client: Client,
    pub(super) env: Env,
    pub(super) display: Display,
    /// Where results go.
    pub(super) out: Box<dyn Write>,
    pub(super) is_timing: bool,
    /// Somebody sits before it.
    pub(super) is_interactive: bool,
    /// What was run last.
    pub(super) last: String,
    /// Files that include this one.
    pub(super) depth: u32,
    /// The time that the session is in; empty in the present.
    past: String,
}

impl Shell {
    pub(super) fn new(client: Client, env: &Env, display: Display) -> Self {
        Self {
            client,
            env: env.clone(),
            display,
            out: Box::new(std::io::stdout()),
            is_timing: false,
            is_interactive: false,
            last: String::new(),
            depth: 0,
            past: String::new(),
        }
    }

    /// Runs texts, each as a whole, or as one command of the shell; false at the first that fails.
    pub(super) fn run_texts(&mut self, texts: &[String]) -> anyhow::Result<bool> {
        for text in texts {
            let mut source = Source::stdin();
            let is_ok = match text.trim().strip_prefix('\\') {
                Some(command) => {
                    let next = self.command(command, &mut String::new(), &mut source)?;
                    self.out.flush()?;
                    match next {
                        Next::Quit => return Ok(true),
                        next => next == Next::Go,
                    }
                }
                None => self.run(text, &mut Copying::lines(&mut source))?,
            };
            if !is_ok {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs a script statement by statement; false at the first that fails.
    pub(super) fn run_script(&mut self, source: Source) -> anyhow::Result<bool> {
        let next = self.run_pieces(source)?;
        self.out.flush()?;
        Ok(next != Next::Failed)
    }

    /// Runs statements and commands up to the first that fails, or the end.
    pub(super) fn run_pieces(&mut self, mut source: Source) -> anyhow::Result<Next> {
        let mut pending = String::new();
        while let Some(line) = source.line()? {
            pending.push_str(&line);
            match self.run_complete(&mut pending, &mut source)? {
                Next::Go => {}
                end => return Ok(end),
            }
        }
        // A command ends with its line, the last statement with the text.
        pending.push('\n');
        match self.run_complete(&mut pending, &mut source)? {
            Next::Go if is_blank(&pending) => Ok(Next::Go),
            Next::Go => match self.run(&pending, &mut Copying::lines(&mut source))? {
                true => Ok(Next::Go),
                false => Ok(Next::Failed),
            },
            end => Ok(end),
        }
    }

    /// Runs the whole statements and commands at the beginning of a text, and takes them off.
    fn run_complete(&mut self, pending: &mut String, source: &mut Source) -> anyhow::Result<Next> {
        loop {
            match first_piece(pending) {
                None => return Ok(Next::Go),
                Some(Piece::Statement(end)) => {
                    let rest = pending.split_off(end);
                    let statement = std::mem::replace(pending, rest);
                    let statement = statement.trim_start_matches(['\n', '\r']);
                    if !is_blank(statement.trim_end_matches(';'))
                        && !self.run(statement, &mut Copying::lines(source))?
                    {
                        return Ok(Next::Failed);
                    }
                }
                Some(Piece::Command(at)) => {
                    let Some(end) = pending[at..].find('\n').map(|end| at + end) else {
                        return Ok(Next::Go);
                    };
                    let rest = pending.split_off(end + 1);
                    let command = pending.split_off(at);
                    let next = self.command(command[1..].trim_end(), pending, source)?;
                    pending.push_str(&rest);
                    if next != Next::Go {
                        return Ok(next);
                    }
                }
            }
        }
    }

    /// A prompt, until `\q` or the end of the input.
    pub(super) fn interact(&mut self) -> anyhow::Result<bool> {
        println!("DriftDB {}. \\q leaves, \\? helps.", env!("CARGO_PKG_VERSION"));
        self.is_interactive = true;
        self.display.trees = true;
        let mut source = Source::stdin();
        let mut pending = String::new();
        loop {
            print!("{}", self.prompt(is_blank(&pending)));
            std::io::stdout().flush()?;
            let Some(line) = source.line()? else {
                println!();
                return Ok(true);
            };
            if is_blank(&pending) {
                pending.clear();
                match line.trim() {
                    "" => continue,
                    "exit" | "quit" => return Ok(true),
                    "help" => {
                        print!("{}", super::help::COMMANDS);
                        continue;
                    }
                    _ => {}
                }
            }
            pending.push_str(&line);
            match self.run_complete(&mut pending, &mut source)? {
                Next::Go => {}
                // An error leaves nothing behind but its message.
                Next::Failed => pending.clear(),
                Next::Quit => return Ok(true),
            }
            self.out.flush()?;
        }
    }

    /// Says which database's time it is, and how the transaction is.
    fn prompt(&self, is_new: bool) -> String {
        let state = match self.client.status {
            b'T' => "*",
            b'E' => "!",
            _ => "",
        };
        let past =
            if self.past.is_empty() { String::new() } else { format!(" as of {}", self.past) };
        format!("driftdb{past}{}{state}> ", if is_new { "=" } else { "-" })
    }

    /// Runs a string of statements; whether all of them succeeded.
    pub(super) fn run(&mut self, text: &str, copying: &mut Copying<'_>) -> anyhow::Result<bool> {
        let begun = self.env.now();
        text.clone_into(&mut self.last);
        self.client.query(text)?;
        let mut columns: Option<Vec<ResultColumn>> = None;
        let (mut rows, mut is_ok, mut may_travel) = (Vec::new(), true, false);
        let mut is_copied_out = false;
        loop {
            match self.client.next()? {
                Event::Columns(new) => columns = Some(new),
                Event::Row(row) => rows.push(row),
                Event::Complete(tag) => match columns.take() {
                    Some(columns) => {
                        let rows = std::mem::take(&mut rows);
                        self.show(&columns, &rows, None, None)?;
                    }
                    // The rows of a COPY stand for themselves.
                    None if std::mem::take(&mut is_copied_out) => {}
                    None => {
                        may_travel |= moves_in_time(&tag);
                        self.tell(&tag)?;
                    }
                },
                Event::Notice(report) => eprint!("{}", format_report(&report, text)),
                Event::Error(report) => {
                    is_ok = false;
                    columns = None;
                    rows.clear();
                    self.out.flush()?;
                    eprint!("{}", format_report(&report, text));
                }
                Event::CopyData(bytes) => {
                    match copying.take(&bytes) {
                        Ok(true) => {}
                        Ok(false) => {
                            is_copied_out = true;
                            self.out.write_all(&bytes)?;
                        }
                        // What else comes is of no use, but has to be taken.
                        Err(error) if is_ok => {
                            is_ok = false;
                            is_copied_out = true;
                            eprintln!("could not write: {error}");
                        }
                        Err(_) => {}
                    }
                }
                Event::CopyIn => loop {
                    match copying.next() {
                        Ok(Some(bytes)) => self.client.copy_data(&bytes)?,
                        Ok(None) => break self.client.copy_done()?,
                        Err(error) => break self.client.copy_fail(&error.to_string())?,
                    }
                },
                Event::Ready => break,
                Event::Other => {}
            }
        }
        if self.is_timing {
            let micros = (self.env.now() - begun).as_micros();
            writeln!(self.out, "Time: {}.{:03} ms", micros / 1000, micros % 1000)?;
        }
        if self.is_interactive && (may_travel || !is_ok) {
            self.look_where_in_time()?;
        }
        Ok(is_ok)
    }

    /// What a statement did, where that is no data of a document.
    fn tell(&mut self, tag: &str) -> anyhow::Result<()> {
        use super::display::Format;
        if !matches!(self.display.format, Format::Csv | Format::Json) {
            writeln!(self.out, "{tag}")?;
        }
        Ok(())
    }

    pub(super) fn show(
        &mut self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> anyhow::Result<()> {
        Ok(self.out.write_all(self.display.show(columns, rows, title, footers).as_bytes())?)
    }

    /// The rows of a query of our own; none, and its message shown, if it fails.
    pub(super) fn ask(
        &mut self,
        sql: &str,
    ) -> anyhow::Result<Option<(Vec<ResultColumn>, Vec<Row>)>> {
        self.client.query(sql)?;
        let (mut columns, mut rows, mut is_ok) = (Vec::new(), Vec::new(), true);
        loop {
            match self.client.next()? {
                Event::Columns(new) => columns = new,
                Event::Row(row) => rows.push(row),
                Event::Error(report) => {
                    is_ok = false;
                    self.out.flush()?;
                    eprint!("{}", format_report(&report, sql));
                }
                Event::Ready => return Ok(is_ok.then_some((columns, rows))),
                _ => {}
            }
        }
    }

    /// Asks for the prompt's sake whether the session is in the past.
    fn look_where_in_time(&mut self) -> anyhow::Result<()> {
        // In a failed transaction nothing can be asked.
        if self.client.status == b'E' {
            return Ok(());
        }
        let found = self.ask("SHOW driftdb.as_of")?;
        let cell = found.and_then(|(_, rows)| rows.into_iter().next()?.into_iter().next()?);
        self.past = cell.unwrap_or_default();
        Ok(())
    }
}

/// Whether a statement of this tag may have moved the session in time.
fn moves_in_time(tag: &str) -> bool {
    ["SET", "RESET", "DISCARD", "BEGIN", "COMMIT", "ROLLBACK", "START"]
        .iter()
        .any(|word| tag.starts_with(word))
}
