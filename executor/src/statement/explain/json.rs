//! EXPLAIN (FORMAT JSON).

use super::millis;
use super::node::Node;

/// The whole document.
pub(super) fn write(node: &Node, micros: Option<i64>) -> String {
    let mut out = String::from("[\n  {\n    \"Plan\": ");
    write_node(node, None, 4, &mut out);
    if let Some(micros) = micros {
        out.push_str(&format!(",\n    \"Execution Time\": {}", millis(micros)));
    }
    out.push_str("\n  }\n]");
    out
}

fn write_node(node: &Node, section: Option<&str>, indent: usize, out: &mut String) {
    let inner = " ".repeat(indent + 2);
    out.push_str("{\n");
    out.push_str(&format!("{inner}\"Node Type\": {}", quoted(&node.kind)));
    let facts = node.facts.iter().map(|(label, text)| (*label, text.as_str()));
    let named = section.map(|name| ("Subplan Name", name));
    let properties = node.properties.iter().map(|(label, text)| (*label, text.as_str()));
    for (label, text) in named.into_iter().chain(facts).chain(properties) {
        out.push_str(&format!(",\n{inner}{}: {}", quoted(label), quoted(text)));
    }
    if let Some(meter) = &node.meter {
        let loops = meter.loops();
        let rows = (meter.rows() + loops / 2).checked_div(loops).unwrap_or(0);
        out.push_str(&format!(",\n{inner}\"Actual Total Time\": {}", millis(meter.micros())));
        out.push_str(&format!(",\n{inner}\"Actual Rows\": {rows}"));
        out.push_str(&format!(",\n{inner}\"Actual Loops\": {loops}"));
    }
    let sections = node.sections.iter().map(|(name, node)| (Some(name.as_str()), node));
    let plans: Vec<_> = sections.chain(node.children.iter().map(|node| (None, node))).collect();
    if !plans.is_empty() {
        out.push_str(&format!(",\n{inner}\"Plans\": [\n{inner}  "));
        for (index, (section, plan)) in plans.into_iter().enumerate() {
            if index > 0 {
                out.push_str(&format!(",\n{inner}  "));
            }
            crate::context::on_deep_stack(|| write_node(plan, section, indent + 4, out));
        }
        out.push_str(&format!("\n{inner}]"));
    }
    out.push_str(&format!("\n{}}}", " ".repeat(indent)));
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
