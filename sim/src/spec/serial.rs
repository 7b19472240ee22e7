//! Whether serial executions explain what was seen.
//!
//! The sessions that committed, one after another in some order, from the same state, must have
//! given each of them the same answers and left the same state: view serializability, by trying all
//! orders. A spec has at most a handful of sessions, and what an order gives is played once.

use std::collections::BTreeMap;

use super::Spec;
use super::player::{Blocked, Outcome, Played, Player};

/// What serial executions gave so far.
#[derive(Default)]
pub(super) struct Serial {
    /// By the steps played; the answers to these, and the state left behind.
    given: BTreeMap<Vec<usize>, Option<(Vec<Outcome>, Outcome)>>,
}

impl Serial {
    /// Whether some serial execution of the committed sessions gives the same.
    ///
    /// # Errors
    /// The spec's own statements fail.
    pub(super) fn explains(
        &mut self,
        player: &Player,
        spec: &Spec,
        order: &[usize],
        played: &Played,
    ) -> Result<bool, String> {
        let committed = (0..spec.sessions.len()).filter(|session| played.committed[*session]);
        let mut sessions: Vec<usize> = committed.collect();
        loop {
            let own = |session: &usize| {
                let session = *session;
                order.iter().copied().filter(move |step| spec.steps[*step].session == session)
            };
            let serial: Vec<usize> = sessions.iter().flat_map(own).collect();
            if self.gives_same(player, &serial, played)? {
                return Ok(true);
            }
            if !super::schedule::next_permutation(&mut sessions) {
                return Ok(false);
            }
        }
    }

    fn gives_same(
        &mut self,
        player: &Player,
        serial: &[usize],
        played: &Played,
    ) -> Result<bool, String> {
        if !self.given.contains_key(serial) {
            let given = player.play(serial, Blocked::Stop)?;
            let is_whole = given.impossible_at.is_none() && !given.is_stuck;
            let answers = serial.iter().filter_map(|step| given.outcomes.get(step).cloned());
            let kept = given.check.filter(|_| is_whole).map(|check| (answers.collect(), check));
            self.given.insert(serial.to_vec(), kept);
        }
        let Some((answers, check)) = &self.given[serial] else { return Ok(false) };
        let same_answers = serial.iter().zip(answers).all(|(step, answer)| {
            played.outcomes.get(step).is_some_and(|seen| seen.compact() == answer.compact())
        });
        Ok(same_answers && played.check.as_ref().map(|it| &it.rows) == Some(&check.rows))
    }
}
