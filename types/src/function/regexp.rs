//! The `regexp_…` functions: match, split, replace, count, and where (regexp.c).
//!
//! Matches are searched for as PostgreSQL does it, one after the other: each search begins where the match
//! before ended, a character later if that was empty, and anchors and boundaries see all of the text.

use std::ops::Range;

use super::string::{MAX_BYTES, too_long};
use super::table::Builder;
use super::text_search::{Flags, compile, regexp_substring, replacement, similar_to_escape};
use super::{Kernel, arg};
use crate::DataType::{self, Bool, Int4, Text};
use crate::regexp::{Match, Regexp, Subject};
use crate::{Array, Element, EvalContext, Value, ValueError};

const TEXTS: DataType = DataType::Array(Element::Text);

/// The matches of a pattern in a text, from a byte on.
struct Matches<'a> {
    regexp: &'a Regexp,
    text: &'a str,
    subject: Subject<'a>,
    /// Whether groups are asked for.
    groups: bool,
    from: Option<usize>,
}

impl<'a> Matches<'a> {
    fn new(
        regexp: &'a Regexp,
        text: &'a str,
        from: usize,
        groups: bool,
        ctx: &'a EvalContext,
    ) -> Self {
        let from = (from <= text.len()).then_some(from);
        Self { regexp, text, subject: regexp.subject(text, ctx), groups, from }
    }

    fn search(&mut self) -> Result<Option<Match>, ValueError> {
        let Some(from) = self.from else { return Ok(None) };
        let found = self.regexp.match_at(&self.subject, from, self.groups)?;
        let whole = found.as_ref().map_or(0..0, Match::whole);
        self.from = if whole.is_empty() {
            self.text[whole.end..].chars().next().map(|c| whole.end + c.len_utf8())
        } else {
            Some(whole.end)
        };
        Ok(found)
    }
}

impl Iterator for Matches<'_> {
    type Item = Result<Match, ValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.search().transpose()
    }
}

/// The byte at which the search begins that is asked for by a character's number.
fn search_start(text: &str, start: i64) -> usize {
    let index = usize::try_from(start - 1).unwrap_or(usize::MAX);
    match text.char_indices().nth(index) {
        Some((at, _)) => at,
        None if text.chars().count() == index => text.len(),
        // Beyond the end nothing is found.
        None => text.len() + 1,
    }
}

/// An argument that counts, of at least `least`.
fn counted(args: &[Value], at: usize, name: &str, least: i64) -> Result<i64, ValueError> {
    let v = match args.get(at) {
        None => return Ok(1),
        Some(_) => arg::int(args, at)?,
    };
    if v < least {
        let message = format!("invalid value for parameter \"{name}\": {v}");
        return Err(ValueError::invalid_parameter(message));
    }
    Ok(v)
}

/// The flags in an argument, of a function that does not take `g`.
fn flags_without_global(args: &[Value], at: usize, function: &str) -> Result<Flags, ValueError> {
    let flags = match args.get(at) {
        None => Flags::default(),
        Some(_) => Flags::parse(arg::text(args, at)?)?,
    };
    if flags.global {
        let message = format!("{function}() does not support the \"global\" option");
        return Err(ValueError::invalid_parameter(message));
    }
    Ok(flags)
}

/// The groups of a match, or all of it where the pattern has none.
fn groups(regexp: &Regexp, text: &str, found: &Match) -> Vec<Value> {
    let value = |group| found.group(group).map_or(Value::Null, |part| Value::text(&text[part]));
    (regexp.group_count().min(1)..=regexp.group_count()).map(value).collect()
}

fn regexp_match(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let flags = flags_without_global(args, 2, "regexp_match")
        .map_err(|error| error.with_hint("Use the regexp_matches function instead."))?;
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    let text = arg::text(args, 0)?;
    match Matches::new(&regexp, text, 0, true, ctx).search()? {
        Some(found) => Ok(Value::array(Array::from_values(Text, groups(&regexp, text, &found))?)),
        None => Ok(Value::Null),
    }
}

/// The groups of all matches: an array of as many rows as there are matches.
fn regexp_matches(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let flags = if args.len() > 2 { Flags::parse(arg::text(args, 2)?)? } else { Flags::default() };
    let limit = if flags.global { usize::MAX } else { 1 };
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    let text = arg::text(args, 0)?;
    let mut rows = Vec::new();
    for found in Matches::new(&regexp, text, 0, true, ctx).take(limit) {
        rows.push(Array::from_values(Text, groups(&regexp, text, &found?))?);
    }
    Ok(Value::array(super::nested(Text, rows.iter(), rows.len())?))
}

/// The parts between the matches, of which empty ones at either end do not count.
fn split(args: &[Value], function: &str, ctx: &EvalContext) -> Result<Value, ValueError> {
    let text = arg::text(args, 0)?;
    let regexp = compile(arg::text(args, 1)?, &flags_without_global(args, 2, function)?)?;
    let mut parts = Vec::new();
    let mut end = 0;
    let mut last_end = 0;
    for found in Matches::new(&regexp, text, 0, false, ctx) {
        let whole = found?.whole();
        if whole.start < text.len() && whole.end > last_end {
            parts.push(Value::text(&text[end..whole.start]));
            end = whole.end;
        }
        last_end = whole.end;
    }
    parts.push(Value::text(&text[end..]));
    Ok(Value::array(Array::from_values(Text, parts)?))
}

/// Replaces the matches, or the `n`th of them if that is not zero.
fn replace(
    text: &str,
    regexp: &Regexp,
    template: &str,
    from: usize,
    n: i64,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (index, found) in Matches::new(regexp, text, from, template.contains('\\'), ctx).enumerate()
    {
        let found = found?;
        let whole = found.whole();
        if n > 0 && index as i64 + 1 != n {
            continue;
        }
        out.push_str(&text[end..whole.start]);
        replacement(text, &found, template, &mut out);
        end = whole.end;
        if out.len() > MAX_BYTES {
            return Err(too_long());
        }
        if n > 0 {
            break;
        }
    }
    out.push_str(&text[end..]);
    Ok(Value::text(out))
}

/// `regexp_replace(text, pattern, replacement [, flags])`
fn regexp_replace(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let flags = match args.get(3) {
        None => Flags::default(),
        Some(_) => {
            let text = arg::text(args, 3)?;
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("invalid regular expression option: \"{}\"", &text[..1]);
                return Err(ValueError::invalid_parameter(message).with_hint(
                    "If you meant to use regexp_replace() with a start parameter, cast the fourth \
                     argument to integer explicitly.",
                ));
            }
            Flags::parse(text)?
        }
    };
    let n = if flags.global { 0 } else { 1 };
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    replace(arg::text(args, 0)?, &regexp, arg::text(args, 2)?, 0, n, ctx)
}

/// `regexp_replace(text, pattern, replacement, start [, n [, flags]])`
fn regexp_replace_from(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let start = counted(args, 3, "start", 1)?;
    let n = counted(args, 4, "n", 0)?;
    let flags = if args.len() > 5 { Flags::parse(arg::text(args, 5)?)? } else { Flags::default() };
    // With a count of its own, `g` says nothing.
    let n = if args.len() == 4 && flags.global { 0 } else { n };
    let text = arg::text(args, 0)?;
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    replace(text, &regexp, arg::text(args, 2)?, search_start(text, start), n, ctx)
}

fn regexp_count(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let start = counted(args, 2, "start", 1)?;
    let text = arg::text(args, 0)?;
    let regexp = compile(arg::text(args, 1)?, &flags_without_global(args, 3, "regexp_count")?)?;
    let mut count = 0;
    for found in Matches::new(&regexp, text, search_start(text, start), false, ctx) {
        found?;
        count += 1;
    }
    Value::from_int(Int4, count)
}

/// The bytes of the `n`th match, or of one of its groups.
fn located(
    text: &str,
    regexp: &Regexp,
    start: i64,
    n: i64,
    group: i64,
    ctx: &EvalContext,
) -> Result<Option<Range<usize>>, ValueError> {
    // A pattern without groups has one: all of it.
    let group = if regexp.group_count() == 0 && group == 1 { 0 } else { group };
    let from = search_start(text, start);
    for (index, found) in Matches::new(regexp, text, from, group > 0, ctx).enumerate() {
        let found = found?;
        if index as i64 + 1 == n {
            return Ok(usize::try_from(group).ok().and_then(|group| found.group(group)));
        }
    }
    Ok(None)
}

/// `regexp_instr(text, pattern [, start [, n [, endoption [, flags [, subexpr]]]]])`
fn regexp_instr(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let start = counted(args, 2, "start", 1)?;
    let n = counted(args, 3, "n", 1)?;
    let at_end = if args.len() > 4 { arg::int(args, 4)? } else { 0 };
    if !(0..=1).contains(&at_end) {
        let message = format!("invalid value for parameter \"endoption\": {at_end}");
        return Err(ValueError::invalid_parameter(message));
    }
    let flags = flags_without_global(args, 5, "regexp_instr")?;
    let group = if args.len() > 6 { counted(args, 6, "subexpr", 0)? } else { 0 };
    let text = arg::text(args, 0)?;
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    let place = located(text, &regexp, start, n, group, ctx)?
        .map(|range| if at_end == 1 { range.end } else { range.start })
        .map_or(0, |byte| text[..byte].chars().count() as i64 + 1);
    Value::from_int(Int4, place)
}

/// `regexp_substr(text, pattern [, start [, n [, flags [, subexpr]]]])`
fn regexp_substr(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let start = counted(args, 2, "start", 1)?;
    let n = counted(args, 3, "n", 1)?;
    let flags = flags_without_global(args, 4, "regexp_substr")?;
    let group = if args.len() > 5 { counted(args, 5, "subexpr", 0)? } else { 0 };
    let text = arg::text(args, 0)?;
    let regexp = compile(arg::text(args, 1)?, &flags)?;
    Ok(located(text, &regexp, start, n, group, ctx)?
        .map_or(Value::Null, |range| Value::text(&text[range])))
}

fn regexp_like(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let regexp = compile(arg::text(args, 1)?, &flags_without_global(args, 2, "regexp_like")?)?;
    Ok(Value::Bool(regexp.is_match(arg::text(args, 0)?, ctx)?))
}

/// `substring(text similar pattern escape character)`
fn substring_similar(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let pattern = similar_to_escape(arg::text(args, 1)?, Some(arg::text(args, 2)?))?;
    regexp_substring(arg::text(args, 0)?, &pattern, ctx)
}

pub(super) fn add(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    const ALL: &[DataType] = &[Text, Text, Int4, Int4, Int4, Text, Int4];
    const SUBSTR: &[DataType] = &[Text, Text, Int4, Int4, Text, Int4];
    const REPLACE: &[DataType] = &[Text, Text, Text, Int4, Int4, Text];
    const COUNT: &[DataType] = &[Text, Text, Int4, Text];
    const FLAGGED: &[DataType] = &[Text, Text, Text];
    let entries: [(&'static str, &'static [DataType], usize, DataType, General); 10] = [
        ("regexp_instr", ALL, 2, Int4, regexp_instr),
        ("regexp_substr", SUBSTR, 2, Text, regexp_substr),
        ("regexp_replace", REPLACE, 4, Text, regexp_replace_from),
        ("regexp_count", COUNT, 2, Int4, regexp_count),
        ("regexp_match", FLAGGED, 2, TEXTS, regexp_match),
        // Under a name that no statement can spell: the rows of the set.
        ("*regexp_matches", FLAGGED, 2, TEXTS, regexp_matches),
        ("regexp_split_to_array", FLAGGED, 2, TEXTS, |args, ctx| {
            split(args, "regexp_split_to_array", ctx)
        }),
        ("*regexp_split_to_table", FLAGGED, 2, TEXTS, |args, ctx| {
            split(args, "regexp_split_to_table", ctx)
        }),
        ("regexp_like", FLAGGED, 2, Bool, regexp_like),
        ("substring", FLAGGED, 3, Text, substring_similar),
    ];
    for (name, args, least, result, kernel) in entries {
        for count in least..=args.len() {
            t.add(name, &args[..count], result, Kernel::Values(kernel));
        }
    }
    t.add("regexp_replace", &[Text, Text, Text], Text, Kernel::Values(regexp_replace));
    t.add("regexp_replace", &[Text, Text, Text, Text], Text, Kernel::Values(regexp_replace));
}
