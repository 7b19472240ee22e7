//! The page of a failing seed: it tells the seed that runs, and a browser shows it.

#![expect(clippy::disallowed_methods, reason = "pages and pictures are real files")]

use std::path::Path;
use std::process::Command;

use driftdb_sim::{Scenario, SeedOptions, run_seed, seed_report};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn skew() -> SeedOptions {
    let settings = [
        ("concurrency.control", "ssi"),
        ("sim.isolation", "repeatable read"),
        ("sim.judge", "serializable"),
        ("sim.transactions", "12"),
    ];
    let owned = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    SeedOptions { settings: owned.to_vec(), bug: None }
}

fn failing() -> (u64, u64) {
    let failing = (0..300).find_map(|seed| {
        let report = run_seed(Scenario::Isolation, seed, &skew()).unwrap();
        report.failure.filter(|what| what.starts_with("G2")).map(|_| (seed, report.trace_hash))
    });
    failing.expect("write skew happens at REPEATABLE READ")
}

#[test]
fn a_page_tells_the_seed_that_ran() {
    let (seed, trace) = failing();
    let page = seed_report(Scenario::Isolation, seed, &skew()).unwrap();
    // To be watched changes nothing.
    assert!(page.contains(&format!("trace {trace:016x}")), "another trace");
    for part in ["The cycle", "Timeline", "Operations", "Plan", "Faults that struck", "<svg", "rw"]
    {
        assert!(page.contains(part), "no {part}");
    }
    for foreign in ["<script", "http://", "https://", "src="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_browser_shows_it() {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let Some(browser) = BROWSERS.into_iter().find(is_there) else {
        println!("skipped: none of {BROWSERS:?} is installed");
        return;
    };
    let page = seed_report(Scenario::Isolation, failing().0, &skew()).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, picture) = (directory.join("seed.html"), directory.join("seed.png"));
    write(&file, &page);
    let profile = directory.join("browser");
    let shown = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--window-size=1280,1600")
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&shown.stderr);
    let bytes = std::fs::read(&picture).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(bytes.starts_with(b"\x89PNG"));
    // An empty page is a tenth of that.
    assert!(bytes.len() > 40_000, "{} bytes: is there nothing on it?", bytes.len());
    println!("look at {}", picture.display());
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}
