//! Random queries with types: what may stand where is right by construction, so that an error of syntax or type is
//! the database's or the generator's mistake, and never chance.
//!
//! Every expression is wrapped in parentheses. Numerics have two digits behind the point wherever they stand, so that equal
//! ones look alike. Whatever is limited is ordered by all its columns before.

use driftdb_env::Rng;

/// How many tables there are.
pub(super) const TABLES: usize = 3;

/// What columns every table has, and their types as they are declared.
pub(super) const COLUMNS: [(&str, &str, Ty); 8] = [
    ("id", "int", Ty::Int),
    ("a", "int", Ty::Int),
    ("b", "bigint", Ty::Int),
    ("s", "smallint", Ty::Int),
    ("c", "text", Ty::Text),
    ("d", "boolean", Ty::Bool),
    ("n", "numeric(8,2)", Ty::Num),
    ("w", "date", Ty::Date),
];

/// The sorts of values; all widths of integers are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ty {
    Int,
    Text,
    Bool,
    Num,
    Date,
}

impl Ty {
    const ALL: [Self; 5] = [Self::Int, Self::Text, Self::Bool, Self::Num, Self::Date];

    /// The type that set operations bring its values to.
    pub(super) fn widest(self) -> &'static str {
        match self {
            Self::Int => "bigint",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Num => "numeric",
            Self::Date => "date",
        }
    }
}

/// Something that a name or an expression stands for.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) sql: String,
    pub(super) ty: Ty,
}

/// What is selected from, and what it has.
#[derive(Debug, Clone)]
pub(super) struct From {
    pub(super) sql: String,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Generator {
    rng: Rng,
    alias_count: u32,
    /// Whether expressions have no subqueries: what is grouped by is not recognised with one in it.
    is_plain: bool,
}

impl Generator {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, alias_count: 0, is_plain: false }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.index(bound)
    }

    /// True once in so many.
    pub(super) fn once_in(&mut self, count: u64) -> bool {
        self.rng.chance(1, count)
    }

    pub(super) fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn alias(&mut self) -> String {
        self.alias_count += 1;
        format!("x{}", self.alias_count)
    }

    /// A table under a name of its own.
    pub(super) fn table(&mut self) -> From {
        let alias = self.alias();
        let sql = format!("t{} AS {alias}", self.below(TABLES));
        let column =
            |(name, _, ty): &(&str, &str, Ty)| Column { sql: format!("{alias}.{name}"), ty: *ty };
        From { sql, columns: COLUMNS.iter().map(column).collect() }
    }

    /// One to three things, joined.
    pub(super) fn from(&mut self, depth: u32) -> From {
        let mut from = self.source(&[], depth);
        for _ in 0..[0, 0, 1, 1, 2][self.below(5)] {
            from = self.joined(from, depth);
        }
        from
    }

    fn joined(&mut self, left: From, depth: u32) -> From {
        if depth > 0 && self.once_in(8) {
            let right = self.derived(&left.columns, depth - 1);
            let kind = self.of(&["LEFT JOIN", "JOIN"]);
            let scope = [left.columns, right.columns].concat();
            let on = self.condition(&scope, 1);
            let sql = format!("{} {kind} LATERAL {} ON {on}", left.sql, right.sql);
            return From { sql, columns: scope };
        }
        let right = self.source(&[], depth);
        let kind =
            self.of(&["JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"]);
        let on = match kind {
            "CROSS JOIN" => String::new(),
            _ => format!(" ON {}", self.join_condition(&left.columns, &right.columns)),
        };
        let sql = format!("({} {kind} {}{on})", left.sql, right.sql);
        From { sql, columns: [left.columns, right.columns].concat() }
    }

    /// Mostly equality of two columns, alone or with more.
    pub(super) fn join_condition(&mut self, left: &[Column], right: &[Column]) -> String {
        let scope = [left, right].concat();
        let ty = Ty::ALL[[0, 0, 0, 1, 2, 3, 4][self.below(7)]];
        let equal = match (self.column(left, ty), self.column(right, ty)) {
            (Some(one), Some(other)) => format!("({one} = {other})"),
            _ => self.condition(&scope, 1),
        };
        match self.below(6) {
            0 => format!("({equal} AND {})", self.condition(&scope, 1)),
            1 => format!("({equal} AND {})", self.simple(&scope)),
            2 => format!("({equal} AND {})", self.simple(left)),
            3 => format!("({equal} AND {})", self.simple(right)),
            _ => equal,
        }
    }

    fn source(&mut self, outer: &[Column], depth: u32) -> From {
        if depth > 0 && self.once_in(5) { self.derived(outer, depth - 1) } else { self.table() }
    }

    /// A query in parentheses, under a name.
    fn derived(&mut self, outer: &[Column], depth: u32) -> From {
        let (query, types) = self.query(outer, depth);
        let alias = self.alias();
        let names: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
        let columns =
            names.iter().zip(types).map(|(name, ty)| Column { sql: format!("{alias}.{name}"), ty });
        From {
            columns: columns.collect(),
            sql: format!("({query}) AS {alias} ({})", names.join(", ")),
        }
    }

    /// A whole query, with the types of its columns.
    pub(super) fn query(&mut self, outer: &[Column], depth: u32) -> (String, Vec<Ty>) {
        let types: Vec<Ty> = (0..1 + self.below(3)).map(|_| Ty::ALL[self.below(5)]).collect();
        let query = match self.below(8) {
            0 => self.grouped(outer, &types, depth),
            1 if depth > 0 => {
                let operator = self.of(&[
                    "UNION",
                    "UNION ALL",
                    "EXCEPT",
                    "INTERSECT",
                    "EXCEPT ALL",
                    "INTERSECT ALL",
                ]);
                let left = self.selected(outer, &types, depth - 1);
                let right = self.selected(outer, &types, depth - 1);
                format!("({left}) {operator} ({right})")
            }
            2 => {
                let positions: Vec<String> = (1..=types.len()).map(|at| at.to_string()).collect();
                let rows = self.selected(outer, &types, depth);
                let (limit, offset) = (self.below(5), self.below(3));
                format!("{rows} ORDER BY {} LIMIT {limit} OFFSET {offset}", positions.join(", "))
            }
            _ => self.selected(outer, &types, depth),
        };
        (query, types)
    }

    fn selected(&mut self, outer: &[Column], types: &[Ty], depth: u32) -> String {
        let from = self.source(&[], depth);
        let from = if depth > 0 && self.once_in(3) { self.joined(from, depth - 1) } else { from };
        let scope = [outer, &from.columns].concat();
        let exprs: Vec<String> = types
            .iter()
            .map(|ty| format!("{}::{}", self.expr(&scope, *ty, 1), ty.widest()))
            .collect();
        let distinct = if self.once_in(4) { "DISTINCT " } else { "" };
        let filter = match self.once_in(3) {
            true => String::new(),
            false => format!(" WHERE {}", self.condition(&scope, 1)),
        };
        format!("SELECT {distinct}{} FROM {}{filter}", exprs.join(", "), from.sql)
    }

    fn grouped(&mut self, outer: &[Column], types: &[Ty], depth: u32) -> String {
        let from = self.source(&[], depth);
        let scope = [outer, &from.columns].concat();
        let (last, keys) = types.split_last().expect("a query has columns");
        self.is_plain = true;
        let mut exprs: Vec<String> = keys
            .iter()
            .map(|ty| format!("{}::{}", self.expr(&from.columns, *ty, 1), ty.widest()))
            .collect();
        self.is_plain = false;
        let grouped: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
        exprs.push(format!("{}::{}", self.aggregate(&from.columns, *last), last.widest()));
        let filter = match self.once_in(2) {
            true => String::new(),
            false => format!(" WHERE {}", self.condition(&scope, 1)),
        };
        let groups = match keys.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", grouped.join(", ")),
        };
        let having = match self.once_in(3) {
            true => format!(" HAVING count(*) > {}", self.below(3)),
            false => String::new(),
        };
        format!("SELECT {} FROM {}{filter}{groups}{having}", exprs.join(", "), from.sql)
    }

    /// A call of an aggregate function whose answer does not depend on the order of rows.
    pub(super) fn aggregate(&mut self, scope: &[Column], ty: Ty) -> String {
        let distinct = if self.once_in(4) { "DISTINCT " } else { "" };
        match (ty, self.below(4)) {
            (Ty::Int, 0) => "count(*)".to_owned(),
            (Ty::Int, 1) => {
                let any = Ty::ALL[self.below(5)];
                format!("count({distinct}{})", self.expr(scope, any, 1))
            }
            (Ty::Int, 2) => format!("sum({distinct}{})", self.expr(scope, Ty::Int, 1)),
            (Ty::Num, 0) => format!("sum({distinct}{})", self.expr(scope, Ty::Num, 1)),
            (Ty::Text, 0) => {
                let text = self.expr(scope, Ty::Text, 1);
                format!("string_agg({text}, '-' ORDER BY {text})")
            }
            (Ty::Bool, which) => {
                let function = ["bool_and", "bool_or", "every", "bool_or"][which];
                format!("{function}({})", self.expr(scope, Ty::Bool, 1))
            }
            (ty, which) => {
                let function = ["min", "max"][which % 2];
                format!("{function}({})", self.expr(scope, ty, 1))
            }
        }
    }

    /// A name of that type.
    pub(super) fn column(&mut self, scope: &[Column], ty: Ty) -> Option<String> {
        let fitting: Vec<&Column> = scope.iter().filter(|column| column.ty == ty).collect();
        let index = if fitting.is_empty() { return None } else { self.below(fitting.len()) };
        Some(fitting[index].sql.clone())
    }

    pub(super) fn constant(&mut self, ty: Ty) -> String {
        let choices: &[&str] = match ty {
            Ty::Int => &["0", "1", "2", "3", "-1", "5", "3000000000", "1", "2", "NULL::int"],
            Ty::Text => &["''", "'a'", "'b'", "'ab'", "'A'", "'ä'", "'a '", "'%'", "NULL::text"],
            Ty::Bool => &["true", "false", "NULL::boolean"],
            Ty::Num => {
                &["0.00", "1.00", "0.50", "-1.50", "2.25", "'NaN'::numeric", "NULL::numeric"]
            }
            Ty::Date => &[
                "'2024-02-29'::date",
                "'2024-03-01'::date",
                "'1999-12-31'::date",
                "'infinity'::date",
                "NULL::date",
            ],
        };
        self.of(choices).to_owned()
    }

    /// An expression of that type; never aggregates.
    pub(super) fn expr(&mut self, scope: &[Column], ty: Ty, depth: u32) -> String {
        if depth == 0 || self.once_in(2) {
            return match self.column(scope, ty) {
                Some(column) if !self.once_in(5) => column,
                _ => format!("({})", self.constant(ty)),
            };
        }
        let depth = depth - 1;
        match self.below(6) {
            0 => format!(
                "coalesce({}, {})",
                self.expr(scope, ty, depth),
                self.expr(scope, ty, depth)
            ),
            1 => {
                let when = self.bool(scope, depth);
                let (then, other) = (self.expr(scope, ty, depth), self.expr(scope, ty, depth));
                format!("(CASE WHEN {when} THEN {then} ELSE {other} END)")
            }
            2 if ty != Ty::Bool => {
                let function = self.of(&["greatest", "least", "nullif"]);
                format!(
                    "{function}({}, {})",
                    self.expr(scope, ty, depth),
                    self.expr(scope, ty, depth)
                )
            }
            3 if ty != Ty::Bool && !self.is_plain => self.scalar(scope, ty),
            _ => self.computed(scope, ty, depth),
        }
    }

    fn computed(&mut self, scope: &[Column], ty: Ty, depth: u32) -> String {
        match ty {
            Ty::Bool => self.bool(scope, depth + 1),
            Ty::Int => {
                let one = self.expr(scope, Ty::Int, depth);
                match self.below(7) {
                    0 => format!("(- {one})"),
                    1 => format!("abs({one})"),
                    2 => format!("({one} % 3)"),
                    3 => format!("length({})", self.expr(scope, Ty::Text, depth)),
                    4 => format!("({one} * {})", 1 + self.below(3)),
                    5 => format!("({one} + 1)"),
                    _ => {
                        let operator = self.of(&["+", "-"]);
                        format!("({one} {operator} {})", self.expr(scope, Ty::Int, depth))
                    }
                }
            }
            Ty::Text => {
                let one = self.expr(scope, Ty::Text, depth);
                match self.below(4) {
                    0 => format!("lower({one})"),
                    1 => format!("upper({one})"),
                    2 => format!("substr({one}, 1, 1)"),
                    _ => format!("({one} || {})", self.expr(scope, Ty::Text, depth)),
                }
            }
            Ty::Num => {
                let one = self.expr(scope, Ty::Num, depth);
                match self.below(4) {
                    0 => format!("(- {one})"),
                    1 => format!("abs({one})"),
                    _ => {
                        let operator = self.of(&["+", "-"]);
                        format!("({one} {operator} {})", self.expr(scope, Ty::Num, depth))
                    }
                }
            }
            Ty::Date => {
                let days = self.of(&["+ 1", "- 1", "+ 366"]);
                format!("({} {days})", self.expr(scope, Ty::Date, depth))
            }
        }
    }

    /// A subquery with one value.
    fn scalar(&mut self, outer: &[Column], ty: Ty) -> String {
        let from = self.table();
        let value = self.aggregate(&from.columns, ty);
        let scope = [outer, &from.columns].concat();
        format!("(SELECT {value} FROM {} WHERE {})", from.sql, self.simple(&scope))
    }

    /// What a WHERE may say: half of the time what an index may serve.
    pub(super) fn condition(&mut self, scope: &[Column], depth: u32) -> String {
        match self.below(4) {
            0 => self.simple(scope),
            1 => format!("({} AND {})", self.simple(scope), self.simple(scope)),
            _ => self.bool(scope, depth),
        }
    }

    /// A column against a constant or another.
    pub(super) fn simple(&mut self, scope: &[Column]) -> String {
        let ty = Ty::ALL[[0, 0, 0, 0, 1, 1, 2, 3, 4][self.below(9)]];
        let Some(column) = self.column(scope, ty) else { return self.truth() };
        let constant = self.constant(ty);
        match self.below(10) {
            0 => format!("({column} IS NOT NULL)"),
            1 => format!("({column} IS NULL)"),
            2 if ty == Ty::Bool => column,
            3 if ty == Ty::Bool => format!("(NOT {column})"),
            2 if ty == Ty::Text => format!("(lower({column}) = {constant})"),
            2 if ty == Ty::Int => format!("(({column} + 1) = {constant})"),
            3 => {
                let other = self.constant(ty);
                format!("({column} BETWEEN {constant} AND {other})")
            }
            4 => match self.column(scope, ty) {
                Some(other) => format!("({column} = {other})"),
                None => self.truth(),
            },
            5 | 6 => format!("({column} = {constant})"),
            _ => format!("({column} {} {constant})", self.of(&["<", "<=", ">", ">=", "<>"])),
        }
    }

    fn truth(&mut self) -> String {
        self.of(&["true", "(1 = 1)", "(NULL::int = 1)"]).to_owned()
    }

    /// A condition with NULLs in it.
    pub(super) fn bool(&mut self, scope: &[Column], depth: u32) -> String {
        if depth == 0 {
            return self.simple(scope);
        }
        let depth = depth - 1;
        let ty = Ty::ALL[self.below(5)];
        match self.below(16) {
            0 => format!("(NOT {})", self.bool(scope, depth)),
            1 | 2 => format!("({} AND {})", self.bool(scope, depth), self.bool(scope, depth)),
            3 | 4 => format!("({} OR {})", self.bool(scope, depth), self.bool(scope, depth)),
            5 => {
                let not = self.of(&["", "NOT "]);
                format!("({} IS {not}NULL)", self.expr(scope, ty, depth))
            }
            6 => {
                let not = self.of(&["", "NOT "]);
                let (one, other) = (self.expr(scope, ty, depth), self.expr(scope, ty, depth));
                format!("({one} IS {not}DISTINCT FROM {other})")
            }
            7 => {
                let not = self.of(&["", "NOT "]);
                let list: Vec<String> = (0..1 + self.below(3)).map(|_| self.constant(ty)).collect();
                format!("({} {not}IN ({}))", self.expr(scope, ty, depth), list.join(", "))
            }
            8 => {
                let is =
                    self.of(&["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"]);
                format!("({} IS {is})", self.bool(scope, depth))
            }
            9 | 10 if !self.is_plain => self.quantified(scope, ty, depth),
            11 if !self.is_plain => self.exists(scope, depth),
            12 => {
                let pattern = self.of(&["'a%'", "'%'", "'_'", "'%b'", "''", "NULL"]);
                let not = self.of(&["", "NOT "]);
                format!("({} {not}LIKE {pattern})", self.expr(scope, Ty::Text, depth))
            }
            13 => {
                let operator = self.of(&["=", "<", ">=", "<>"]);
                let one = (self.expr(scope, Ty::Int, 0), self.expr(scope, ty, 0));
                let other = (self.expr(scope, Ty::Int, 0), self.expr(scope, ty, 0));
                format!("(({}, {}) {operator} ({}, {}))", one.0, one.1, other.0, other.1)
            }
            _ => {
                let operator = self.of(&["=", "<", "<=", ">", ">=", "<>"]);
                format!(
                    "({} {operator} {})",
                    self.expr(scope, ty, depth),
                    self.expr(scope, ty, depth)
                )
            }
        }
    }

    /// IN and NOT IN with a subquery, ANY and ALL.
    fn quantified(&mut self, outer: &[Column], ty: Ty, depth: u32) -> String {
        let from = self.table();
        let value = self.expr(&from.columns, ty, depth.min(1));
        let scope = [outer, &from.columns].concat();
        let is_tied = self.once_in(2);
        let filter = self.simple(if is_tied { &scope } else { &from.columns });
        let operator = self.of(&["IN", "IN", "NOT IN", "= ANY", "< ALL", ">= ANY", "<> ALL"]);
        let one = self.expr(outer, ty, depth.min(1));
        format!("({one} {operator} (SELECT {value} FROM {} WHERE {filter}))", from.sql)
    }

    fn exists(&mut self, outer: &[Column], depth: u32) -> String {
        let from = self.table();
        let not = self.of(&["", "NOT "]);
        let tie = self.join_condition(outer, &from.columns);
        let more =
            if depth > 0 { format!(" AND {}", self.simple(&from.columns)) } else { String::new() };
        format!("({not}EXISTS (SELECT 1 FROM {} WHERE {tie}{more}))", from.sql)
    }

    /// A value to be stored, mostly small.
    fn stored(&mut self, ty: &str, sort: Ty) -> String {
        match ty {
            "smallint" => self.of(&["0", "1", "2", "-1", "32767", "NULL"]).to_owned(),
            "int" => self
                .of(&["0", "1", "2", "3", "4", "-1", "-2", "2147483647", "NULL", "NULL"])
                .to_owned(),
            _ => self.constant(sort),
        }
    }

    /// Rows that come, change or go.
    pub(super) fn change(&mut self) -> String {
        let table = self.below(TABLES);
        let scope: Vec<Column> = COLUMNS
            .iter()
            .map(|(name, _, ty)| Column { sql: format!("t.{name}"), ty: *ty })
            .collect();
        match self.below(10) {
            0..6 => {
                let rows: Vec<String> = (0..1 + self.below(6)).map(|_| self.row()).collect();
                let conflict = match table {
                    0 => {
                        "ON CONFLICT (id) DO UPDATE SET a = excluded.a, c = excluded.c, d = excluded.d"
                    }
                    1 => "ON CONFLICT DO NOTHING",
                    _ => "",
                };
                format!("INSERT INTO t{table} VALUES {} {conflict}", rows.join(", "))
            }
            6..8 => {
                let (name, _, ty) = COLUMNS[1 + self.below(COLUMNS.len() - 1)];
                let value = match self.once_in(3) {
                    true => self.constant(ty),
                    false => self.expr(&scope, ty, 1),
                };
                format!(
                    "UPDATE t{table} AS t SET {name} = {value} WHERE {}",
                    self.condition(&scope, 1)
                )
            }
            _ => format!(
                "DELETE FROM t{table} AS t WHERE {} AND t.id % 3 = 0",
                self.condition(&scope, 1)
            ),
        }
    }

    fn row(&mut self) -> String {
        let mut values = vec![self.below(24).to_string()];
        for (_, declared, ty) in &COLUMNS[1..] {
            values.push(self.stored(declared, *ty));
        }
        format!("({})", values.join(", "))
    }
}
