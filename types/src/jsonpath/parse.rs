//! Reading paths (jsonpath_gram.y).

use super::lex::{Placed, Token, tokens, unexpected};
use super::{Comparator, JsonPath, Kind, MAX_DEPTH, Method, Node, Operator};
use crate::{Numeric, SqlState, ValueError};

type Parsed = Result<Node, ValueError>;

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Placed],
    at: usize,
    depth: usize,
    /// How many filters and subscripts are around.
    filters: usize,
    subscripts: usize,
}

/// Reads a path.
///
/// # Errors
/// 42601, 22P02, 2201B and 54001.
pub(crate) fn parse_path(text: &str) -> Result<JsonPath, ValueError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(ValueError::invalid_syntax("jsonpath", text));
    }
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0, filters: 0, subscripts: 0 };
    let strict = parser.word("strict");
    if !strict {
        parser.word("lax");
    }
    let root = parser.or()?;
    if parser.at < tokens.len() {
        return Err(parser.error());
    }
    Ok(JsonPath { strict, root })
}

fn boxed(node: Node) -> Box<Node> {
    Box::new(node)
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    /// The syntax error at the next token.
    fn error(&self) -> ValueError {
        unexpected(self.tokens.get(self.at).map(|placed| &self.text[placed.text.clone()]))
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ValueError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.error()) }
    }

    /// Takes a key word; three of them are only in lower case.
    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Word(found)) if is_word(found, word));
        self.at += usize::from(is);
        is
    }

    fn deeper<T>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        if self.depth >= MAX_DEPTH {
            return Err(crate::json::too_deep());
        }
        self.depth += 1;
        let found = f(self);
        self.depth -= 1;
        found
    }

    fn predicate(&self, node: Node, at: usize) -> Parsed {
        if node.is_predicate() { Ok(node) } else { Err(self.error_from(at)) }
    }

    fn value(&self, node: Node) -> Parsed {
        if node.is_predicate() { Err(self.error()) } else { Ok(node) }
    }

    /// The error where a condition should have been.
    fn error_from(&self, _at: usize) -> ValueError {
        self.error()
    }

    fn or(&mut self) -> Parsed {
        let start = self.at;
        let mut left = self.and()?;
        while matches!(self.peek(), Some(Token::Symbol("||"))) {
            left = self.predicate(left, start)?;
            self.at += 1;
            let right = self.and()?;
            let right = self.predicate(right, start)?;
            left = Node::new(Kind::Or(boxed(left), boxed(right)));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let start = self.at;
        let mut left = self.comparison()?;
        while matches!(self.peek(), Some(Token::Symbol("&&"))) {
            left = self.predicate(left, start)?;
            self.at += 1;
            let right = self.comparison()?;
            let right = self.predicate(right, start)?;
            left = Node::new(Kind::And(boxed(left), boxed(right)));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parsed {
        if self.symbol("!") {
            let start = self.at;
            let is_delimited = matches!(self.peek(), Some(Token::Symbol("(")))
                || matches!(self.peek(), Some(Token::Word(word)) if is_word(word, "exists"));
            if !is_delimited {
                return Err(self.error());
            }
            let operand = self.deeper(Self::primary)?;
            let operand = self.predicate(operand, start)?;
            return Ok(Node::new(Kind::Not(boxed(operand))));
        }
        let left = self.additive()?;
        let comparator = match self.peek() {
            Some(Token::Symbol("==" | "=")) => Some(Comparator::Eq),
            Some(Token::Symbol("!=" | "<>")) => Some(Comparator::Ne),
            Some(Token::Symbol("<")) => Some(Comparator::Lt),
            Some(Token::Symbol("<=")) => Some(Comparator::Le),
            Some(Token::Symbol(">")) => Some(Comparator::Gt),
            Some(Token::Symbol(">=")) => Some(Comparator::Ge),
            _ => None,
        };
        if let Some(comparator) = comparator {
            let left = self.value(left)?;
            self.at += 1;
            let right = self.additive()?;
            let right = self.value(right)?;
            return Ok(Node::new(Kind::Compare(comparator, boxed(left), boxed(right))));
        }
        if self.word("starts") {
            if !self.word("with") {
                return Err(self.error());
            }
            let left = self.value(left)?;
            let right = match self.peek() {
                Some(Token::String(text)) => Kind::String(text.as_str().into()),
                Some(Token::Variable(name)) => Kind::Variable(name.as_str().into()),
                _ => return Err(self.error()),
            };
            self.at += 1;
            return Ok(Node::new(Kind::StartsWith(boxed(left), boxed(Node::new(right)))));
        }
        if self.word("like_regex") {
            let left = self.value(left)?;
            return self.like_regex(left);
        }
        Ok(left)
    }

    fn string(&mut self) -> Result<String, ValueError> {
        match self.peek() {
            Some(Token::String(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.error()),
        }
    }

    fn like_regex(&mut self, left: Node) -> Parsed {
        let pattern = self.string()?;
        let flags = if self.word("flag") { self.string()? } else { String::new() };
        let mut kept = String::new();
        for flag in flags.chars() {
            if !"ismxq".contains(flag) {
                let message = "invalid input syntax for type jsonpath";
                let detail =
                    format!("Unrecognized flag character \"{flag}\" in LIKE_REGEX predicate.");
                return Err(ValueError::new(SqlState::SyntaxError, message).with_detail(detail));
            }
        }
        for flag in "ismxq".chars().filter(|flag| flags.contains(*flag)) {
            kept.push(flag);
        }
        // A pattern that is wrong is refused here.
        super::execute::compile_regex(&pattern, &kept)?;
        Ok(Node::new(Kind::LikeRegex(boxed(left), pattern.into(), kept.into())))
    }

    fn additive(&mut self) -> Parsed {
        let mut left = self.multiplicative()?;
        loop {
            let operator = match self.peek() {
                Some(Token::Symbol("+")) => Operator::Add,
                Some(Token::Symbol("-")) => Operator::Sub,
                _ => return Ok(left),
            };
            left = self.value(left)?;
            self.at += 1;
            let right = self.multiplicative()?;
            let right = self.value(right)?;
            left = Node::new(Kind::Arithmetic(operator, boxed(left), boxed(right)));
        }
    }

    fn multiplicative(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Some(Token::Symbol("*")) => Operator::Mul,
                Some(Token::Symbol("/")) => Operator::Div,
                Some(Token::Symbol("%")) => Operator::Mod,
                _ => return Ok(left),
            };
            left = self.value(left)?;
            self.at += 1;
            let right = self.unary()?;
            let right = self.value(right)?;
            left = Node::new(Kind::Arithmetic(operator, boxed(left), boxed(right)));
        }
    }

    fn unary(&mut self) -> Parsed {
        let is_minus = matches!(self.peek(), Some(Token::Symbol("-")));
        if !is_minus && !matches!(self.peek(), Some(Token::Symbol("+"))) {
            return self.deeper(Self::primary);
        }
        self.at += 1;
        let operand = self.deeper(Self::unary)?;
        let operand = self.value(operand)?;
        // The sign of a number is the number's.
        if let (Kind::Number(number), None) = (&operand.kind, &operand.next) {
            let number = if is_minus { number.neg() } else { number.clone() };
            return Ok(Node::new(Kind::Number(number)));
        }
        Ok(Node::new(if is_minus {
            Kind::Minus(boxed(operand))
        } else {
            Kind::Plus(boxed(operand))
        }))
    }

    fn primary(&mut self) -> Parsed {
        let Some(token) = self.peek().cloned() else { return Err(self.error()) };
        let kind = match token {
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.or()?;
                self.expect(")")?;
                return self.after_brackets(inner);
            }
            Token::Symbol("$") => Kind::Root,
            Token::Symbol("@") if self.filters == 0 => {
                let message = "@ is not allowed in root expressions";
                return Err(ValueError::new(SqlState::SyntaxError, message));
            }
            Token::Symbol("@") => Kind::Current,
            Token::Variable(name) => Kind::Variable(name.into()),
            Token::String(text) => Kind::String(text.into()),
            Token::Number(digits) => Kind::Number(Numeric::parse(&digits)?),
            Token::Word(word) if is_word(&word, "null") => Kind::Null,
            Token::Word(word) if is_word(&word, "true") => Kind::Bool(true),
            Token::Word(word) if is_word(&word, "false") => Kind::Bool(false),
            Token::Word(word) if is_word(&word, "last") => {
                if self.subscripts == 0 {
                    let message = "LAST is allowed only in array subscripts";
                    return Err(ValueError::new(SqlState::SyntaxError, message));
                }
                Kind::Last
            }
            Token::Word(word) if is_word(&word, "exists") => {
                self.at += 1;
                self.expect("(")?;
                let inner = self.additive()?;
                let inner = self.value(inner)?;
                self.expect(")")?;
                return Ok(Node::new(Kind::Exists(boxed(inner))));
            }
            _ => return Err(self.error()),
        };
        self.at += 1;
        let mut node = Node::new(kind);
        self.accessors(&mut node)?;
        Ok(node)
    }

    /// What may follow an expression or a condition in brackets.
    fn after_brackets(&mut self, mut inner: Node) -> Parsed {
        if inner.is_predicate() && self.word("is") {
            if !self.word("unknown") {
                return Err(self.error());
            }
            return Ok(Node::new(Kind::IsUnknown(boxed(inner))));
        }
        self.accessors(&mut inner)?;
        Ok(inner)
    }

    fn accessors(&mut self, node: &mut Node) -> Result<(), ValueError> {
        let mut count = 0;
        loop {
            let next = if self.symbol(".") {
                self.member()?
            } else if self.symbol("[") {
                self.subscript()?
            } else if self.symbol("?") {
                self.expect("(")?;
                self.filters += 1;
                let start = self.at;
                let condition = self.deeper(Self::or)?;
                self.filters -= 1;
                let condition = self.predicate(condition, start)?;
                self.expect(")")?;
                Kind::Filter(boxed(condition))
            } else {
                return Ok(());
            };
            count += 1;
            if count + self.depth > MAX_DEPTH {
                return Err(crate::json::too_deep());
            }
            node.append(Node::new(next));
        }
    }

    /// What stands after a point.
    fn member(&mut self) -> Result<Kind, ValueError> {
        if self.symbol("*") {
            return Ok(Kind::AnyKey);
        }
        if self.symbol("**") {
            return self.levels();
        }
        let name = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            Some(Token::String(text)) => {
                let key = Kind::Key(text.as_str().into());
                self.at += 1;
                return Ok(key);
            }
            _ => return Err(self.error()),
        };
        self.at += 1;
        if !self.symbol("(") {
            return Ok(Kind::Key(name.into()));
        }
        let kind = match name.to_ascii_lowercase().as_str() {
            "type" => Kind::Method(Method::Type),
            "size" => Kind::Method(Method::Size),
            "abs" => Kind::Method(Method::Abs),
            "floor" => Kind::Method(Method::Floor),
            "ceiling" => Kind::Method(Method::Ceiling),
            "double" => Kind::Method(Method::Double),
            "keyvalue" => Kind::Method(Method::KeyValue),
            "datetime" => match self.peek() {
                Some(Token::String(template)) => {
                    let kind = Kind::Datetime(Some(template.as_str().into()));
                    self.at += 1;
                    kind
                }
                _ => Kind::Datetime(None),
            },
            _ => {
                self.at -= 1;
                return Err(self.error());
            }
        };
        self.expect(")")?;
        Ok(kind)
    }

    /// `**`, `**{1}`, `**{1 to last}`
    fn levels(&mut self) -> Result<Kind, ValueError> {
        if !self.symbol("{") {
            return Ok(Kind::Any(Some(0), None));
        }
        let from = self.level()?;
        let to = if self.word("to") { self.level()? } else { from };
        self.expect("}")?;
        Ok(Kind::Any(from, to))
    }

    fn level(&mut self) -> Result<Option<u32>, ValueError> {
        if self.word("last") {
            return Ok(None);
        }
        match self.peek() {
            Some(Token::Number(digits)) => match digits.parse::<u32>() {
                Ok(level) => {
                    self.at += 1;
                    Ok(Some(level))
                }
                Err(_) => Err(self.error()),
            },
            _ => Err(self.error()),
        }
    }

    fn subscript(&mut self) -> Result<Kind, ValueError> {
        if self.symbol("*") {
            self.expect("]")?;
            return Ok(Kind::AnyArray);
        }
        self.subscripts += 1;
        let mut ranges = Vec::new();
        loop {
            let from = self.deeper(Self::additive)?;
            let from = self.value(from)?;
            let to = if self.word("to") {
                let to = self.deeper(Self::additive)?;
                Some(self.value(to)?)
            } else {
                None
            };
            ranges.push((from, to));
            if !self.symbol(",") {
                break;
            }
        }
        self.subscripts -= 1;
        self.expect("]")?;
        Ok(Kind::Index(ranges))
    }
}

fn is_word(found: &str, word: &str) -> bool {
    if matches!(word, "null" | "true" | "false") {
        found == word
    } else {
        found.eq_ignore_ascii_case(word)
    }
}
