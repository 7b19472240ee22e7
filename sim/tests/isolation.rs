//! Random histories hold what their level promises, on every control and engine; the oracles see what a
//! weaker level lets through; another checker agrees with ours; and each planted bug of isolation is
//! found.

use std::path::Path;
use std::time::Duration;

use driftdb_sim::spec::{LEVELS, Places, Spec, report};
use driftdb_sim::{ISOLATION_BUGS, Scenario, SeedOptions, isolation_history, run_seed};

const ENGINES: [&str; 3] = ["lsm", "btree", "memory"];

fn options(settings: &[(&str, &str)], bug: Option<&'static str>) -> SeedOptions {
    let settings = settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    SeedOptions { settings: settings.collect(), bug }
}

fn failure(seed: u64, settings: &[(&str, &str)], bug: Option<&'static str>) -> Option<String> {
    let report = run_seed(Scenario::Isolation, seed, &options(settings, bug));
    report.expect("the settings exist").failure
}

/// Seeds of each level on each engine.
const CLEAN_SEEDS: u64 = 12;

fn check_clean(control: &str) {
    for level in LEVELS.map(|level| level.to_string()) {
        for engine in ENGINES {
            let settings = [
                ("concurrency.control", control),
                ("storage.engine", engine),
                ("sim.isolation", &level),
            ];
            for seed in 0..CLEAN_SEEDS {
                let failure = failure(seed, &settings, None);
                assert_eq!(failure, None, "seed {seed} with {settings:?}");
            }
        }
    }
}

#[test]
fn ssi_holds() {
    check_clean("ssi");
}

#[test]
fn locking_holds() {
    check_clean("locking");
}

#[test]
fn occ_holds() {
    check_clean("occ");
}

#[test]
fn ssn_holds() {
    check_clean("ssn");
}

/// The first failure when a level is judged by a stronger one.
fn anomaly(level: &str, judged_as: &str) -> String {
    let settings = [
        ("concurrency.control", "ssi"),
        ("sim.isolation", level),
        ("sim.judge", judged_as),
        ("sim.transactions", "12"),
    ];
    let found = (0..300).find_map(|seed| failure(seed, &settings, None));
    found.unwrap_or_else(|| panic!("{level} passes for {judged_as}"))
}

#[test]
fn weaker_levels_are_seen_to_be_weaker() {
    let skew = anomaly("repeatable read", "serializable");
    assert!(skew.starts_with("G2"), "{skew}");
    let single = anomaly("read committed", "repeatable read");
    assert!(single.starts_with("G-single"), "{single}");
    let dirty = anomaly("read uncommitted", "read committed");
    assert!(dirty.starts_with("G1"), "{dirty}");
}

/// Whether a checker of somebody else finds a history right at a level of its own names.
fn is_valid(history: &adya::History, model: &str) -> bool {
    let opts = adya::Opts {
        models: vec![model.to_owned()],
        // Its search ends by the wall clock otherwise.
        timeout: Duration::from_secs(600),
        ..adya::Opts::default()
    };
    match adya::check(history, adya::Workload::ListAppend, &opts).valid {
        adya::Valid::True => true,
        adya::Valid::False => false,
        adya::Valid::Unknown => panic!("{model} is not decided"),
    }
}

#[test]
fn adya_agrees() {
    let mut kinds = std::collections::BTreeSet::new();
    let mut txn_count = 0;
    for level in ["read committed", "repeatable read", "serializable"] {
        for control in ["ssi", "locking"] {
            // A disk that was damaged may end a history before it is judged.
            let settings =
                [("concurrency.control", control), ("sim.isolation", level), ("sim.damage", "off")];
            for seed in 0..20 {
                let ours = isolation_history(seed, &options(&settings, None)).unwrap();
                txn_count += ours.report.committed_count;
                if ours.report.committed_count == 0 {
                    continue;
                }
                let theirs = adya::History::from_json(&ours.elle).unwrap();
                let has = |kinds: &[&str]| ours.anomalies.iter().any(|it| kinds.contains(it));
                for (model, forbidden) in [
                    ("read-committed", &["G0", "G1c"][..]),
                    ("consistent-view", &["G0", "G1c", "G-single"]),
                    ("serializable", &["G0", "G1c", "G-single", "G2"]),
                ] {
                    let place = format!("seed {seed} with {settings:?}: {:?}", ours.anomalies);
                    assert_eq!(is_valid(&theirs, model), !has(forbidden), "{model}, {place}");
                }
                kinds.extend(ours.anomalies);
            }
        }
    }
    // Agreement on what never happens would be cheap.
    assert!(kinds.contains("G-single") && kinds.contains("G2"), "only {kinds:?}");
    println!("{txn_count} transactions, with {kinds:?}");
}

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 2000;

fn found_by_seed(bug: &'static str, control: &str, level: &str) {
    let settings = [("concurrency.control", control), ("sim.isolation", level)];
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, failure(seed, &settings, Some(bug))?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {}", what.lines().next().unwrap_or_default());
    assert_eq!(failure(seed, &settings, None), None, "seed {seed} fails without {bug}");
}

/// Whether a spec, played in one place, is judged to be wrong, or shows other things than without the
/// bug.
fn found_by_spec(bug: &'static str, name: &str, control: &str, level: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("specs/{name}.spec"));
    let spec = Spec::parse(name, &std::fs::read_to_string(file).expect("a spec that runs"))
        .expect("a spec that runs");
    let level = LEVELS.into_iter().find(|it| it.to_string() == level).expect("a spec that runs");
    let places = |bug| Places {
        engines: vec!["memory".to_owned()],
        controls: vec![control.to_owned()],
        levels: vec![level],
        bug,
    };
    let clean = report(&spec, &places(None)).expect("a spec that runs");
    assert!(clean.failures.is_empty(), "{:?}", clean.failures);
    match report(&spec, &places(Some(bug))) {
        Err(what) => println!("{bug}: {name} does not run: {what}"),
        Ok(planted) => {
            let judged = planted.failures.first().and_then(|it| it.lines().next());
            assert!(judged.is_some() || planted.text != clean.text, "{bug}: missed by {name}");
            println!("{bug}: found by {name}: {}", judged.unwrap_or("its golden file"));
        }
    }
}

macro_rules! bugs {
    ($($test:ident: $bug:literal by $how:ident($($place:literal),*),)*) => {
        $(#[test] fn $test() { $how($bug, $($place),*); })*

        #[test]
        fn no_bug_is_forgotten() {
            assert_eq!(ISOLATION_BUGS, [$($bug),*]);
        }
    };
}

bugs! {
    let_go_of_claims_before_the_commit: "mvcc.claims-end-before-commit" by found_by_seed("ssi", "repeatable read"),
    read_ahead_of_what_is_visible: "mvcc.snapshot-ahead-of-visible" by found_by_seed("ssi", "repeatable read"),
    keep_the_first_statements_snapshot: "mvcc.statement-snapshot-kept" by found_by_spec("fuzzy-read", "ssi", "read committed"),
    trust_a_row_that_was_waited_for: "mvcc.waited-row-not-rechecked" by found_by_spec("recheck", "ssi", "read committed"),
    keep_writes_after_rollback_to: "mvcc.savepoint-keeps-writes" by found_by_seed("ssi", "read committed"),
    miss_own_writes_in_scans: "mvcc.scan-misses-own-writes" by found_by_seed("ssi", "repeatable read"),
    forget_the_oldest_run: "mvcc.oldest-run-forgotten" by found_by_seed("ssi", "read committed"),
    lock_no_gap_after_the_last_row: "mvcc.range-ends-at-its-last-row" by found_by_spec("phantom", "locking", "serializable"),
    read_the_past_one_later: "mvcc.past-reads-one-later" by found_by_seed("ssi", "read committed"),
    wake_nobody: "mvcc.release-without-settling" by found_by_spec("p4", "ssi", "read committed"),
    keep_a_victim_in_the_queue: "lock.victim-keeps-its-place" by found_by_seed("ssi", "read committed"),
    overlook_a_deadlock_of_three: "lock.deadlock-of-two-only" by found_by_spec("deadlock-three", "ssi", "read committed"),
    overlook_the_pivot: "mvcc.ssi-pivot-not-seen" by found_by_spec("g2-item", "ssi", "serializable"),
    overlook_the_first_of_three: "mvcc.ssi-first-of-three-not-seen" by found_by_seed("ssi", "serializable"),
    overlook_readers_in_ssn: "mvcc.ssn-reader-not-seen" by found_by_spec("g2-item", "ssn", "serializable"),
    track_no_scans: "mvcc.scan-extent-not-tracked" by found_by_spec("g2", "ssi", "serializable"),
    certify_no_readers: "mvcc.readers-not-certified" by found_by_spec("read-only-anomaly", "ssi", "serializable"),
    forget_footprints_early: "mvcc.footprint-forgotten-early" by found_by_seed("ssi", "serializable"),
    validate_no_claims: "mvcc.occ-claims-not-validated" by found_by_spec("p4", "occ", "repeatable read"),
    validate_no_reads: "mvcc.occ-reads-not-validated" by found_by_spec("g2-item", "occ", "serializable"),
    refer_without_holding: "integrity.no-parent-lock" by found_by_spec("foreign-key", "ssi", "read committed"),
    show_rows_before_they_are_durable: "mvcc.rows-shown-before-durable" by found_by_seed("ssi", "read committed"),
    end_before_what_was_read_is_durable: "mvcc.reader-ends-before-durable" by found_by_seed("ssi", "read committed"),
    show_every_statement_what_is_on_its_way: "mvcc.statement-sees-applied" by found_by_seed("ssi", "read committed"),
    forget_what_an_earlier_statement_read: "mvcc.statement-forgets-what-was-read" by found_by_seed("ssi", "read committed"),
}
