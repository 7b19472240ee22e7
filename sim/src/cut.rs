//! The parts of a plan that can be left out, by name: the mischief of each life, operations, preemptions.
//!
//! `sim.faults` names the mischief that stays, as `LIFE.PART`; `sim.operations` the operations, as
//! `LIFE.CLIENT.NUMBER`; `sim.preemptions` the yield points, as `FIBER@NUMBER`. Lists are split by spaces, and an
//! empty one leaves nothing. [`crate::shrink`] makes them, files of plans keep them ([`crate::script`]).

use std::collections::BTreeSet;

use driftdb_sim_disk::CrashMode;

use crate::fault::trouble::Trouble;
use crate::kernel::{Place, WallClock};
use crate::plan::Life;

/// A sort of mischief in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Killed, or a disk that fails.
    Trouble,
    /// A device that lies, a file that rots.
    Damage,
    /// Something takes longer than it should.
    Hold,
    /// The wall clock is wrong.
    Clock,
    /// What was not synced is lost or torn at the end.
    Losses,
}

impl Part {
    const ALL: [Self; 5] = [Self::Trouble, Self::Damage, Self::Hold, Self::Clock, Self::Losses];

    fn name(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Damage => "damage",
            Self::Hold => "hold",
            Self::Clock => "clock",
            Self::Losses => "losses",
        }
    }

    /// What it is in a life; `None` if it is not.
    fn of(self, life: &Life) -> Option<String> {
        let when =
            if life.in_recovery { "from before it opens" } else { "from when clients begin" };
        match self {
            Self::Trouble => (life.trouble != Trouble::Nothing)
                .then(|| format!("{:?}, counted {when}", life.trouble)),
            Self::Damage => life.damage.map(|damage| format!("{damage:?}")),
            Self::Hold => life.hold.map(|hold| format!("{hold:?}, counted {when}")),
            Self::Clock => (life.wall != WallClock::default()).then(|| format!("{:?}", life.wall)),
            Self::Losses => (life.crash != CrashMode::Process)
                .then(|| format!("of what is not synced when it dies: {:?}", life.crash)),
        }
    }

    fn leave_out(self, life: &mut Life) {
        match self {
            Self::Trouble => life.trouble = Trouble::Nothing,
            Self::Damage => life.damage = None,
            Self::Hold => life.hold = None,
            Self::Clock => life.wall = WallClock::default(),
            Self::Losses => life.crash = CrashMode::Process,
        }
    }
}

/// The mischief of some lives: name, and what it is.
pub(crate) fn faults(lives: &[Life]) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for life in lives {
        let parts = Part::ALL.into_iter().filter_map(|part| Some((part.name(), part.of(life)?)));
        faults.extend(parts.map(|(name, what)| (format!("{}.{name}", life.number), what)));
    }
    faults
}

/// Leaves all mischief out that `wanted` does not name.
///
/// # Errors
/// Something that no life can have.
pub(crate) fn keep_faults(lives: &mut [Life], wanted: &str) -> Result<(), String> {
    let wanted: BTreeSet<&str> = wanted.split_whitespace().collect();
    for name in &wanted {
        let part = name.split_once('.').filter(|(life, _)| life.parse::<u32>().is_ok());
        let is_known = part.is_some_and(|(_, name)| Part::ALL.iter().any(|it| it.name() == name));
        if !is_known {
            return Err(format!("\"{name}\" is not of the form LIFE.PART, such as 1.trouble"));
        }
    }
    for life in lives {
        for part in Part::ALL {
            if !wanted.contains(&*format!("{}.{}", life.number, part.name())) {
                part.leave_out(life);
            }
        }
    }
    Ok(())
}

/// Reads a list of places.
///
/// # Errors
/// Something that is none.
pub(crate) fn places(text: &str) -> Result<BTreeSet<Place>, String> {
    let place = |text: &str| {
        let parsed = text.split_once('@').and_then(|(fiber, number)| {
            Some((fiber.parse::<u32>().ok()?, number.parse::<u64>().ok()?))
        });
        parsed.ok_or_else(|| format!("\"{text}\" is not of the form FIBER@NUMBER"))
    };
    text.split_whitespace().map(place).collect()
}

/// A place as [`places`] reads it.
pub(crate) fn place_name(place: Place) -> String {
    format!("{}@{}", place.0, place.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn what_is_not_named_is_left_out() {
        let mut plan = Plan::of(3);
        for seed in 0.. {
            plan = Plan::of(seed);
            if faults(&plan.lives).len() > 3 {
                break;
            }
        }
        let all = faults(&plan.lives);
        let kept = all[1].0.clone();
        keep_faults(&mut plan.lives, &kept).unwrap();
        assert_eq!(faults(&plan.lives), [all[1].clone()]);
        keep_faults(&mut plan.lives, "").unwrap();
        assert_eq!(faults(&plan.lives), []);
        for wrong in ["trouble", "1.nothing", "x.trouble"] {
            assert!(keep_faults(&mut plan.lives, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_read_as_they_are_written() {
        assert_eq!(places("3@17 4@1"), Ok(BTreeSet::from([(3, 17), (4, 1)])));
        assert_eq!(place_name((3, 17)), "3@17");
        assert!(places("3").is_err() && places("a@1").is_err());
    }
}
