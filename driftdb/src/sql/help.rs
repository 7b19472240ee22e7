//! The texts of `\?` and `\h`.

/// `\?`
pub(super) const COMMANDS: &str = "\
Statements end with a semicolon and may take several lines.

  \\q                       leave
  \\? | \\h [STATEMENT]      this help | what a statement looks like
  \\g | \\gx                run what is written, or was run last | shown a column a line
  \\watch [SECONDS [TIMES]] run it again and again (Ctrl-C ends the shell)
  \\p | \\r | \\e [FILE]      print | forget | edit what is written ($EDITOR)
  \\i FILE | \\o [FILE]      run a file | results to a file
  \\copy T from|to FILE …   COPY with a file of this machine
  \\echo TEXT               print a text

  \\d[+] | \\d[+] NAME       relations | one, with columns, indexes and constraints
  \\dt \\dv \\di \\ds \\dm     tables, views, indexes, sequences, materialized views
  \\df \\dT \\dn \\du \\dp \\l  functions, types, schemas, roles, privileges, databases
  \\sf NAME | \\sv NAME      a function's | a view's definition

  \\x [on|off]              a column a line
  \\t [on|off] | \\a         rows only | unaligned or aligned
  \\pset NAME [VALUE]       format (aligned, unaligned, csv, json), expanded, tuples_only, null,
                           fieldsep, trees (EXPLAIN as a tree)
  \\timing [on|off]         how long statements take
  \\c DATABASE | \\conninfo  another database or branch | which it is

Patterns after \\d… are psql's: \\dt s.a*. In the past the prompt says as of when.
";

/// Statements and what they look like.
const STATEMENTS: &[(&str, &str)] = &[
    ("ALTER TABLE", "ALTER TABLE [IF EXISTS] name action [, …]"),
    ("BEGIN", "BEGIN [ISOLATION LEVEL level] [READ ONLY] [AS OF SYSTEM TIME time]"),
    ("COMMIT", "COMMIT [AND CHAIN]"),
    ("COPY", "COPY table [(columns)] | (query) FROM STDIN | TO STDOUT [WITH (options)]"),
    ("CREATE BRANCH", "CREATE BRANCH name [FROM other] [AS OF time]"),
    (
        "CREATE INDEX",
        "CREATE [UNIQUE] INDEX [name] ON table [USING method] (column | (expression) …) [WHERE …]",
    ),
    ("CREATE RESTORE POINT", "CREATE RESTORE POINT name [AS OF time] [WITH (pin)]"),
    (
        "CREATE TABLE",
        "CREATE TABLE [IF NOT EXISTS] name (column type [constraint …], …, [PERIOD FOR name (start, end)]) \
         [WITH (retention = '…')]",
    ),
    ("CREATE VIEW", "CREATE [OR REPLACE] VIEW name [(columns)] AS query"),
    (
        "DELETE",
        "DELETE FROM table [FOR PORTION OF period FROM a TO b] [USING …] [WHERE …] [RETURNING …]",
    ),
    ("DIFF", "DIFF (query) BETWEEN time AND time [KEY (columns)]"),
    ("ERASE", "ERASE FROM table [WHERE condition]"),
    ("EXPLAIN", "EXPLAIN [ANALYZE] [(FORMAT text | json | yaml | xml)] statement"),
    ("INSERT", "INSERT INTO table [(columns)] VALUES … | query [ON CONFLICT …] [RETURNING …]"),
    ("MERGE", "MERGE INTO table USING source ON condition WHEN [NOT] MATCHED THEN …"),
    ("RESTORE", "RESTORE TABLE name [, …] AS OF time; RESTORE DATABASE AS OF time"),
    (
        "SELECT",
        "[WITH …] SELECT … FROM table [FOR SYSTEM_TIME AS OF time] [WHERE …] [GROUP BY …] [HAVING …] \
         [WINDOW …] [ORDER BY …] [LIMIT n] [OFFSET n] [FOR UPDATE | SHARE]",
    ),
    ("SET", "SET [LOCAL] name = value; SET driftdb.as_of = time"),
    ("UNDO", "UNDO TRANSACTION number [ON CONFLICT SKIP]"),
    ("UNDROP", "UNDROP TABLE name [AS OF time] [RENAME TO other]"),
    (
        "UPDATE",
        "UPDATE table [FOR PORTION OF period FROM a TO b] SET … [FROM …] [WHERE …] [RETURNING …]",
    ),
    ("USE", "USE database"),
];

/// `\h`: a statement, those that begin so, or all names.
pub(super) fn on_sql(name: &str) -> String {
    let name = name.trim().trim_end_matches(';').to_uppercase();
    if name.is_empty() {
        let names: Vec<&str> = STATEMENTS.iter().map(|(name, _)| *name).collect();
        return format!("{}\nAll of SQL: docs/sql.md.\n", names.join("\n"));
    }
    let found = STATEMENTS.iter().filter(|(known, _)| known.starts_with(&name));
    let found: Vec<String> = found.map(|(_, text)| format!("{text}\n")).collect();
    if found.is_empty() {
        format!("No help on \"{name}\"; see docs/sql.md.\n")
    } else {
        found.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::on_sql;

    #[test]
    fn help_on_statements() {
        assert!(on_sql("create table").starts_with("CREATE TABLE [IF NOT EXISTS] name"));
        assert!(on_sql("create").lines().count() >= 5);
        assert!(on_sql("").contains("UNDROP\n"));
        assert!(on_sql("nothing").contains("NOTHING"));
    }
}
