//! `cargo run --release -p bench -- …`: the same as `driftdb bench …`, with peers if built with them.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = driftdb_bench::cli::run(&args);
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
