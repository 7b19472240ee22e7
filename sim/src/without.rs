//! Kinds of fault that a plan does without: `sim.without` names them as [`crate::FAULTS`] does.
//!
//! What the matrix of ablation asks ([`crate::ablation`]): whether a bug is still found.

use std::time::Duration;

use driftdb_sim_disk::CrashMode;

use crate::fault::FAULTS;
use crate::fault::damage::Damage;
use crate::fault::trouble::Trouble;
use crate::kernel::{Chance, Hold, KillAt, WallClock};
use crate::network::CUTS;
use crate::plan::{Life, Plan};

/// Kinds that come with others and cannot be had without them.
pub(crate) const BOUND: &[(&str, &str)] = &[
    ("kills-in-recovery-again", "comes with kills-in-recovery, in two lives in a row"),
    ("writes-short", "comes with write-errors"),
];

/// Takes a kind of fault out of a plan.
///
/// # Errors
/// No such kind, or one that cannot be taken out.
pub(crate) fn do_without(plan: &mut Plan, kind: &str) -> Result<(), String> {
    if let Some((_, why)) = BOUND.iter().find(|(bound, _)| *bound == kind) {
        return Err(format!("\"{kind}\" cannot be left out: {why}"));
    }
    match kind {
        "delays" => plan.kernel.delay = Chance::NEVER,
        "priority-changes" => plan.kernel.priority_changes = None,
        "mischief" => plan.kernel.buggifies = false,
        kind if plan.weather.do_without(kind) => {}
        "memory-short" => plan.config.statement_memory_bytes = 1 << 30,
        // Not a fault, but what lets faults of schedules happen.
        "switches" => plan.kernel.switch = Chance::NEVER,
        kind if CUTS.contains(&kind) || kind.starts_with("clients-") || kind == "messages-torn" => {
            let known = FAULTS.iter().find(|fault| **fault == kind);
            plan.without.push(known.ok_or_else(|| format!("no fault \"{kind}\""))?);
        }
        kind if FAULTS.contains(&kind) => {
            plan.lives.iter_mut().for_each(|life| take_out(life, kind));
            // For the last life, which has no plan.
            plan.without.extend(FAULTS.iter().find(|fault| **fault == kind));
        }
        kind => return Err(format!("no fault \"{kind}\" can be left out")),
    }
    Ok(())
}

fn take_out(life: &mut Life, kind: &str) {
    let trouble = match life.trouble {
        Trouble::Kill(_) if kind == "kills-in-recovery" && life.in_recovery => kind,
        Trouble::Kill(KillAt::Yield(_)) => "kills-at-yield",
        Trouble::Kill(KillAt::DiskOp(_)) => "kills-at-disk-op",
        Trouble::Kill(KillAt::Site { .. }) => "kills-at-point",
        Trouble::SyncLost { .. } => "syncs-lost",
        Trouble::WriteError { .. } => "write-errors",
        Trouble::ReadError { .. } => "read-errors",
        Trouble::DiskGone { .. } => "disk-gone",
        Trouble::DiskFull { .. } => "disk-full",
        Trouble::TooManyFiles { .. } => "files-too-many",
        _ => "",
    };
    if kind == "kills-at-end" {
        life.closes = true;
    }
    if trouble == kind {
        life.trouble = Trouble::Nothing;
    }
    let hold = match life.hold {
        Some(Hold::Pause { .. }) => "pauses",
        Some(Hold::Stall { .. }) => "disk-stalls",
        Some(Hold::Slow { .. }) => "disk-slow",
        _ => "",
    };
    if hold == kind {
        life.hold = None;
    }
    if life.damage.is_some_and(|damage| damage_name(damage) == kind) {
        life.damage = None;
    }
    let WallClock { drift_ppm, set_after, set_by_ns, .. } = life.wall;
    if kind == "clock-back" {
        // Else it is another in each life.
        life.wall.ahead = Duration::ZERO;
    }
    match kind {
        "clock-drift" if drift_ppm != 0 => life.wall.drift_ppm = 0,
        "clock-ahead" if set_by_ns > 0 => life.wall.set_after = None,
        "clock-back" if set_by_ns < 0 && set_after.is_some() => life.wall.set_after = None,
        _ => {}
    }
    life.crash = spared(life.crash, kind);
}

/// A crash mode in which a kind of loss does not happen, as much like the drawn one as there is.
pub(crate) fn spared(mode: CrashMode, kind: &str) -> CrashMode {
    use CrashMode::{DataOnly, KeepAll, LoseAll, MetadataOnly, Prefix, Subset, Torn};
    match (kind, mode) {
        ("writes-lost", LoseAll | Subset | Prefix)
        | ("names-lost", LoseAll | Subset | Prefix | DataOnly) => KeepAll,
        ("writes-torn", Torn | Subset)
        | ("writes-cut", Prefix)
        | ("writes-reordered", Subset)
        | ("lengths-only", MetadataOnly) => LoseAll,
        _ => mode,
    }
}

fn damage_name(damage: Damage) -> &'static str {
    use driftdb_sim_disk::Effect;
    match damage {
        Damage::Rest { how, .. } => how.name(),
        Damage::Lie { effect, .. } => match effect {
            Effect::LieAboutSync => "sync-lies",
            Effect::FlipRead => "reads-flipped",
            Effect::MisdirectRead => "reads-misdirected",
            Effect::StaleRead => "reads-stale",
            Effect::LoseWrite => "writes-vanished",
            Effect::MisdirectWrite => "writes-misdirected",
            Effect::ZeroSector => "sectors-zeroed",
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scenario, SeedOptions, run_seed};

    #[test]
    fn what_is_left_out_does_not_strike() {
        for kind in
            ["delays", "kills-at-point", "syncs-lost", "disk-slow", "clock-back", "writes-torn"]
        {
            let strikes = |settings: &[(&str, &str)]| -> u64 {
                let settings = settings.iter().map(|&(key, value)| (key.into(), value.into()));
                let options = SeedOptions { settings: settings.collect(), bug: None };
                let run =
                    |seed| run_seed(Scenario::Ledger, seed, &options).unwrap().faults.of(kind);
                (0..25).map(run).sum()
            };
            assert_eq!(strikes(&[("sim.without", kind)]), 0, "{kind}");
        }
    }

    #[test]
    fn every_kind_can_be_left_out_or_says_why_not() {
        for kind in FAULTS {
            let mut plan = Plan::of(1);
            let done = do_without(&mut plan, kind);
            let is_bound = BOUND.iter().any(|(bound, _)| bound == kind);
            assert_eq!(done.is_err(), is_bound, "{kind}: {done:?}");
        }
        let refused = do_without(&mut Plan::of(1), "rain").unwrap_err();
        assert!(refused.contains("rain"), "{refused}");
    }
}
