//! `jsonpath`: the SQL/JSON path language (jsonpath.c, jsonpath_gram.y, jsonpath_exec.c).
//!
//! A path is a tree of [`Node`]s, each with the accessor that comes after it. In lax mode, which is the
//! default, arrays are taken apart and wrapped where a step asks for it, and structural errors yield
//! nothing; in strict mode they are errors.
//!
//! Invariants
//! * `@` stands only in filters, `last` only in subscripts.
//! * No path is nested deeper than [`MAX_DEPTH`].

mod execute;
mod lex;
mod parse;
mod write;

pub(crate) use execute::{Found, Question, run};
pub(crate) use parse::parse_path;
pub(crate) use write::write_path;

use crate::Numeric;

/// How deep a path may be nested: readers, writers and evaluation recurse.
pub(crate) const MAX_DEPTH: usize = 200;

/// A path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    pub(crate) strict: bool,
    pub(crate) root: Node,
}

/// A step, and the one after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) next: Option<Box<Self>>,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Numeric),
    String(Box<str>),
    Variable(Box<str>),
    Root,
    Current,
    Last,
    Key(Box<str>),
    AnyKey,
    AnyArray,
    /// Subscripts: each from, perhaps to.
    Index(Vec<(Node, Option<Node>)>),
    /// `**` between two levels; `None` is the last.
    Any(Option<u32>, Option<u32>),
    Filter(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    IsUnknown(Box<Node>),
    Exists(Box<Node>),
    Compare(Comparator, Box<Node>, Box<Node>),
    StartsWith(Box<Node>, Box<Node>),
    /// The expression, the pattern, and the flags among `ismxq`.
    LikeRegex(Box<Node>, Box<str>, Box<str>),
    Arithmetic(Operator, Box<Node>, Box<Node>),
    Plus(Box<Node>),
    Minus(Box<Node>),
    Method(Method),
    Datetime(Option<Box<str>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Type,
    Size,
    Abs,
    Floor,
    Ceiling,
    Double,
    KeyValue,
}

impl Comparator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
        }
    }
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Abs => "abs",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::Double => "double",
            Self::KeyValue => "keyvalue",
        }
    }
}

impl JsonPath {
    /// The path as it is printed.
    pub(crate) fn text(&self) -> String {
        let mut out = Vec::new();
        write_path(self, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl Node {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, next: None }
    }

    /// Whether it is a condition, with nothing after it.
    pub(crate) fn is_predicate(&self) -> bool {
        self.next.is_none()
            && matches!(
                self.kind,
                Kind::And(..)
                    | Kind::Or(..)
                    | Kind::Not(_)
                    | Kind::IsUnknown(_)
                    | Kind::Exists(_)
                    | Kind::Compare(..)
                    | Kind::StartsWith(..)
                    | Kind::LikeRegex(..)
            )
    }

    /// Puts an accessor at the end.
    pub(crate) fn append(&mut self, next: Self) {
        let mut last = self;
        while last.next.is_some() {
            last = last.next.as_mut().expect("just looked at");
        }
        last.next = Some(Box::new(next));
    }
}
