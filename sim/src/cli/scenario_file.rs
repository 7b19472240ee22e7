//! `--scenario FILE`: what a campaign runs, fixes and draws, in a file.
//!
//! ```toml
//! # Any of several scenarios, or one; all if none is named.
//! scenario = ["ledger", "bank"]
//! # Of each, unless the command line says so.
//! seeds = 300
//!
//! [set]
//! "sim.damage" = "on"                      # fixed
//! "storage.engine" = ["lsm", "lsm", "btree"]  # drawn by each seed, two to one
//! ```

use std::path::Path;

use super::request::Request;
use crate::Scenario;

/// Puts what a file says into a request.
///
/// # Errors
/// What it should not say.
pub(super) fn apply(file: &Path, request: &mut Request) -> Result<(), String> {
    let at = |what: String| format!("{}: {what}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| at(error.to_string()))?;
    apply_text(&text, request).map_err(at)
}

fn strings(key: &str, value: &toml::Value) -> Result<Vec<String>, String> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        _ => Err(format!("{key} must be strings or numbers")),
    };
    match value {
        toml::Value::Array(values) if !values.is_empty() => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn apply_text(text: &str, request: &mut Request) -> Result<(), String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    for (key, value) in table {
        match (&*key, value) {
            ("scenario", value) => {
                let scenario = |name: &String| {
                    Scenario::of(name).ok_or_else(|| format!("no scenario \"{name}\""))
                };
                let names = strings(&key, &value)?;
                request.scenarios = names.iter().map(scenario).collect::<Result<_, _>>()?;
            }
            ("seeds", toml::Value::Integer(count)) if count > 0 => request.count = count as u64,
            ("set", toml::Value::Table(set)) => {
                for (key, value) in set {
                    let values = strings(&key, &value)?;
                    request.options.settings.push((key, values.join("|")));
                }
            }
            ("seeds" | "set", _) => return Err(format!("{key} is not what it should be")),
            _ => return Err(format!("a scenario has no \"{key}\"")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::request::parse;
    use super::*;

    #[test]
    fn a_file_fixes_and_draws() {
        let mut request = parse(&[]).unwrap();
        let text = "scenario = 'bank'\nseeds = 7\n[set]\n'sim.clients' = 3\n\
                    'storage.engine' = ['lsm', 'btree']";
        apply_text(text, &mut request).unwrap();
        assert_eq!((request.scenarios.as_slice(), request.count), (&[Scenario::Bank][..], 7));
        let engines: std::collections::BTreeSet<bool> = (0..20)
            .map(|seed| {
                let text = crate::plan_text(Scenario::Bank, seed, &request.options).unwrap();
                assert!(text.contains("3 clients"), "{text}");
                text.starts_with("lsm")
            })
            .collect();
        assert_eq!(engines.len(), 2);
        for wrong in ["scenario = 'x'", "seeds = 0", "more = 1", "[set]\na = [[1]]", "set = 1"] {
            assert!(apply_text(wrong, &mut request).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_scenarios_that_are_there_hold() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let entries = driftdb_env::Env::os().disk().list(&directory).unwrap();
        assert!(entries.len() >= 4);
        for entry in entries {
            let file = directory.join(&entry.name);
            let args = ["--scenario".to_owned(), file.display().to_string(), "--seeds=2".into()];
            assert_eq!(crate::cli::run(&args), 0, "{}", entry.name);
        }
    }
}
