//! The feed of changes against a model that notes every change, under random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use driftdb_concurrency::BeginOptions;
use driftdb_env::planted;
use driftdb_query::{Catalog, CatalogAt};
use driftdb_storage::Timestamp;
use driftdb_tables::Feed;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

type State = BTreeMap<i32, String>;

/// Random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Two tables, what is in them, and a line for each change there was.
struct Model {
    t: Traveller,
    random: Random,
    tables: [State; 2],
    changes: [Vec<String>; 2],
}

const TABLES: [&str; 2] = ["f", "g"];

impl Model {
    fn newest(&self) -> u64 {
        let store = self.t.session.node().store();
        store.sequence_at(store.newest()).unwrap()
    }

    /// A transaction that writes rows of both tables, and perhaps empties one in between.
    fn write(&mut self) {
        let before = self.tables.clone();
        let mut touched = [BTreeSet::new(), BTreeSet::new()];
        let mut truncated = [false; 2];
        let sequence = self.newest();
        self.t.run("BEGIN");
        for _ in 0..=self.random.below(6) {
            let which = self.random.below(3) as usize % 2;
            let (name, id) = (TABLES[which], self.random.below(12) as i32);
            match self.random.below(40) {
                0 => {
                    self.t.run(&format!("TRUNCATE {name}"));
                    self.tables[which].clear();
                    touched[which].clear();
                    truncated[which] = true;
                }
                1..10 => {
                    self.t.run(&format!("DELETE FROM {name} WHERE id = {id}"));
                    if self.tables[which].remove(&id).is_some() {
                        touched[which].insert(id);
                    }
                }
                _ => {
                    let text = "x".repeat(self.random.below(40) as usize);
                    self.t.run(&format!(
                        "INSERT INTO {name} VALUES ({id}, '{text}') ON CONFLICT (id) \
                         DO UPDATE SET v = excluded.v"
                    ));
                    self.tables[which].insert(id, text);
                    touched[which].insert(id);
                }
            }
        }
        if self.random.below(8) == 0 {
            self.t.run("ROLLBACK");
            self.tables = before;
            return;
        }
        self.t.run("COMMIT");
        let sequence = sequence + 1;
        for which in 0..2 {
            let mut ordinal = 0;
            let mut line = |text: String| {
                ordinal += 1;
                self.changes[which].push(format!("{sequence} {ordinal} {text}"));
            };
            if truncated[which] {
                line("TRUNCATE    ".to_owned());
            }
            for id in &touched[which] {
                let old = before[which].get(id).filter(|_| !truncated[which]);
                let new = self.tables[which].get(id);
                let side = |text: Option<&String>| match text {
                    Some(text) => format!("{id} {text}"),
                    None => " ".to_owned(),
                };
                let op = match (old, new) {
                    (None, None) => continue,
                    (None, Some(_)) => "INSERT",
                    (Some(_), None) => "DELETE",
                    (Some(_), Some(_)) => "UPDATE",
                };
                line(format!("{op} {} {}", side(old), side(new)));
            }
        }
    }

    fn check(&mut self, after: u64, up_to: Option<u64>) {
        let end = up_to.map_or(String::new(), |up_to| format!(", {up_to}"));
        let is_within = |line: &&String| {
            let sequence: u64 = line.split(' ').next().unwrap().parse().unwrap();
            sequence > after && up_to.is_none_or(|up_to| sequence <= up_to)
        };
        let columns = "seq, ordinal, op, old_id, old_v, new_id, new_v";
        for (which, name) in TABLES.iter().enumerate() {
            let expected: Vec<_> = self.changes[which].iter().filter(is_within).cloned().collect();
            let sql = format!("SELECT {columns} FROM driftdb_changes('{name}', {after}{end})");
            assert_eq!(self.t.rows(&sql), expected, "{sql}");
        }
        // Both together: the same changes, commit by commit.
        let sql = format!(
            "SELECT seq, op, old, new FROM driftdb_all_changes({after}{end}) \
             WHERE table_name IN ('public.f', 'public.g') AND op <> 'CREATE'"
        );
        let mut found = self.t.rows(&sql);
        let mut expected: Vec<String> = Vec::new();
        for line in self.changes.iter().flatten().filter(is_within) {
            let cells: Vec<&str> = line.split(' ').collect();
            let side = |id: &str, v: &str| match (id, v) {
                ("", _) => String::new(),
                (id, "") => format!("({id},\"\")"),
                (id, v) => format!("({id},{v})"),
            };
            let (old, new) = (side(cells[3], cells[4]), side(cells[5], cells[6]));
            expected.push(format!("{} {} {old} {new}", cells[0], cells[2]));
        }
        let sequence = |line: &String| -> u64 { line.split(' ').next().unwrap().parse().unwrap() };
        assert!(found.is_sorted_by_key(sequence), "{found:?}");
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{sql}");
    }
}

/// The feed itself, with so much memory: place in the feed, operation, size of the row.
fn feed(
    fixture: &Fixture,
    name: &str,
    window_bytes: usize,
) -> Vec<(u64, u64, &'static str, usize)> {
    let store = fixture.node.store();
    let mut txn = store.begin(BeginOptions::default()).unwrap();
    let mut reader = fixture.node.catalog().reader(txn.as_mut(), store, false);
    let table = reader.table(None, name, CatalogAt::Statement).unwrap();
    drop(reader);
    let table: Option<Arc<_>> = Some(table.unwrap());
    let up_to = txn.snapshot_ts();
    let mut feed =
        Feed::new(table, Timestamp::MIN, up_to, window_bytes, txn.as_mut(), store).unwrap();
    let mut found = Vec::new();
    while let Some(changes) = feed.next(txn.as_mut(), store).unwrap() {
        found.extend(changes.iter().map(|change| {
            let size = change.after.as_ref().map_or(0, Vec::len);
            (change.commit.sequence, change.ordinal, change.op.name(), size)
        }));
    }
    assert_eq!(feed.resolved(), store.sequence_at(up_to).unwrap());
    found
}

fn run(fixture: &Fixture, seed: u64) {
    let mut t = Traveller::new(fixture);
    t.run("DROP TABLE IF EXISTS f; DROP TABLE IF EXISTS g");
    for name in TABLES {
        t.run(&format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, v text); CREATE INDEX ON {name} (v)"
        ));
    }
    let (tables, changes) = Default::default();
    let mut model = Model { t, random: Random(seed), tables, changes };
    let begin = model.newest();
    for step in 0..30 {
        model.write();
        if step % 11 == 10 {
            model.t.run("CHECKPOINT");
        }
    }
    let end = model.newest();
    model.check(begin, None);
    for _ in 0..4 {
        let after = begin + model.random.below(end - begin + 1);
        let up_to = after + model.random.below(end - after + 1);
        model.check(after, Some(up_to));
    }
    // Page by page, by the last number that was seen.
    let mut paged = Vec::new();
    let mut last = begin;
    while last < end {
        let next = (last + 3).min(end);
        paged.extend(model.t.rows(&format!(
            "SELECT seq, ordinal, op, old_id, old_v, new_id, new_v \
             FROM driftdb_changes('f', {last}, {next})"
        )));
        last = next;
    }
    assert_eq!(paged, model.changes[0]);
    // However little memory there is.
    for name in TABLES {
        let whole = feed(fixture, name, 1 << 20);
        for window_bytes in [1, 500, 2000] {
            assert_eq!(feed(fixture, name, window_bytes), whole, "{window_bytes} bytes");
        }
    }
}

#[test]
fn random_histories_are_told_as_they_were() {
    everywhere(|fixture| (0..4).for_each(|seed| run(fixture, seed)));
}

fn is_found(bug: &'static str) -> bool {
    let fixture = Fixture::new();
    planted::activate(Some(bug));
    let found = (0..8).any(|seed| catch_unwind(AssertUnwindSafe(|| run(&fixture, seed))).is_err());
    planted::activate(None);
    found
}

#[test]
fn the_model_would_see_a_feed_that_begins_late() {
    assert!(is_found("tables.feed-begins-late"));
}

#[test]
fn the_model_would_see_a_feed_that_knows_only_the_last_definition() {
    assert!(is_found("tables.feed-last-definition-only"));
}
