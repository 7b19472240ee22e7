//! The golden text of a spec: what was seen, where; and who disagrees.
//!
//! Places (a level under a control) that saw the same are named together. Engines must agree, and
//! are not named.

use std::fmt::Write;

use driftdb_concurrency::IsolationLevel;
use driftdb_server::{CONTROLS, ENGINES};

use super::player::{Event, Played};
use super::run::{SpecOptions, SpecRun, run_spec};
use super::{LEVELS, Spec};

/// What came of a spec everywhere.
#[derive(Debug, Clone)]
pub struct Report {
    /// For the golden file.
    pub text: String,
    /// What must not be: violations, and engines that disagree.
    pub failures: Vec<String>,
}

/// Narrows down where a spec is played; empty means everywhere.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Engines.
    pub engines: Vec<String>,
    /// Controls.
    pub controls: Vec<String>,
    /// Levels.
    pub levels: Vec<IsolationLevel>,
    /// The planted bug.
    pub bug: Option<&'static str>,
}

fn chosen<'a>(all: &[&'a str], wanted: &'a [String]) -> Vec<&'a str> {
    if wanted.is_empty() { all.to_vec() } else { wanted.iter().map(String::as_str).collect() }
}

/// Plays a spec at every level under every control on every engine.
///
/// # Errors
/// The spec's own statements fail.
pub fn report(spec: &Spec, places: &Places) -> Result<Report, String> {
    let mut found = Found { spec, seen: Vec::new(), failures: Vec::new() };
    let levels = LEVELS.into_iter().filter(|level| {
        (spec.levels.is_empty() || spec.levels.contains(level))
            && (places.levels.is_empty() || places.levels.contains(level))
    });
    for (rank, level) in levels.enumerate() {
        for (number, control) in chosen(CONTROLS, &places.controls).into_iter().enumerate() {
            let engines = chosen(ENGINES, &places.engines);
            for (index, engine) in engines.iter().enumerate() {
                let options = SpecOptions {
                    engine: (*engine).to_owned(),
                    control: control.to_owned(),
                    level,
                    // All interleavings in every place, and on every engine in some.
                    plays_all: index == (rank + number) % engines.len(),
                    bug: places.bug,
                };
                let run = run_spec(spec, &options)
                    .map_err(|what| format!("{}, {}: {what}", spec.name, place(&options)))?;
                found.add(&options, run);
            }
        }
    }
    Ok(Report { text: found.text(), failures: found.failures })
}

fn place(options: &SpecOptions) -> String {
    format!("{} under {} on {}", options.level, options.control, options.engine)
}

/// One level under one control, whichever engine.
struct Seen {
    level: IsolationLevel,
    control: String,
    run: SpecRun,
}

struct Found<'a> {
    spec: &'a Spec,
    seen: Vec<Seen>,
    failures: Vec<String>,
}

impl Found<'_> {
    fn add(&mut self, options: &SpecOptions, run: SpecRun) {
        let place = place(options);
        self.failures.extend(
            run.violations.iter().map(|what| format!("{}, {place}: {what}", self.spec.name)),
        );
        let here =
            |seen: &&mut Seen| seen.level == options.level && seen.control == options.control;
        let Some(seen) = self.seen.iter_mut().find(here) else {
            let (level, control) = (options.level, options.control.clone());
            self.seen.push(Seen { level, control, run });
            return;
        };
        if seen.run.permutations != run.permutations {
            let pairs = seen.run.permutations.iter().zip(&run.permutations);
            let (before, now) = pairs.into_iter().find(|(before, now)| before != now).map_or_else(
                || ("fewer permutations".to_owned(), "or more".to_owned()),
                |(before, now)| (before.1.clone(), format!("{}:\n{}", now.0, now.1)),
            );
            self.failures.push(format!(
                "{}, {place}: other than the engine before: {now}\nbefore:\n{before}",
                self.spec.name
            ));
        }
        seen.run.seen |= run.seen;
        if run.all.is_some() {
            seen.run.all = run.all;
        }
    }

    /// Where the level asked for is the one given.
    fn exact(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| seen.run.granted == seen.level)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for line in self.spec.about.lines() {
            writeln!(text, "# {line}").expect("a string takes everything");
        }
        let names =
            self.exact().flat_map(|seen| seen.run.permutations.iter().map(|(name, _)| name));
        let mut done: Vec<&String> = Vec::new();
        for name in names {
            if !done.contains(&name) {
                done.push(name);
                self.permutation(name, &mut text);
            }
        }
        self.interleavings(&mut text);
        self.verdict(&mut text);
        text
    }

    fn permutation(&self, name: &str, text: &mut String) {
        write!(text, "\npermutation {name}\n").expect("a string takes everything");
        let mut groups: Vec<(&str, Vec<&Seen>)> = Vec::new();
        for seen in self.exact() {
            let Some((_, what)) = seen.run.permutations.iter().find(|(other, _)| other == name)
            else {
                continue;
            };
            match groups.iter_mut().find(|(other, _)| other == what) {
                Some((_, places)) => places.push(seen),
                None => groups.push((what, vec![seen])),
            }
        }
        for (what, places) in groups {
            write!(text, "\n-- {}\n{what}", named(&places)).expect("a string takes everything");
        }
    }

    fn interleavings(&self, text: &mut String) {
        let mut is_first = true;
        for seen in self.exact() {
            let Some(all) = &seen.run.all else { continue };
            if std::mem::take(&mut is_first) {
                text.push_str("\nall interleavings\n\n");
            }
            let committed: Vec<String> =
                all.committed.iter().map(|(who, count)| format!("{who}: {count}")).collect();
            write!(text, "{} under {}: {}", seen.level, seen.control, all.played)
                .expect("a string takes everything");
            write!(text, "; committed {}", committed.join(", ")).expect("as before");
            if self.spec.anomaly.is_some() {
                write!(text, "; anomaly in {}", all.seen).expect("as before");
            }
            if self.spec.is_serial {
                write!(text, "; not serializable {}", all.unexplained).expect("as before");
            }
            text.push('\n');
        }
    }

    /// For the table of anomalies.
    fn verdict(&self, text: &mut String) {
        let Some(anomaly) = &self.spec.anomaly else { return };
        let from = anomaly.forbidden_from.map_or_else(|| "never".to_owned(), |it| it.to_string());
        write!(text, "\nanomaly {}; forbidden from {from}\n", anomaly.name)
            .expect("a string takes everything");
        for seen in &self.seen {
            let what = match (seen.run.granted == seen.level, seen.run.seen) {
                (false, _) => format!("as {}", seen.run.granted),
                (true, true) => "seen".to_owned(),
                (true, false) => "prevented".to_owned(),
            };
            writeln!(text, "{} under {}: {what}", seen.level, seen.control).expect("as before");
        }
    }
}

/// `read committed under ssi, locking; repeatable read under ssi`
fn named(places: &[&Seen]) -> String {
    let mut text = String::new();
    let mut level = None;
    for seen in places {
        let separator = match level {
            Some(level) if level == seen.level => format!(", {}", seen.control),
            Some(_) => format!("; {} under {}", seen.level, seen.control),
            None => format!("{} under {}", seen.level, seen.control),
        };
        text.push_str(&separator);
        level = Some(seen.level);
    }
    text
}

/// What happened, as PostgreSQL's isolation tester prints it.
pub(super) fn events(spec: &Spec, played: &Played) -> String {
    let mut text = String::new();
    let statement = |step: usize| spec.steps[step].sql.replace('\n', "\n    ");
    for event in &played.events {
        let (line, ended) = match event {
            Event::Done(step) => {
                (format!("{}: {}", spec.steps[*step].name, statement(*step)), Some(step))
            }
            Event::Waits(step) => {
                (format!("{}: {} <waits>", spec.steps[*step].name, statement(*step)), None)
            }
            Event::Completed(step) => {
                (format!("{}: <has waited>", spec.steps[*step].name), Some(step))
            }
            Event::RolledBack => ("everybody who can rolls back".to_owned(), None),
        };
        writeln!(text, "{line}").expect("a string takes everything");
        if let Some(outcome) = ended.and_then(|step| played.outcomes.get(step)) {
            answer(outcome, &mut text);
        }
    }
    if let Some(check) = &played.check {
        writeln!(text, "check: {}", check.compact()).expect("a string takes everything");
    }
    text
}

fn answer(outcome: &super::player::Outcome, text: &mut String) {
    let mut line = |what: &str| writeln!(text, "    {what}").expect("a string takes everything");
    outcome.notices.iter().for_each(|notice| line(&format!("notice: {notice}")));
    outcome.rows.iter().for_each(|row| line(row));
    match (&outcome.error, &outcome.tag) {
        (Some((code, message)), _) => line(&format!("ERROR {code}: {message}")),
        (None, Some(tag)) => line(tag),
        (None, None) => {}
    }
}
