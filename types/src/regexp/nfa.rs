//! Nondeterministic automata, by Thompson's construction.

use super::alphabet::{Alphabet, Kind};
use super::lang::{Assertion, Lang};

/// A state.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// A character of the alphabet's set of this number, then another state.
    Read {
        set: u32,
        next: u32,
    },
    /// Any character, then another state.
    Any {
        next: u32,
    },
    /// Any of these states.
    Fork(Vec<u32>),
    /// Another state, where the condition holds.
    Assert {
        assertion: Assertion,
        next: u32,
    },
    /// Likewise for look-around.
    Look {
        number: usize,
        next: u32,
    },
    Match,
}

#[derive(Debug)]
pub(super) struct Nfa {
    pub(super) states: Vec<State>,
    pub(super) start: u32,
    /// The state that the implicit `.*` of a search comes back to, if this is for a search.
    pub(super) idle: Option<u32>,
}

impl Assertion {
    /// Whether it holds between two characters.
    pub(super) fn holds(self, before: Kind, after: Kind) -> bool {
        let (left, right) = (before == Kind::Word, after == Kind::Word);
        match self {
            Self::TextStart => before == Kind::Edge,
            Self::TextEnd => after == Kind::Edge,
            Self::LineStart => matches!(before, Kind::Edge | Kind::Newline),
            Self::LineEnd => matches!(after, Kind::Edge | Kind::Newline),
            Self::WordStart => !left && right,
            Self::WordEnd => left && !right,
            Self::WordEdge => left != right,
            Self::NoWordEdge => left == right,
        }
    }
}

impl Nfa {
    /// The automaton of a language, or of `.*` before it.
    pub(super) fn new(lang: &Lang, alphabet: &Alphabet, searches: bool) -> Self {
        let mut nfa = Self { states: vec![State::Match], start: 0, idle: None };
        let mut builder = Builder { nfa: &mut nfa, alphabet };
        let start = builder.before(lang, 0);
        nfa.start = start;
        if searches {
            let fork = nfa.states.len() as u32;
            nfa.states.push(State::Fork(vec![start, fork + 1]));
            nfa.states.push(State::Any { next: fork });
            nfa.start = fork;
            nfa.idle = Some(fork);
        }
        nfa
    }
}

struct Builder<'a> {
    nfa: &'a mut Nfa,
    alphabet: &'a Alphabet,
}

impl Builder<'_> {
    fn push(&mut self, state: State) -> u32 {
        self.nfa.states.push(state);
        self.nfa.states.len() as u32 - 1
    }

    /// The state from which the language leads to `next`.
    fn before(&mut self, lang: &Lang, next: u32) -> u32 {
        match lang {
            Lang::Empty => next,
            Lang::Set(set) => self.push(State::Read { set: self.alphabet.number(set), next }),
            Lang::Concat(parts) => {
                parts.iter().rev().fold(next, |next, part| self.before(part, next))
            }
            Lang::Or(branches) => {
                let to = branches.iter().map(|branch| self.before(branch, next)).collect();
                self.push(State::Fork(to))
            }
            Lang::Repeat { inner, min, max } => self.repeated(inner, *min, *max, next),
            Lang::Assert(assertion) => self.push(State::Assert { assertion: *assertion, next }),
            Lang::Look(number) => self.push(State::Look { number: *number, next }),
        }
    }

    fn repeated(&mut self, inner: &Lang, min: u32, max: Option<u32>, next: u32) -> u32 {
        let mut at = match max {
            None => {
                let fork = self.push(State::Fork(Vec::new()));
                let again = self.before(inner, fork);
                self.nfa.states[fork as usize] = State::Fork(vec![again, next]);
                fork
            }
            Some(max) => {
                let mut at = next;
                for _ in min..max {
                    let once = self.before(inner, at);
                    at = self.push(State::Fork(vec![once, next]));
                }
                at
            }
        };
        for _ in 0..min {
            at = self.before(inner, at);
        }
        at
    }
}
