//! Plans drawn as trees: EXPLAIN's text, whose nodes stand after arrows, with lines between them.

/// A node of a plan, or a heading such as `InitPlan 1`.
#[derive(Debug, Default)]
struct Node {
    text: String,
    /// What is said of it.
    details: Vec<String>,
    children: Vec<Self>,
}

/// The lines of a plan as a tree; what is not part of one stands as it is.
pub(super) fn draw<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut roots: Vec<Node> = Vec::new();
    // How far in each node on the way to the last one stands.
    let mut way: Vec<usize> = Vec::new();
    for line in lines.flat_map(str::lines) {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let (text, is_node) = match trimmed.strip_prefix("->") {
            Some(text) => (text.trim_start(), true),
            None => (trimmed, indent == 0),
        };
        if !is_node {
            match last(&mut roots, way.len()) {
                Some(node) => node.details.push(text.to_owned()),
                None => roots.push(Node { text: text.to_owned(), ..Node::default() }),
            }
            continue;
        }
        while way.last().is_some_and(|above| *above >= indent) {
            way.pop();
        }
        let node = Node { text: text.to_owned(), ..Node::default() };
        match last(&mut roots, way.len()) {
            Some(above) => above.children.push(node),
            None => roots.push(node),
        }
        way.push(indent);
    }
    let mut out = String::new();
    for root in &roots {
        write(root, "", "", &mut out);
    }
    out
}

/// The newest node at a depth, from 1.
fn last(roots: &mut [Node], depth: usize) -> Option<&mut Node> {
    let mut node = roots.last_mut().filter(|_| depth > 0)?;
    for _ in 1..depth {
        node = node.children.last_mut()?;
    }
    Some(node)
}

fn write(node: &Node, first: &str, rest: &str, out: &mut String) {
    out.push_str(&format!("{first}{}\n", node.text));
    let bar = if node.children.is_empty() { "  " } else { "│ " };
    for detail in &node.details {
        out.push_str(&format!("{rest}{bar}  {detail}\n"));
    }
    for (index, child) in node.children.iter().enumerate() {
        let (branch, below) =
            if index + 1 < node.children.len() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
        write(child, &format!("{rest}{branch}"), &format!("{rest}{below}"), out);
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn arrows_become_branches() {
        let plan = "\
Sort
  Sort Key: a
  ->  Hash Join
        Hash Cond: (a = b)
        ->  Seq Scan on t
              Filter: (a > 1)
        ->  Hash
              ->  Seq Scan on u
Planning Time: 1 ms";
        let expected = "\
Sort
│   Sort Key: a
└─ Hash Join
   │   Hash Cond: (a = b)
   ├─ Seq Scan on t
   │      Filter: (a > 1)
   └─ Hash
      └─ Seq Scan on u
Planning Time: 1 ms
";
        assert_eq!(draw(plan.lines()), expected);
        assert_eq!(draw(std::iter::empty()), "");
    }
}
