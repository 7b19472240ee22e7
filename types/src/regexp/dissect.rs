//! How a match is divided among a pattern's parts.
//!
//! A node gets a stretch of the text that its automaton is known to match. A concatenation gives its left
//! part the longest or shortest beginning such that the right part matches what remains, alternatives are
//! tried in their order, repetitions are laid one after the other. Automata know nothing of what groups
//! matched, so with back references a division can fail further down; then the next one is tried.

use super::charset::lower;
use super::search::Subject;
use super::tree::{Node, Op};
use super::{Problem, Regexp};

type Place = Option<(usize, usize)>;

pub(super) struct Dissection<'a> {
    regexp: &'a Regexp,
    subject: &'a Subject<'a>,
    groups: Vec<Place>,
}

impl<'a> Dissection<'a> {
    pub(super) fn new(regexp: &'a Regexp, subject: &'a Subject<'_>, groups: Vec<Place>) -> Self {
        Self { regexp, subject, groups }
    }

    pub(super) fn into_groups(self) -> Vec<Place> {
        self.groups
    }

    fn longest(&self, node: &Node, begin: usize, stop: usize) -> Result<Option<usize>, Problem> {
        self.regexp.longest(self.subject, node.automaton, begin, stop)
    }

    fn shortest(
        &self,
        node: &Node,
        begin: usize,
        least: usize,
        stop: usize,
    ) -> Result<Option<usize>, Problem> {
        self.regexp.shortest(self.subject, node.automaton, begin, least, stop)
    }

    fn clear(&mut self, node: &Node) {
        node.each_group(&mut |group| self.groups[group as usize] = None);
    }

    /// Divides a stretch; false if that cannot be.
    pub(super) fn node(&mut self, node: &Node, begin: usize, end: usize) -> Result<bool, Problem> {
        self.subject.spend(1)?;
        let fits = match &node.op {
            Op::Plain => true,
            Op::BackReference { group, min, max } => {
                self.repeats(*group, *min, *max, begin, end)?
            }
            Op::Concat(left, right) => self.concat(left, right, begin, end)?,
            Op::Or(branches) => self.or(branches, begin, end)?,
            Op::Iterate { inner, min, max } if inner.traits.shorter => {
                self.iterate_shortest(inner, *min, *max, begin, end)?
            }
            Op::Iterate { inner, min, max } => {
                self.iterate_longest(inner, *min, *max, begin, end)?
            }
            Op::Group(inner) => self.node(inner, begin, end)?,
        };
        if fits && node.group > 0 {
            self.groups[node.group as usize] = Some((begin, end));
        }
        Ok(fits)
    }

    fn concat(
        &mut self,
        left: &Node,
        right: &Node,
        begin: usize,
        end: usize,
    ) -> Result<bool, Problem> {
        let shortest = left.traits.shorter;
        let mut middle = if shortest {
            self.shortest(left, begin, begin, end)?
        } else {
            self.longest(left, begin, end)?
        };
        while let Some(at) = middle {
            if self.longest(right, at, end)? == Some(end)
                && self.node(left, begin, at)?
                && self.node(right, at, end)?
            {
                return Ok(true);
            }
            middle = match shortest {
                true if at == end => None,
                true => self.shortest(left, begin, at + 1, end)?,
                false if at == begin => None,
                false => self.longest(left, begin, at - 1)?,
            };
            self.clear(left);
            self.clear(right);
        }
        Ok(false)
    }

    fn or(&mut self, branches: &[Node], begin: usize, end: usize) -> Result<bool, Problem> {
        for branch in branches {
            if self.longest(branch, begin, end)? == Some(end) && self.node(branch, begin, end)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a stretch is what a group matched, some times.
    fn repeats(
        &mut self,
        group: u32,
        min: u32,
        max: Option<u32>,
        begin: usize,
        end: usize,
    ) -> Result<bool, Problem> {
        let Some((from, to)) = self.groups[group as usize] else { return Ok(false) };
        let (once, length) = (to - from, end - begin);
        if once == 0 {
            return Ok(length == 0);
        }
        if length == 0 {
            return Ok(min == 0);
        }
        let times = length / once;
        let is_allowed = times >= min as usize && max.is_none_or(|max| times <= max as usize);
        if length % once != 0 || !is_allowed {
            return Ok(false);
        }
        self.subject.spend(length as u64)?;
        let chars = &self.subject.chars;
        let same = |a: char, b: char| a == b || (self.regexp.ignore_case && lower(a) == lower(b));
        Ok((0..length).all(|at| same(chars[begin + at], chars[from + at % once])))
    }

    /// How many repetitions there may be in a stretch: no more than characters, unless empty ones are
    /// needed to be enough.
    fn most_times(min: usize, max: Option<u32>, length: usize) -> usize {
        length.min(max.map_or(usize::MAX, |max| max as usize)).max(min)
    }

    /// Whether the repetitions found, after those that are verified, can be divided further.
    fn verify(
        &mut self,
        inner: &Node,
        ends: &[usize],
        verified: &mut usize,
    ) -> Result<bool, Problem> {
        for index in *verified + 1..ends.len() {
            self.clear(inner);
            if !self.node(inner, ends[index - 1], ends[index])? {
                return Ok(false);
            }
            *verified = index;
        }
        Ok(true)
    }

    /// Repetitions of what prefers to be long. `ends` are where those found so far end, after the
    /// beginning of the first.
    fn iterate_longest(
        &mut self,
        inner: &Node,
        min: u32,
        max: Option<u32>,
        begin: usize,
        end: usize,
    ) -> Result<bool, Problem> {
        // That none will do for an empty stretch is the last resort: once sets the groups.
        let least = min.max(1) as usize;
        let most = Self::most_times(least, max, end - begin);
        let mut ends = vec![begin];
        let mut verified = 0;
        let mut limit = end;
        loop {
            // Looks for the end of one more.
            let count = ends.len();
            let from = ends[count - 1];
            let mut stuck = true;
            if let Some(found) = self.longest(inner, from, limit)? {
                ends.push(found);
                verified = verified.min(count - 1);
                if found == end {
                    if count >= least && self.verify(inner, &ends, &mut verified)? {
                        return Ok(true);
                    }
                } else if count >= most {
                    ends.pop();
                } else if found > from || (count < least && least - count >= end - found) {
                    limit = end;
                    stuck = false;
                }
            }
            if stuck {
                // Shortens the last one that can be.
                loop {
                    let count = ends.len() - 1;
                    if count == 0 {
                        return Ok(min == 0 && begin == end);
                    }
                    let (from, to) = (ends[count - 1], ends[count]);
                    ends.pop();
                    if to > from {
                        limit = to - 1;
                        if limit > from || (count < least && least - count >= end - from) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Repetitions of what prefers to be short.
    fn iterate_shortest(
        &mut self,
        inner: &Node,
        min: u32,
        max: Option<u32>,
        begin: usize,
        end: usize,
    ) -> Result<bool, Problem> {
        if min == 0 && begin == end {
            return Ok(true);
        }
        let least = min.max(1) as usize;
        let most = Self::most_times(least, max, end - begin);
        let mut ends = vec![begin];
        let mut verified = 0;
        let mut limit = begin;
        loop {
            let count = ends.len();
            let from = ends[count - 1];
            let is_needed = count < least && least - count >= end - limit;
            if limit == from && limit != end && !is_needed {
                limit += 1;
            }
            if count >= most {
                limit = end;
            }
            let mut stuck = true;
            if let Some(found) = self.shortest(inner, from, limit, end)? {
                ends.push(found);
                verified = verified.min(count - 1);
                if found == end {
                    if count >= least && self.verify(inner, &ends, &mut verified)? {
                        return Ok(true);
                    }
                } else if count >= most {
                    ends.pop();
                } else {
                    limit = found;
                    stuck = false;
                }
            }
            if stuck {
                // Lengthens the last one that can be.
                loop {
                    let Some(last) = ends.pop() else { return Ok(false) };
                    if ends.is_empty() {
                        return Ok(false);
                    }
                    if last < end {
                        limit = last + 1;
                        break;
                    }
                }
            }
        }
    }
}
