//! By name what a rule is for; the answers of PostgreSQL are in `tests/postgres/regexp.tsv`.

use super::{MAX_WORK, Options, Problem, Regexp};
use crate::EvalContext;

/// The whole match and its groups, `-` for those that took no part.
fn found(pattern: &str, text: &str) -> String {
    let regexp = Regexp::new(pattern, Options::default()).expect("a pattern");
    let ctx = EvalContext::default();
    let found = regexp.match_at(&regexp.subject(text, &ctx), 0, true).expect("an answer");
    let Some(found) = found else { return "none".to_owned() };
    let parts = found.groups.into_iter().map(|part| part.map_or("-", |part| &text[part]));
    parts.collect::<Vec<_>>().join(",")
}

#[track_caller]
fn check(pattern: &str, text: &str, expected: &str) {
    assert_eq!(found(pattern, text), expected, "{pattern} in {text}");
}

#[test]
fn alternatives_prefer_the_longest() {
    check("foo|foobar", "foobar", "foobar");
    check("(foo|foobar)(bar)?", "foobar", "foobar,foobar,-");
}

#[test]
fn the_first_preference_is_that_of_the_whole() {
    check("XY*?", "aXYYYY", "X");
    check("Y*", "YYY", "YYY");
    check("(X|Y*?)", "YYY", "YYY,YYY");
    check("(Y*?Z*)", "YYYZZ", ",");
    check("a{1,3}?b*", "aaab", "a");
}

#[test]
fn parts_take_what_they_prefer_within_the_whole() {
    check("(a*)(ab)*(b*)", "abb", "abb,a,-,bb");
    check("(?:(.*?)(b+)){1,1}", "aabb", "aabb,aa,bb");
    check("(a|ab)(c|bcd)(d*)", "abcd", "abcd,ab,c,d");
    check("(([ab])|c)*", "abc", "abc,c,-");
}

#[test]
fn back_references_are_verified() {
    check(r"(a*)\1b", "aaab", "aab,a");
    check(r"^(.+)\1$", "abcabc", "abcabc,abc");
    check(r"(a|b)\1{2}", "abbb", "bbb,b");
    check(r"(.)(.)\2\1", "xabba", "abba,a,b");
    check(r"^(\w+).*\1$", "aXYa", "aXYa,a");
}

#[test]
fn look_around_looks() {
    check("a(?=b)", "acab", "a");
    check("a(?!b)", "abac", "a");
    check(r"(?<=c)a", "baca", "a");
    check(r"(?<!c)a.", "caab", "ab");
    check(r"\ma\M", "aa a", "a");
    check(r"a\y.\yb", "aab a-b", "a-b");
}

#[test]
fn a_pattern_that_would_take_forever_fails() {
    let pattern = r"^(a*)(a*)(a*)(a*)(a*)(a*)\1\2\3\4\5\6b";
    let regexp = Regexp::new(pattern, Options::default()).expect("a pattern");
    let text = "a".repeat(100) + "b";
    let ctx = EvalContext::default();
    let subject = regexp.subject(&text, &ctx);
    // Nearly all the steps there are.
    subject.spend(MAX_WORK).expect("not more than there are");
    let error = regexp.match_at(&subject, 0, true).expect_err("not enough steps");
    assert_eq!(error.message, "regular expression failed: regular expression is too complex");
}

#[test]
fn what_is_wrong_is_said() {
    for (pattern, problem) in [
        ("a(b", Problem::Parenthesis),
        ("a)", Problem::Parenthesis),
        ("[a", Problem::Bracket),
        ("a{1", Problem::Brace),
        ("a{2,1}", Problem::BadBound),
        ("a{256}", Problem::BadBound),
        ("a**", Problem::BadRepeat),
        ("*a", Problem::BadRepeat),
        (r"\1", Problem::BackReference),
        (r"(a\1)", Problem::BackReference),
        ("[b-a]", Problem::Range),
        ("[[:nobody:]]", Problem::Class),
        ("[[.nobody.]]", Problem::Collating),
        (r"\q", Problem::Escape),
        ("(?z)a", Problem::BadOption),
        ("((a{255}){255}){255}", Problem::TooBig),
    ] {
        let error = Regexp::compile(pattern, Options::default()).err();
        assert_eq!(error, Some(problem), "{pattern}");
    }
    let many: String = ('\u{4e00}'..='\u{8e00}').collect();
    for (pattern, fits) in [
        (format!("[{}]", "a-z[:alpha:]".repeat(500)), true),
        (many.clone(), true),
        (many.repeat(4), false),
        (many.chars().map(|c| format!("[^{c}]")).collect(), false),
        ("a".repeat(1_000_000), false),
    ] {
        let found = Regexp::compile(&pattern, Options::ignoring_case(true));
        assert_eq!(found.err(), (!fits).then_some(Problem::TooBig), "{}", pattern.len());
    }
    let deep = "(".repeat(100_000);
    assert_eq!(Regexp::compile(&deep, Options::default()).err(), Some(Problem::TooBig));
}
