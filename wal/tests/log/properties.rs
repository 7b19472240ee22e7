//! Any sizes, any grouping, any crashes: what was acknowledged is there, in order.

use driftdb_env::Rng;
use driftdb_sim_disk::SimDisk;
use proptest::prelude::*;

use super::harness::{Model, Scratch};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_acknowledged_is_there_after_any_crashes(
        seed: u64,
        segment_bytes in 1_024_u64..20_000,
        buffer_bytes in 1_usize..5_000,
        rounds in prop::collection::vec((1_usize..40, any::<bool>()), 1..6),
    ) {
        let mut scratch = Scratch::on(SimDisk::new(seed));
        scratch.options.segment_bytes = segment_bytes;
        scratch.options.buffer_bytes = buffer_bytes;
        let mut model = Model::default();
        let mut rng = Rng::seeded(seed);
        for (count, crash) in rounds {
            let wal = scratch.open();
            prop_assert_eq!(model.check(&wal), Ok(()));
            model.work(&wal, &mut rng, count).unwrap();
            drop(wal);
            if crash {
                scratch.disk.crash();
            }
            prop_assert_eq!(scratch.verify(), []);
        }
        prop_assert_eq!(model.check(&scratch.open()), Ok(()));
    }

    #[test]
    fn any_bytes_in_a_segment_are_a_log_or_an_error(
        seed: u64,
        noise in prop::collection::vec((0_u64..4096, any::<u8>()), 1..40),
    ) {
        let scratch = Scratch::on(SimDisk::new(seed));
        let mut model = Model::default();
        model.work(&scratch.open(), &mut Rng::seeded(seed), 20).unwrap();
        for file in scratch.files(".wal") {
            for (offset, mask) in &noise {
                scratch.disk.corrupt(&file, *offset, *mask);
            }
        }
        if let Ok(wal) = scratch.try_open() {
            // Damage to the last group may have cut it; nothing else may differ.
            model.acknowledged_count = 0;
            if model.released <= wal.tail() {
                prop_assert_eq!(model.check(&wal), Ok(()));
            }
        }
    }
}
