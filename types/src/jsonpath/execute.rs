//! Evaluating paths (jsonpath_exec.c).
//!
//! Each step takes an item and hands what it yields to the step after it; what comes out at the end is
//! collected, or only looked for. Errors are of two kinds: those that a condition takes for "unknown" and
//! that `silent` hides, and those that always end the statement.

use std::rc::Rc;

use super::{Comparator, JsonPath, Kind, Method, Node, Operator};
use crate::function::regex_of;
use crate::json::MAX_DEPTH;
use crate::regexp::{Options, Regexp};
use crate::{DataType, EvalContext, Json, Numeric, SqlState, Value, ValueError, datetime};

/// An error, and whether conditions and `silent` hide it.
struct Fail {
    error: ValueError,
    is_soft: bool,
}

type Outcome = Result<bool, Fail>;

fn soft(state: SqlState, message: impl Into<String>) -> Fail {
    Fail { error: ValueError::new(state, message), is_soft: true }
}

fn hard(error: ValueError) -> Fail {
    Fail { error, is_soft: false }
}

/// An item: JSON, or a time that a string was read as.
#[derive(Debug, Clone)]
enum Item {
    Json(Json),
    Time(Value),
}

/// The truth value of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    False,
    True,
    Unknown,
}

impl From<bool> for Truth {
    fn from(v: bool) -> Self {
        if v { Self::True } else { Self::False }
    }
}

/// What is asked of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) target: &'a Json,
    pub(crate) variables: Option<&'a Json>,
    /// Whether errors of structure and numbers yield nothing.
    pub(crate) silent: bool,
    /// Whether times may be compared across time zones.
    pub(crate) with_zone: bool,
    /// Whether only the existence of an item is asked for.
    pub(crate) only_exists: bool,
}

struct Run<'a> {
    question: Question<'a>,
    ctx: &'a EvalContext,
    lax: bool,
    ignores_structure: bool,
    /// How many elements the array has whose subscripts are evaluated.
    array_size: Option<usize>,
    depth: usize,
}

/// What a path yields: the items, up to an error if one was hidden.
pub(crate) struct Found {
    pub(crate) items: Vec<Json>,
    pub(crate) failed: bool,
}

/// Evaluates a path: the items, or whether there is one.
///
/// # Errors
/// Those that are not hidden.
pub(crate) fn run(
    path: &JsonPath,
    question: Question<'_>,
    ctx: &EvalContext,
) -> Result<Found, ValueError> {
    if let Some(variables) = question.variables
        && !matches!(variables, Json::Object(_))
    {
        return Err(ValueError::invalid_parameter("\"vars\" argument is not an object")
            .with_detail(
                "Jsonpath parameters should be encoded as key-value pairs of \"vars\" object.",
            ));
    }
    let lax = !path.strict;
    let mut run = Run { question, ctx, lax, ignores_structure: lax, array_size: None, depth: 0 };
    let target = Item::Json(question.target.clone());
    let mut found = Vec::new();
    // In strict mode every error counts, so that all has to be evaluated.
    let outcome = if question.only_exists && lax {
        run.item(&path.root, &target, None).map(|any| {
            if any {
                found.push(Item::Json(Json::Null));
            }
        })
    } else {
        run.item(&path.root, &target, Some(&mut found)).map(|_| ())
    };
    let failed = match outcome {
        Ok(()) => false,
        Err(fail) if fail.is_soft && question.silent => true,
        Err(fail) => return Err(fail.error),
    };
    let items = found.into_iter().map(|item| json_of(item, ctx)).collect::<Result<_, _>>()?;
    Ok(Found { items, failed })
}

/// A time as the string that JSON has for it.
fn json_of(item: Item, ctx: &EvalContext) -> Result<Json, ValueError> {
    match item {
        Item::Json(json) => Ok(json),
        Item::Time(value) => {
            let mut out = Vec::new();
            crate::json::write_json_value(&value, ctx, &mut out);
            let mut text = String::from_utf8_lossy(&out).into_owned();
            // Here a zone has its minutes, as ISO 8601 wants it.
            let is_short = |at: usize| !text[at..].contains(':');
            if value.data_type() == DataType::Timetz && text.rfind(['+', '-']).is_some_and(is_short)
            {
                text.insert_str(text.len() - 1, ":00");
            }
            crate::json::parse_json(&text)
        }
    }
}

/// The regular expression of `like_regex`.
pub(super) fn compile_regex(pattern: &str, flags: &str) -> Result<Rc<Regexp>, ValueError> {
    if flags.contains('x') {
        let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
        return Err(ValueError::new(SqlState::FeatureNotSupported, message));
    }
    regex_of(pattern, Options::of_jsonpath(flags))
}

impl Run<'_> {
    fn item(&mut self, node: &Node, item: &Item, found: Option<&mut Vec<Item>>) -> Outcome {
        let unwrap = self.lax;
        self.step(node, item, found, unwrap)
    }

    fn next(&mut self, node: &Node, item: Item, found: Option<&mut Vec<Item>>) -> Outcome {
        match (&node.next, found) {
            (Some(next), found) => self.item(next, &item, found),
            (None, Some(found)) => {
                found.push(item);
                Ok(true)
            }
            (None, None) => Ok(true),
        }
    }

    /// A step with each element of an array in its place.
    fn each(
        &mut self,
        node: Option<&Node>,
        items: &[Json],
        mut found: Option<&mut Vec<Item>>,
        unwrap: bool,
    ) -> Outcome {
        let mut any = false;
        for element in items {
            let element = Item::Json(element.clone());
            any |= match node {
                Some(node) => self.step(node, &element, found.as_deref_mut(), unwrap)?,
                None => {
                    if let Some(found) = found.as_deref_mut() {
                        found.push(element);
                    }
                    true
                }
            };
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }

    /// `**`: what lies between two levels below an item.
    fn levels(
        &mut self,
        node: &Node,
        item: &Json,
        mut found: Option<&mut Vec<Item>>,
        level: u32,
        bounds: (Option<u32>, Option<u32>),
    ) -> Outcome {
        let members: Vec<&Json> = match item {
            Json::Array(items) => items.iter().collect(),
            Json::Object(pairs) => pairs.iter().map(|pair| &pair.1).collect(),
            _ => return Ok(false),
        };
        let mut any = false;
        for member in members {
            // Between `last` and `last` are the leaves.
            let is_in = match bounds {
                (None, _) => !member.is_container(),
                (Some(from), _) => level >= from,
            };
            if is_in {
                let before = std::mem::replace(&mut self.ignores_structure, true);
                let outcome = match &node.next {
                    Some(next) => {
                        let unwrap = self.lax;
                        self.step(next, &Item::Json(member.clone()), found.as_deref_mut(), unwrap)
                    }
                    None => {
                        if let Some(found) = found.as_deref_mut() {
                            found.push(Item::Json(member.clone()));
                        }
                        Ok(true)
                    }
                };
                self.ignores_structure = before;
                any |= outcome?;
                if any && found.is_none() {
                    return Ok(true);
                }
            }
            if bounds.1.is_none_or(|to| level < to) && member.is_container() {
                any |= self.levels(node, member, found.as_deref_mut(), level + 1, bounds)?;
                if any && found.is_none() {
                    return Ok(true);
                }
            }
        }
        Ok(any)
    }

    fn step(
        &mut self,
        node: &Node,
        item: &Item,
        found: Option<&mut Vec<Item>>,
        unwrap: bool,
    ) -> Outcome {
        if self.depth > MAX_DEPTH {
            return Err(hard(crate::json::too_deep()));
        }
        self.depth += 1;
        let outcome = self.step_inner(node, item, found, unwrap);
        self.depth -= 1;
        outcome
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn step_inner(
        &mut self,
        node: &Node,
        item: &Item,
        found: Option<&mut Vec<Item>>,
        unwrap: bool,
    ) -> Outcome {
        if node.next.is_none() && found.is_none() && is_literal(&node.kind) {
            return Ok(true);
        }
        let array = match item {
            Item::Json(Json::Array(items)) => Some(&items[..]),
            _ => None,
        };
        match &node.kind {
            Kind::Null => self.next(node, Item::Json(Json::Null), found),
            Kind::Bool(v) => self.next(node, Item::Json(Json::Bool(*v)), found),
            Kind::Number(v) => self.next(node, Item::Json(Json::Number(v.clone())), found),
            Kind::String(v) => self.next(node, Item::Json(Json::String(v.clone())), found),
            Kind::Variable(name) => {
                let value = self.question.variables.and_then(|variables| variables.field(name));
                let value = value.ok_or_else(|| {
                    let message = format!("could not find jsonpath variable \"{name}\"");
                    hard(ValueError::new(SqlState::UndefinedObject, message))
                })?;
                self.next(node, Item::Json(value.clone()), found)
            }
            Kind::Root => self.next(node, Item::Json(self.question.target.clone()), found),
            Kind::Current => self.next(node, item.clone(), found),
            Kind::Last => {
                let size = self.array_size.unwrap_or(0) as i64;
                self.next(node, Item::Json(Json::Number(Numeric::from(size - 1))), found)
            }
            Kind::Key(key) => match (item, array) {
                (Item::Json(object @ Json::Object(_)), _) => match object.field(key) {
                    Some(value) => self.next(node, Item::Json(value.clone()), found),
                    None if self.ignores_structure => Ok(false),
                    None => Err(soft(
                        SqlState::SqlJsonMemberNotFound,
                        format!("JSON object does not contain key \"{key}\""),
                    )),
                },
                (_, Some(items)) if unwrap => self.each(Some(node), items, found, false),
                _ => self.structural(
                    SqlState::SqlJsonMemberNotFound,
                    "jsonpath member accessor can only be applied to an object",
                ),
            },
            Kind::AnyKey => match (item, array) {
                (Item::Json(Json::Object(pairs)), _) => {
                    let values: Vec<Json> = pairs.iter().map(|pair| pair.1.clone()).collect();
                    let unwrap = self.lax;
                    self.each(node.next.as_deref(), &values, found, unwrap)
                }
                (_, Some(items)) if unwrap => self.each(Some(node), items, found, false),
                _ => self.structural(
                    SqlState::SqlJsonObjectNotFound,
                    "jsonpath wildcard member accessor can only be applied to an object",
                ),
            },
            Kind::AnyArray => match array {
                Some(items) => {
                    let unwrap = self.lax;
                    self.each(node.next.as_deref(), items, found, unwrap)
                }
                None if self.lax => self.next(node, item.clone(), found),
                None => self.structural(
                    SqlState::SqlJsonArrayNotFound,
                    "jsonpath wildcard array accessor can only be applied to an array",
                ),
            },
            Kind::Index(ranges) => self.index(node, ranges, item, array, found),
            Kind::Any(from, to) => {
                let mut found = found;
                let mut any = false;
                if *from == Some(0) {
                    let before = std::mem::replace(&mut self.ignores_structure, true);
                    let outcome = self.next(node, item.clone(), found.as_deref_mut());
                    self.ignores_structure = before;
                    any = outcome?;
                    if any && found.is_none() {
                        return Ok(true);
                    }
                }
                match item {
                    Item::Json(json) => Ok(any | self.levels(node, json, found, 1, (*from, *to))?),
                    Item::Time(_) => Ok(any),
                }
            }
            Kind::Filter(condition) => match array {
                Some(items) if unwrap => self.each(Some(node), items, found, false),
                _ => match self.truth(condition, item)? {
                    Truth::True => self.next(node, item.clone(), found),
                    _ => Ok(false),
                },
            },
            Kind::And(..)
            | Kind::Or(..)
            | Kind::Not(_)
            | Kind::IsUnknown(_)
            | Kind::Exists(_)
            | Kind::Compare(..)
            | Kind::StartsWith(..)
            | Kind::LikeRegex(..) => {
                let truth = self.truth(node, item)?;
                if node.next.is_none() && found.is_none() {
                    return Ok(true);
                }
                let json = match truth {
                    Truth::Unknown => Json::Null,
                    truth => Json::Bool(truth == Truth::True),
                };
                self.next(node, Item::Json(json), found)
            }
            Kind::Arithmetic(operator, left, right) => {
                let v = self.arithmetic(*operator, left, right, item)?;
                self.next(node, Item::Json(Json::Number(v)), found)
            }
            Kind::Plus(operand) | Kind::Minus(operand) => self.sign(node, operand, item, found),
            Kind::Method(method) => self.method(node, *method, item, array, found, unwrap),
            Kind::Datetime(template) => match array {
                Some(items) if unwrap => self.each(Some(node), items, found, false),
                _ => {
                    let value = self.datetime(item, template.as_deref())?;
                    self.next(node, Item::Time(value), found)
                }
            },
        }
    }

    /// An error of structure, or nothing where these do not count.
    fn structural(&self, state: SqlState, message: &str) -> Outcome {
        if self.ignores_structure { Ok(false) } else { Err(soft(state, message)) }
    }

    fn index(
        &mut self,
        node: &Node,
        ranges: &[(Node, Option<Node>)],
        item: &Item,
        array: Option<&[Json]>,
        mut found: Option<&mut Vec<Item>>,
    ) -> Outcome {
        if array.is_none() && !self.lax {
            return self.structural(
                SqlState::SqlJsonArrayNotFound,
                "jsonpath array accessor can only be applied to an array",
            );
        }
        let size = array.map_or(1, <[Json]>::len);
        let outer = self.array_size.replace(size);
        let mut any = false;
        for (from, to) in ranges {
            let from = self.subscript(from, item)?;
            let to = match to {
                Some(to) => self.subscript(to, item)?,
                None => from,
            };
            let size = size as i64;
            if !self.ignores_structure && (from < 0 || from > to || to >= size) {
                return Err(soft(
                    SqlState::InvalidSqlJsonSubscript,
                    "jsonpath array subscript is out of bounds",
                ));
            }
            for at in from.max(0)..=to.min(size - 1) {
                let element = match array {
                    Some(items) => Item::Json(items[at as usize].clone()),
                    None => item.clone(),
                };
                any |= self.next(node, element, found.as_deref_mut())?;
                if any && found.is_none() {
                    self.array_size = outer;
                    return Ok(true);
                }
            }
        }
        self.array_size = outer;
        Ok(any)
    }

    fn subscript(&mut self, node: &Node, item: &Item) -> Result<i64, Fail> {
        let mut found = Vec::new();
        self.item(node, item, Some(&mut found))?;
        let [Item::Json(Json::Number(number))] = &found[..] else {
            return Err(soft(
                SqlState::InvalidSqlJsonSubscript,
                "jsonpath array subscript is not a single numeric value",
            ));
        };
        let index = number.trunc(0).to_i64().and_then(|v| i32::try_from(v).ok());
        index.map(i64::from).ok_or_else(|| {
            soft(
                SqlState::InvalidSqlJsonSubscript,
                "jsonpath array subscript is out of integer range",
            )
        })
    }

    /// What an expression yields, arrays taken apart in lax mode if asked for.
    fn operand(&mut self, node: &Node, item: &Item, unwrap: bool) -> Result<Vec<Item>, Fail> {
        let mut found = Vec::new();
        self.item(node, item, Some(&mut found))?;
        if !unwrap || !self.lax {
            return Ok(found);
        }
        let mut out = Vec::with_capacity(found.len());
        for item in found {
            match item {
                Item::Json(Json::Array(items)) => out.extend(items.into_iter().map(Item::Json)),
                item => out.push(item),
            }
        }
        Ok(out)
    }

    fn arithmetic(
        &mut self,
        operator: Operator,
        left: &Node,
        right: &Node,
        item: &Item,
    ) -> Result<Numeric, Fail> {
        let left = self.operand(left, item, true)?;
        let right = self.operand(right, item, true)?;
        let single = |items: &[Item], side: &str| match items {
            [Item::Json(Json::Number(number))] => Ok(number.clone()),
            _ => Err(soft(
                SqlState::SingletonSqlJsonItemRequired,
                format!(
                    "{side} operand of jsonpath operator {} is not a single numeric value",
                    operator.symbol()
                ),
            )),
        };
        let (a, b) = (single(&left, "left")?, single(&right, "right")?);
        let v = match operator {
            Operator::Add => a.add(&b),
            Operator::Sub => a.sub(&b),
            Operator::Mul => a.mul(&b),
            Operator::Div => a.div(&b),
            Operator::Mod => a.rem(&b),
        };
        v.map_err(|error| Fail { error, is_soft: true })
    }

    fn sign(
        &mut self,
        node: &Node,
        operand: &Node,
        item: &Item,
        mut found: Option<&mut Vec<Item>>,
    ) -> Outcome {
        let is_minus = matches!(node.kind, Kind::Minus(_));
        let mut any = false;
        for value in self.operand(operand, item, true)? {
            let Item::Json(Json::Number(number)) = value else {
                if found.is_none() && node.next.is_none() {
                    continue;
                }
                let symbol = if is_minus { '-' } else { '+' };
                return Err(soft(
                    SqlState::SqlJsonNumberNotFound,
                    format!("operand of unary jsonpath operator {symbol} is not a numeric value"),
                ));
            };
            let number = if is_minus { number.neg() } else { number };
            any |= self.next(node, Item::Json(Json::Number(number)), found.as_deref_mut())?;
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }

    fn method(
        &mut self,
        node: &Node,
        method: Method,
        item: &Item,
        array: Option<&[Json]>,
        found: Option<&mut Vec<Item>>,
        unwrap: bool,
    ) -> Outcome {
        if let Some(items) = array
            && unwrap
            && !matches!(method, Method::Type | Method::Size)
        {
            return self.each(Some(node), items, found, false);
        }
        let name = method.name();
        match method {
            Method::Type => {
                let kind = match item {
                    Item::Json(json) => json.kind(),
                    Item::Time(value) => value.data_type().sql_name(),
                };
                self.next(node, Item::Json(Json::String(kind.into())), found)
            }
            Method::Size => {
                let size = match array {
                    Some(items) => items.len(),
                    None if self.lax || self.ignores_structure => 1,
                    None => {
                        return Err(soft(
                            SqlState::SqlJsonArrayNotFound,
                            "jsonpath item method .size() can only be applied to an array",
                        ));
                    }
                };
                let size = Json::Number(Numeric::from(size as i64));
                self.next(node, Item::Json(size), found)
            }
            Method::Abs | Method::Floor | Method::Ceiling => {
                let Item::Json(Json::Number(number)) = item else {
                    return Err(soft(
                        SqlState::NonNumericSqlJsonItem,
                        format!(
                            "jsonpath item method .{name}() can only be applied to a numeric value"
                        ),
                    ));
                };
                let number = match method {
                    Method::Abs => number.abs(),
                    Method::Floor => number.floor(),
                    _ => number.ceil(),
                };
                self.next(node, Item::Json(Json::Number(number)), found)
            }
            Method::Double => {
                let number = double(item)?;
                self.next(node, Item::Json(Json::Number(number)), found)
            }
            Method::KeyValue => self.key_value(node, item, found),
        }
    }

    /// The members of an object. The number that each has is a place in PostgreSQL's storage: that of
    /// the whole is known, those of others are not.
    fn key_value(
        &mut self,
        node: &Node,
        item: &Item,
        mut found: Option<&mut Vec<Item>>,
    ) -> Outcome {
        let Item::Json(object @ Json::Object(pairs)) = item else {
            return Err(soft(
                SqlState::SqlJsonObjectNotFound,
                "jsonpath item method .keyvalue() can only be applied to an object",
            ));
        };
        if object != self.question.target {
            let message =
                "jsonpath item method .keyvalue() of what is not the whole is not supported";
            return Err(hard(ValueError::new(SqlState::FeatureNotSupported, message)));
        }
        let mut any = false;
        for (key, value) in pairs {
            let member = Json::object(vec![
                ("key".into(), Json::String(key.clone())),
                ("value".into(), value.clone()),
                ("id".into(), Json::Number(Numeric::from(0i64))),
            ]);
            any |= self.next(node, Item::Json(member), found.as_deref_mut())?;
            if any && found.is_none() {
                return Ok(true);
            }
        }
        Ok(any)
    }

    fn datetime(&self, item: &Item, template: Option<&str>) -> Result<Value, Fail> {
        let state = SqlState::InvalidArgumentForSqlJsonDatetimeFunction;
        let Item::Json(Json::String(text)) = item else {
            let message = "jsonpath item method .datetime() can only be applied to a string";
            return Err(soft(state, message));
        };
        if template.is_some() {
            let message = "jsonpath item method .datetime() with a template is not supported";
            return Err(hard(ValueError::new(SqlState::FeatureNotSupported, message)));
        }
        read_time(text, self.ctx).ok_or_else(|| {
            let error =
                ValueError::new(state, format!("datetime format is not recognized: \"{text}\""))
                    .with_hint(
                        "Use a datetime template argument to specify the input data format.",
                    );
            Fail { error, is_soft: true }
        })
    }

    /// A condition. Errors in its operands make it unknown.
    fn truth(&mut self, node: &Node, item: &Item) -> Result<Truth, Fail> {
        Ok(match &node.kind {
            Kind::And(left, right) => match self.truth(left, item)? {
                Truth::False => Truth::False,
                first => match self.truth(right, item)? {
                    Truth::True => first,
                    second => second,
                },
            },
            Kind::Or(left, right) => match self.truth(left, item)? {
                Truth::True => Truth::True,
                first => match self.truth(right, item)? {
                    Truth::False => first,
                    second => second,
                },
            },
            Kind::Not(operand) => match self.truth(operand, item)? {
                Truth::Unknown => Truth::Unknown,
                truth => Truth::from(truth == Truth::False),
            },
            Kind::IsUnknown(operand) => Truth::from(self.truth(operand, item)? == Truth::Unknown),
            Kind::Exists(operand) => {
                let outcome = if self.lax {
                    self.item(operand, item, None)
                } else {
                    self.operand(operand, item, false).map(|found| !found.is_empty())
                };
                match outcome {
                    Ok(any) => Truth::from(any),
                    Err(fail) if fail.is_soft => Truth::Unknown,
                    Err(fail) => return Err(fail),
                }
            }
            Kind::Compare(comparator, left, right) => {
                let comparator = *comparator;
                self.predicate(left, Some(right), true, item, &mut |run, a, b| {
                    compare(comparator, a, b, run)
                })?
            }
            Kind::StartsWith(left, right) => {
                self.predicate(left, Some(right), false, item, &mut |_, a, b| {
                    Ok(match (a, b) {
                        (Item::Json(Json::String(a)), Item::Json(Json::String(b))) => {
                            Truth::from(a.starts_with(&**b))
                        }
                        _ => Truth::Unknown,
                    })
                })?
            }
            Kind::LikeRegex(operand, pattern, flags) => {
                let regex = compile_regex(pattern, flags).map_err(hard)?;
                self.predicate(operand, None, false, item, &mut |run, a, _| {
                    Ok(match a {
                        Item::Json(Json::String(text)) => {
                            Truth::from(regex.is_match(text, run.ctx).map_err(hard)?)
                        }
                        _ => Truth::Unknown,
                    })
                })?
            }
            _ => {
                let message = "a jsonpath filter without a condition";
                return Err(hard(ValueError::new(SqlState::InternalError, message)));
            }
        })
    }

    /// Whether a condition holds for one of the pairs that two operands yield.
    fn predicate(
        &mut self,
        left: &Node,
        right: Option<&Node>,
        unwrap_right: bool,
        item: &Item,
        holds: &mut dyn FnMut(&Self, &Item, &Item) -> Result<Truth, Fail>,
    ) -> Result<Truth, Fail> {
        let left = match self.operand(left, item, true) {
            Err(fail) if fail.is_soft => return Ok(Truth::Unknown),
            other => other?,
        };
        let right = match right.map(|right| self.operand(right, item, unwrap_right)) {
            None => vec![Item::Json(Json::Null)],
            Some(Err(fail)) if fail.is_soft => return Ok(Truth::Unknown),
            Some(other) => other?,
        };
        let (mut any, mut unknown) = (false, false);
        for a in &left {
            for b in &right {
                match holds(self, a, b)? {
                    Truth::True if self.lax => return Ok(Truth::True),
                    Truth::True => any = true,
                    Truth::Unknown if !self.lax => return Ok(Truth::Unknown),
                    Truth::Unknown => unknown = true,
                    Truth::False => {}
                }
            }
        }
        Ok(if any {
            Truth::True
        } else if unknown {
            Truth::Unknown
        } else {
            Truth::False
        })
    }
}

fn is_literal(kind: &Kind) -> bool {
    matches!(kind, Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_))
}

/// `.double()`
fn double(item: &Item) -> Result<Numeric, Fail> {
    let state = SqlState::NonNumericSqlJsonItem;
    let (v, what) = match item {
        Item::Json(Json::Number(number)) => {
            let mut text = Vec::new();
            number.write(&mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            let v = crate::io::parse_float8(&text).map_err(|_| {
                let message = "numeric argument of jsonpath item method .double() is out of range \
                               for type double precision";
                soft(state, message)
            })?;
            (v, "numeric")
        }
        Item::Json(Json::String(text)) => {
            let v = crate::io::parse_float8(text).map_err(|_| {
                let message = "string argument of jsonpath item method .double() is not a valid \
                               representation of a double precision number";
                soft(state, message)
            })?;
            (v, "string")
        }
        _ => {
            let message =
                "jsonpath item method .double() can only be applied to a string or numeric value";
            return Err(soft(state, message));
        }
    };
    if !v.is_finite() {
        let message = format!(
            "{what} argument of jsonpath item method .double() is not a valid representation of a \
             double precision number"
        );
        return Err(soft(state, message));
    }
    match item {
        Item::Json(Json::Number(number)) => Ok(number.clone()),
        _ => Ok(Numeric::from_float(v, 15)),
    }
}

/// A time in one of the forms of ISO 8601 that `.datetime()` knows.
fn read_time(text: &str, ctx: &EvalContext) -> Option<Value> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (date, time) = match shape.find(['T', ' ']) {
        Some(at @ 10) => (Some(&shape[..at]), Some(&shape[at + 1..])),
        _ if shape.contains(':') => (None, Some(&shape[..])),
        _ => (Some(&shape[..]), None),
    };
    if date.is_some_and(|date| date != "0000-00-00") {
        return None;
    }
    let has_zone = match time {
        None => false,
        Some(time) => match time.strip_prefix("00:00:00")?.trim_start() {
            "" => false,
            "+00" | "-00" | "+0" | "-0" | "+00:00" | "-00:00" | "+0:00" | "-0:00" => true,
            _ => return None,
        },
    };
    let ty = match (date.is_some(), time.is_some(), has_zone) {
        (true, false, _) => DataType::Date,
        (true, true, false) => DataType::Timestamp,
        (true, true, true) => DataType::Timestamptz,
        (false, _, false) => DataType::Time,
        (false, _, true) => DataType::Timetz,
    };
    crate::parse_text(ty, -1, text, ctx).ok()
}

/// Two items compared (`compareItems`).
fn compare(comparator: Comparator, a: &Item, b: &Item, run: &Run<'_>) -> Result<Truth, Fail> {
    use std::cmp::Ordering;
    let order = match (a, b) {
        (Item::Json(Json::Null), Item::Json(Json::Null)) => Ordering::Equal,
        (Item::Json(Json::Null), _) | (_, Item::Json(Json::Null)) => {
            return Ok(Truth::from(comparator == Comparator::Ne));
        }
        (Item::Json(Json::Bool(a)), Item::Json(Json::Bool(b))) => a.cmp(b),
        (Item::Json(Json::Number(a)), Item::Json(Json::Number(b))) => a.compare(b),
        (Item::Json(Json::String(a)), Item::Json(Json::String(b))) => {
            a.as_bytes().cmp(b.as_bytes())
        }
        (Item::Time(a), Item::Time(b)) => match compare_times(a, b, run)? {
            Some(order) => order,
            None => return Ok(Truth::Unknown),
        },
        _ => return Ok(Truth::Unknown),
    };
    Ok(Truth::from(match comparator {
        Comparator::Eq => order.is_eq(),
        Comparator::Ne => order.is_ne(),
        Comparator::Lt => order.is_lt(),
        Comparator::Le => order.is_le(),
        Comparator::Gt => order.is_gt(),
        Comparator::Ge => order.is_ge(),
    }))
}

/// Two times: days with timestamps, times of day with each other. Across time zones only if asked for.
fn compare_times(a: &Value, b: &Value, run: &Run<'_>) -> Result<Option<std::cmp::Ordering>, Fail> {
    use DataType as T;
    let (from, to) = (a.data_type(), b.data_type());
    let is_clock = |ty: T| matches!(ty, T::Time | T::Timetz);
    let has_zone = |ty: T| matches!(ty, T::Timestamptz | T::Timetz);
    if is_clock(from) != is_clock(to) {
        return Ok(None);
    }
    if has_zone(from) != has_zone(to) && !run.question.with_zone {
        let (from, to) = if has_zone(to) { (from, to) } else { (to, from) };
        let message = format!(
            "cannot convert value from {from} to {to} without time zone usage",
            from = from.name(),
            to = to.name()
        );
        return Err(hard(
            ValueError::new(SqlState::FeatureNotSupported, message)
                .with_hint("Use *_tz() function for time zone support."),
        ));
    }
    let common = match (is_clock(from), has_zone(from) || has_zone(to)) {
        _ if from == to => from,
        (true, _) => T::Timetz,
        (false, true) => T::Timestamptz,
        (false, false) => T::Timestamp,
    };
    let convert = |value: &Value| {
        if value.data_type() == common {
            Ok(value.clone())
        } else {
            datetime::convert(value.clone(), common, run.ctx).map_err(hard)
        }
    };
    Ok(Some(crate::compare(&convert(a)?, &convert(b)?)))
}
