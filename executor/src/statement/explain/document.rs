//! EXPLAIN's structured forms: one tree of named values, written as JSON, YAML or XML.
//!
//! PostgreSQL writes the same properties in each; only the spelling differs. In XML a name's blanks are
//! hyphens, and the parts of a list have the name of what they are: `<Plans><Plan>`.

use driftdb_query::ExplainFormat;

use super::node::Node;
use super::{Shown, millis};

/// A value under a name.
enum Value {
    Text(String),
    /// A number or truth value, as it is written.
    Bare(String),
    Group(Vec<(String, Self)>),
    /// Groups, each with this name.
    List(&'static str, Vec<Vec<(String, Self)>>),
}

type Group = Vec<(String, Value)>;

/// The whole document.
pub(super) fn write(node: &Node, shown: &Shown, format: ExplainFormat) -> String {
    let mut query = vec![("Plan".to_owned(), Value::Group(plan(node, None, None, shown)))];
    if let Some(micros) = shown.summary {
        query.push(("Execution Time".to_owned(), Value::Bare(millis(micros))));
    }
    let mut out = String::new();
    match format {
        ExplainFormat::Json | ExplainFormat::Text => {
            out.push_str("[\n  ");
            json(&query, 2, &mut out);
            out.push_str("\n]");
        }
        ExplainFormat::Yaml => {
            out.push_str("- ");
            yaml(&query, 2, &mut out);
        }
        ExplainFormat::Xml => {
            out.push_str("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n");
            xml(&query, 4, &mut out);
            out.push_str("  </Query>\n</explain>");
        }
    }
    out
}

fn plan(node: &Node, relation: Option<&str>, section: Option<&str>, shown: &Shown) -> Group {
    let mut group = vec![("Node Type".to_owned(), Value::Text(node.kind.clone()))];
    let mut text = |label: &str, text: &str| {
        group.push((label.to_owned(), Value::Text(text.to_owned())));
    };
    if let Some(relation) = relation {
        text("Parent Relationship", relation);
    }
    if let Some(section) = section {
        text("Subplan Name", section);
    }
    for label in ["Parallel Aware", "Async Capable"] {
        group.push((label.to_owned(), Value::Bare("false".to_owned())));
    }
    let mut text = |label: &str, text: &str| {
        group.push((label.to_owned(), Value::Text(text.to_owned())));
    };
    node.facts.iter().for_each(|(label, fact)| text(label, fact));
    node.properties.iter().for_each(|(label, property)| text(label, property));
    let mut bare = |label: &str, text: String| group.push((label.to_owned(), Value::Bare(text)));
    if let Some(meter) = &node.meter {
        let loops = meter.loops();
        let rows = (meter.rows() + loops / 2).checked_div(loops).unwrap_or(0);
        if shown.timing {
            let micros = meter.micros();
            let micros = micros.checked_div(loops.cast_signed()).unwrap_or(0);
            bare("Actual Startup Time", millis(0));
            bare("Actual Total Time", millis(micros));
        }
        bare("Actual Rows", rows.to_string());
        bare("Actual Loops", loops.to_string());
    }
    let mut plans = Vec::new();
    for (name, section) in &node.sections {
        let relation = if name.starts_with("SubPlan") { "SubPlan" } else { "InitPlan" };
        plans.push(crate::context::on_deep_stack(|| {
            plan(section, Some(relation), Some(name), shown)
        }));
    }
    for (index, child) in node.children.iter().enumerate() {
        let relation = match (node.children.len(), index) {
            (1 | 2, 0) => "Outer",
            (2, _) => "Inner",
            _ => "Member",
        };
        plans.push(crate::context::on_deep_stack(|| plan(child, Some(relation), None, shown)));
    }
    if !plans.is_empty() {
        group.push(("Plans".to_owned(), Value::List("Plan", plans)));
    }
    group
}

fn newline(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn json(group: &Group, indent: usize, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in group.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        newline(indent + 2, out);
        quoted(name, out);
        out.push_str(": ");
        match value {
            Value::Text(text) => quoted(text, out),
            Value::Bare(text) => out.push_str(text),
            Value::Group(inner) => json(inner, indent + 2, out),
            Value::List(_, groups) => {
                out.push('[');
                for (index, inner) in groups.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    newline(indent + 4, out);
                    crate::context::on_deep_stack(|| json(inner, indent + 4, out));
                }
                newline(indent + 2, out);
                out.push(']');
            }
        }
    }
    newline(indent, out);
    out.push('}');
}

/// The first name stands where the hyphen before it ends.
fn yaml(group: &Group, indent: usize, out: &mut String) {
    for (index, (name, value)) in group.iter().enumerate() {
        if index > 0 {
            newline(indent, out);
        }
        out.push_str(name);
        out.push_str(": ");
        match value {
            Value::Text(text) => quoted(text, out),
            Value::Bare(text) => out.push_str(text),
            Value::Group(inner) => {
                newline(indent + 2, out);
                yaml(inner, indent + 2, out);
            }
            Value::List(_, groups) => {
                for inner in groups {
                    newline(indent + 2, out);
                    out.push_str("- ");
                    crate::context::on_deep_stack(|| yaml(inner, indent + 4, out));
                }
            }
        }
    }
}

fn xml(group: &Group, indent: usize, out: &mut String) {
    let space = " ".repeat(indent);
    for (name, value) in group {
        let name = name.replace(' ', "-");
        match value {
            Value::Text(text) | Value::Bare(text) => {
                out.push_str(&format!("{space}<{name}>{}</{name}>\n", escaped(text)));
            }
            Value::Group(inner) => {
                out.push_str(&format!("{space}<{name}>\n"));
                xml(inner, indent + 2, out);
                out.push_str(&format!("{space}</{name}>\n"));
            }
            Value::List(each, groups) => {
                out.push_str(&format!("{space}<{name}>\n"));
                for inner in groups {
                    out.push_str(&format!("{space}  <{each}>\n"));
                    crate::context::on_deep_stack(|| xml(inner, indent + 4, out));
                    out.push_str(&format!("{space}  </{each}>\n"));
                }
                out.push_str(&format!("{space}</{name}>\n"));
            }
        }
    }
}

/// A JSON string, which is a YAML string, too.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#x0d;"),
            c => out.push(c),
        }
    }
    out
}
