//! `driftdb sim --sum`: what several campaigns came to together, and whether that is enough.
//!
//! Takes the documents that `--json` prints. Figures are those of issue lists: seeds, faults, kinds of fault,
//! transactions judged by both oracles, seeds run again in another process, places of the product.

use serde_json::Value;

use super::totals::Totals;

/// What may be demanded.
const FIGURES: [&str; 6] = ["seeds", "faults", "kinds", "judged", "rechecked", "sites"];

/// Runs the command line; returns the exit status.
pub(super) fn run(args: &[String]) -> i32 {
    match sum(args) {
        Ok(is_enough) => i32::from(!is_enough),
        Err(what) => {
            eprintln!("driftdb sim: {what}");
            2
        }
    }
}

fn sum(args: &[String]) -> Result<bool, String> {
    let (mut files, mut demands) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--least" {
            demands.push(demand(args.next().ok_or("--least takes FIGURE=N")?)?);
        } else {
            files.push(arg);
        }
    }
    if files.is_empty() {
        return Err("--sum takes what --json printed".to_owned());
    }
    let (mut totals, mut rechecked, mut have_held) = (Totals::default(), 0, true);
    for file in files {
        let failed = |error: &dyn std::fmt::Display| format!("{file}: {error}");
        let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let scenarios = value.get("scenarios").and_then(Value::as_array);
        for scenario in scenarios.ok_or_else(|| failed(&"is no campaign"))? {
            let part = Totals::from_json(scenario).ok_or_else(|| failed(&"is no campaign"))?;
            totals.merge(&part);
        }
        rechecked += value.get("rechecked").and_then(Value::as_u64).unwrap_or(0);
        have_held &= value.get("held").and_then(Value::as_bool) == Some(true);
    }
    let figure = |name: &str| match name {
        "seeds" => totals.seeds,
        "faults" => totals.faults.total(),
        "kinds" => totals.faults.kind_count() as u64,
        "judged" => totals.checked,
        "rechecked" => rechecked,
        _ => totals.sites.seen_count() as u64,
    };
    println!("all campaigns {}:", if have_held { "held" } else { "FAILED" });
    let mut is_enough = have_held;
    for name in FIGURES {
        let (found, least) = (figure(name), demands.iter().find(|(of, _)| *of == name));
        let said = match least {
            Some((_, least)) if found < *least => {
                is_enough = false;
                format!(" FAILED: {least} are demanded")
            }
            Some((_, least)) => format!(" of {least} that are demanded"),
            None => String::new(),
        };
        println!("  {name}: {found}{said}");
    }
    let missing = totals.faults.missing();
    if !missing.is_empty() {
        println!("  faults that never struck: {}", missing.join(", "));
    }
    Ok(is_enough)
}

fn demand(text: &str) -> Result<(&'static str, u64), String> {
    let (name, least) = text.split_once('=').ok_or("--least takes FIGURE=N")?;
    let known = FIGURES.into_iter().find(|figure| *figure == name);
    let known = known.ok_or_else(|| format!("no figure \"{name}\": {}", FIGURES.join(", ")))?;
    Ok((known, least.parse().map_err(|_| format!("{name} must be a number"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_are_added_up_and_held_to_what_is_demanded() {
        let directory = std::env::temp_dir().join(format!("driftdb-sum-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("campaign.json");
        let part = Totals { seeds: 3, checked: 5, ..Totals::default() }.to_json();
        let document = serde_json::json!({ "held": true, "rechecked": 1, "scenarios": [part] });
        crate::cli::plan::write(&file, &document.to_string()).unwrap();
        let file = file.display().to_string();
        let status = |least: &[&str]| {
            let mut args = vec![file.clone(), file.clone()];
            args.extend(least.iter().flat_map(|it| ["--least".to_owned(), (*it).to_owned()]));
            run(&args)
        };
        assert_eq!(status(&["seeds=6", "judged=10", "rechecked=2"]), 0);
        assert_eq!(status(&["seeds=7"]), 1);
        assert_eq!(status(&["kinds=1"]), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
