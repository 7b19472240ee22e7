//! What the product does to itself where it says `buggify!` ([`driftdb_env::sites`]).
//!
//! Swarm testing again: a seed draws which places are on, about one in three, and how often each acts. So some seeds
//! meet one rare path again and again, and others several at once. Each place has a random stream of its own:
//! one more in the product shifts no other.

use driftdb_env::{HashMap, Rng};

use super::settings::Chance;

/// How often a place that is on acts: always, often, seldom.
const CHANCES: [Chance; 3] = [Chance::one_in(1), Chance::one_in(3), Chance::one_in(12)];

/// A place is on in one seed of so many.
const ON_ONE_IN: u64 = 3;

/// A place that was passed.
struct Place {
    chance: Chance,
    rng: Rng,
}

/// What is drawn for a seed, as places are passed.
pub(super) struct Mischief {
    seed: u64,
    is_on: bool,
    places: HashMap<&'static str, Place>,
}

impl Mischief {
    pub(super) fn new(seed: u64, is_on: bool) -> Self {
        Self { seed, is_on, places: HashMap::default() }
    }

    /// Whether a place acts, this time.
    pub(super) fn acts(&mut self, site: &'static str) -> bool {
        if !self.is_on {
            return false;
        }
        let seed = self.seed;
        let place = self.places.entry(site).or_insert_with(|| {
            let mut rng = Rng::stream(seed, &format!("buggify {site}"));
            let is_on = rng.chance(1, ON_ONE_IN);
            let chance = if is_on { CHANCES[rng.index(CHANCES.len())] } else { Chance::NEVER };
            Place { chance, rng }
        });
        let Chance { numerator, denominator } = place.chance;
        numerator > 0 && place.rng.chance(numerator, denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_places_and_chances() {
        let acts = |seed, site| {
            let mut mischief = Mischief::new(seed, true);
            (0..24).filter(|_| mischief.acts(site)).count()
        };
        let of_seeds: Vec<usize> = (0..300).map(|seed| acts(seed, "a")).collect();
        let share = |count: fn(usize) -> bool| of_seeds.iter().filter(|it| count(**it)).count();
        assert!((150..250).contains(&share(|count| count == 0)), "{of_seeds:?}");
        assert!(share(|count| count == 24) > 15, "{of_seeds:?}");
        assert!(share(|count| count > 0 && count < 24) > 30, "{of_seeds:?}");
        assert_ne!(of_seeds, (0..300).map(|seed| acts(seed, "b")).collect::<Vec<_>>());
        assert!(!Mischief::new(1, false).acts("a"));
    }
}
