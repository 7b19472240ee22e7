//! The table of faults in `docs/reliability.md` names tests that exist, and owns up to what has none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test over the source tree reads real files")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The faults that the field has taught us to expect.
const FAULTS: usize = 32;

/// The names of all functions below a directory.
fn functions(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                functions(&path, found);
            }
        } else if name.ends_with(".rs") {
            for declared in fs::read_to_string(&path).unwrap().split("fn ").skip(1) {
                let ends = |c: char| !c.is_alphanumeric() && c != '_';
                found.insert(declared.split(ends).next().unwrap().to_owned());
            }
        }
    }
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| !name.contains(['/', ' '])).collect()
}

#[test]
fn every_fault_has_a_test_or_is_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut functions_found = BTreeSet::new();
    functions(root, &mut functions_found);
    let text = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let Ok(number) = cells[0].parse::<usize>() else { continue };
        rows += 1;
        assert_eq!(number, rows, "rows are numbered in order");
        let tests = cells.get(3).map_or(Vec::new(), |cell| quoted(cell));
        assert!(!tests.is_empty() || line.contains("*open*"), "row {number} has no test");
    }
    assert_eq!(rows, FAULTS);
    for name in quoted(&text) {
        assert!(
            functions_found.contains(name),
            "docs/reliability.md names no test of ours: {name}"
        );
    }
}
