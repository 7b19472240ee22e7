//! The README's tour, run as written: if it is in the documents it runs in a test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the test reads a document and drives a process")]

use std::process::Command;
use std::time::Duration;

/// The statements of the first SQL block after `heading`, each with the comments before it.
fn statements(heading: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, rest) = readme.split_once(heading).unwrap();
    let (_, block) = rest.split_once("```sql\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let parts = block.split_inclusive(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

#[test]
fn the_tour_shows_what_it_says() {
    for engine in ["lsm", "btree"] {
        let dir = tempfile::tempdir().unwrap();
        let run = |sql: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_driftdb"))
                .args(["sql", "--data"])
                .arg(dir.path().join("data"))
                .args(["--set", &format!("storage.engine={engine}")])
                // Joined, because a statement may begin with a comment's dashes.
                .arg(format!("--command={sql}"))
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{engine}: {sql}\n{error}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let mut answers = Vec::new();
        for statement in statements("## Sixty seconds") {
            if statement.contains("-- wait three seconds") {
                std::thread::sleep(Duration::from_secs(3));
            }
            answers.push((statement.clone(), run(&statement)));
        }
        let answer = |part: &str| {
            let found = answers.iter().find(|(statement, _)| statement.contains(part));
            &found.unwrap_or_else(|| panic!("the tour has no statement with {part:?}")).1
        };
        assert!(answer("As it was two seconds ago").contains("100"), "{answers:?}");
        let both = answer("AS past USING");
        assert!(both.contains("100") && both.contains("70"), "{answers:?}");
        let dropped = &answers.last().unwrap().1;
        assert!(dropped.contains("50"), "{answers:?}");
    }
}
