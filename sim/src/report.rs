//! Reports to look at: one HTML file, for a failing seed or for a campaign, that needs nothing else.

mod cycle;
mod html;
mod timeline;

use serde_json::Value;

use crate::ablation::{self, Ablated};
use crate::cli::replay_command;
use crate::fault::{FAULTS, RESULTS};
use crate::scenario::{fault_names, run_recorded};
use crate::script::{clipped, operations};
use crate::{Scenario, SeedOptions, plan_text};
use html::{bars, escaped, page, section, table};

/// More rows than this of anything are not read by anybody.
const MOST_ROWS: usize = 200;

/// The page of one seed.
///
/// # Errors
/// A setting that there is not.
pub fn seed_report(scenario: Scenario, seed: u64, options: &SeedOptions) -> Result<String, String> {
    let title = format!("{} seed {seed}", scenario.name());
    Ok(page(&title, &seed_body(scenario, seed, options)?))
}

fn seed_body(scenario: Scenario, seed: u64, options: &SeedOptions) -> Result<String, String> {
    let (report, account, record) = run_recorded(scenario, seed, options)?;
    let mut body = match &report.failure {
        Some(what) => format!(
            "<h1>{} seed {seed} <span class=\"bad\">failed</span></h1>\n<pre class=\"violation\">{}</pre>\n",
            scenario.name(),
            escaped(&clipped(what, 3000)),
        ),
        None => {
            format!("<h1>{} seed {seed} <span class=\"good\">held</span></h1>\n", scenario.name())
        }
    };
    let replay = replay_command(scenario, seed, options);
    body.push_str(&format!(
        "<p>{} commits, {} disk operations, {} yield points, {:.3} s of virtual time, trace {:016x}</p>\n\
         <p class=\"dim\">Replay:</p><pre>{}</pre>\n",
        report.committed_count,
        report.disk_op_count,
        report.step_count,
        report.virtual_time.as_secs_f64(),
        report.trace_hash,
        escaped(&replay),
    ));
    if let Some(found) = &account.cycle {
        body.push_str(&section("The cycle", &cycle::cycle(found)));
    }
    body.push_str(&section("Timeline", &timeline::timeline(&record, &account)));
    let mut steps = operations(&account);
    let step_count = steps.len();
    steps.drain(..step_count.saturating_sub(MOST_ROWS));
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|(name, said)| {
            let lines: Vec<String> = said.lines().map(|line| clipped(line, 300)).collect();
            vec![
                escaped(name),
                format!(
                    "<span class=\"mono\">{}</span>",
                    escaped(&lines.join("\n")).replace('\n', "<br>")
                ),
            ]
        })
        .collect();
    let heads = ["life.client.number", "what it did and was answered"];
    let note = match step_count > MOST_ROWS {
        true => format!("<p class=\"dim\">The last {MOST_ROWS} of {step_count}.</p>"),
        false => String::new(),
    };
    body.push_str(&section("Operations", &(note + &table(&heads, &rows))));
    let mischief: Vec<Vec<String>> = fault_names(scenario, seed, options)?
        .iter()
        .map(|(name, what)| vec![escaped(name), escaped(what)])
        .collect();
    let mut plan = format!("<pre>{}</pre>\n", escaped(&plan_text(scenario, seed, options)?));
    if !mischief.is_empty() {
        plan.push_str(&table(&["life.part", "mischief"], &mischief));
    }
    body.push_str(&section("Plan", &plan));
    let struck: Vec<(String, u64)> = FAULTS
        .iter()
        .chain(RESULTS)
        .map(|kind| ((*kind).to_owned(), report.faults.of(kind)))
        .filter(|(_, count)| *count > 0)
        .collect();
    body.push_str(&section("Faults that struck", &bars("fault", &struck)));
    Ok(body)
}

/// The page of the matrix of ablation.
pub(crate) fn ablation_report(rows: &[Ablated]) -> String {
    let (heads, cells) = ablation::cells(rows);
    let escape = |row: Vec<String>| row.iter().map(|cell| escaped(cell)).collect();
    let cells: Vec<Vec<String>> = cells.into_iter().map(escape).collect();
    let title = format!("What {} planted bugs take", rows.len());
    let idle = ablation::idle(rows).join(", ");
    let body = format!("<h1>{title}</h1>\n<p>Needed by none of them: {}</p>\n", escaped(&idle))
        + &section("The matrix of ablation", &table(&heads, &cells));
    page(&title, &body)
}

/// The page of a campaign, from what `--json` prints, with the failing seed's after it.
///
/// # Errors
/// A setting that there is not.
pub(crate) fn campaign_report(
    document: &Value,
    failed: Option<(Scenario, u64, &SeedOptions)>,
) -> Result<String, String> {
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let has_held = document.get("held").and_then(Value::as_bool) == Some(true);
    let (class, word) = if has_held { ("good", "held") } else { ("bad", "failed") };
    let (seeds, elapsed) = (number(document, "seeds"), number(document, "elapsed_ms").max(1));
    let mut body = format!(
        "<h1>Campaign of {seeds} seeds <span class=\"{class}\">{word}</span></h1>\n\
         <p>{:.1} s in {} jobs: {:.0} seeds a second</p>\n",
        elapsed as f64 / 1e3,
        number(document, "jobs"),
        seeds as f64 * 1e3 / elapsed as f64,
    );
    let none = Vec::new();
    let scenarios = document.get("scenarios").and_then(Value::as_array).unwrap_or(&none);
    let rows: Vec<Vec<String>> = scenarios
        .iter()
        .map(|it| {
            let busy = number(it, "busy_ms").max(1) as f64 / 1e3;
            let name = it.get("scenario").and_then(Value::as_str).unwrap_or_default();
            let mut row = vec![escaped(name), number(it, "seeds").to_string()];
            row.push(format!("{:.0}", number(it, "seeds") as f64 / busy));
            let keys = ["commits", "judged_by_both_oracles", "disk_operations", "yield_points"];
            row.extend(keys.map(|key| number(it, key).to_string()));
            row.push(format!("{:.0} s", number(it, "virtual_ms") as f64 / 1e3));
            row
        })
        .collect();
    let heads = [
        "scenario",
        "seeds#",
        "a second and job#",
        "commits#",
        "judged by both oracles#",
        "disk operations#",
        "yield points#",
        "virtual time#",
    ];
    body.push_str(&section("Scenarios", &table(&heads, &rows)));
    for (heading, key, what) in
        [("Faults", "faults", "fault"), ("Places of the product", "sites", "place")]
    {
        let mut sums = std::collections::BTreeMap::new();
        for (name, count) in scenarios.iter().filter_map(|it| it.get(key)?.as_object()).flatten() {
            *sums.entry(name.clone()).or_insert(0) += count.as_u64().unwrap_or(0);
        }
        if !sums.is_empty() {
            let sums: Vec<(String, u64)> = sums.into_iter().collect();
            body.push_str(&section(heading, &bars(what, &sums)));
        }
    }
    let mut title = format!("{seeds} seeds {word}");
    if let Some((scenario, seed, options)) = failed {
        title = format!("{} seed {seed} failed", scenario.name());
        body = seed_body(scenario, seed, options)? + &body;
    }
    Ok(page(&title, &body))
}
