//! Files of plans: a failing seed, shrunk, to be read, kept and played again.
//!
//! A file is TOML: the scenario, the seed, what is fixed, and of operations, mischief and preemptions those that
//! are left, with what each was in a comment. `driftdb sim --plan FILE` plays it; `sim/regressions` keeps some, and
//! `sim/tests/regressions.rs` plays them all: with its planted bug each fails as it says, without it holds.

use std::fmt::Write as _;

use crate::bugs;
use crate::cli::replay_command;
use crate::cut;
use crate::operations::Account;
use crate::scenario::{fault_names, run_recorded};
use crate::shrink::kind;
use crate::{Scenario, SeedOptions, plan_text};

/// Lists of pieces: the key in a file, and the setting that it is.
const LISTS: [(&str, &str); 3] = [
    ("operations", "sim.operations"),
    ("faults", "sim.faults"),
    ("preemptions", "sim.preemptions"),
];

/// A plan in a file.
#[derive(Debug, Clone)]
pub struct Script {
    /// What runs.
    pub scenario: Scenario,
    /// Where the rest is drawn from.
    pub seed: u64,
    /// What is fixed, and the planted bug that it needs.
    pub options: SeedOptions,
    /// The kind of failure that it is to show.
    pub fails: String,
}

impl Script {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What it should not say.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let mut take = |key: &str| table.remove(key);
        let text = |key: &str, value: Option<toml::Value>| match value {
            Some(toml::Value::String(text)) => Ok(text),
            _ => Err(format!("{key} must be there, and a string")),
        };
        let scenario = text("scenario", take("scenario"))?;
        let scenario =
            Scenario::of(&scenario).ok_or_else(|| format!("no scenario \"{scenario}\""))?;
        let seed = take("seed").and_then(|seed| seed.as_integer()?.try_into().ok());
        let seed = seed.ok_or("seed must be there, and a number")?;
        let bug = match take("bug") {
            None => None,
            some => {
                let name = text("bug", some)?;
                Some(bugs::bug(&name).ok_or_else(|| format!("no bug \"{name}\""))?)
            }
        };
        let fails = text("fails", take("fails"))?;
        let mut options = SeedOptions { settings: Vec::new(), bug };
        if let Some(set) = take("set") {
            let toml::Value::Table(set) = set else { return Err("set must be a table".into()) };
            for (key, value) in set {
                let value = text(&key, Some(value))?;
                options.settings.push((key, value));
            }
        }
        for (list, key) in LISTS {
            let Some(value) = take(list) else { continue };
            let items: Option<Vec<&str>> =
                value.as_array().and_then(|items| items.iter().map(toml::Value::as_str).collect());
            let items = items.ok_or_else(|| format!("{list} must be a list of strings"))?;
            options.settings.push((key.to_owned(), items.join(" ")));
        }
        if let Some(other) = table.keys().next() {
            return Err(format!("a plan has no \"{other}\""));
        }
        crate::scenario::check_settings(&options)?;
        Ok(Self { scenario, seed, options, fails })
    }

    /// The same without its planted bug.
    #[must_use]
    pub fn without_bug(&self) -> SeedOptions {
        SeedOptions { bug: None, ..self.options.clone() }
    }

    /// Whether a failure is the one that it is to show.
    pub fn is_shown_by(&self, failure: &str) -> bool {
        kind(failure) == self.fails
    }
}

/// The text of a file for a failing seed.
///
/// # Errors
/// A setting that there is not; a seed that holds.
pub fn write_script(
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<String, String> {
    let faults = fault_names(scenario, seed, options)?;
    let (report, account, record) = run_recorded(scenario, seed, options)?;
    let failure = report.failure.ok_or("the seed holds: there is nothing to keep")?;
    let mut text = String::new();
    for line in failure.lines().take(20) {
        text.push_str(&comment("", &clipped(line, 400)));
    }
    writeln!(text, "#").expect("a string takes everything");
    for line in plan_text(scenario, seed, options)?.lines() {
        text.push_str(&comment("", line));
    }
    let lists = |key: &str| LISTS.iter().any(|(_, list)| *list == key);
    let command = SeedOptions {
        settings: options.settings.iter().filter(|(key, _)| !lists(key)).cloned().collect(),
        ..options.clone()
    };
    writeln!(text, "#\n# All of the seed: {}", replay_command(scenario, seed, &command))
        .expect("a string takes everything");
    writeln!(text, "\nscenario = {}", quoted(scenario.name())).expect("a string takes everything");
    writeln!(text, "seed = {seed}").expect("a string takes everything");
    if let Some(bug) = options.bug {
        writeln!(text, "bug = {}", quoted(bug)).expect("a string takes everything");
    }
    writeln!(text, "fails = {}", quoted(&kind(&failure))).expect("a string takes everything");
    text.push_str(&list("operations", &operations(&account)));
    text.push_str(&list("faults", &faults));
    let preemptions: Vec<(String, String)> = record
        .preemptions
        .iter()
        .map(|place| {
            let fiber = record.fibers.get(place.0 as usize);
            let name = fiber.map_or("?", |(name, _)| name);
            (cut::place_name(*place), format!("\"{name}\" lets others go first"))
        })
        .collect();
    text.push_str(&list("preemptions", &preemptions));
    if !command.settings.is_empty() {
        text.push_str("\n[set]\n");
    }
    for (key, value) in &command.settings {
        writeln!(text, "{} = {}", quoted(key), quoted(value)).expect("a string takes everything");
    }
    Ok(text)
}

/// Each operation that began, and what was said of it.
pub(crate) fn operations(account: &Account) -> Vec<(String, String)> {
    let mut begun = account.begun.clone();
    begun.sort_unstable();
    let said = |operation| {
        let lines = account.said.iter().filter(|said| said.operation == Some(operation));
        let lines: Vec<&str> = lines.map(|said| &*said.text).collect();
        match lines.is_empty() {
            true => "nothing came of it".to_owned(),
            false => lines.join("\n"),
        }
    };
    begun.into_iter().map(|operation| (operation.to_string(), said(operation))).collect()
}

fn list(key: &str, items: &[(String, String)]) -> String {
    if items.is_empty() {
        return format!("\n{key} = []\n");
    }
    let mut text = format!("\n{key} = [\n");
    for (name, what) in items {
        for line in what.lines() {
            text.push_str(&comment("    ", &clipped(line, 200)));
        }
        writeln!(text, "    {},", quoted(name)).expect("a string takes everything");
    }
    text.push_str("]\n");
    text
}

/// A line of a comment: what a database says may have anything in it.
fn comment(indent: &str, line: &str) -> String {
    let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{indent}# {clean}").trim_end().to_owned() + "\n"
}

/// A long line without its middle.
pub(crate) fn clipped(line: &str, most: usize) -> String {
    let length = line.chars().count();
    if length <= most {
        return line.to_owned();
    }
    let start: String = line.chars().take(most * 3 / 4).collect();
    let end: String = line.chars().skip(length - most / 4).collect();
    format!("{start} … {end}")
}

fn quoted(text: &str) -> String {
    // A string of JSON is one of TOML.
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_refused_by_name() {
        let refused = |text: &str| Script::parse(text).unwrap_err();
        let whole = "scenario = 'ledger'\nseed = 1\nfails = 'durability'\n";
        let script = Script::parse(whole).unwrap();
        assert!(script.is_shown_by("durability: entry 7") && script.options.settings.is_empty());
        assert!(refused("scenario = 'x'\nseed = 1").contains("no scenario"));
        assert!(refused("scenario = 'ledger'\nseed = -1").contains("seed"));
        assert!(refused("scenario = 'ledger'\nseed = 1").contains("fails"));
        assert!(refused(&format!("{whole}bug = 'x'")).contains("no bug"));
        assert!(refused(&format!("{whole}operations = [1]")).contains("list of strings"));
        assert!(refused(&format!("{whole}operations = ['1']")).contains("LIFE.CLIENT.NUMBER"));
        assert!(refused(&format!("{whole}more = 1")).contains("\"more\""));
        assert!(refused(&format!("{whole}[set]\n'sim.clients' = 'x'")).contains("sim.clients"));
        assert!(refused("scenario = ").contains("TOML"));
    }

    #[test]
    fn comments_stay_comments() {
        assert_eq!(comment("  ", "a\r\nb\u{1b}"), "  # a  b\n");
        assert_eq!(clipped(&"ä".repeat(100), 8), "ääääää … ää");
    }
}
