//! How results are shown: aligned, unaligned, as CSV or JSON, a row a line or a column a line.

use super::client::ResultColumn;
use super::table::{format_table, width};
use super::tree;

/// A row of texts; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

/// The shape of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Aligned,
    Unaligned,
    Csv,
    Json,
}

/// Settings of what is shown.
#[derive(Debug, Clone)]
pub(super) struct Display {
    pub(super) format: Format,
    /// A column a line.
    pub(super) expanded: bool,
    /// Without names, titles and counts.
    pub(super) tuples_only: bool,
    /// What stands for NULL; JSON and CSV have their own.
    pub(super) null: String,
    /// Between the cells of unaligned rows.
    pub(super) separator: String,
    /// Whether plans are drawn as trees.
    pub(super) trees: bool,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            format: Format::Aligned,
            expanded: false,
            tuples_only: false,
            null: String::new(),
            separator: "|".to_owned(),
            trees: false,
        }
    }
}

fn on_or_off(value: Option<&str>, now: bool) -> Result<bool, String> {
    match value {
        None => Ok(!now),
        Some("on" | "true" | "yes" | "1") => Ok(true),
        Some("off" | "false" | "no" | "0") => Ok(false),
        Some(other) => Err(format!("\"{other}\" is neither on nor off")),
    }
}

fn said(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

impl Display {
    /// `\pset`: changes a setting and says what it is now.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<String, String> {
        match name {
            "format" => {
                if let Some(value) = value {
                    self.format = match value {
                        "aligned" => Format::Aligned,
                        "unaligned" => Format::Unaligned,
                        "csv" => Format::Csv,
                        "json" => Format::Json,
                        other => {
                            return Err(format!(
                                "there is no format \"{other}\": aligned, unaligned, csv, json"
                            ));
                        }
                    };
                }
                Ok(format!("Output format is {}.", format!("{:?}", self.format).to_lowercase()))
            }
            "expanded" | "x" => {
                self.expanded = on_or_off(value, self.expanded)?;
                Ok(format!("Expanded display is {}.", said(self.expanded)))
            }
            "tuples_only" | "t" => {
                self.tuples_only = on_or_off(value, self.tuples_only)?;
                Ok(format!("Tuples only is {}.", said(self.tuples_only)))
            }
            "trees" => {
                self.trees = on_or_off(value, self.trees)?;
                Ok(format!("Plans as trees is {}.", said(self.trees)))
            }
            "null" => {
                if let Some(value) = value {
                    value.clone_into(&mut self.null);
                }
                Ok(format!("Null display is \"{}\".", self.null))
            }
            "fieldsep" => {
                if let Some(value) = value {
                    value.clone_into(&mut self.separator);
                }
                Ok(format!("Field separator is \"{}\".", self.separator))
            }
            other => Err(format!("there is no setting \"{other}\"")),
        }
    }

    /// A result, with a title above and lines below that are not counted.
    pub(super) fn show(
        &self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> String {
        let is_plan = self.trees && columns.len() == 1 && columns[0].name == "QUERY PLAN";
        if is_plan && self.format == Format::Aligned && !self.expanded {
            return tree::draw(rows.iter().filter_map(|row| row.first()?.as_deref()));
        }
        match self.format {
            Format::Json => json(columns, rows),
            Format::Csv => self.csv(columns, rows),
            Format::Unaligned if self.expanded => {
                self.unaligned_by_columns(columns, rows, title, footers)
            }
            _ if self.expanded => self.by_columns(columns, rows, title, footers),
            Format::Unaligned => self.unaligned(columns, rows, title, footers),
            Format::Aligned => {
                let shown: Vec<Row> = rows
                    .iter()
                    .map(|row| {
                        row.iter().map(|cell| Some(self.cell(cell.as_deref()).to_owned())).collect()
                    })
                    .collect();
                self.aligned(columns, &shown, title, footers)
            }
        }
    }

    fn cell<'a>(&'a self, cell: Option<&'a str>) -> &'a str {
        cell.unwrap_or(&self.null)
    }

    fn aligned(
        &self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> String {
        let table = format_table(columns, rows);
        let mut lines: Vec<&str> = table.lines().collect();
        let count = lines.pop().unwrap_or_default();
        if self.tuples_only {
            lines.drain(..2.min(lines.len()));
        }
        let whole = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        let mut out = String::new();
        if let Some(title) = title.filter(|_| !self.tuples_only) {
            let indent = whole.saturating_sub(width(title)) / 2;
            out.push_str(&format!("{}{title}\n", " ".repeat(indent)));
        }
        lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
        match footers {
            _ if self.tuples_only => {}
            Some(footers) => footers.iter().for_each(|line| out.push_str(&format!("{line}\n"))),
            None => out.push_str(&format!("{count}\n")),
        }
        out
    }

    fn unaligned(
        &self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> String {
        let mut out = String::new();
        let mut line = |cells: Vec<&str>| out.push_str(&(cells.join(&self.separator) + "\n"));
        if !self.tuples_only {
            title.into_iter().for_each(|title| line(vec![title]));
            line(columns.iter().map(|column| &*column.name).collect());
        }
        for row in rows {
            line(row.iter().map(|cell| self.cell(cell.as_deref())).collect());
        }
        match footers {
            _ if self.tuples_only => {}
            Some(footers) => footers.iter().for_each(|text| line(vec![text])),
            None => line(vec![&count(rows.len())]),
        }
        out
    }

    fn csv(&self, columns: &[ResultColumn], rows: &[Row]) -> String {
        let quoted = |text: &str| {
            if text.contains([',', '"', '\n', '\r']) || text.is_empty() || text == "\\." {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.to_owned()
            }
        };
        let mut out = String::new();
        if !self.tuples_only {
            let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
            out.push_str(&(names.join(",") + "\n"));
        }
        for row in rows {
            let cells = row.iter().map(|cell| cell.as_deref().map_or_else(String::new, quoted));
            out.push_str(&(cells.collect::<Vec<_>>().join(",") + "\n"));
        }
        out
    }

    /// A cell a line after its column's name, a blank line between rows.
    fn unaligned_by_columns(
        &self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> String {
        let mut parts: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells = columns.iter().zip(row).map(|(column, cell)| {
                    format!("{}{}{}\n", column.name, self.separator, self.cell(cell.as_deref()))
                });
                cells.collect()
            })
            .collect();
        if !self.tuples_only {
            if let Some(title) = title {
                parts.insert(0, format!("{title}\n"));
            }
            let below: String =
                footers.into_iter().flatten().map(|line| line.clone() + "\n").collect();
            parts.extend(Some(below).filter(|below| !below.is_empty()));
        }
        parts.join("\n")
    }

    fn by_columns(
        &self,
        columns: &[ResultColumn],
        rows: &[Row],
        title: Option<&str>,
        footers: Option<&[String]>,
    ) -> String {
        let names = columns.iter().map(|column| width(&column.name)).max().unwrap_or(0);
        let mut out = String::new();
        if let Some(title) = title.filter(|_| !self.tuples_only) {
            out.push_str(&format!("{title}\n"));
        }
        if rows.is_empty() && !self.tuples_only {
            out.push_str("(0 rows)\n");
        }
        let texts = || rows.iter().flatten().map(|cell| self.cell(cell.as_deref()));
        let mut cells = texts().map(width).max().unwrap_or(0);
        if !self.tuples_only {
            // Lines above rows are as wide as the last one's number needs; a plus after a cell counts.
            let parting = if texts().any(|text| text.contains('\n')) { 4 } else { 3 };
            let needed = format!("-[ RECORD {} ]", rows.len()).len();
            cells = cells.max(needed.saturating_sub(names + parting));
        }
        for (number, row) in rows.iter().enumerate() {
            if number > 0 && self.tuples_only {
                out.push_str(&format!("{}+{}\n", "-".repeat(names + 1), "-".repeat(cells + 1)));
            }
            if !self.tuples_only {
                out.push_str(&record_head(number + 1, names, cells));
            }
            for (column, cell) in columns.iter().zip(row) {
                let mut name = &*column.name;
                let mut lines = self.cell(cell.as_deref()).split('\n').peekable();
                while let Some(line) = lines.next() {
                    // A plus says that the cell goes on.
                    let line = match lines.peek() {
                        Some(_) => format!("{name:names$} | {line:cells$}+"),
                        None => format!("{name:names$} | {line}"),
                    };
                    out.push_str(line.trim_end());
                    out.push('\n');
                    name = "";
                }
            }
        }
        if !self.tuples_only {
            footers.into_iter().flatten().for_each(|line| out.push_str(&format!("{line}\n")));
        }
        out
    }
}

/// The line above a row whose names and cells are at most so wide; a plus where they part, if the number
/// leaves room for it.
fn record_head(number: usize, names: usize, cells: usize) -> String {
    let mut line: Vec<char> = format!("-[ RECORD {number} ]").chars().collect();
    let (begun, whole) = (line.len(), names + cells + 3);
    line.resize(whole.max(begun), '-');
    if begun <= names + 1 {
        line[names + 1] = '+';
    }
    line.into_iter().chain(['\n']).collect()
}

fn count(rows: usize) -> String {
    format!("({rows} row{})", if rows == 1 { "" } else { "s" })
}

/// One array of objects, a row a line. Numbers, truths and json stand as they are, the rest as strings.
fn json(columns: &[ResultColumn], rows: &[Row]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = columns.iter().zip(row).map(|(column, cell)| {
                let name = serde_json::Value::from(&*column.name);
                format!("{name}: {}", json_value(column.type_oid, cell.as_deref()))
            });
            format!("{{{}}}", cells.collect::<Vec<_>>().join(", "))
        })
        .collect();
    if rows.is_empty() { "[]\n".to_owned() } else { format!("[{}]\n", rows.join(",\n ")) }
}

fn json_value(type_oid: u32, cell: Option<&str>) -> String {
    const BOOL: u32 = 16;
    const NUMBERS: [u32; 7] = [20, 21, 23, 26, 700, 701, 1700];
    const DOCUMENTS: [u32; 2] = [114, 3802];
    let Some(text) = cell else { return "null".to_owned() };
    if type_oid == BOOL {
        return (text == "t").to_string();
    }
    // NaN and Infinity are no numbers of JSON.
    let is_raw = NUMBERS.contains(&type_oid) && text.ends_with(|c: char| c.is_ascii_digit());
    if is_raw || DOCUMENTS.contains(&type_oid) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<ResultColumn> {
        let column = |name: &str, type_oid| ResultColumn { name: name.into(), type_oid };
        vec![column("id", 23), column("na\"me", 25), column("ok", 16)]
    }

    fn rows() -> Vec<Row> {
        let cell = |text: &str| Some(text.to_owned());
        vec![vec![cell("1"), cell("a,\"b\"\nc"), cell("t")], vec![cell("22"), None, cell("f")]]
    }

    fn check(settings: &[(&str, &str)], expected: &str) {
        let mut display = Display::default();
        for (name, value) in settings {
            display.set(name, Some(value)).unwrap();
        }
        assert_eq!(display.show(&columns(), &rows(), None, None), expected);
    }

    #[test]
    fn formats() {
        check(&[("format", "csv")], "id,\"na\"\"me\",ok\n1,\"a,\"\"b\"\"\nc\",t\n22,,f\n");
        check(
            &[("format", "json")],
            "[{\"id\": 1, \"na\\\"me\": \"a,\\\"b\\\"\\nc\", \"ok\": true},\n \
             {\"id\": 22, \"na\\\"me\": null, \"ok\": false}]\n",
        );
        check(
            &[("format", "unaligned"), ("null", "-"), ("fieldsep", ";")],
            "id;na\"me;ok\n1;a,\"b\"\nc;t\n22;-;f\n(2 rows)\n",
        );
        check(
            &[("expanded", "on"), ("t", "on")],
            "id    | 1\nna\"me | a,\"b\"+\n      | c\nok    | t\n\
             ------+------\nid    | 22\nna\"me |\nok    | f\n",
        );
        check(
            &[("expanded", "on"), ("format", "csv"), ("t", "on")],
            "1,\"a,\"\"b\"\"\nc\",t\n22,,f\n",
        );
    }

    #[test]
    fn settings_that_are_none_are_refused() {
        let mut display = Display::default();
        assert!(display.set("format", Some("xml")).unwrap_err().contains("xml"));
        assert!(display.set("nothing", None).unwrap_err().contains("nothing"));
        assert!(display.set("x", Some("maybe")).unwrap_err().contains("maybe"));
        assert_eq!(display.set("x", None).unwrap(), "Expanded display is on.");
    }
}
