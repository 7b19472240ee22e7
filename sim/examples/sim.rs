//! `driftdb sim` without the rest of the binary.

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    std::process::exit(driftdb_sim::cli::run(&args));
}
