//! `\d` and its kin: what there is in the database, asked of its catalog.
//!
//! Lists look as psql's do. A pattern is psql's, too: `*` and `?` are wild, a dot parts schema and name,
//! capitals count in quotes only, and the rest is a regular expression.

use std::io::Write;

use super::meta::Next;
use super::shell::Shell;

/// Whether a command is one of these.
pub(super) fn is_one(name: &str) -> bool {
    let name = name.trim_end_matches('+');
    matches!(name, "d" | "l" | "sf" | "sv") || list(name).is_some()
}

/// A list: the kinds of pg_class, or what else is listed.
fn list(name: &str) -> Option<&'static str> {
    Some(match name {
        "dt" => "'r','p'",
        "di" => "'i','I'",
        "dv" => "'v'",
        "dm" => "'m'",
        "ds" => "'S'",
        "df" => "functions",
        "dn" => "schemas",
        "du" | "dg" => "roles",
        "dT" => "types",
        "dp" | "z" => "privileges",
        _ => return None,
    })
}

/// A name in quotes.
pub(super) fn identifier(name: &str) -> String {
    let name = name.trim_matches('"');
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A pattern as regular expressions: of the schema, if it is named, and of the name.
fn regexes(pattern: &str) -> (Option<String>, String) {
    let (mut parts, mut part, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if in_quotes && chars.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => parts.push(std::mem::take(&mut part)),
            '*' if !in_quotes => part.push_str(".*"),
            '?' if !in_quotes => part.push('.'),
            c if c == '$' || in_quotes && r"\.+*?()|[]{}^".contains(c) => {
                part.push('\\');
                part.push(c);
            }
            c if in_quotes => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    let whole = |text: &str| format!("^({text})$");
    (parts.last().map(|schema| whole(schema)), whole(&part))
}

/// A condition for a pattern; without one, what is not the system's and on the search path.
fn condition(pattern: Option<&str>, schema: &str, name: &str, is_visible: &str) -> String {
    const SYSTEM: &str = "NOT IN ('pg_catalog', 'information_schema')";
    match pattern.map(regexes) {
        None if is_visible.is_empty() => "true".to_owned(),
        None => format!("{is_visible} AND {schema} {SYSTEM}"),
        Some((Some(of_schema), of_name)) => {
            format!("{schema} ~ {} AND {name} ~ {}", literal(&of_schema), literal(&of_name))
        }
        Some((None, of_name)) if is_visible.is_empty() => format!("{name} ~ {}", literal(&of_name)),
        Some((None, of_name)) => format!("{is_visible} AND {name} ~ {}", literal(&of_name)),
    }
}

const KIND: &str = "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN \
     'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'I' THEN 'partitioned index' WHEN 'S' THEN 'sequence' WHEN 'c' THEN \
     'type' END";

impl Shell {
    pub(super) fn describe(&mut self, name: &str, pattern: Option<&str>) -> anyhow::Result<Next> {
        let (name, is_long) = match name.strip_suffix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match (name, pattern) {
            ("d", Some(pattern)) => self.describe_relations(pattern, is_long),
            ("d", None) => self.list_relations("'r','p','v','m','S'", None, is_long),
            ("l", _) => self.list_databases(pattern),
            ("sf" | "sv", Some(pattern)) => self.show_source(name == "sv", pattern),
            ("sf" | "sv", None) => self.refuse("usage: \\sf function, \\sv view"),
            _ => match list(name).unwrap_or_default() {
                "functions" => self.list_functions(pattern),
                "schemas" => self.list_schemas(pattern),
                "roles" => self.list_roles(pattern),
                "types" => self.list_types(pattern),
                "privileges" => self.list_privileges(pattern),
                kinds => self.list_relations(kinds, pattern, is_long),
            },
        }
    }

    fn list_as(&mut self, title: &str, sql: &str) -> anyhow::Result<Next> {
        let Some((columns, rows)) = self.ask(sql)? else { return Ok(Next::Failed) };
        self.show(&columns, &rows, Some(title), None)?;
        Ok(Next::Go)
    }

    fn list_relations(
        &mut self,
        kinds: &str,
        pattern: Option<&str>,
        is_long: bool,
    ) -> anyhow::Result<Next> {
        let which = condition(pattern, "n.nspname", "c.relname", "pg_table_is_visible(c.oid)");
        let of_table = if kinds == "'i','I'" { ", t.relname AS \"Table\"" } else { "" };
        let said =
            if is_long { ", obj_description(c.oid, 'pg_class') AS \"Description\"" } else { "" };
        let sql = format!(
            "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", {KIND} AS \"Type\", \
             pg_get_userbyid(c.relowner) AS \"Owner\"{of_table}{said} \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid \
             WHERE c.relkind IN ({kinds}) AND {which} ORDER BY 1, 2"
        );
        let Some((columns, rows)) = self.ask(&sql)? else { return Ok(Next::Failed) };
        if rows.is_empty() {
            let what = match pattern {
                Some(pattern) => format!("Did not find any relation named \"{pattern}\"."),
                None => "Did not find any relations.".to_owned(),
            };
            self.out.flush()?;
            eprintln!("{what}");
            return Ok(Next::Go);
        }
        self.show(&columns, &rows, Some("List of relations"), None)?;
        Ok(Next::Go)
    }

    fn list_databases(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = condition(pattern, "''", "d.datname", "");
        self.list_as(
            "List of databases",
            &format!(
                "SELECT d.datname AS \"Name\", pg_get_userbyid(d.datdba) AS \"Owner\", \
                 pg_encoding_to_char(d.encoding) AS \"Encoding\" FROM pg_database d WHERE {which} ORDER BY 1"
            ),
        )
    }

    fn list_functions(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = condition(pattern, "n.nspname", "p.proname", "pg_function_is_visible(p.oid)");
        self.list_as(
            "List of functions",
            &format!(
                "SELECT n.nspname AS \"Schema\", p.proname AS \"Name\", \
                 pg_get_function_result(p.oid) AS \"Result data type\", \
                 pg_get_function_arguments(p.oid) AS \"Argument data types\", \
                 CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' \
                 ELSE 'func' END AS \"Type\" \
                 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
                 WHERE {which} ORDER BY 1, 2, 4"
            ),
        )
    }

    fn list_schemas(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = match pattern {
            None => "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'".to_owned(),
            pattern => condition(pattern, "''", "n.nspname", ""),
        };
        self.list_as(
            "List of schemas",
            &format!(
                "SELECT n.nspname AS \"Name\", pg_get_userbyid(n.nspowner) AS \"Owner\" \
                 FROM pg_namespace n WHERE {which} ORDER BY 1"
            ),
        )
    }

    fn list_roles(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = match pattern {
            None => "r.rolname !~ '^pg_'".to_owned(),
            pattern => condition(pattern, "''", "r.rolname", ""),
        };
        let sql = format!(
            "SELECT r.rolname AS \"Role name\", concat_ws(', ', \
                 CASE WHEN r.rolsuper THEN 'Superuser' END, \
                 CASE WHEN NOT r.rolinherit THEN 'No inheritance' END, \
                 CASE WHEN r.rolcreaterole THEN 'Create role' END, \
                 CASE WHEN r.rolcreatedb THEN 'Create DB' END, \
                 CASE WHEN NOT r.rolcanlogin THEN 'Cannot login' END, \
                 CASE WHEN r.rolreplication THEN 'Replication' END, \
                 CASE WHEN r.rolbypassrls THEN 'Bypass RLS' END) AS \"Attributes\", \
                 ARRAY(SELECT b.rolname FROM pg_auth_members m JOIN pg_roles b ON m.roleid = b.oid \
                 WHERE m.member = r.oid ORDER BY 1) AS \"Member of\" \
                 FROM pg_roles r WHERE {which} ORDER BY 1"
        );
        let Some((columns, rows)) = self.ask(&sql)? else { return Ok(Next::Failed) };
        self.show(&columns, &rows, Some("List of roles"), Some(&[]))?;
        Ok(Next::Go)
    }

    fn list_types(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = condition(pattern, "n.nspname", "t.typname", "pg_type_is_visible(t.oid)");
        self.list_as(
            "List of data types",
            &format!(
                "SELECT n.nspname AS \"Schema\", format_type(t.oid, NULL) AS \"Name\", \
                 obj_description(t.oid, 'pg_type') AS \"Description\" \
                 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
                 WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_class c WHERE c.oid = t.typrelid)) \
                 AND t.typcategory <> 'A' AND {which} ORDER BY 1, 2"
            ),
        )
    }

    fn list_privileges(&mut self, pattern: Option<&str>) -> anyhow::Result<Next> {
        let which = condition(pattern, "n.nspname", "c.relname", "pg_table_is_visible(c.oid)");
        self.list_as(
            "Access privileges",
            &format!(
                "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", {KIND} AS \"Type\", \
                 array_to_string(c.relacl, E'\\n') AS \"Access privileges\", \
                 array_to_string(ARRAY(SELECT a.attname || E':\\n  ' || \
                 array_to_string(a.attacl, E'\\n  ') FROM pg_attribute a \
                 WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attacl IS NOT NULL), E'\\n') \
                 AS \"Column privileges\" \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'v', 'm', 'S', 'p') AND {which} ORDER BY 1, 2"
            ),
        )
    }

    /// `\sf`, `\sv`
    fn show_source(&mut self, is_view: bool, name: &str) -> anyhow::Result<Next> {
        let written = name;
        let name = literal(name);
        let sql = match is_view {
            true => format!(
                "SELECT 'CREATE OR REPLACE VIEW ' || quote_ident(n.nspname) || '.' || \
                 quote_ident(c.relname) || E' AS\\n' || pg_get_viewdef(c.oid, true) \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = {name}::regclass AND c.relkind = 'v'"
            ),
            false if name.contains('(') => {
                format!("SELECT pg_get_functiondef({name}::regprocedure)")
            }
            false => format!("SELECT pg_get_functiondef({name}::regproc)"),
        };
        let Some((_, rows)) = self.ask(&sql)? else { return Ok(Next::Failed) };
        if rows.is_empty() {
            return self.refuse(&format!("\"{written}\" is not a view"));
        }
        for text in rows.iter().filter_map(|row| row.first()?.as_deref()) {
            writeln!(self.out, "{}", text.trim_end())?;
        }
        Ok(Next::Go)
    }

    /// `\d NAME`: every relation that the pattern means.
    fn describe_relations(&mut self, pattern: &str, is_long: bool) -> anyhow::Result<Next> {
        let which =
            condition(Some(pattern), "n.nspname", "c.relname", "pg_table_is_visible(c.oid)");
        let sql = format!(
            "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {which} ORDER BY 2, 3"
        );
        let Some((_, rows)) = self.ask(&sql)? else { return Ok(Next::Failed) };
        if rows.is_empty() {
            return self.refuse(&format!("Did not find any relation named \"{pattern}\"."));
        }
        for row in rows {
            let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            let relation = Relation {
                oid: cell(0),
                name: format!("{}.{}", cell(1), cell(2)),
                kind: cell(3).chars().next().unwrap_or('r'),
            };
            if self.describe_relation(&relation, is_long)? == Next::Failed {
                return Ok(Next::Failed);
            }
        }
        Ok(Next::Go)
    }

    fn describe_relation(&mut self, relation: &Relation, is_long: bool) -> anyhow::Result<Next> {
        let (oid, name) = (&relation.oid, &relation.name);
        let (title, sql) = match relation.kind {
            'S' => (
                format!("Sequence \"{name}\""),
                format!(
                    "SELECT format_type(seqtypid, NULL) AS \"Type\", seqstart AS \"Start\", \
                     seqmin AS \"Minimum\", seqmax AS \"Maximum\", seqincrement AS \"Increment\", \
                     CASE WHEN seqcycle THEN 'yes' ELSE 'no' END AS \"Cycles?\", seqcache AS \"Cache\" \
                     FROM pg_sequence WHERE seqrelid = {oid}"
                ),
            ),
            kind @ ('i' | 'I') => (
                format!("{} \"{name}\"", if kind == 'i' { "Index" } else { "Partitioned index" }),
                format!(
                    "SELECT a.attname AS \"Column\", format_type(a.atttypid, a.atttypmod) AS \"Type\", \
                     CASE WHEN a.attnum <= i.indnkeyatts THEN 'yes' ELSE 'no' END AS \"Key?\", \
                     pg_get_indexdef({oid}, a.attnum, true) AS \"Definition\" \
                     FROM pg_attribute a JOIN pg_index i ON i.indexrelid = a.attrelid \
                     WHERE a.attrelid = {oid} AND a.attnum > 0 ORDER BY a.attnum"
                ),
            ),
            kind => {
                let word = match kind {
                    'v' => "View",
                    'm' => "Materialized view",
                    'c' => "Composite type",
                    'p' => "Partitioned table",
                    _ => "Table",
                };
                let said = match is_long {
                    true => ", col_description(a.attrelid, a.attnum) AS \"Description\"",
                    false => "",
                };
                let sql = format!(
                    "SELECT a.attname AS \"Column\", format_type(a.atttypid, a.atttypmod) AS \"Type\", \
                     (SELECT l.collname FROM pg_collation l, pg_type t WHERE l.oid = a.attcollation \
                     AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS \"Collation\", \
                     CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", \
                     CASE WHEN a.attidentity = 'a' THEN 'generated always as identity' \
                     WHEN a.attidentity = 'd' THEN 'generated by default as identity' \
                     WHEN a.attgenerated = 's' THEN 'generated always as (' || \
                     pg_get_expr(d.adbin, d.adrelid, true) || ') stored' \
                     ELSE coalesce(pg_get_expr(d.adbin, d.adrelid, true), '') END AS \"Default\"{said} \
                     FROM pg_attribute a LEFT JOIN pg_attrdef d \
                     ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                     WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
                );
                (format!("{word} \"{name}\""), sql)
            }
        };
        let Some((columns, rows)) = self.ask(&sql)? else { return Ok(Next::Failed) };
        let Some(footers) = self.footers(relation, is_long)? else { return Ok(Next::Failed) };
        self.show(&columns, &rows, Some(&title), Some(&footers))?;
        writeln!(self.out)?;
        Ok(Next::Go)
    }

    /// What is said below a relation's columns; `None` if it could not be asked.
    fn footers(
        &mut self,
        relation: &Relation,
        is_long: bool,
    ) -> anyhow::Result<Option<Vec<String>>> {
        let oid = &relation.oid;
        let mut footers = Vec::new();
        let sections: Vec<(&str, String)> = match relation.kind {
            'r' | 'p' | 'm' => table_sections(oid, is_long),
            'i' | 'I' => vec![(
                "",
                format!(
                    "SELECT concat_ws(', ', CASE WHEN i.indisprimary THEN 'primary key' \
                     WHEN i.indisunique THEN 'unique' END, m.amname, \
                     'for table \"' || n.nspname || '.' || t.relname || '\"', \
                     'predicate (' || pg_get_expr(i.indpred, i.indrelid, true) || ')') \
                     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                     JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
                     JOIN pg_am m ON m.oid = c.relam WHERE i.indexrelid = {oid}"
                ),
            )],
            'v' => {
                let mut sections = trigger_sections(oid);
                if is_long {
                    let sql = format!("SELECT pg_get_viewdef({oid}, true)");
                    sections.insert(0, ("View definition:", sql));
                }
                sections
            }
            'S' => vec![(
                "",
                format!(
                    "SELECT CASE d.deptype WHEN 'i' THEN 'Sequence for identity column: ' \
                     ELSE 'Owned by: ' END || quote_ident(n.nspname) || '.' || \
                     quote_ident(c.relname) || '.' || quote_ident(a.attname) \
                     FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid \
                     JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a \
                     ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
                     WHERE d.classid = 'pg_class'::regclass AND d.objid = {oid} AND d.deptype IN ('a', 'i')"
                ),
            )],
            _ => Vec::new(),
        };
        for (title, sql) in sections {
            let Some((_, rows)) = self.ask(&sql)? else { return Ok(None) };
            if rows.is_empty() {
                continue;
            }
            let indent = if title.is_empty() || title == "View definition:" { "" } else { "    " };
            if !title.is_empty() {
                footers.push(title.to_owned());
            }
            for text in rows.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
                footers.push(format!("{indent}{text}"));
            }
        }
        Ok(Some(footers))
    }
}

/// A relation to be described.
struct Relation {
    oid: String,
    name: String,
    kind: char,
}

/// The sections below a table's columns.
fn table_sections(oid: &str, is_long: bool) -> Vec<(&'static str, String)> {
    let mut sections = vec![
        (
            "Indexes:",
            format!(
                "SELECT '\"' || c.relname || '\"' || CASE WHEN con.contype = 'x' \
                 THEN ' ' || pg_get_constraintdef(con.oid, true) ELSE \
                 CASE WHEN i.indisprimary THEN ' PRIMARY KEY,' \
                 WHEN con.oid IS NOT NULL THEN ' UNIQUE CONSTRAINT,' \
                 WHEN i.indisunique THEN ' UNIQUE,' ELSE '' END || ' ' || \
                 substring(pg_get_indexdef(i.indexrelid, 0, true) from ' USING (.*)$') || \
                 CASE WHEN con.condeferrable THEN ' DEFERRABLE' ELSE '' END || \
                 CASE WHEN con.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END END \
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint con \
                 ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x') \
                 WHERE i.indrelid = {oid} ORDER BY i.indisprimary DESC, c.relname"
            ),
        ),
        (
            "Check constraints:",
            format!(
                "SELECT '\"' || conname || '\" ' || pg_get_constraintdef(oid, true) FROM pg_constraint \
                 WHERE conrelid = {oid} AND contype = 'c' ORDER BY conname"
            ),
        ),
        (
            "Foreign-key constraints:",
            format!(
                "SELECT '\"' || conname || '\" ' || pg_get_constraintdef(oid, true) FROM pg_constraint \
                 WHERE conrelid = {oid} AND contype = 'f' ORDER BY conname"
            ),
        ),
        (
            "Referenced by:",
            format!(
                "SELECT 'TABLE \"' || conrelid::regclass || '\" CONSTRAINT \"' || conname || '\" ' || \
                 pg_get_constraintdef(oid, true) FROM pg_constraint \
                 WHERE confrelid = {oid} AND contype = 'f' ORDER BY conname"
            ),
        ),
        (
            "Periods:",
            format!(
                "SELECT o FROM (SELECT unnest(reloptions) AS o FROM pg_class WHERE oid = {oid}) q \
                 WHERE o LIKE 'period=%'"
            ),
        ),
    ];
    let periods = sections.pop();
    sections.extend(trigger_sections(oid));
    sections.extend(periods);
    if is_long {
        sections.push((
            "Options:",
            format!("SELECT unnest(reloptions) FROM pg_class WHERE oid = {oid}"),
        ));
    }
    sections
}

/// A relation's triggers: those that fire, and those that are off.
fn trigger_sections(oid: &str) -> Vec<(&'static str, String)> {
    [("Triggers:", "<>"), ("Disabled user triggers:", "=")]
        .map(|(title, which)| {
            let sql = format!(
                "SELECT substring(pg_get_triggerdef(oid, true) from 'TRIGGER (.*)$') FROM pg_trigger \
                 WHERE tgrelid = {oid} AND NOT tgisinternal AND tgenabled {which} 'D' ORDER BY tgname"
            );
            (title, sql)
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, schema: Option<&str>, name: &str| {
            assert_eq!(regexes(pattern), (schema.map(str::to_owned), name.to_owned()), "{pattern}");
        };
        check("T*", None, "^(t.*)$");
        check("s.a?b", Some("^(s)$"), "^(a.b)$");
        check("\"Odd.Name\"", None, "^(Odd\\.Name)$");
        check("a$1", None, "^(a\\$1)$");
        check("[ab]|\"c\"\"|\"", None, "^([ab]|c\"\\|)$");
    }

    #[test]
    fn commands() {
        assert!(is_one("d+") && is_one("dt") && is_one("l") && is_one("dT"));
        assert!(!is_one("dx") && !is_one("drop"));
        assert_eq!(identifier("\"a b\""), "\"a b\"");
    }
}
