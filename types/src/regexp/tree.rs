//! How a match is taken apart: the tree of a pattern, and which lengths its nodes prefer.

use std::rc::Rc;

use super::lang::Lang;

/// What a node prefers and has within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Traits {
    /// It prefers the longest match.
    pub(super) longer: bool,
    /// It prefers the shortest.
    pub(super) shorter: bool,
    /// Its parts prefer both.
    pub(super) mixed: bool,
    /// There is a capturing group in it.
    pub(super) captures: bool,
    /// There is a back reference in it.
    pub(super) refers: bool,
}

impl Traits {
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            longer: self.longer || other.longer,
            shorter: self.shorter || other.shorter,
            mixed: self.mixed || other.mixed,
            captures: self.captures || other.captures,
            refers: self.refers || other.refers,
        }
    }

    /// What of it a node around it has: preferences stay behind, that they clash does not.
    pub(super) fn passed_up(self) -> Self {
        Self {
            mixed: self.mixed || (self.longer && self.shorter),
            longer: false,
            shorter: false,
            ..self
        }
    }

    /// Of a node of two parts, which prefers what the first of them does that prefers anything.
    pub(super) fn combine(self, second: Self) -> Self {
        let prefers = if self.prefers() { self } else { second };
        Self { longer: prefers.longer, shorter: prefers.shorter, ..self.or(second).passed_up() }
    }

    pub(super) fn prefers(self) -> bool {
        self.longer || self.shorter
    }

    /// Only the preference.
    pub(super) fn preference(self) -> Self {
        Self { longer: self.longer, shorter: self.shorter, ..Self::default() }
    }

    /// Whether it matters how a match is divided within.
    pub(super) fn is_messy(self) -> bool {
        self.mixed || self.captures || self.refers
    }
}

#[derive(Debug)]
pub(super) enum Op {
    /// An automaton says all there is to say.
    Plain,
    Concat(Box<Node>, Box<Node>),
    Or(Vec<Node>),
    /// `max` is `None` where there is no limit.
    Iterate {
        inner: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
    /// What a group matched, between `min` and `max` times.
    BackReference {
        group: u32,
        min: u32,
        max: Option<u32>,
    },
    /// Another group's place around a node that is a group already.
    Group(Box<Node>),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) traits: Traits,
    /// The group that it is, or zero.
    pub(super) group: u32,
    pub(super) lang: Rc<Lang>,
    /// The number of its automaton.
    pub(super) automaton: usize,
}

impl Node {
    pub(super) fn new(op: Op, traits: Traits, lang: Rc<Lang>) -> Self {
        Self { op, traits, group: 0, lang, automaton: 0 }
    }

    /// Gives every node an automaton's number, and collects their languages.
    pub(super) fn number(&mut self, languages: &mut Vec<Rc<Lang>>) {
        self.automaton = languages.len();
        languages.push(Rc::clone(&self.lang));
        match &mut self.op {
            Op::Plain | Op::BackReference { .. } => {}
            Op::Concat(left, right) => {
                left.number(languages);
                right.number(languages);
            }
            Op::Or(branches) => branches.iter_mut().for_each(|branch| branch.number(languages)),
            Op::Iterate { inner, .. } | Op::Group(inner) => inner.number(languages),
        }
    }

    /// Calls `found` with each group below.
    pub(super) fn each_group(&self, found: &mut impl FnMut(u32)) {
        if self.group > 0 {
            found(self.group);
        }
        match &self.op {
            Op::Plain | Op::BackReference { .. } => {}
            Op::Concat(left, right) => {
                left.each_group(found);
                right.each_group(found);
            }
            Op::Or(branches) => branches.iter().for_each(|branch| branch.each_group(found)),
            Op::Iterate { inner, .. } | Op::Group(inner) => inner.each_group(found),
        }
    }
}
