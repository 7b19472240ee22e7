//! Every family of faults and every oracle is needed: its witness is found with it, and not without.

use driftdb_sim::ablation::{WITNESSES, Witness};

fn check(witness: &Witness) {
    let Witness { needed, bug, seeds, .. } = *witness;
    let with = witness.found(true).expect("it is a bug that seeds find");
    let without = witness.found(false).expect("it is a family or an oracle");
    println!("{needed}: {bug} {:?}, without {without:?}", with.as_ref().map(|(seed, _)| seed));
    assert!(with.is_some(), "{bug} is missed by {seeds} seeds");
    assert!(without.is_none(), "{bug} does not need {needed}: {without:?}");
}

#[test]
fn every_witness_needs_what_it_stands_for() {
    WITNESSES.iter().for_each(check);
}
