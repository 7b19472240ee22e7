//! Characters that no part of a pattern tells apart are one letter of its automata.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Problem;
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

/// The letters of a set.
#[derive(Debug)]
pub(super) enum Members {
    One(u16),
    /// For each letter whether it is one.
    Many(Box<[bool]>),
}

impl Members {
    pub(super) fn contains(&self, letter: u16) -> bool {
        match self {
            Self::One(one) => *one == letter,
            Self::Many(all) => all.get(usize::from(letter)).copied().unwrap_or(false),
        }
    }
}

/// How many letters there may be, as in PostgreSQL.
const MAX_LETTERS: usize = 32_767;

/// What may be spent to find the letters, in parts of sets, and to know the sets' letters, in bytes.
const MAX_PARTS: usize = 4_000_000;

/// The letters of a pattern. Letter numbers are below [`Alphabet::size`]; that number itself stands for
/// the end of the text.
#[derive(Debug)]
pub(super) struct Alphabet {
    /// The letters of ASCII.
    ascii: [u16; 128],
    /// Where a letter begins, in the order of codes, and which.
    starts: Vec<(u32, u16)>,
    kinds: Vec<Kind>,
    /// The pattern's sets, sorted, and the letters of each.
    sets: Vec<Rc<CharSet>>,
    members: Vec<Members>,
}

impl Alphabet {
    /// Of a pattern with these sets, which are sorted, and of conditions on words or lines if these are
    /// asked for.
    pub(super) fn new(
        sets: Vec<Rc<CharSet>>,
        has_words: bool,
        has_lines: bool,
    ) -> Result<Self, Problem> {
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
        let letters = letters(&all, &bounds)?;
        let size = letters.iter().max().map_or(0, |most| usize::from(*most) + 1);
        let mut samples = vec![0; size];
        for (bound, letter) in bounds.iter().zip(&letters).rev() {
            samples[usize::from(*letter)] = *bound;
        }
        let mut spent = 0;
        let mut members = Vec::with_capacity(sets.len());
        for set in &sets {
            let one = match set.ranges() {
                [(low, high)] => {
                    let at = bounds.partition_point(|bound| bound <= low) - 1;
                    // Another stretch of the same letter would be in the set, too.
                    bounds.get(at + 1).is_none_or(|next| next > high).then(|| letters[at])
                }
                _ => None,
            };
            members.push(if let Some(one) = one {
                Members::One(one)
            } else {
                spent += size;
                if spent > MAX_PARTS {
                    return Err(Problem::TooBig);
                }
                Members::Many(samples.iter().map(|sample| set.contains(*sample)).collect())
            });
        }
        let kind = |sample: &u32| match sample {
            10 if has_lines => Kind::Newline,
            c if has_words && Class::Word.set().contains(*c) => Kind::Word,
            _ => Kind::Other,
        };
        let kinds = samples.iter().map(kind).collect();
        let starts = bounds.into_iter().zip(letters).collect();
        let mut alphabet = Self { ascii: [0; 128], starts, kinds, sets, members };
        for code in 0..128_u8 {
            alphabet.ascii[usize::from(code)] = alphabet.find(u32::from(code));
        }
        Ok(alphabet)
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
        self.kinds.len()
    }

    /// Of a letter, or of the end.
    pub(super) fn kind(&self, letter: u16) -> Kind {
        self.kinds.get(usize::from(letter)).copied().unwrap_or(Kind::Edge)
    }

    /// The number of one of the pattern's sets.
    pub(super) fn number(&self, set: &Rc<CharSet>) -> u32 {
        self.sets.partition_point(|known| known < set) as u32
    }

    /// The letters of a set, by its number.
    pub(super) fn members(&self, number: u32) -> &Members {
        &self.members[number as usize]
    }
}

/// For each stretch of codes its letter: one letter is what is in the same sets. Each set divides the
/// letters that it has a part of.
fn letters(sets: &[&CharSet], bounds: &[u32]) -> Result<Vec<u16>, Problem> {
    let mut letters = vec![0_u32; bounds.len()];
    let (mut count, mut spent) = (1, 0);
    let mut divided: BTreeMap<u32, u32> = BTreeMap::new();
    for set in sets {
        divided.clear();
        for (low, high) in set.ranges() {
            let from = bounds.partition_point(|bound| bound < low);
            let to = bounds.partition_point(|bound| bound <= high);
            spent += to - from;
            if spent > MAX_PARTS {
                return Err(Problem::TooBig);
            }
            for letter in &mut letters[from..to] {
                *letter = *divided.entry(*letter).or_insert_with(|| {
                    count += 1;
                    count - 1
                });
            }
        }
    }
    // Letters that were divided away have no stretches any more.
    let mut dense: BTreeMap<u32, u16> = BTreeMap::new();
    let mut out = Vec::with_capacity(letters.len());
    for letter in letters {
        let next = dense.len();
        if next > MAX_LETTERS {
            return Err(Problem::TooManyLetters);
        }
        out.push(*dense.entry(letter).or_insert(next as u16));
    }
    Ok(out)
}
