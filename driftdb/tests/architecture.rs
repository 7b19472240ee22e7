//! Rules of the architecture that the compiler does not check: who may depend on whom, who may name
//! implementations, that every file says what it is, and that documents point at things that exist.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test over the source tree reads real files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each package and the packages of ours it may depend on (not counting tests). Dependencies point
/// downwards only; implementations never depend on each other.
const ALLOWED: &[(&str, &[&str])] = &[
    ("driftdb-env", &[]),
    ("driftdb-types", &[]),
    ("driftdb-sim-disk", &["env"]),
    ("driftdb-storage", &["env"]),
    ("driftdb-concurrency", &["env", "storage"]),
    ("driftdb-query", &["env", "storage", "concurrency", "types"]),
    ("driftdb-conformance", &["env", "storage", "concurrency", "sim-disk"]),
    ("driftdb-memory", &["env", "storage"]),
    ("driftdb-wal", &["env", "storage"]),
    ("driftdb-storage-lsm", &["env", "storage"]),
    ("driftdb-storage-btree", &["env", "storage"]),
    ("driftdb-mvcc", &["env", "storage", "concurrency", "wal"]),
    ("driftdb-sql", &["types", "query", "storage", "concurrency"]),
    // `env` for the planted mistakes alone.
    ("driftdb-planner", &["env", "types", "query", "storage", "concurrency"]),
    ("driftdb-plpgsql", &["types", "query"]),
    ("driftdb-tables", &["env", "types", "query", "storage", "concurrency"]),
    ("driftdb-executor", &["env", "types", "query", "storage", "concurrency", "tables"]),
    (
        "driftdb-server",
        &[
            "env",
            "types",
            "query",
            "storage",
            "concurrency",
            "memory",
            "wal",
            "storage-lsm",
            "storage-btree",
            "mvcc",
            "sql",
            "planner",
            "plpgsql",
            "tables",
            "executor",
        ],
    ),
    // Drivers: they run the whole, and compare its parts.
    ("driftdb-sim", ANY),
    ("driftdb-fuzz", ANY),
    ("tiny-engine", ANY),
    ("bench", ANY),
    ("driftdb", ANY),
];

const ANY: &[&str] = &["*"];

/// The packages whose types only `server/src/node.rs` (and the drivers) may name.
const IMPLEMENTATIONS: &[&str] =
    &["driftdb_memory", "driftdb_storage_lsm", "driftdb_storage_btree", "driftdb_planner"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file below the workspace with one of the endings, build output left out.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    fn walk(dir: &Path, endings: &[&str], out: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !name.starts_with("target") {
                    walk(&path, endings, out);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&root(), endings, &mut out);
    out
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let mut found = BTreeMap::new();
    for path in files(&["Cargo.toml"]) {
        let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        if let Some(package) = manifest.get("package") {
            found.insert(package["name"].as_str().unwrap().to_owned(), manifest);
        }
    }
    found
}

#[test]
fn dependencies_point_downwards() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let manifests = manifests();
    let packages: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = allowed.keys().copied().collect();
    assert_eq!(packages, known, "a package is missing from the table, or from the workspace");
    for (name, manifest) in &manifests {
        let Some(dependencies) = manifest.get("dependencies").and_then(|d| d.as_table()) else {
            continue;
        };
        let allowed = allowed[name.as_str()];
        for dependency in dependencies.keys().filter_map(|d| d.strip_prefix("driftdb-")) {
            assert!(
                allowed == ANY || allowed.contains(&dependency),
                "{name} must not depend on driftdb-{dependency}"
            );
        }
    }
}

#[test]
fn only_the_node_names_implementations() {
    for path in files(&[".rs"]) {
        let text = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_driver = ["sim/", "bench/", "driftdb/", "fuzz/"].iter().any(|d| text.starts_with(d));
        let is_test = text.contains("/tests/") || text.contains("/benches/");
        // The suites' own documentation shows how an implementation runs them.
        let is_driver = is_driver || text.starts_with("engine-traits/conformance/");
        let is_node = text == "server/src/node.rs" || text.starts_with("server/src/node/");
        if is_driver || is_test || is_node {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let product = source.split("#[cfg(test)]").next().unwrap_or_default();
        for implementation in IMPLEMENTATIONS {
            assert!(
                !product.contains(&format!("{implementation}::")),
                "{text} names {implementation}: only server/src/node.rs may"
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in files(&[".rs"]) {
        let source = fs::read_to_string(&path).unwrap();
        assert!(source.starts_with("//!"), "{} does not open with //!", path.display());
    }
}

#[test]
fn source_keys_resolve() {
    let references = fs::read_to_string(root().join("docs/references.md")).unwrap();
    for path in files(&[".rs", ".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        let is_code = path.extension().is_some_and(|extension| extension == "rs");
        let said = |line: &&str| !is_code || line.trim_start().starts_with("//");
        let text: Vec<&str> = text.lines().filter(said).collect();
        for key in source_keys(&text.join("\n")) {
            assert!(
                references.contains(&format!("| {key} |")),
                "{} cites [{key}], which docs/references.md does not have",
                path.display()
            );
        }
    }
}

/// Words in brackets that are a name and the last two digits of a year.
fn source_keys(text: &str) -> BTreeSet<&str> {
    let mut keys = BTreeSet::new();
    for part in text.split('[').skip(1) {
        let Some((word, _)) = part.split_once(']') else { continue };
        let word = word.trim_end_matches('\\');
        let split = word.len().saturating_sub(2);
        let Some((name, year)) = word.split_at_checked(split) else { continue };
        let is_name = name.len() >= 3
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphabetic());
        if is_name && year.len() == 2 && year.chars().all(|c| c.is_ascii_digit()) {
            keys.insert(word);
        }
    }
    keys
}

#[test]
fn relative_links_in_documents_exist() {
    for path in files(&[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("](").skip(1) {
            let Some((target, _)) = part.split_once(')') else { continue };
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let file = path.parent().unwrap().join(target);
            assert!(file.exists(), "{} links to {target}, which is not there", path.display());
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelled in two halves, so that this file does not find itself.
    let leftovers = ["FIX", "HA", "XX"].iter().zip(["ME", "CK", "X:"]);
    let leftovers: Vec<String> = leftovers.map(|(a, b)| format!("{a}{b}")).collect();
    for path in files(&[".rs"]) {
        let source = fs::read_to_string(&path).unwrap();
        for leftover in &leftovers {
            assert!(!source.contains(leftover.as_str()), "{}: {leftover}", path.display());
        }
    }
}
