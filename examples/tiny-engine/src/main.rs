//! `cargo run -p tiny-engine`: a thousand seeds, then as many for each planted mistake, until one finds it.

use tiny_engine::trial::{BUGS, run};

fn main() {
    let mistakes = BUGS.iter().copied().map(Some);
    for bug in std::iter::once(None).chain(mistakes) {
        let name = bug.unwrap_or("no mistake");
        let found = (0..1000).find_map(|seed| Some((seed, run(seed, bug)?)));
        match found {
            None => println!("{name}: 1000 seeds held"),
            Some((seed, what)) => println!("{name}: seed {seed} FAILED: {what}"),
        }
    }
}
