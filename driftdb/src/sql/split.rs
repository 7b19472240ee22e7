//! Cutting a script into statements at semicolons, and commands of the shell at backslashes, outside of
//! quotes and comments.

/// What a text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// A statement, up to here (after its semicolon).
    Statement(usize),
    /// What is before a backslash that stands here; the command goes on to the end of the line.
    Command(usize),
}

/// The first statement or command of a text; none if it is not complete.
pub(super) fn first_piece(text: &str) -> Option<Piece> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return Some(Piece::Statement(at + 1)),
            b'\\' => return Some(Piece::Command(at)),
            quote @ (b'\'' | b'"') => {
                let escapes = quote == b'\'' && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
                at = after_quoted(bytes, at + 1, quote, escapes)?;
            }
            b'-' if bytes[at..].starts_with(b"--") => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
            }
            b'/' if bytes[at..].starts_with(b"/*") => at = after_comment(bytes, at)?,
            b'$' => match dollar_tag(&text[at..]) {
                Some(tag) => {
                    let from = at + tag.len();
                    at = from + text[from..].find(tag)? + tag.len();
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    None
}

fn after_quoted(bytes: &[u8], mut at: usize, quote: u8, escapes: bool) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'\\' if escapes => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Comments nest.
fn after_comment(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        match bytes.get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// `$tag$` at the beginning of a text.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then(|| &text[..=end])
}

/// Whether there is nothing but blanks and comments in a text.
pub(super) fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() {
            return true;
        } else if rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]).trim_start();
        } else if rest.starts_with("/*") {
            let Some(end) = after_comment(rest.as_bytes(), 0) else { return false };
            rest = rest[end..].trim_start();
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, first: Option<&str>) {
        let end = match first_piece(text) {
            Some(Piece::Statement(end)) => Some(&text[..end]),
            _ => None,
        };
        assert_eq!(end, first, "{text}");
    }

    #[test]
    fn backslashes_begin_commands() {
        assert_eq!(first_piece("select 1 \\g\n"), Some(Piece::Command(9)));
        assert_eq!(first_piece("\\d t;"), Some(Piece::Command(0)));
        assert_eq!(first_piece("select '\\g'; \\x"), Some(Piece::Statement(12)));
    }

    #[test]
    fn semicolons_inside_quotes_and_comments_do_not_count() {
        check("a;b", Some("a;"));
        check("select ';', \";\";x", Some("select ';', \";\";"));
        check("select 'it''s;';x", Some("select 'it''s;';"));
        check("select e'\\';';x", Some("select e'\\';';"));
        check("-- ;\nselect 1;", Some("-- ;\nselect 1;"));
        check("/* ; /* ; */ ; */ a;", Some("/* ; /* ; */ ; */ a;"));
        check("select $$;$$;x", Some("select $$;$$;"));
        check("select $a$;$$;$a$;x", Some("select $a$;$$;$a$;"));
        check("select $1;x", Some("select $1;"));
        check("select 'open;", None);
        check("", None);
        assert!(is_blank(" -- a\n/* b */ "));
        assert!(!is_blank("-- a\nselect"));
    }
}
