//! The names of conditions and the five characters that they stand for (PostgreSQL 15, appendix A).

/// Name and characters, a condition a line.
const CONDITIONS: &str = include_str!("conditions.txt");

fn conditions() -> impl Iterator<Item = (&'static str, &'static str)> {
    CONDITIONS.lines().filter_map(|line| line.split_once(' '))
}

/// Every code that has a name; some names have two.
pub(crate) fn codes_named(name: &str) -> Vec<&'static str> {
    conditions().filter(|known| known.0 == name).map(|known| known.1).collect()
}

/// Whether a text is the five characters of a condition.
pub(crate) fn is_code(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert_eq!(codes_named("division_by_zero"), ["22012"]);
        assert_eq!(codes_named("string_data_right_truncation"), ["22001"]);
        assert!(codes_named("no_such_thing").is_empty());
        assert!(is_code("P0001") && !is_code("p0001") && !is_code("P001"));
    }
}
