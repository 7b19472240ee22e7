//! Where COPY's bytes come from and go to, and `\copy`, whose file is the client's.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::shell::Source;

/// `\copy` as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CopyCommand {
    /// A table, perhaps with columns, or a query in brackets.
    what: String,
    is_from: bool,
    /// `stdin`, `stdout`, or a path.
    pub(super) file: String,
    in_quotes: bool,
    options: String,
}

impl CopyCommand {
    pub(super) fn sql(&self) -> String {
        let to = if self.is_from { "FROM STDIN" } else { "TO STDOUT" };
        format!("COPY {} {to} {}", self.what, self.options)
    }

    fn is_standard(&self) -> bool {
        let names = ["stdin", "stdout", "pstdin", "pstdout"];
        !self.in_quotes && names.iter().any(|name| self.file.eq_ignore_ascii_case(name))
    }
}

/// Reads a line that begins with `copy`.
pub(super) fn parse(line: &str) -> Result<CopyCommand, String> {
    const USAGE: &str = "usage: \\copy table [(columns)] | (query) from | to 'file' [options]";
    let line = line.trim().strip_prefix("copy").unwrap_or(line).trim().trim_end_matches(';');
    let (word_at, is_from, after) = direction(line).ok_or(USAGE)?;
    let what = line[..word_at].trim().to_owned();
    let rest = line[after..].trim_start();
    let (file, in_quotes, options) = match rest.strip_prefix('\'') {
        Some(quoted) => {
            let end = quoted.find('\'').ok_or(USAGE)?;
            (&quoted[..end], true, &quoted[end + 1..])
        }
        None => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (&rest[..end], false, &rest[end..])
        }
    };
    if what.is_empty() || file.is_empty() {
        return Err(USAGE.to_owned());
    }
    if !in_quotes && file.eq_ignore_ascii_case("program") {
        return Err("\\copy with programs is not supported".to_owned());
    }
    let (file, options) = (file.to_owned(), options.trim().to_owned());
    Ok(CopyCommand { what, is_from, file, in_quotes, options })
}

/// FROM or TO outside of brackets and quotes: where it begins and ends.
fn direction(line: &str) -> Option<(usize, bool, usize)> {
    let (mut depth, mut quote, mut start) = (0i32, None, None);
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) if c.is_whitespace() && depth == 0 => {
                let word = start.map(|start: usize| (start, &line[start..at]));
                match word {
                    Some((start, word)) if word.eq_ignore_ascii_case("from") => {
                        return Some((start, true, at));
                    }
                    Some((start, word)) if word.eq_ignore_ascii_case("to") => {
                        return Some((start, false, at));
                    }
                    _ => start = None,
                }
                continue;
            }
            (None, _) => {}
        }
        if start.is_none() {
            start = Some(at);
        }
    }
    None
}

/// The client's side of a COPY.
pub(super) struct Copying<'a> {
    /// Lines up to `\.`, of a script.
    lines: Option<&'a mut Source>,
    /// All of a file.
    input: Option<Box<dyn Read>>,
    output: Option<File>,
}

impl<'a> Copying<'a> {
    /// No bytes to give.
    pub(super) fn none() -> Self {
        Self { lines: None, input: None, output: None }
    }

    /// The lines that follow.
    pub(super) fn lines(source: &'a mut Source) -> Self {
        Self { lines: Some(source), ..Self::none() }
    }

    /// The file of `\copy`.
    pub(super) fn of(command: &CopyCommand, source: &'a mut Source) -> std::io::Result<Self> {
        let mut copying = Self::lines(source);
        match (command.is_from, command.is_standard()) {
            (_, true) => {}
            (true, false) => copying.input = Some(Box::new(BufReader::new(open(&command.file)?))),
            (false, false) => copying.output = Some(create(&command.file)?),
        }
        Ok(copying)
    }

    /// The next bytes to send; none at the end.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if let Some(input) = &mut self.input {
            let mut bytes = vec![0; 64 << 10];
            let count = input.read(&mut bytes)?;
            bytes.truncate(count);
            return Ok((count > 0).then_some(bytes));
        }
        let Some(source) = &mut self.lines else { return Ok(None) };
        let line = source.line()?.filter(|line| line.trim_end() != "\\.");
        Ok(line.map(String::into_bytes))
    }

    /// Takes bytes that came, unless they are for standard output.
    pub(super) fn take(&mut self, bytes: &[u8]) -> std::io::Result<bool> {
        let Some(output) = &mut self.output else { return Ok(false) };
        output.write_all(bytes)?;
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of the user's, not of the simulated node")]
fn open(path: impl AsRef<Path>) -> std::io::Result<File> {
    File::open(path)
}

#[expect(clippy::disallowed_methods, reason = "a file of the user's, not of the simulated node")]
pub(super) fn create(path: impl AsRef<Path>) -> std::io::Result<File> {
    File::create(path)
}

/// A new file, which only its owner reads: in a directory of everybody's nobody has put another there.
#[expect(clippy::disallowed_methods, reason = "a file of the user's, not of the simulated node")]
pub(super) fn create_private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Removes a file of our own; one that stays harms nobody.
#[expect(clippy::disallowed_methods, reason = "a file of the user's, not of the simulated node")]
pub(super) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        eprintln!("could not remove {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, sql: &str, file: &str) {
        let command = parse(line).unwrap();
        assert_eq!((command.sql().trim_end(), &*command.file), (sql, file), "{line}");
    }

    #[test]
    fn commands_become_statements() {
        check("copy t from 'a b.csv' csv header", "COPY t FROM STDIN csv header", "a b.csv");
        check("copy t (a, \"to\") to out.txt", "COPY t (a, \"to\") TO STDOUT", "out.txt");
        check(
            "copy (select 1 from t where a = ' to ') to stdout with (format csv);",
            "COPY (select 1 from t where a = ' to ') TO STDOUT with (format csv)",
            "stdout",
        );
        for wrong in ["copy", "copy t", "copy t from", "copy from x", "copy t to program 'cat'"] {
            parse(wrong).unwrap_err();
        }
    }
}
