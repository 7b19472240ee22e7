//! Who is held up or switched away from, at which yield points.
//!
//! Each yield point has a name that other fibers do not change: the fiber's number, and how many it has passed.
//! What happens there is a function of that name and the seed. So a plan may say which preemptions are
//! wanted, and those that are left are what they were: that is what makes them small enough to read
//! ([`crate::shrink`]).

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::settings::{Chance, KernelSettings};

/// A yield point: a fiber's number, and the how manieth of that fiber.
pub(crate) type Place = (u32, u64);

/// What happens to a fiber at a yield point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preemption {
    Nothing,
    /// It is held up for so many nanoseconds.
    Delay(u64),
    /// Somebody else may go first.
    Switch,
}

/// What the seed says about a yield point, if `wanted` has it.
pub(super) fn at(
    place: Place,
    settings: &KernelSettings,
    wanted: Option<&BTreeSet<Place>>,
) -> Preemption {
    if wanted.is_some_and(|wanted| !wanted.contains(&place)) {
        return Preemption::Nothing;
    }
    let mut name = [0; 12];
    name[..4].copy_from_slice(&place.0.to_le_bytes());
    name[4..].copy_from_slice(&place.1.to_le_bytes());
    // Two numbers for two questions; a third for how long.
    let first = xxh3_64_with_seed(&name, settings.seed);
    let strikes = |draw: u64, chance: Chance| draw % chance.denominator < chance.numerator;
    if strikes(first & 0xffff_ffff, settings.delay) {
        let length = xxh3_64_with_seed(&name, !settings.seed);
        return Preemption::Delay(length % (settings.max_delay_ns + 1));
    }
    // Where priorities decide, chance does not.
    if settings.priority_changes.is_none() && strikes(first >> 32, settings.switch) {
        return Preemption::Switch;
    }
    Preemption::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_has_the_same_preemption_whatever_else_is_wanted() {
        let settings = KernelSettings { delay: Chance::one_in(4), ..KernelSettings::plain(7) };
        let all: Vec<Preemption> = (0..400).map(|nth| at((3, nth), &settings, None)).collect();
        let count = |kind: fn(&Preemption) -> bool| all.iter().filter(|it| kind(it)).count();
        let (delays, switches) = (
            count(|it| matches!(it, Preemption::Delay(_))),
            count(|it| matches!(it, Preemption::Switch)),
        );
        assert!((60..140).contains(&delays), "{delays} of 400");
        assert!((40..120).contains(&switches), "{switches} of 400");
        let wanted = BTreeSet::from([(3, 8), (3, 9), (4, 10)]);
        for (nth, before) in all.iter().enumerate() {
            let is_wanted = [8, 9].contains(&nth);
            let now = at((3, nth as u64), &settings, Some(&wanted));
            assert_eq!(now, if is_wanted { *before } else { Preemption::Nothing });
        }
    }
}
