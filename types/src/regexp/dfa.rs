//! Deterministic automata, made as far as a text needs them.
//!
//! A state is the set of the states that the nondeterministic automaton can be in after a character, and
//! that character's kind. Conditions look at the next character too, so whether there is a match is known
//! one letter late: a transition says where its letter leads and whether there was a match before it.
//!
//! Transitions that asked for look-around depend on more than the letter and are not kept. The memory of
//! states is bounded: when it is used up, all are forgotten.

use std::collections::BTreeMap;

use super::alphabet::{Alphabet, Kind};
use super::nfa::{Nfa, State};

/// What the states of one automaton may take.
const MAX_BYTES: usize = 1 << 20;

/// The state that no text leaves.
pub(super) const DEAD: u32 = 1;

/// A transition: the state times two, and one if there was a match before the letter. Zero is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u32);

impl Step {
    pub(super) fn state(self) -> u32 {
        self.0 >> 1
    }

    pub(super) fn matched(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The states of the other automaton, and the kind of the character read last.
type Key = (Box<[u32]>, Kind);

#[derive(Debug)]
pub(super) struct Dfa {
    nfa: Nfa,
    /// By number; the first is nobody's, the second [`DEAD`].
    keys: Vec<Key>,
    numbers: BTreeMap<Key, u32>,
    steps: Vec<Step>,
    /// Letters and the end.
    width: usize,
    bytes: usize,
    /// The states from which a text is read, by the kind of the character before.
    starts: [u32; 4],
    /// Which states were reached in the closure at hand.
    reached: Vec<u32>,
    round: u32,
    /// How often all was forgotten.
    epoch: u32,
}

impl Dfa {
    pub(super) fn new(nfa: Nfa, alphabet: &Alphabet) -> Self {
        let mut dfa = Self {
            reached: vec![0; nfa.states.len()],
            nfa,
            keys: Vec::new(),
            numbers: BTreeMap::new(),
            steps: Vec::new(),
            width: alphabet.size() + 1,
            bytes: 0,
            starts: [0; 4],
            round: 0,
            epoch: 0,
        };
        dfa.forget();
        dfa
    }

    fn forget(&mut self) {
        self.keys.clear();
        self.numbers.clear();
        self.steps.clear();
        self.bytes = 0;
        self.epoch += 1;
        self.starts = [0; 4];
        for _ in 0..=DEAD {
            self.keys.push((Box::default(), Kind::Other));
            self.steps.extend(std::iter::repeat_n(Step(0), self.width));
        }
        for letter in 0..self.width {
            self.steps[DEAD as usize * self.width + letter] = Step(DEAD << 1);
        }
    }

    fn number(&mut self, key: Key) -> u32 {
        if key.0.is_empty() {
            return DEAD;
        }
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let bytes = 8 * key.0.len() + 4 * self.width + 64;
        if self.bytes + bytes > MAX_BYTES {
            self.forget();
        }
        self.bytes += bytes;
        let number = self.keys.len() as u32;
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        self.steps.extend(std::iter::repeat_n(Step(0), self.width));
        number
    }

    /// The state in which to read what follows a character of this kind.
    pub(super) fn start(&mut self, before: Kind) -> u32 {
        let known = self.starts[before as usize];
        if known != 0 {
            return known;
        }
        let number = self.number((Box::new([self.nfa.start]), before));
        self.starts[before as usize] = number;
        number
    }

    /// Whether only the `.*` before a search's pattern is under way.
    pub(super) fn is_idle(&self, state: u32) -> bool {
        self.nfa.idle.is_some_and(|idle| *self.keys[state as usize].0 == [idle])
    }

    /// The transition, if it is known.
    pub(super) fn step(&self, state: u32, letter: u16) -> Option<Step> {
        let step = self.steps[state as usize * self.width + usize::from(letter)];
        (step.0 != 0).then_some(step)
    }

    /// The transition, computed. `look` tells whether a look-around holds here. Also gives how much work
    /// it was.
    pub(super) fn compute<E>(
        &mut self,
        state: u32,
        letter: u16,
        alphabet: &Alphabet,
        mut look: impl FnMut(usize) -> Result<bool, E>,
    ) -> Result<(Step, u64), E> {
        let (core, before) = self.keys[state as usize].clone();
        let after = alphabet.kind(letter);
        self.round += 1;
        let mut next: Vec<u32> = Vec::new();
        let (mut matched, mut looked, mut work) = (false, false, 0);
        let mut todo: Vec<u32> = core.into_vec();
        while let Some(at) = todo.pop() {
            work += 1;
            if std::mem::replace(&mut self.reached[at as usize], self.round) == self.round {
                continue;
            }
            match &self.nfa.states[at as usize] {
                State::Match => matched = true,
                State::Fork(to) => todo.extend(to),
                State::Assert { assertion, next } => {
                    if assertion.holds(before, after) {
                        todo.push(*next);
                    }
                }
                State::Look { number, next } => {
                    looked = true;
                    if look(*number)? {
                        todo.push(*next);
                    }
                }
                State::Read { set, next: to } => {
                    if alphabet.members(*set).contains(letter) {
                        next.push(*to);
                    }
                }
                State::Any { next: to } => {
                    if after != Kind::Edge {
                        next.push(*to);
                    }
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        let epoch = self.epoch;
        let to = self.number((next.into(), after));
        let step = Step((to << 1) | u32::from(matched));
        // Numbers of before a forgetting mean nothing.
        if epoch == self.epoch && !looked {
            self.steps[state as usize * self.width + usize::from(letter)] = step;
        }
        Ok((step, work))
    }
}
