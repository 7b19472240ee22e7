//! From tokens to the tree and the languages of its nodes.
//!
//! As little as possible becomes nodes of their own: what has neither groups nor back references nor
//! clashing preferences stays one [`Op::Plain`], however long it is. Where nodes stand decides which
//! preferences count, so they stand exactly where Spencer's parser puts them: at the first part of a
//! branch that is not plain the branch is divided into what is before, the part, and all that is behind.

use std::rc::Rc;

use super::charset::{CharSet, Class, Collected, element};
use super::lang::{Assertion, Lang};
use super::lex::{Lexer, Token};
use super::tree::{Node, Op, Traits};
use super::{MAX_STATES, Options, Problem};

/// How often a part may be repeated.
const MAX_REPEAT: u32 = 255;

/// How deep groups may be within each other, and how many parts that are not plain may follow each other.
/// Both are levels of recursion, of the parser and of who takes matches apart.
const MAX_DEPTH: u32 = 200;

/// A condition by a pattern of its own.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) lang: Rc<Lang>,
    pub(super) ahead: bool,
    pub(super) negative: bool,
}

#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) tree: Node,
    pub(super) looks: Vec<Look>,
    pub(super) group_count: u32,
    pub(super) has_back_references: bool,
    /// With those that stand in the pattern.
    pub(super) options: Options,
}

pub(super) fn parse(pattern: &str, options: Options) -> Result<Parsed, Problem> {
    let mut parser = Parser {
        lexer: Lexer::new(pattern, options)?,
        looks: Vec::new(),
        groups: vec![None],
        depth: 0,
        atom_count: 0,
        in_look: false,
        has_back_references: false,
    };
    let tree = parser.alternatives(Token::End)?;
    Ok(Parsed {
        tree,
        looks: parser.looks,
        group_count: parser.lexer.group_count,
        has_back_references: parser.has_back_references,
        options: parser.lexer.options,
    })
}

/// A part of a branch that a quantifier may follow.
struct Atom {
    node: Node,
    captures: bool,
    /// It is a back reference, and not a group around one.
    is_reference: bool,
}

/// A part of a bracket expression.
enum Part {
    Range(u32, u32),
    Class(CharSet),
}

struct Quantifier {
    min: u32,
    max: Option<u32>,
    prefers: Traits,
}

struct Parser {
    lexer: Lexer,
    looks: Vec<Look>,
    /// The languages of the groups that are complete, by number.
    groups: Vec<Option<Rc<Lang>>>,
    depth: u32,
    /// How many atoms there were.
    atom_count: u64,
    /// Within look-around, where nothing captures.
    in_look: bool,
    has_back_references: bool,
}

const LONGER: Traits =
    Traits { longer: true, shorter: false, mixed: false, captures: false, refers: false };
const SHORTER: Traits = Traits { longer: false, shorter: true, ..LONGER };
const NEITHER: Traits = Traits { longer: false, ..LONGER };

fn plain(lang: Rc<Lang>, traits: Traits) -> Node {
    Node::new(Op::Plain, traits, lang)
}

fn concat(left: Node, right: Node, traits: Traits) -> Node {
    let lang = Lang::concat(vec![Rc::clone(&left.lang), Rc::clone(&right.lang)]);
    Node::new(Op::Concat(Box::new(left), Box::new(right)), traits, lang)
}

impl Parser {
    fn token(&self) -> Token {
        self.lexer.token
    }

    fn deeper(&mut self) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Problem::TooBig) } else { Ok(()) }
    }

    /// Branches with `|` between them, up to `stopper`, which remains.
    fn alternatives(&mut self, stopper: Token) -> Result<Node, Problem> {
        self.deeper()?;
        let mut branches = Vec::new();
        let mut traits = LONGER;
        loop {
            let branch = self.branch(stopper)?;
            traits = traits.or(traits.or(branch.traits).passed_up());
            branches.push(branch);
            if self.token() != Token::Or {
                break;
            }
            self.lexer.next()?;
        }
        if self.token() != stopper {
            return Err(Problem::Parenthesis);
        }
        self.depth -= 1;
        if branches.len() == 1
            && let Some(only) = branches.pop()
        {
            return Ok(only);
        }
        let lang = Rc::new(Lang::Or(branches.iter().map(|b| Rc::clone(&b.lang)).collect()));
        let op = if traits.is_messy() { Op::Or(branches) } else { Op::Plain };
        Ok(Node::new(op, traits, lang))
    }

    fn at_end_of_branch(&self, stopper: Token) -> bool {
        let token = self.token();
        token == Token::Or || token == stopper || token == Token::End
    }

    fn branch(&mut self, stopper: Token) -> Result<Node, Problem> {
        let mut parts = Vec::new();
        let mut traits = NEITHER;
        while !self.at_end_of_branch(stopper) {
            if let Some(condition) = self.condition()? {
                parts.push(condition);
                continue;
            }
            let atom = self.atom()?;
            let quantifier = self.quantifier()?;
            if quantifier.max == Some(0) {
                parts.push(Rc::new(Lang::Empty));
                continue;
            }
            let together = traits.or(quantifier.prefers).or(atom.node.traits);
            let is_messy = atom.captures || together.passed_up().is_messy();
            if !is_messy {
                parts.push(Lang::repeat(atom.node.lang, quantifier.min, quantifier.max));
                traits = together;
                continue;
            }
            return self.divided(stopper, parts, traits, atom, &quantifier);
        }
        Ok(plain(Lang::concat(parts), traits))
    }

    /// A branch from its first part that is not plain.
    fn divided(
        &mut self,
        stopper: Token,
        before: Vec<Rc<Lang>>,
        mut traits: Traits,
        atom: Atom,
        quantifier: &Quantifier,
    ) -> Result<Node, Problem> {
        let first = before.is_empty();
        let mut pair = quantifier.prefers.combine(atom.node.traits);
        let before = plain(Lang::concat(before), traits);
        let part = quantified(atom, quantifier);
        if self.at_end_of_branch(stopper) {
            if first {
                return Ok(part);
            }
            traits = traits.or(traits.combine(part.traits));
            return Ok(concat(before, part, traits));
        }
        self.deeper()?;
        let rest = self.branch(stopper)?;
        self.depth -= 1;
        pair = pair.or(pair.combine(rest.traits));
        traits = traits.or(traits.combine(pair));
        if first {
            return Ok(concat(part, rest, traits));
        }
        let both_plain = matches!((&part.op, &rest.op), (Op::Plain, Op::Plain));
        if both_plain && !part.traits.or(rest.traits).passed_up().is_messy() {
            let lang = Lang::concat(vec![Rc::clone(&part.lang), Rc::clone(&rest.lang)]);
            let behind = plain(lang, part.traits.combine(rest.traits));
            return Ok(concat(before, behind, traits));
        }
        Ok(concat(before, concat(part, rest, pair), traits))
    }

    /// What matches nothing, but only in some places.
    fn condition(&mut self) -> Result<Option<Rc<Lang>>, Problem> {
        let by_line = self.lexer.options.line_anchors;
        let assertion = match self.token() {
            Token::LineStart if by_line => Assertion::LineStart,
            Token::LineStart | Token::TextStart => Assertion::TextStart,
            Token::LineEnd if by_line => Assertion::LineEnd,
            Token::LineEnd | Token::TextEnd => Assertion::TextEnd,
            Token::WordStart => Assertion::WordStart,
            Token::WordEnd => Assertion::WordEnd,
            Token::WordEdge => Assertion::WordEdge,
            Token::NoWordEdge => Assertion::NoWordEdge,
            Token::Look { ahead, negative } => return self.look(ahead, negative).map(Some),
            _ => return Ok(None),
        };
        self.lexer.next()?;
        Ok(Some(Rc::new(Lang::Assert(assertion))))
    }

    fn look(&mut self, ahead: bool, negative: bool) -> Result<Rc<Lang>, Problem> {
        self.lexer.next()?;
        let outer = std::mem::replace(&mut self.in_look, true);
        let inner = self.alternatives(Token::Close)?;
        self.in_look = outer;
        self.lexer.next()?;
        self.looks.push(Look { lang: inner.lang, ahead, negative });
        Ok(Rc::new(Lang::Look(self.looks.len() - 1)))
    }

    fn set(&self, set: CharSet) -> Node {
        let set = if self.lexer.options.ignore_case { set.folded() } else { set };
        plain(Rc::new(Lang::Set(Rc::new(set))), NEITHER)
    }

    fn class(&self, class: Class) -> CharSet {
        let class = match class {
            Class::Lower | Class::Upper if self.lexer.options.ignore_case => Class::Alpha,
            class => class,
        };
        class.set().clone()
    }

    fn atom(&mut self) -> Result<Atom, Problem> {
        self.atom_count += 1;
        if self.atom_count > MAX_STATES {
            return Err(Problem::TooBig);
        }
        let is_reference = matches!(self.token(), Token::BackReference(_));
        let exact = |set: CharSet| plain(Rc::new(Lang::Set(Rc::new(set))), NEITHER);
        let node = match self.token() {
            Token::Open { captures } => return self.group(captures && !self.in_look),
            Token::BackReference(group) => self.back_reference(group)?,
            Token::Plain(c) => self.set(CharSet::single(c)),
            // A botch of POSIX: in EREs a parenthesis that closes nothing is itself.
            Token::Close if self.lexer.options.is_plainly_extended() => {
                self.set(CharSet::single(')' as u32))
            }
            Token::Close => return Err(Problem::Parenthesis),
            Token::Any if self.lexer.options.newline_stops => {
                exact(CharSet::single('\n' as u32).complement())
            }
            Token::Any => exact(CharSet::all()),
            Token::Class { class, negated } => {
                let set = self.class(class);
                exact(if negated { set.complement() } else { set })
            }
            Token::BracketOpen { negated } => exact(self.bracket(negated)?),
            _ => return Err(Problem::BadRepeat),
        };
        self.lexer.next()?;
        Ok(Atom { node, captures: false, is_reference })
    }

    fn back_reference(&mut self, group: u32) -> Result<Node, Problem> {
        if self.in_look {
            return Err(Problem::BackReference);
        }
        let referred = self.groups.get(group as usize).and_then(Option::as_ref);
        let lang = referred.ok_or(Problem::BackReference)?.unconditional();
        self.has_back_references = true;
        let traits = Traits { refers: true, ..NEITHER };
        Ok(Node::new(Op::BackReference { group, min: 1, max: Some(1) }, traits, lang))
    }

    fn group(&mut self, captures: bool) -> Result<Atom, Problem> {
        let mut number = None;
        if captures {
            self.lexer.group_count += 1;
            number = Some(self.lexer.group_count);
            self.groups.push(None);
        }
        self.lexer.next()?;
        let mut node = self.alternatives(Token::Close)?;
        self.lexer.next()?;
        if let Some(group) = number {
            node.traits.captures = true;
            if node.group > 0 {
                let lang = Rc::clone(&node.lang);
                node = Node::new(Op::Group(Box::new(node)), Traits::default(), lang);
                if let Op::Group(inner) = &node.op {
                    node.traits = inner.traits;
                }
            }
            node.group = group;
            if let Some(known) = self.groups.get_mut(group as usize) {
                *known = Some(Rc::clone(&node.lang));
            }
        }
        Ok(Atom { node, captures, is_reference: false })
    }

    fn quantifier(&mut self) -> Result<Quantifier, Problem> {
        let (min, max, greedy) = match self.token() {
            Token::Star { greedy } => (0, None, greedy),
            Token::Plus { greedy } => (1, None, greedy),
            Token::Question { greedy } => (0, Some(1), greedy),
            Token::BoundOpen => return self.bound(),
            _ => return Ok(Quantifier { min: 1, max: Some(1), prefers: NEITHER }),
        };
        self.lexer.next()?;
        Ok(Quantifier { min, max, prefers: if greedy { LONGER } else { SHORTER } })
    }

    fn bound(&mut self) -> Result<Quantifier, Problem> {
        self.lexer.next()?;
        let min = self.number()?;
        let mut max = Some(min);
        let mut is_range = false;
        if self.token() == Token::Comma {
            is_range = true;
            self.lexer.next()?;
            max = match self.token() {
                Token::Digit(_) => Some(self.number()?),
                _ => None,
            };
        }
        if max.is_some_and(|max| min > max) {
            return Err(Problem::BadBound);
        }
        let Token::BoundClose { greedy } = self.token() else { return Err(Problem::BadBound) };
        self.lexer.next()?;
        // `{m}` leaves the preference to what it repeats.
        let prefers = match (is_range, greedy) {
            (false, _) => NEITHER,
            (true, true) => LONGER,
            (true, false) => SHORTER,
        };
        Ok(Quantifier { min, max, prefers })
    }

    fn number(&mut self) -> Result<u32, Problem> {
        let mut value = 0;
        while let Token::Digit(digit) = self.token()
            && value < MAX_REPEAT
        {
            value = value * 10 + digit;
            self.lexer.next()?;
        }
        if value > MAX_REPEAT || matches!(self.token(), Token::Digit(_)) {
            return Err(Problem::BadBound);
        }
        Ok(value)
    }

    /// A bracket expression, up to its closing bracket, which remains.
    fn bracket(&mut self, negated: bool) -> Result<CharSet, Problem> {
        let options = self.lexer.options;
        // What folds, and classes, which do not.
        let (mut plain, mut classes) = (Collected::default(), Collected::default());
        self.lexer.next()?;
        while self.token() != Token::BracketClose {
            match self.bracket_part()? {
                Part::Range(low, high) => plain.add(&CharSet::range(low, high)),
                Part::Class(class) => classes.add(&class),
            }
        }
        let plain = plain.set();
        let plain = if options.ignore_case { plain.folded() } else { plain };
        let mut set = plain.union(&classes.set());
        if negated {
            set = set.complement();
            if options.newline_stops {
                set = set.without('\n' as u32);
            }
        }
        Ok(set)
    }

    fn bracket_part(&mut self) -> Result<Part, Problem> {
        let first = match self.token() {
            Token::Plain(c) => {
                self.lexer.next()?;
                c
            }
            Token::CollatingOpen => element(&self.inner()?).ok_or(Problem::Collating)?,
            Token::EquivalenceOpen => {
                let c = element(&self.inner()?).ok_or(Problem::Collating)?;
                return Ok(Part::Range(c, c));
            }
            Token::ClassOpen => {
                let name: String = self.inner()?.into_iter().collect();
                let class = Class::named(&name).ok_or(Problem::Class)?;
                return Ok(Part::Class(self.class(class)));
            }
            Token::Class { class, negated } => {
                self.lexer.next()?;
                let set = self.class(class);
                return Ok(Part::Class(if negated { set.complement() } else { set }));
            }
            _ => return Err(Problem::Range),
        };
        if self.token() != Token::Range {
            return Ok(Part::Range(first, first));
        }
        self.lexer.next()?;
        let last = match self.token() {
            Token::Plain(c) => {
                self.lexer.next()?;
                c
            }
            Token::Range => {
                self.lexer.next()?;
                '-' as u32
            }
            Token::CollatingOpen => element(&self.inner()?).ok_or(Problem::Collating)?,
            _ => return Err(Problem::Range),
        };
        if first > last {
            return Err(Problem::Range);
        }
        Ok(Part::Range(first, last))
    }

    /// The characters between `[.` and `.]` or their like.
    fn inner(&mut self) -> Result<Vec<char>, Problem> {
        let mut name = Vec::new();
        self.lexer.next()?;
        while let Token::Plain(c) = self.token() {
            name.extend(char::from_u32(c));
            self.lexer.next()?;
        }
        self.lexer.next()?;
        Ok(name)
    }
}

/// The node for a part that is repeated.
fn quantified(atom: Atom, quantifier: &Quantifier) -> Node {
    let Atom { mut node, is_reference, .. } = atom;
    let Quantifier { min, max, prefers } = *quantifier;
    let traits = prefers.combine(node.traits);
    let lang = Lang::repeat(Rc::clone(&node.lang), min, max);
    if is_reference && let Op::BackReference { min: least, max: most, .. } = &mut node.op {
        // A reference repeats itself.
        (*least, *most) = (min, max);
        node.traits = node.traits.or(traits);
        node.lang = lang;
        return node;
    }
    let own = Traits { captures: false, refers: false, ..node.traits };
    let is_vacuous = !prefers.prefers() || own == NEITHER || own == prefers;
    if (min, max) == (1, Some(1)) && is_vacuous {
        return node;
    }
    if !node.traits.captures && !node.traits.refers {
        return plain(lang, traits);
    }
    if min > 0 && !node.traits.refers {
        // Only the last time counts for the groups: those before are plain.
        let before = Lang::repeat(Rc::clone(&node.lang), min - 1, max.map(|max| max - 1));
        return concat(plain(before, traits.preference()), node, traits);
    }
    Node::new(Op::Iterate { inner: Box::new(node), min, max }, traits, lang)
}
