//! Where a match is: the first place where one begins, and the end that the pattern prefers.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::alphabet::Kind;
use super::dfa::{DEAD, Dfa};
use super::dissect::Dissection;
use super::{MAX_WORK, Problem, Regexp, STEPS_PER_CHECK, WORK_PER_CHARACTER};
use crate::{EvalContext, ValueError};

/// A text in which a pattern is looked for, as the pattern's letters. Places are counted in characters.
pub(crate) struct Subject<'a> {
    text: &'a str,
    /// Who knows whether the statement is to stop.
    ctx: &'a EvalContext,
    letters: Vec<u16>,
    /// The characters, if the pattern has back references.
    pub(super) chars: Vec<char>,
    /// The byte at which each character begins, and the end; empty where characters are bytes.
    bytes: Vec<u32>,
    /// For each look-around what is known of it by place.
    looks: Vec<RefCell<Vec<Known>>>,
    work: Cell<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    No,
    Yes,
}

/// A match: the bytes of the whole and of each group that took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// The whole first.
    pub(crate) groups: Vec<Option<Range<usize>>>,
}

impl Match {
    /// The bytes of the whole.
    pub(crate) fn whole(&self) -> Range<usize> {
        self.groups.first().cloned().flatten().unwrap_or_default()
    }

    /// The bytes of a group, or of the whole if the number is zero.
    pub(crate) fn group(&self, number: usize) -> Option<Range<usize>> {
        self.groups.get(number).cloned().flatten()
    }
}

impl Subject<'_> {
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    fn byte(&self, place: usize) -> usize {
        if self.bytes.is_empty() { place } else { self.bytes[place] as usize }
    }

    fn place(&self, byte: usize) -> usize {
        if self.bytes.is_empty() {
            return byte;
        }
        self.bytes.partition_point(|start| (*start as usize) < byte)
    }

    /// Counts steps, and fails if they are too many.
    pub(super) fn spend(&self, steps: u64) -> Result<(), Problem> {
        let before = self.work.get();
        let work = before + steps;
        self.work.set(work);
        if work / STEPS_PER_CHECK != before / STEPS_PER_CHECK && self.ctx.actions.is_canceled() {
            return Err(Problem::Canceled);
        }
        let limit = MAX_WORK + WORK_PER_CHARACTER * self.len() as u64;
        if work > limit { Err(Problem::TooMuchWork) } else { Ok(()) }
    }
}

impl Regexp {
    pub(crate) fn subject<'a>(&self, text: &'a str, ctx: &'a EvalContext) -> Subject<'a> {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at as u32).chain([text.len() as u32]).collect()
        };
        Subject {
            text,
            ctx,
            letters: text.chars().map(|c| self.alphabet.letter(c)).collect(),
            chars: if self.has_back_references { text.chars().collect() } else { Vec::new() },
            bytes,
            looks: self.looks.iter().map(|_| RefCell::default()).collect(),
            work: Cell::new(0),
        }
    }

    /// Whether there is a match.
    pub(crate) fn is_match(&self, text: &str, ctx: &EvalContext) -> Result<bool, ValueError> {
        if let Some(quick) = &self.quick {
            return Ok(quick.is_match(text));
        }
        let subject = self.subject(text, ctx);
        if self.has_back_references {
            return Ok(self.find(&subject, 0, false)?.is_some());
        }
        Ok(self.first_end(&subject, 0)?.is_some())
    }

    /// The first match that begins at this byte or later, with its groups if those are asked for.
    pub(crate) fn match_at(
        &self,
        subject: &Subject<'_>,
        from: usize,
        groups: bool,
    ) -> Result<Option<Match>, ValueError> {
        if from > subject.text.len() {
            return Ok(None);
        }
        let mut start = from;
        if let Some(quick) = &self.quick {
            match quick.find_at(subject.text, from) {
                None => return Ok(None),
                Some(found) => start = found.start(),
            }
        }
        Ok(self.find(subject, subject.place(start), groups)?)
    }

    /// The first match from a place on, which is where it begins if the crate found that.
    fn find(
        &self,
        subject: &Subject<'_>,
        from: usize,
        groups: bool,
    ) -> Result<Option<Match>, Problem> {
        if self.quick.is_some() {
            return self.match_from(subject, from, groups);
        }
        let mut from = from;
        while let Some((begin, end)) = self.first_end(subject, from)? {
            for place in begin..=end {
                if let Some(found) = self.match_from(subject, place, groups)? {
                    return Ok(Some(found));
                }
            }
            // The automaton promised more than the back references keep. As PostgreSQL does, the text's
            // end is not tried by itself.
            from = end + 1;
            if from >= subject.len() {
                break;
            }
        }
        Ok(None)
    }

    /// The match that begins here: of the ends that the automaton allows the first, by preference, that
    /// can be taken apart.
    fn match_from(
        &self,
        subject: &Subject<'_>,
        begin: usize,
        groups: bool,
    ) -> Result<Option<Match>, Problem> {
        let shortest = self.tree.traits.shorter;
        let (mut least, mut most) = (begin, subject.len());
        let top = self.tree.automaton;
        loop {
            let end = if shortest {
                self.shortest(subject, top, begin, least, most)?
            } else {
                self.longest(subject, top, begin, most)?
            };
            let Some(end) = end else { return Ok(None) };
            let mut places = vec![None; self.group_count + 1];
            if groups || self.has_back_references {
                let mut dissection = Dissection::new(self, subject, places);
                let fits = dissection.node(&self.tree, begin, end)?;
                places = dissection.into_groups();
                if !fits {
                    match shortest {
                        true if end == most => return Ok(None),
                        true => least = end + 1,
                        false if end == begin => return Ok(None),
                        false => most = end - 1,
                    }
                    continue;
                }
            }
            places[0] = Some((begin, end));
            let bytes = |(from, to)| subject.byte(from)..subject.byte(to);
            let groups = places.into_iter().map(|place| place.map(bytes)).collect();
            return Ok(Some(Match { groups }));
        }
    }

    fn kind_before(&self, subject: &Subject<'_>, place: usize) -> Kind {
        match place.checked_sub(1) {
            None => Kind::Edge,
            Some(before) => self.alphabet.kind(subject.letters[before]),
        }
    }

    /// Reads from a place on. `seen` is told each place and whether there is a match up to it, and says
    /// whether to go on; `idle` is told of places where no match is under way.
    fn read(
        &self,
        subject: &Subject<'_>,
        dfa: &RefCell<Dfa>,
        begin: usize,
        stop: usize,
        mut seen: impl FnMut(usize, bool) -> bool,
        mut idle: impl FnMut(usize),
    ) -> Result<(), Problem> {
        let mut dfa = dfa.borrow_mut();
        let end = self.alphabet.size() as u16;
        let mut state = dfa.start(self.kind_before(subject, begin));
        let mut work = 1;
        let mut place = begin;
        while place <= stop {
            let letter = subject.letters.get(place).copied().unwrap_or(end);
            let step = match dfa.step(state, letter) {
                Some(step) => step,
                None => {
                    let look = |number| self.look(subject, number, place);
                    let (step, cost) = dfa.compute(state, letter, &self.alphabet, look)?;
                    work += cost;
                    step
                }
            };
            if !seen(place, step.matched()) {
                break;
            }
            state = step.state();
            if state == DEAD {
                break;
            }
            place += 1;
            if dfa.is_idle(state) {
                idle(place);
            }
        }
        subject.spend(work + (place - begin) as u64)
    }

    /// The longest match of a node's automaton from `begin` that ends at `stop` at the latest.
    pub(super) fn longest(
        &self,
        subject: &Subject<'_>,
        automaton: usize,
        begin: usize,
        stop: usize,
    ) -> Result<Option<usize>, Problem> {
        let mut last = None;
        let seen = |place, matched| {
            if matched {
                last = Some(place);
            }
            true
        };
        self.read(subject, self.automaton(automaton), begin, stop, seen, |_| {})?;
        Ok(last)
    }

    /// The shortest that ends between `least` and `stop`.
    pub(super) fn shortest(
        &self,
        subject: &Subject<'_>,
        automaton: usize,
        begin: usize,
        least: usize,
        stop: usize,
    ) -> Result<Option<usize>, Problem> {
        let mut first = None;
        let seen = |place, matched| {
            if matched && place >= least {
                first = Some(place);
            }
            first.is_none()
        };
        self.read(subject, self.automaton(automaton), begin, stop, seen, |_| {})?;
        Ok(first)
    }

    /// The first place at which a match ends that begins at `from` or later, and before it a place before
    /// which no match begins.
    fn first_end(
        &self,
        subject: &Subject<'_>,
        from: usize,
    ) -> Result<Option<(usize, usize)>, Problem> {
        let mut first = None;
        let seen = |place, matched: bool| {
            if matched {
                first = Some(place);
            }
            !matched
        };
        let mut begin = from;
        let idle = |place| begin = place;
        self.read(subject, self.search_automaton(), from, subject.len(), seen, idle)?;
        Ok(first.map(|end| (begin.min(end), end)))
    }

    /// Whether a look-around holds at a place.
    fn look(&self, subject: &Subject<'_>, number: usize, place: usize) -> Result<bool, Problem> {
        let look = &self.looks[number];
        let known = subject.looks[number].borrow().get(place).copied();
        let found = match known {
            Some(Known::Yes) => true,
            Some(Known::No) => false,
            Some(Known::Nothing) | None if look.ahead => {
                let mut found = false;
                let seen = |_, matched| {
                    found = matched;
                    !matched
                };
                let dfa = self.look_automaton(number);
                self.read(subject, dfa, place, subject.len(), seen, |_| {})?;
                let mut places = subject.looks[number].borrow_mut();
                places.resize(subject.len() + 1, Known::Nothing);
                places[place] = if found { Known::Yes } else { Known::No };
                found
            }
            Some(Known::Nothing) | None => {
                // One reading tells it for all places.
                let mut places = vec![Known::No; subject.len() + 1];
                let seen = |place: usize, matched| {
                    if matched {
                        places[place] = Known::Yes;
                    }
                    true
                };
                let dfa = self.look_automaton(number);
                self.read(subject, dfa, 0, subject.len(), seen, |_| {})?;
                let found = places[place] == Known::Yes;
                *subject.looks[number].borrow_mut() = places;
                found
            }
        };
        Ok(found != look.negative)
    }
}
