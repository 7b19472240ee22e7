//! The durability ledger of rows and tables that come and go: what was made must be there, unless somebody may have taken it
//! away; what was taken away must not.

use std::collections::{BTreeMap, BTreeSet};

/// Something with a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    Row(i64),
    Table(i64),
}

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    There,
    Absent,
}

/// How something was made, and whether it was taken away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    made: Fate,
    /// Tried and not known to have failed.
    taken_open: u32,
    taken: bool,
}

#[derive(Default)]
pub(super) struct Book {
    next: i64,
    entries: BTreeMap<Number, Entry>,
}

/// The book as of before a snapshot.
pub(super) type Known = BTreeMap<Number, Entry>;

impl Book {
    pub(super) fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    pub(super) fn is_made(&mut self, number: Number) {
        self.entries.insert(number, Entry { made: Fate::Open, taken_open: 0, taken: false });
    }

    pub(super) fn is_taken(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.taken_open += 1;
        }
    }

    /// The fate of a transaction.
    pub(super) fn settle(&mut self, made: &[Number], taken: &[Number], fate: Fate) {
        if fate == Fate::Open {
            return;
        }
        for number in made {
            if let Some(entry) = self.entries.get_mut(number) {
                entry.made = fate;
            }
        }
        for number in taken {
            if let Some(entry) = self.entries.get_mut(number) {
                entry.taken_open -= 1;
                entry.taken |= fate == Fate::There;
            }
        }
    }

    pub(super) fn known(&self) -> Known {
        self.entries.clone()
    }

    /// Judges a snapshot that was taken after `known`.
    pub(super) fn judge(&self, known: &Known, found: &BTreeSet<Number>) -> Result<(), String> {
        for (number, entry) in known {
            // Who takes it away now, or did meanwhile.
            let now = &self.entries[number];
            let may_be_gone = now.taken || now.taken_open > 0 || entry.taken_open > 0;
            let what = match (entry.made, found.contains(number)) {
                (Fate::There, false) if !may_be_gone => "was acknowledged and is gone",
                (Fate::Absent, true) => "was never committed and is there",
                (_, true) if entry.taken => "was taken away and is there",
                _ => continue,
            };
            return Err(format!("durability: {number:?} {what}"));
        }
        match found.iter().find(|number| !self.entries.contains_key(number)) {
            Some(number) => Err(format!("durability: {number:?} is nobody's")),
            None => Ok(()),
        }
    }

    /// Nothing is open any more.
    pub(super) fn settle_after_recovery(&mut self, found: &BTreeSet<Number>) {
        for (number, entry) in &mut self.entries {
            let is_there = found.contains(number);
            if entry.taken_open > 0 {
                entry.taken |= !is_there && entry.made == Fate::There;
                entry.taken_open = 0;
            }
            if entry.made == Fate::Open {
                entry.made = if is_there { Fate::There } else { Fate::Absent };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_took_must_be_there() {
        let mut book = Book::default();
        let (row, table) = (Number::Row(1), Number::Table(2));
        book.is_made(row);
        book.is_made(table);
        let nothing = BTreeSet::new();
        assert_eq!(book.judge(&book.known(), &nothing), Ok(()), "both are open");
        book.settle(&[row, table], &[], Fate::There);
        assert!(book.judge(&book.known(), &nothing).is_err());
        book.is_taken(row);
        book.is_taken(table);
        assert_eq!(book.judge(&book.known(), &nothing), Ok(()));
        book.settle(&[], &[row], Fate::There);
        book.settle(&[], &[table], Fate::Absent);
        assert!(book.judge(&book.known(), &nothing).is_err(), "the table stays");
        assert_eq!(book.judge(&book.known(), &BTreeSet::from([table])), Ok(()));
        assert!(book.judge(&book.known(), &BTreeSet::from([row, table])).is_err());
        assert!(book.judge(&book.known(), &BTreeSet::from([table, Number::Row(9)])).is_err());
    }
}
