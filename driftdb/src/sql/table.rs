//! Results as aligned tables, errors with a caret: as psql prints them.

use super::client::{Report, ResultColumn};

/// Types whose values stand at the right: integers, floats, numeric, oid.
const RIGHT_ALIGNED: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];

pub(super) fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// A result.
pub(super) fn format_table(columns: &[ResultColumn], rows: &[Vec<Option<String>>]) -> String {
    let cell = |row: &'_ [Option<String>], index: usize| {
        row.get(index).cloned().flatten().unwrap_or_default()
    };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = rows.iter().map(|row| width(&cell(row, index))).max();
            width(&column.name).max(cells.unwrap_or(0))
        })
        .collect();
    let mut out = String::new();
    let names: Vec<String> = columns
        .iter()
        .zip(&widths)
        .map(|(column, &width)| format!(" {:^width$} ", column.name))
        .collect();
    push_line(&mut out, &names.join("|"));
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    push_line(&mut out, &rule.join("+"));
    for row in rows {
        let cells: Vec<String> = (0..columns.len()).map(|index| cell(row, index)).collect();
        push_row(&mut out, columns, &widths, &cells);
    }
    let count = rows.len();
    out.push_str(&format!("({count} row{})\n", if count == 1 { "" } else { "s" }));
    out
}

/// A row takes as many lines as its tallest cell; a plus sign says that a cell goes on.
fn push_row(out: &mut String, columns: &[ResultColumn], widths: &[usize], cells: &[String]) {
    let height = cells.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
    for number in 0..height {
        let parts: Vec<String> = cells
            .iter()
            .zip(columns)
            .zip(widths)
            .map(|((cell, column), &width)| {
                let line = cell.lines().nth(number).unwrap_or_default();
                let goes_on = if number + 1 < cell.lines().count() { '+' } else { ' ' };
                if RIGHT_ALIGNED.contains(&column.type_oid) {
                    format!(" {line:>width$}{goes_on}")
                } else {
                    format!(" {line:<width$}{goes_on}")
                }
            })
            .collect();
        push_line(out, &parts.join("|"));
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

/// An error or notice, with a caret under the place in `text` that it means.
pub(super) fn format_report(report: &Report, text: &str) -> String {
    let field = |code| report.field(code);
    let severity = field(b'S').unwrap_or("ERROR");
    let mut out = match (severity, field(b'C')) {
        ("NOTICE", _) | (_, None) => format!("{severity}:  "),
        (_, Some(code)) => format!("{severity}:  {code}: "),
    };
    out.push_str(field(b'M').unwrap_or_default());
    out.push('\n');
    let position = field(b'P').and_then(|position| position.parse::<usize>().ok());
    if let Some(position) = position {
        out.push_str(&caret(text, position));
    }
    for (code, name) in [(b'D', "DETAIL"), (b'H', "HINT"), (b'W', "CONTEXT")] {
        if let Some(text) = field(code) {
            out.push_str(&format!("{name}:  {text}\n"));
        }
    }
    out
}

/// The line of a text in which character `position` (from 1) stands, and a caret under it.
fn caret(text: &str, position: usize) -> String {
    /// Lines longer than a terminal are shown in part.
    const SHOWN_CHARS: usize = 70;
    let before: String = text.chars().take(position.saturating_sub(1)).collect();
    let number = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let line: Vec<char> = text.lines().nth(number - 1).unwrap_or_default().chars().collect();
    let from = column.saturating_sub(SHOWN_CHARS - 10);
    let shown: String = line.iter().skip(from).take(SHOWN_CHARS).collect();
    let head = format!("LINE {number}: {}", if from > 0 { "..." } else { "" });
    let indent = head.chars().count() + column - from;
    format!("{head}{}\n{}^\n", shown.replace('\t', " "), " ".repeat(indent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_like_psql() {
        let column = |name: &str, type_oid| ResultColumn { name: name.into(), type_oid };
        let columns = [column("id", 23), column("name", 25)];
        let rows = [
            vec![Some("1".to_owned()), Some("a\nbc".to_owned())],
            vec![Some("22".to_owned()), None],
        ];
        let expected = " id | name\n----+------\n  1 | a   +\n    | bc\n 22 |\n(2 rows)\n";
        assert_eq!(format_table(&columns, &rows), expected);
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(caret("select\n  nope", 10), "LINE 2:   nope\n          ^\n");
        let long = format!("select {}x", " ".repeat(200));
        let shown = caret(&long, 208);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0].find('x'), lines[1].find('^'));
    }
}
