//! The page around everything: one file, no script, nothing from elsewhere; light and dark by the reader's choice.

use std::fmt::Write as _;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1d2329, #dde3e9); --paper: light-dark(#fff, #14181d);
  --soft: light-dark(#f1f4f7, #1f252c); --line: light-dark(#d4dae0, #39424c); --dim: light-dark(#5d6872, #93a0ac);
  --bad: light-dark(#b3261e, #ff8a80); --good: light-dark(#1b7f3b, #7bd696); --write: light-dark(#2667b8, #7fb2f0);
  --sync: light-dark(#123e78, #c2dcff); --read: light-dark(#2a9d8f, #6fd6c9); --wait: light-dark(#c3cbd3, #4a545f);
  --preempt: light-dark(#d9822b, #f2b36b); --span: light-dark(#dce9f8, #24384f); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1240px; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } table + h1, div + h1 { margin-top: 48px; } .narrow { max-width: 560px; }
td:first-child { white-space: nowrap; width: 1%; padding-right: 24px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 6px 0; } .dim { color: var(--dim); } .bad { color: var(--bad); } .good { color: var(--good); }
pre, code, td.mono { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; margin: 6px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre.violation { border-left: 4px solid var(--bad); }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: 4px 10px 4px 0;
  border-bottom: 1px solid var(--line); } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.mono { white-space: pre-wrap; overflow-wrap: anywhere; }
.columns { columns: 2; column-gap: 32px; } .columns table { break-inside: auto; }
.bar { background: var(--write); height: 9px; border-radius: 2px; display: inline-block; }
svg { display: block; max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg text.small { font-size: 11px; fill: var(--dim); } svg text.bad { fill: var(--bad); }
.lane { fill: var(--soft); } .span { fill: var(--span); stroke: var(--write); stroke-width: .5; }
.e-write { fill: var(--write); } .e-sync { fill: var(--sync); } .e-read { fill: var(--read); } .e-wait { fill: var(--wait); }
.e-preempt { fill: var(--preempt); } .e-fault { fill: var(--bad); } .rule { stroke: var(--bad); stroke-width: 1.5; }
.tick { stroke: var(--line); } .node { fill: var(--soft); stroke: var(--write); stroke-width: 1.5; }
.edge { fill: none; stroke: var(--ink); stroke-width: 1.5; } .edge.rw { stroke: var(--bad); stroke-dasharray: 6 4; }
.edge.ww { stroke: var(--preempt); } .edge.wr { stroke: var(--read); }
.legend span { margin-right: 18px; } .legend i { display: inline-block; width: 10px; height: 10px; margin-right: 5px; }
";

/// Text as HTML shows it.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>{STYLE}</style></head>\n\
         <body>\n{body}\n</body></html>\n"
    )
}

/// A section with a heading.
pub(super) fn section(heading: &str, body: &str) -> String {
    format!("<h2>{}</h2>\n{body}\n", escaped(heading))
}

/// A table: its heads, and its rows of cells that are HTML already. A head that ends with `#` is of numbers.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let class = |head: &str| if head.ends_with('#') { " class=\"number\"" } else { "" };
    let mut text = String::from("<table>\n<tr>");
    for head in heads {
        write!(text, "<th{}>{}</th>", class(head), escaped(head.trim_end_matches('#')))
            .expect("a string takes everything");
    }
    text.push_str("</tr>\n");
    for row in rows {
        text.push_str("<tr>");
        for (cell, head) in row.iter().zip(heads) {
            write!(text, "<td{}>{cell}</td>", class(head)).expect("a string takes everything");
        }
        text.push_str("</tr>\n");
    }
    text + "</table>\n"
}

/// Counts by name, each with a bar; lengths are logarithms, since counts differ by powers of ten.
pub(super) fn bars(what: &str, counts: &[(String, u64)]) -> String {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(2) as f64;
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|(name, count)| {
            let width = (1.0 + *count as f64).ln() / (1.0 + most).ln() * 160.0;
            let name = match count {
                0 => format!("<span class=\"bad\">{}</span>", escaped(name)),
                _ => escaped(name),
            };
            let bar = format!("<span class=\"bar\" style=\"width:{width:.0}px\"></span>");
            vec![name, count.to_string(), bar]
        })
        .collect();
    let table = table(&[what, "times#", ""], &rows);
    match rows.len() > 12 {
        true => format!("<div class=\"columns\">{table}</div>"),
        false => format!("<div class=\"narrow\">{table}</div>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let bad = "<script>alert(\"&\")</script>\u{0}\u{1b}[31m";
        let page = page(bad, &format!("<p>{}</p>", escaped(bad)));
        assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains('\u{0}'));
        assert!(page.contains("&lt;script&gt;alert(&quot;&amp;&quot;)"));
    }
}
