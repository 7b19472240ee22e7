//! The timeline: a lane for each fiber's name, what it did from left to right, faults across all of them.
//!
//! A step to the right is an event, not a time: virtual time stands still for thousands of events and then
//! jumps. Ticks say what time it is. Marks of one kind that fall on one place are drawn once, so a page is
//! bounded however long the run was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::html::escaped;
use crate::kernel::record::{Event, Record, What};
use crate::operations::Account;
use crate::script::clipped;

const WIDTH: f64 = 1190.0;
const LEFT: f64 = 150.0;
const LANE: f64 = 26.0;
const TOP: f64 = 54.0;

/// More lanes than this are left out, those with the fewest events first.
const MOST_LANES: usize = 40;

/// Labels of faults that would lie over each other are left out.
const LABEL_WIDTH: f64 = 70.0;

/// How an event is drawn: its class, and its place and height within a lane.
fn mark(what: &What) -> Option<(&'static str, f64, f64)> {
    match what {
        What::Disk { op: "write" | "change of a file", .. } => Some(("e-write", 4.0, 9.0)),
        What::Disk { op: "sync" | "sync of names", .. } => Some(("e-sync", 2.0, 13.0)),
        What::Disk { .. } => Some(("e-read", 4.0, 9.0)),
        What::Preempted => Some(("e-preempt", 17.0, 6.0)),
        What::Note(note) if note == "wait" || note == "sleep" => Some(("e-wait", 17.0, 6.0)),
        What::Note(_) | What::Fault(_) => None,
    }
}

/// What goes across all lanes: the machine's own events, and faults.
fn rule(event: &Event) -> Option<String> {
    match &event.what {
        What::Fault(kind) => Some((*kind).to_owned()),
        What::Note(note) if note == "kill" || note == "pause" => Some(note.clone()),
        What::Note(note) if event.fiber == 0 && note != "wait" && note != "sleep" => {
            Some(note.clone())
        }
        _ => None,
    }
}

struct Lanes {
    /// Names from top to bottom, and where.
    places: BTreeMap<String, usize>,
}

impl Lanes {
    fn of(record: &Record) -> Self {
        let mut counts: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
        for event in &record.events {
            let Some((name, _)) = record.fibers.get(event.fiber as usize) else { continue };
            if event.fiber != 0 {
                let entry = counts.entry(name).or_insert((0, event.fiber));
                entry.0 += 1;
            }
        }
        let mut by_count: Vec<(&str, usize, u32)> =
            counts.into_iter().map(|(name, (count, first))| (name, count, first)).collect();
        by_count.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        by_count.truncate(MOST_LANES);
        // Clients at the top, then who was there first.
        by_count.sort_by_key(|(name, _, first)| (!name.starts_with("client"), *first));
        let names = by_count.into_iter().map(|(name, ..)| name.to_owned());
        Self { places: names.enumerate().map(|(place, name)| (name, place)).collect() }
    }

    fn y(&self, record: &Record, fiber: u32) -> Option<f64> {
        let (name, _) = record.fibers.get(fiber as usize)?;
        Some(TOP + *self.places.get(name)? as f64 * LANE)
    }
}

/// The timeline as SVG.
pub(super) fn timeline(record: &Record, account: &Account) -> String {
    let (events, lanes) = (&record.events, Lanes::of(record));
    if events.is_empty() {
        return "<p>Nothing happened.</p>".into();
    }
    let x = |index: usize| LEFT + (WIDTH - LEFT) * index as f64 / events.len() as f64;
    let height = TOP + lanes.places.len() as f64 * LANE + 4.0;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n");
    for (name, place) in &lanes.places {
        let y = TOP + *place as f64 * LANE;
        writeln!(
            svg,
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{y}\" width=\"{}\" height=\"{}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            WIDTH - LEFT,
            LANE - 2.0,
            LEFT - 8.0,
            y + 16.0,
            escaped(&clipped(name, 22)),
        )
        .expect("a string takes everything");
    }
    ticks(&mut svg, record, &x, height);
    spans(&mut svg, record, account, &lanes, &x);
    let mut drawn = BTreeSet::new();
    for (index, event) in events.iter().enumerate() {
        let Some((class, top, mark_height)) = mark(&event.what) else { continue };
        let Some(y) = lanes.y(record, event.fiber) else { continue };
        let at = x(index);
        if drawn.insert(((at * 1.5) as u64, y as u64, class)) {
            writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{at:.1}\" y=\"{}\" width=\"1.4\" height=\"{mark_height}\"/>",
                y + top,
            ).expect("a string takes everything");
        }
    }
    rules(&mut svg, record, &x, height);
    svg.push_str("</svg>\n");
    svg + LEGEND
}

const LEGEND: &str = "<p class=\"legend dim\"><span><i class=\"bar\" style=\"background:var(--span)\"></i>operation of a client</span>\
<span><i style=\"background:var(--write)\"></i>write</span><span><i style=\"background:var(--sync)\"></i>sync</span>\
<span><i style=\"background:var(--read)\"></i>read, open</span><span><i style=\"background:var(--preempt)\"></i>preempted</span>\
<span><i style=\"background:var(--wait)\"></i>waits</span><span><i style=\"background:var(--bad)\"></i>fault</span></p>\n";

fn ticks(svg: &mut String, record: &Record, x: &impl Fn(usize) -> f64, height: f64) {
    const COUNT: usize = 8;
    for tick in 0..COUNT {
        let index = record.events.len() * tick / COUNT;
        let (at, ms) = (x(index), record.events[index].at_ns as f64 / 1e6);
        writeln!(
            svg,
            "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{height}\"/>\
             <text class=\"small\" x=\"{:.1}\" y=\"{}\">{ms:.3} ms</text>",
            TOP - 12.0,
            at + 3.0,
            TOP - 5.0,
        )
        .expect("a string takes everything");
    }
}

/// From where to where each operation went.
fn spans(
    svg: &mut String,
    record: &Record,
    account: &Account,
    lanes: &Lanes,
    x: &impl Fn(usize) -> f64,
) {
    let place = |at_ns: u64| record.events.partition_point(|event| event.at_ns < at_ns);
    let mut texts: BTreeMap<_, (u32, u64, u64, Vec<&str>)> = BTreeMap::new();
    for (operation, begun) in &account.began_at {
        texts.insert(*operation, (begun.fiber, begun.at_ns, begun.at_ns, Vec::new()));
    }
    for said in &account.said {
        let Some(operation) = said.operation else { continue };
        if let Some((_, _, end, lines)) = texts.get_mut(&operation) {
            *end = said.at_ns;
            lines.push(&said.text);
        }
    }
    for (operation, (fiber, start, end, lines)) in texts {
        let Some(y) = lanes.y(record, fiber) else { continue };
        let (from, to) = (x(place(start)), x(place(end + 1)));
        let width = (to - from).max(3.0);
        let title = escaped(&clipped(&format!("{operation}\n{}", lines.join("\n")), 1500));
        writeln!(
            svg,
            "<rect class=\"span\" x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\">\
             <title>{title}</title></rect>",
            LANE - 2.0,
        )
        .expect("a string takes everything");
        if width > 40.0 {
            writeln!(
                svg,
                "<text class=\"small\" x=\"{:.1}\" y=\"{}\">{operation}</text>",
                from + 3.0,
                y + 20.0,
            )
            .expect("a string takes everything");
        }
    }
}

fn rules(svg: &mut String, record: &Record, x: &impl Fn(usize) -> f64, height: f64) {
    let mut free_from = 0.0;
    let mut drawn = BTreeSet::new();
    for (index, event) in record.events.iter().enumerate() {
        let Some(label) = rule(event) else { continue };
        let at = x(index);
        if !drawn.insert(((at / 3.0) as u64, label.clone())) {
            continue;
        }
        writeln!(
            svg,
            "<line class=\"rule\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"30\" y2=\"{height}\">\
             <title>{} at {:.3} ms</title></line>",
            escaped(&label),
            event.at_ns as f64 / 1e6,
        )
        .expect("a string takes everything");
        if at >= free_from {
            let (anchor, at) = if at > WIDTH - 90.0 { ("end", WIDTH) } else { ("start", at) };
            writeln!(
                svg,
                "<text class=\"bad\" x=\"{at:.1}\" y=\"22\" text-anchor=\"{anchor}\">{}</text>",
                escaped(&label),
            )
            .expect("a string takes everything");
            free_from = at + LABEL_WIDTH.max(label.len() as f64 * 7.0);
        }
    }
}
