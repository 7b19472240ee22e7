//! What EXPLAIN shows of one node, and its lines.

use super::millis;
use crate::operator::meter::Meter;

/// A node of the explained plan.
#[derive(Default)]
pub(super) struct Node {
    /// `Hash Join`
    pub(super) kind: String,
    /// The rest of the first line: ` using t_pkey on t`.
    pub(super) suffix: String,
    /// What the suffix says, for documents: `Relation Name`, …
    pub(super) facts: Vec<(&'static str, String)>,
    /// The lines below: `Filter`, `Sort Key`, …
    pub(super) properties: Vec<(&'static str, String)>,
    pub(super) children: Vec<Self>,
    /// Subqueries and common table expressions: `SubPlan 1`, `CTE x`.
    pub(super) sections: Vec<(String, Self)>,
    /// What it did, if it ran.
    pub(super) meter: Option<Meter>,
}

impl Node {
    pub(super) fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    pub(super) fn property(&mut self, label: &'static str, text: impl Into<String>) {
        self.properties.push((label, text.into()));
    }

    /// Appends its lines: the first one after `prefix`, the others four or six columns to the right.
    pub(super) fn write(&self, indent: usize, prefix: &str, timing: bool, lines: &mut Vec<String>) {
        let space = " ".repeat(indent);
        let actual = self.meter.as_ref().map(|meter| actual(meter, timing)).unwrap_or_default();
        lines.push(format!("{space}{prefix}{}{}{actual}", self.kind, self.suffix));
        let inner = indent + prefix.len() + 2;
        let space = " ".repeat(inner);
        for (label, text) in &self.properties {
            lines.push(format!("{space}{label}: {text}"));
        }
        for (name, section) in &self.sections {
            lines.push(format!("{space}{name}"));
            crate::context::on_deep_stack(|| section.write(inner + 2, "->  ", timing, lines));
        }
        for child in &self.children {
            crate::context::on_deep_stack(|| child.write(inner, "->  ", timing, lines));
        }
    }
}

/// ` (actual time=0.000..1.234 rows=5 loops=1)`, per loop.
fn actual(meter: &Meter, timing: bool) -> String {
    let loops = meter.loops();
    if loops == 0 {
        return " (never executed)".to_owned();
    }
    let rows = (meter.rows() + loops / 2) / loops;
    if !timing {
        return format!(" (actual rows={rows} loops={loops})");
    }
    let time = millis(meter.micros() / i64::try_from(loops).unwrap_or(i64::MAX));
    format!(" (actual time=0.000..{time} rows={rows} loops={loops})")
}
