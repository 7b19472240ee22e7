//! How links behave: delays, and chances that a message is late, doubled or dropped.

use driftdb_env::Rng;

use crate::kernel::Chance;

/// Of all links. Fair by default: each message arrives once, within a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// A message takes at least so long, in nanoseconds.
    pub least_ns: u64,
    /// And up to so much longer: whatever is sent within that time may overtake.
    pub spread_ns: u64,
    /// How often one is late.
    pub late: Chance,
    /// By up to so much, in nanoseconds.
    pub late_ns: u64,
    /// How often one comes twice.
    pub doubled: Chance,
    /// How often one never comes.
    pub dropped: Chance,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            least_ns: 50_000,
            spread_ns: 0,
            late: Chance::NEVER,
            late_ns: 0,
            doubled: Chance::NEVER,
            dropped: Chance::NEVER,
        }
    }
}

/// What becomes of one message.
pub(super) struct Fate {
    /// When its copies arrive, after it was sent; none if it is dropped.
    pub(super) delays_ns: Vec<u64>,
    /// The faults that struck it.
    pub(super) kinds: Vec<&'static str>,
}

impl Weather {
    /// A weather by chance: in one seed of four it is fair, but for delays that differ.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, "weather");
        let chances = [Chance::NEVER, Chance::one_in(20), Chance::one_in(5), Chance::one_in(3)];
        let spread_ns = [0, 100_000, 2_000_000][rng.index(3)];
        let fair = Self { spread_ns, ..Self::default() };
        if rng.chance(1, 4) {
            return fair;
        }
        let mut chance = || chances[rng.index(chances.len())];
        let (late, doubled, dropped) = (chance(), chance(), chance());
        Self { late, late_ns: 40_000_000, doubled, dropped, ..fair }
    }

    /// Leaves a kind of fault out; false if it is none of the weather's.
    pub(crate) fn do_without(&mut self, kind: &str) -> bool {
        match kind {
            "messages-reordered" => self.spread_ns = 0,
            "messages-late" => self.late = Chance::NEVER,
            "messages-doubled" => self.doubled = Chance::NEVER,
            "messages-dropped" => self.dropped = Chance::NEVER,
            _ => return false,
        }
        true
    }

    /// Draws the same numbers for each message, so that what is left out shifts nothing.
    pub(super) fn fate(&self, rng: &mut Rng) -> Fate {
        let mut strikes = |chance: Chance| rng.chance(chance.numerator, chance.denominator);
        let (is_late, is_doubled) = (strikes(self.late), strikes(self.doubled));
        let is_dropped = strikes(self.dropped);
        let mut kinds = Vec::new();
        if is_dropped {
            return Fate { delays_ns: Vec::new(), kinds: vec!["messages-dropped"] };
        }
        let mut delay = |is_late: bool| {
            let spread = rng.below(self.spread_ns + 1);
            let late = rng.below(self.late_ns + 1);
            self.least_ns + spread + if is_late { late } else { 0 }
        };
        if is_late {
            kinds.push("messages-late");
        }
        let mut delays_ns = vec![delay(is_late)];
        if is_doubled {
            kinds.push("messages-doubled");
            // The second copy may come long after the first, when nobody expects it any more.
            delays_ns.push(delay(true));
        }
        Fate { delays_ns, kinds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_changes_nothing_else() {
        let rough = Weather {
            late: Chance::one_in(3),
            late_ns: 1000,
            doubled: Chance::one_in(3),
            dropped: Chance::one_in(3),
            ..Weather::default()
        };
        let mut without = rough;
        assert!(without.do_without("messages-dropped") && !without.do_without("bit-rot"));
        let mut struck = 0;
        for number in 0..100 {
            let fate = |weather: &Weather| weather.fate(&mut Rng::seeded(number));
            let (whole, spared) = (fate(&rough), fate(&without));
            if whole.delays_ns.is_empty() {
                struck += 1;
                assert!(!spared.delays_ns.is_empty());
            } else {
                assert_eq!((whole.delays_ns, whole.kinds), (spared.delays_ns, spared.kinds));
            }
        }
        assert!((20..50).contains(&struck), "{struck}");
    }
}
