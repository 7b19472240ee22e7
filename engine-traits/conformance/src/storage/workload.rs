//! A random workload that reaches every part of an engine within a few hundred commits.

use driftdb_env::Rng;
use driftdb_storage::{Engine, KeyspaceId, Result, WriteBatch};

use super::harness::{Harness, OTHER, SPACE};
use super::model::Model;

/// How often things happen, in percent of commits.
#[derive(Debug, Clone)]
pub struct Mix {
    /// A keyspace is dropped and another created.
    pub turnover: u64,
    /// A value of several blocks.
    pub large: u64,
    /// Distinct keys per keyspace.
    pub keys: u64,
    /// A range of keys is deleted.
    pub ranges: u64,
}

impl Default for Mix {
    fn default() -> Self {
        Self { turnover: 4, large: 4, keys: 60, ranges: 4 }
    }
}

/// Its state: what exists.
#[derive(Debug, Clone)]
pub struct Workload {
    rng: Rng,
    mix: Mix,
    spaces: Vec<KeyspaceId>,
    next_space: u32,
    started: bool,
}

impl Workload {
    /// A workload with its own random stream.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self {
            rng: Rng::stream(seed, "workload"),
            mix,
            spaces: vec![SPACE, OTHER],
            next_space: 100,
            started: false,
        }
    }

    /// A workload that goes on from what a log holds.
    pub fn after(seed: u64, mix: Mix, model: &Model) -> Self {
        let mut workload = Self::new(seed, mix);
        if !model.spaces.is_empty() {
            workload.started = true;
            let living = model.spaces.iter().filter(|(_, space)| space.dropped.is_none());
            workload.spaces = living.map(|(id, _)| *id).collect();
            let largest = model.spaces.keys().map(|id| id.0).max();
            workload.next_space = largest.map_or(100, |id| id.max(99) + 1);
        }
        workload
    }

    /// Commits `count` batches, with the harness's upkeep after each.
    ///
    /// # Errors
    /// The first that the engine gives.
    pub fn run<E: Engine>(&mut self, harness: &mut Harness<E>, count: usize) -> Result<()> {
        if !self.started {
            self.started = true;
            let mut batch = WriteBatch::new();
            for &space in &self.spaces {
                batch.create_keyspace(space);
            }
            harness.commit(batch)?;
        }
        for _ in 0..count {
            let batch = self.batch();
            harness.commit(batch)?;
        }
        Ok(())
    }

    fn batch(&mut self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        if self.rng.chance(self.mix.turnover, 100) {
            // The first keyspace stays; the second is replaced by a new one.
            batch.drop_keyspace(self.spaces.pop().expect("there are two"));
            let space = KeyspaceId(self.next_space);
            self.next_space += 1;
            batch.create_keyspace(space);
            self.spaces.push(space);
        }
        if self.rng.chance(self.mix.ranges, 100) {
            let space = self.spaces[self.rng.index(self.spaces.len())];
            let (start, end) = (self.key(), self.key());
            batch.delete_range(space, &start, &end);
        }
        for _ in 0..1 + self.rng.below(4) {
            let space = self.spaces[self.rng.index(self.spaces.len())];
            let key = self.key();
            if self.rng.chance(1, 5) {
                batch.delete(space, &key);
            } else {
                batch.put(space, &key, &self.value());
            }
        }
        batch
    }

    fn key(&mut self) -> Vec<u8> {
        // Half of the writes go to a tenth of the keys: long chains of versions beside short ones.
        let span = if self.rng.chance(1, 2) { self.mix.keys / 10 + 1 } else { self.mix.keys };
        let number = self.rng.below(span);
        match number % 11 {
            0 => vec![0; number as usize / 11],
            1 => format!("key/{number:03}/{}", "long".repeat(20)).into_bytes(),
            _ => format!("key/{number:03}").into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = if self.rng.chance(self.mix.large, 100) {
            400 + self.rng.below(4000)
        } else {
            self.rng.below(90)
        };
        let mut value = vec![0; len as usize];
        self.rng.fill(&mut value);
        value
    }
}
