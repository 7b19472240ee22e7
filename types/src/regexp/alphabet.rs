//! Characters that no part of a pattern tells apart are one letter of its automata.

use std::rc::Rc;

use super::charset::{CharSet, Class};

/// What a condition sees of a character beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    /// There is none: the text begins or ends there.
    Edge,
    Newline,
    Word,
    Other,
}

/// The letters of a pattern. Letter numbers are below [`Alphabet::size`]; that number itself stands for
/// the end of the text.
#[derive(Debug)]
pub(super) struct Alphabet {
    /// The letters of ASCII.
    ascii: [u16; 128],
    /// Where a letter begins, in the order of codes, and which.
    starts: Vec<(u32, u16)>,
    /// The first character of each letter.
    samples: Vec<u32>,
    kinds: Vec<Kind>,
}

impl Alphabet {
    /// Of a pattern with these sets, and of conditions on words or lines if these are asked for.
    pub(super) fn new(sets: &[Rc<CharSet>], has_words: bool, has_lines: bool) -> Self {
        let newline = CharSet::single('\n' as u32);
        let mut all: Vec<&CharSet> = sets.iter().map(|set| &**set).collect();
        if has_words {
            all.push(Class::Word.set());
        }
        if has_lines {
            all.push(&newline);
        }
        let mut bounds = vec![0];
        for (low, high) in all.iter().flat_map(|set| set.ranges()) {
            bounds.extend([*low, high + 1]);
        }
        bounds.sort_unstable();
        bounds.dedup();
        // Two stretches are the same letter if they are in the same sets.
        let mut signatures: std::collections::BTreeMap<Vec<bool>, u16> = Default::default();
        let mut samples = Vec::new();
        let mut starts = Vec::with_capacity(bounds.len());
        for bound in bounds {
            let signature: Vec<bool> = all.iter().map(|set| set.contains(bound)).collect();
            let letter = *signatures.entry(signature).or_insert_with(|| {
                samples.push(bound);
                u16::try_from(samples.len() - 1).unwrap_or(u16::MAX)
            });
            starts.push((bound, letter));
        }
        let kinds = samples
            .iter()
            .map(|sample| match sample {
                10 if has_lines => Kind::Newline,
                c if has_words && Class::Word.set().contains(*c) => Kind::Word,
                _ => Kind::Other,
            })
            .collect();
        let mut alphabet = Self { ascii: [0; 128], starts, samples, kinds };
        for code in 0..128_u8 {
            alphabet.ascii[usize::from(code)] = alphabet.find(u32::from(code));
        }
        alphabet
    }

    fn find(&self, code: u32) -> u16 {
        let after = self.starts.partition_point(|(start, _)| *start <= code);
        self.starts[after.saturating_sub(1)].1
    }

    pub(super) fn letter(&self, c: char) -> u16 {
        match self.ascii.get(c as usize) {
            Some(letter) => *letter,
            None => self.find(c as u32),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.samples.len()
    }

    /// Of a letter, or of the end.
    pub(super) fn kind(&self, letter: u16) -> Kind {
        self.kinds.get(usize::from(letter)).copied().unwrap_or(Kind::Edge)
    }

    /// For each letter whether it is in the set.
    pub(super) fn members(&self, set: &CharSet) -> Box<[bool]> {
        self.samples.iter().map(|sample| set.contains(*sample)).collect()
    }
}
