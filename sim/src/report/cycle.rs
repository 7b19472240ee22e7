//! A cycle of dependencies, drawn: its transactions around a circle, with what each did.

use std::fmt::Write as _;

use super::html::escaped;
use crate::operations::Cycle;
use crate::script::clipped;

const BOX: (f64, f64) = (300.0, 22.0);
const MOST_LINES: usize = 8;

/// The cycle as SVG, and what its edges mean.
pub(super) fn cycle(cycle: &Cycle) -> String {
    let count = cycle.txns.len();
    let radius = (70.0 + 34.0 * count as f64).max(150.0);
    let height = if count == 2 { 250.0 } else { radius * 2.0 + 200.0 };
    let width = 1190.0;
    let center = (width / 2.0, height / 2.0);
    let spread = if count == 2 { 2.4 } else { 1.5 };
    let place = |at: usize| {
        // The first at the left: two stand beside each other.
        let angle = std::f64::consts::PI * (1.0 + 2.0 * at as f64 / count as f64);
        let x = (center.0 + radius * spread * angle.cos()).clamp(160.0, width - 160.0);
        (x, center.1 + radius * angle.sin())
    };
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height:.0}\" role=\"img\">\n{ARROWS}");
    for at in 0..count {
        let (from, to) = (place(at), place((at + 1) % count));
        let edge = cycle.edges.get(at).copied().unwrap_or("?");
        // Bent to the outside, so that two between the same two do not lie over each other.
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let bend = if count == 2 { 90.0 } else { 30.0 };
        let middle = (
            (from.0 + to.0) / 2.0 + dy / length * bend,
            (from.1 + to.1) / 2.0 - dx / length * bend,
        );
        let (start, end) = (towards(from, middle), towards(to, middle));
        let label =
            ((start.0 + end.0) / 4.0 + middle.0 / 2.0, (start.1 + end.1) / 4.0 + middle.1 / 2.0);
        writeln!(
            svg,
            "<path class=\"edge {edge}\" marker-end=\"url(#arrow)\" d=\"M{:.0} {:.0} Q{:.0} {:.0} {:.0} {:.0}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{edge}</text>",
            start.0,
            start.1,
            middle.0,
            middle.1,
            end.0,
            end.1,
            label.0,
            label.1 - 6.0,
        ).expect("a string takes everything");
    }
    for (at, txn) in cycle.txns.iter().enumerate() {
        let text = cycle.texts.get(at).map_or("", String::as_str);
        let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
        let (x, y) = place(at);
        let height = BOX.1 + 17.0 * lines.len() as f64 + 6.0;
        let (left, top) = (x - BOX.0 / 2.0, y - height / 2.0);
        writeln!(
            svg,
            "<rect class=\"node\" x=\"{left:.0}\" y=\"{top:.0}\" width=\"{}\" height=\"{height:.0}\" rx=\"6\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" font-weight=\"bold\">transaction {txn}</text>",
            BOX.0,
            left + 10.0,
            top + 17.0,
        ).expect("a string takes everything");
        for (number, line) in lines.iter().enumerate() {
            writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                left + 10.0,
                top + BOX.1 + 14.0 + 17.0 * number as f64,
                escaped(&clipped(line, 46)),
            )
            .expect("a string takes everything");
        }
    }
    format!(
        "<p>{} — each must come before the one that its arrow points to, so none can be first.</p>\n{svg}</svg>\n\
         <p class=\"legend dim\"><span><b>ww</b> its version is followed by the other's</span>\
         <span><b>wr</b> the other read its version</span>\
         <span><b>rw</b> it read what the other then replaced</span></p>\n",
        escaped(cycle.anomaly),
    )
}

const ARROWS: &str = "<defs><marker id=\"arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" \
orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\" fill=\"context-stroke\"/></marker></defs>\n";

/// Where an edge that comes from `from` meets the box around `at`.
fn towards(at: (f64, f64), from: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (from.0 - at.0, from.1 - at.1);
    let (half_width, half_height) = (BOX.0 / 2.0 + 4.0, 58.0);
    let scale = (half_width / dx.abs().max(1e-9)).min(half_height / dy.abs().max(1e-9)).min(1.0);
    (at.0 + dx * scale, at.1 + dy * scale)
}
