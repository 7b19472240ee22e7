//! The table of anomalies for `docs/isolation.md`, made from the golden files.

use std::fmt::Write;

use super::LEVELS;

/// What one golden file says of its anomaly.
struct Verdict {
    anomaly: String,
    forbidden_from: String,
    /// Level, control, what.
    places: Vec<(String, String, String)>,
}

/// The table of all anomalies that golden files judge, in order of the weakest level that forbids
/// them.
pub fn table<'a>(goldens: impl IntoIterator<Item = &'a str>) -> String {
    let mut verdicts: Vec<Verdict> = goldens.into_iter().filter_map(verdict).collect();
    let rank = |verdict: &Verdict| {
        LEVELS.iter().position(|level| level.to_string() == verdict.forbidden_from)
    };
    verdicts.sort_by(|a, b| {
        let rank_of = |verdict| rank(verdict).unwrap_or(usize::MAX);
        (rank_of(a), &a.anomaly).cmp(&(rank_of(b), &b.anomaly))
    });
    let mut text = String::from("| Anomaly | Forbidden from |");
    LEVELS.iter().for_each(|level| write!(text, " {level} |").expect("a string takes everything"));
    text.push_str("\n| --- | --- |");
    LEVELS.iter().for_each(|_| text.push_str(" --- |"));
    text.push('\n');
    for verdict in &verdicts {
        write!(text, "| {} | {} |", verdict.anomaly, verdict.forbidden_from).expect("as before");
        for level in LEVELS {
            write!(text, " {} |", cell(verdict, &level.to_string())).expect("as before");
        }
        text.push('\n');
    }
    text
}

/// What a level permits and nobody shows there: a spec too weak to judge by, or a level that is
/// stronger than it says.
pub fn silent<'a>(goldens: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut silent = Vec::new();
    for verdict in goldens.into_iter().filter_map(verdict) {
        let weaker = LEVELS.iter().map(ToString::to_string);
        for level in weaker.take_while(|level| *level != verdict.forbidden_from) {
            let own = || verdict.places.iter().filter(|(other, _, _)| *other == level);
            let is_given = own().any(|(_, _, what)| what == "seen" || what == "prevented");
            if is_given && !own().any(|(_, _, what)| what == "seen") {
                silent.push(format!("{} is not seen at {level}", verdict.anomaly));
            }
        }
    }
    silent
}

fn verdict(golden: &str) -> Option<Verdict> {
    let mut lines = golden.lines().skip_while(|line| !line.starts_with("anomaly "));
    let (anomaly, forbidden_from) =
        lines.next()?.strip_prefix("anomaly ")?.split_once("; forbidden from ")?;
    let places = lines.filter_map(|line| {
        let (place, what) = line.split_once(": ")?;
        let (level, control) = place.split_once(" under ")?;
        Some((level.to_owned(), control.to_owned(), what.to_owned()))
    });
    Some(Verdict {
        anomaly: anomaly.to_owned(),
        forbidden_from: forbidden_from.to_owned(),
        places: places.collect(),
    })
}

/// `seen`, or `seen: ssi; prevented: locking`.
fn cell(verdict: &Verdict, level: &str) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (_, control, what) in verdict.places.iter().filter(|(other, _, _)| other == level) {
        match groups.iter_mut().find(|(other, _)| other == what) {
            Some((_, controls)) => controls.push(control),
            None => groups.push((what, vec![control])),
        }
    }
    match &groups[..] {
        [] => "–".to_owned(),
        [(what, _)] => (*what).to_owned(),
        several => {
            let parts = several.iter().map(|(what, who)| format!("{what}: {}", who.join(", ")));
            parts.collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_agree_share_a_cell() {
        let golden = "permutation a\n\nanomaly P4; forbidden from repeatable read\n\
            read uncommitted under ssi: as read committed\n\
            read committed under ssi: seen\nread committed under locking: seen\n\
            repeatable read under ssi: prevented\n\
            serializable under ssi: seen\nserializable under locking: prevented\n";
        assert_eq!(silent([golden]), Vec::<String>::new());
        let weak = golden.replace("seen\n", "prevented\n");
        assert_eq!(silent([&*weak]), ["P4 is not seen at read committed"]);
        let table = table([golden, "nothing is judged here"]);
        let row = "| P4 | repeatable read | as read committed | seen | prevented | seen: ssi; prevented: locking |";
        assert_eq!(table.lines().last(), Some(row));
    }
}
