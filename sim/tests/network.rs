//! The simulated network keeps what networks promise, in every weather; its faults strike; the log that is shipped
//! over it holds, and mistakes in shipping are found.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_conformance::network::Case;
use driftdb_env::{Env, OsNetwork};
use driftdb_sim::kernel::{KernelSettings, NodeId, WallClock, simulate};
use driftdb_sim::network::Cut;
use driftdb_sim::network::weather::Weather;
use driftdb_sim::{FaultCounts, NETWORK_BUGS, Scenario, SeedOptions, run_seed};
use driftdb_sim_disk::SimDisk;

/// Seeds of each case: so many weathers.
const WEATHERS: u64 = 12;

const ONE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// Runs a case in one weather, while links are cut now and then.
fn run_seed_of(case: Case, seed: u64) {
    let outcome = simulate(KernelSettings::plain(seed), move |sim| {
        let weather = Weather::draw(seed);
        sim.network().set_weather(weather);
        let boot = |node| sim.boot(node, &SimDisk::new(seed), seed, WallClock::default());
        let (one, other) = (boot(ONE), boot(OTHER));
        let is_done = Rc::new(Cell::new(false));
        let theirs = Rc::clone(&is_done);
        sim.spawn(ONE, "case", move || {
            case(one.network(), other.network());
            theirs.set(true);
        });
        let cuts = [
            Cut::Between(ONE, OTHER),
            Cut::OneWay { from: OTHER, to: ONE },
            Cut::Isolated(OTHER),
            Cut::Clogged { from: ONE, to: OTHER },
        ];
        for cut in cuts.into_iter().cycle().take(20) {
            if !sim.wait_until(Duration::from_millis(70), || is_done.get()) {
                sim.network().cut(cut, Duration::from_millis(50));
            }
        }
        assert!(sim.wait_until(Duration::from_secs(600), || is_done.get()), "it comes to no end");
    });
    assert_eq!(outcome.failure, None, "seed {seed}");
}

mod in_simulation {
    fn run(case: super::Case) {
        (0..super::WEATHERS).for_each(|seed| super::run_seed_of(case, seed));
    }
    driftdb_conformance::network_suite!(run);
}

mod of_the_system {
    use super::{Arc, Env, OsNetwork};

    fn run(case: super::Case) {
        let env = Env::os();
        let network = env.network();
        case(network, network);
        // Another address of the same machine is another node.
        let other: Arc<dyn driftdb_env::Network> = Arc::new(OsNetwork::at([127, 0, 0, 2].into()));
        case(network, &*other);
    }
    driftdb_conformance::network_suite!(run);
}

/// Half of the messages that were on their way reach the next life; what had arrived is gone with the old one.
#[test]
fn a_node_that_dies_loses_what_it_had_received() {
    let outcome = simulate(KernelSettings::plain(1), |sim| {
        let disk = SimDisk::new(1);
        let boot = |node| sim.boot(node, &disk, 1, WallClock::default());
        let (one, other) = (boot(ONE), boot(OTHER));
        let from = one.network().open(7).expect("it is free");
        let old = other.network().open(7).expect("it is free");
        from.send(old.address(), b"arrives").expect("it can be sent");
        sim.sleep(Duration::from_millis(5));
        sim.network().cut(Cut::Clogged { from: ONE, to: OTHER }, Duration::from_millis(50));
        from.send(old.address(), b"is on its way").expect("it can be sent");
        sim.kill(OTHER);
        let other = boot(OTHER);
        let new = other.network().open(7).expect("it is free again");
        let message = new.receive(Duration::from_millis(100)).expect("it can be read");
        assert_eq!(message.map(|it| it.bytes), Some(b"is on its way".to_vec()));
        assert_eq!(new.receive(Duration::from_millis(100)).expect("it can be read"), None);
    });
    assert_eq!(outcome.failure, None);
}

fn failure(seed: u64, bug: Option<&'static str>) -> Option<String> {
    let options = SeedOptions { settings: Vec::new(), bug };
    run_seed(Scenario::Shipping, seed, &options).expect("no settings are fixed").failure
}

/// Seeds tried before a bug counts as missed.
const MOST_SEEDS: u64 = 100;

fn check(bug: &'static str) {
    let found = (0..MOST_SEEDS).find_map(|seed| Some((seed, failure(seed, Some(bug))?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{bug}: missed by {MOST_SEEDS} seeds"));
    println!("{bug}: found by seed {seed}: {}", what.lines().next().unwrap_or_default());
    assert_eq!(failure(seed, None), None, "seed {seed} fails without {bug}");
}

#[test]
fn mistakes_in_shipping_are_found() {
    NETWORK_BUGS.iter().for_each(|bug| check(bug));
}

#[test]
fn what_is_shipped_arrives_and_every_fault_strikes() {
    let mut faults = FaultCounts::default();
    let (mut shipped, mut hashes) = (0, Vec::new());
    for seed in 0..100 {
        let report =
            run_seed(Scenario::Shipping, seed, &SeedOptions::default()).expect("no settings");
        assert_eq!(report.failure, None, "seed {seed}");
        faults.merge(&report.faults);
        shipped += report.committed_count;
        hashes.push(report.trace_hash);
    }
    assert!(shipped > 300, "{shipped}");
    for kind in [
        "messages-late",
        "messages-reordered",
        "messages-doubled",
        "messages-dropped",
        "links-cut",
        "links-cut-one-way",
        "nodes-isolated",
        "links-clogged",
    ] {
        assert!(faults.of(kind) > 0, "{kind}: {faults}");
    }
    let again = run_seed(Scenario::Shipping, 7, &SeedOptions::default()).expect("no settings");
    assert_eq!(again.trace_hash, hashes[7], "the same seed is the same history");
}
