#!/usr/bin/env python3
"""Asks a PostgreSQL 15 server what each case gives and writes cases.tsv, which tests/postgres.rs replays.

Usage: generate.py [psql arguments] > cases.tsv
A line: kind, name, result, then type and text of each argument. The zone is America/New_York.
"""
import subprocess, sys

CASES = []

def case(kind, name, *args):
    CASES.append((kind, name, args))

def read(ty, *texts):
    for text in texts:
        case("in", ty, (ty, text))

def call(name, *signatures):
    """Each signature: a list of (type, [texts]); all combinations."""
    for signature in signatures:
        combos = [()]
        for ty, texts in signature:
            combos = [c + ((ty, t),) for c in combos for t in texts]
        for c in combos[:: 2 if len(combos) > 60 else 1]:
            case("fn", name, *c)

def op(name, left, right):
    lt, ls = left
    rt, rs = right
    pairs = [(l, r) for l in ls for r in rs]
    # Of large products every third: neighbours test the same.
    for l, r in pairs[:: 3 if len(pairs) > 60 else 1]:
        case("op", name, (lt, l), (rt, r))

def unary(name, ty, texts):
    for t in texts:
        case("op", name, (ty, t))

def cast(source, texts, *targets):
    for t in texts:
        for target in targets:
            case("cast", target, (source, t))

def agg(name, ty, *groups):
    for group in groups:
        case("agg", name, *[(ty, v) for v in group])

NUM = ["0", "1", "-1", "2", "3", "10", "0.5", "-0.001", "1.10", "123.456", "99999999.99", "1e-10", "12345678901234567890.123456789", "-7.25", "NaN", "Infinity", "-Infinity", "1e40", "0.00", "100000000000000000000000000000000000001", "1e-30"]
NUM_SMALL = ["0", "1", "-1", "2", "0.5", "-2.5", "1.5", "2.5", "3.14159", "100", "0.001", "NaN", "Infinity", "-Infinity", "1000000", "1e20", "1e-20", "9.999999", "1.0000001", "0.99"]

read("numeric", "1", " 1.50 ", "+1", "-1.0e3", "1e-5", "1.23e-3", ".5", "5.", "-.5e2", "1e400", "nan", "inf", "-infinity", "+Infinity", "", "abc", "1e", "1e+", "1.2.3", "--1", "1 2", "1e131071", "1e131072", "1e-16383", "1e-16384", "0e100000", "00012.300", "1_000", "0x10")
read("bool", "t", "true", "TRUE", "tr", "yes", "y", "on", "1", "f", "fal", "no", "off", "of", "o", "0", " true ", "2", "")
read("int4", "0", " 42 ", "-2147483648", "2147483647", "2147483648", "+5", "1.5", "abc", "", "- 1", "99999999999999999999")
read("int2", "32767", "32768", "-32768", "x")
read("int8", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e3")
read("oid", "4294967295", "4294967296", "-1", "12", "x")
read("float8", "1", "1.5", "1e20", "1e15", "1e14", "123456789012345678", "0.0001", "0.00001", "1e-5", "1e308", "1e309", "1e-400", "nan", "-inf", "infinity", "-0", "1.7976931348623157e308", "5e-324", "3.14159265358979", "0.1", "100000", "1234567.125", "abc", "", "1e-7", "12345678901234567890", "+1.5", "1e", "0x1p3")
read("float4", "1", "1.5", "1e20", "0.1", "16777216", "3.4028235e38", "3.5e38", "1e-45", "1e-50", "123456.7", "1234567", "999999", "1e6", "0.0001", "0.00001", "NaN", "x")
read("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "a0eebc99", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", "")
read("bytea", "\\x0aFF", "\\x0a f", "\\x0", "\\xzz", "abc", "a\\000b", "a\\\\b", "\\9", "")
read("date", "1999-01-08", "January 8, 1999", "1/8/1999", "1/18/1999", "01/02/03", "1999-Jan-08", "Jan-08-1999", "08-Jan-1999", "99-Jan-08", "08-Jan-99", "Jan-08-99", "19990108", "990108", "1999.008", "J2451187", "January 8, 99 BC", "0001-01-01 BC", "4714-11-24 BC", "4714-11-23 BC", "5874897-12-31", "5874898-01-01", "2000-02-30", "2001-02-29", "2000-13-01", "2000-00-10", "2000-01-00", "infinity", "-infinity", "epoch", "", "abc", "2000", "2000-01", "2020-1-5", "1999-01-08 04:05:06", "Mon Jan 08 1999", "08.01.1999", "8 Jan 1999", "Jan 8 1999", "1999 Jan 8", "1999 8 Jan", "18 1 1999", "1999-1-8 BC", "15/1/1999", "2020-06-15 garbage", "20200615T101010", "2020/06/15", "2020.06.15", "10000-01-01", "0000-01-01", "70-01-01", "69-01-01")
read("time", "04:05:06.789", "04:05:06", "04:05", "040506", "04:05 AM", "04:05 PM", "12:00 AM", "12:00 PM", "13:00 PM", "24:00:00", "24:00:01", "23:59:60", "23:59:59.9999999", "04:05:06.789-8", "04:05:06-08:00", "allballs", "25:00", "10:60", "T040506", "2003-04-12 04:05:06 America/New_York", "04:05:06 PST", "1 pm", "", "x", "00:00:00.0000005", "4:5:6", "123456.789", "1:2")
TS = ["1999-01-08 04:05:06", "1999-01-08 04:05:06.789123", "1999-01-08T04:05:06", "1999-01-08T04:05:06Z", "January 8 04:05:06 1999 PST", "1999-01-08 04:05:06 -8:00", "1999-01-08 04:05:06+05:30", "1999-01-08 04:05:06 America/New_York", "2020-07-01 12:00 America/New_York", "2020-03-08 02:30:00", "2020-11-01 01:30:00", "infinity", "-infinity", "epoch", "4714-11-24 00:00:00 BC", "4714-11-23 00:00:00 BC", "294276-12-31 23:59:59.999999", "294277-01-01 00:00:00", "19990108 040506", "19990108T040506", "19990108040506", "Mon Jan 08 04:05:06 1999", "Mon Jan 08 04:05:06 1999 EST", "1999-01-08 24:00:00", "1999-01-08 25:00:00", "1999-01-08 04:05:60", "1999-01-08 4:05 pm", "0044-03-15 12:00:00 BC", "Sat Feb 16 17:32:01 1997 PST", "Feb 16 17:32:01.5 1997", "1997-02-16 17:32:01-0800", "1997-02-16 17:32:01.123456789", "1999-01-08", "04:05:06", "abc", "", "1999-01-08 04:05:06 Mars/Phobos", "1999-01-08 04:05:06 +16:00", "1999-01-08 04:05:06 UTC", "1999-01-08 04:05:06 EST5EDT", "J2451187 04:05:06", "1999-01-08 04:05:06 BC", "2020-02-29 00:00", "2021-02-29 00:00", "8/1/1999 3:04:05", "12000-07-01 00:00:00", "1880-01-01 00:00:00", "2020-01-01 00:00:00.0000004", "2020-01-01 23:59:59.9999996", "1999-01-08 04:05:06 GMT+3", "1997.041 17:32:01 UTC", "Dec 15 2005 at 10:00", "1999-01-08 04:05:06 PDT DST", "19990108 04:05 pm EST"]
read("timestamp", *TS)
read("timestamptz", *TS)
IV = ["1 day", "1 year 2 months 3 days 4 hours 5 minutes 6 seconds", "1-2", "3 4:05:06", "-1-2 +3 -4:05:06", "P1Y2M3DT4H5M6S", "P0001-02-03T04:05:06", "PT1.5S", "P1W", "P-1Y", "1.5 years", "1.5 months", "1.5 weeks", "1.5 days", "1.5 hours", "1.5 minutes", "1.5", "100", "-100 seconds", "1 day ago", "1 day -2 hours ago", "@ 1 minute", "1h", "2y 3mon", "1 century", "1 millennium", "1 decade", "1 quarter", "10 ms", "5 us", "1 week 2 days", "23:59:59.999999", "-23:59", "100:00:00", "1 mon -1 day", "-1 year 1 day", "-1 mon +2:03", "00:00:00", "0", "1 day 1 day", "abc", "", "1 dayz", "178000000 years", "178956970 years 8 months", "2147483648 days", "9223372036854775807 us", "1:02:03.04", "1 day 02:03:04", "2 days 10", "10 hours 5:00", "0.1 mon", "0.7 years", "1 12:00", "1 year 1-2", "-0:00:01", "1 month 1.5 days", "P1Y1DT", "PT", "P", "1e3 sec", "P0.5Y", "P1.5D", "5 4:3", "1:60", "ago", "1 ago", "day 1", "6 seconds 5 ms 4 us", "-1.5 months", "1m", "1 M", "-1 day 23:00:00", "1.1 months 1.1 days 1.1 secs", "1 dec", "2 c", "3 mil", "0.000001 s", "0.0000005 s"]
read("interval", *IV)
GOOD_IV = ["1 day", "1 year 2 months 3 days 04:05:06", "-1 mon +2 days -03:00:00", "36:00:00", "0", "1.5 months", "-00:00:01.5", "30 days", "1 mon", "-40 days 25:00:00"]
GOOD_TS = ["1999-01-08 04:05:06", "2020-02-29 23:59:59.999999", "2000-01-01 00:00:00", "infinity", "-infinity", "0044-03-15 12:00:00 BC", "2020-03-08 01:30:00", "2020-11-01 00:30:00", "1969-12-31 23:59:59.5", "2016-12-31 00:00:00"]
GOOD_DATE = ["1999-01-08", "2020-02-29", "2000-01-01", "infinity", "0044-03-15 BC", "1969-12-31"]

for o in ["+", "-", "*", "/", "%", "=", "<", ">="]:
    op(o, ("numeric", NUM), ("numeric", NUM))
op("^", ("numeric", NUM_SMALL), ("numeric", ["0", "1", "-1", "2", "0.5", "-0.5", "3", "10.1", "-7", "100", "NaN", "Infinity", "-Infinity", "1.00"]))
for f in ["sqrt", "exp", "ln", "log", "abs", "ceil", "floor", "round", "trunc", "sign", "scale", "min_scale", "trim_scale"]:
    call(f, [("numeric", sorted(set(NUM + NUM_SMALL)))])
call("log", [("numeric", ["2", "10", "0.5", "1.1", "1"]), ("numeric", ["8", "0.001", "1", "1e30", "0", "-1", "3"])])
call("round", [("numeric", NUM_SMALL + ["123.456", "-1234.5678", "99.995"]), ("int4", ["0", "2", "-2", "5", "-10", "20"])])
call("trunc", [("numeric", NUM_SMALL + ["123.456", "-1234.5678"]), ("int4", ["0", "2", "-2", "20"])])
call("div", [("numeric", NUM_SMALL), ("numeric", ["3", "-0.7", "0", "Infinity", "NaN"])])
for f in ["gcd", "lcm"]:
    call(f, [("numeric", ["12", "18.5", "-6", "0", "NaN"]), ("numeric", ["8", "0.25", "0", "-4"])])
    call(f, [("int4", ["12", "-18", "0", "-2147483648"]), ("int4", ["8", "0", "-2147483648", "7"])])
call("factorial", [("int8", ["0", "1", "5", "20", "50", "-1", "100000"])])
call("width_bucket", [("numeric", ["5.35", "0", "10.06", "NaN", "2"]), ("numeric", ["0.024", "10.06"]), ("numeric", ["10.06", "0.024"]), ("int4", ["5", "0"])])
call("width_bucket", [("float8", ["5.35", "0", "11", "NaN"]), ("float8", ["0.024"]), ("float8", ["10.06", "0.024"]), ("int4", ["5"])])

INT = {"int2": ["0", "1", "-1", "7", "-7", "2", "32767", "-32768"], "int4": ["0", "1", "-1", "7", "-7", "2", "2147483647", "-2147483648"], "int8": ["0", "1", "-1", "7", "-7", "2", "9223372036854775807", "-9223372036854775808"]}
for a in INT:
    for b in INT:
        for o in ["+", "-", "*", "/", "<", "="]:
            op(o, (a, INT[a]), (b, INT[b]))
    for o in ["%", "&", "|", "#"]:
        op(o, (a, INT[a]), (a, INT[a]))
    for o in ["<<", ">>"]:
        op(o, (a, INT[a]), ("int4", ["0", "1", "3", "15", "31"]))
    for o in ["-", "@", "~", "+"]:
        unary(o, a, INT[a])
FL = ["0", "-0", "1", "-1.5", "2", "0.1", "1e300", "-1e300", "1e-300", "NaN", "Infinity", "-Infinity", "3"]
FL4 = ["0", "1", "-1.5", "2", "0.1", "1e38", "1e-38", "NaN", "Infinity", "-Infinity", "3"]
for o in ["+", "-", "*", "/", "=", "<", ">="]:
    op(o, ("float8", FL), ("float8", FL))
    op(o, ("float4", FL4), ("float4", FL4))
    op(o, ("float4", FL4), ("float8", FL4))
op("^", ("float8", FL), ("float8", ["0", "1", "-1", "2", "0.5", "-0.5", "3", "NaN", "Infinity", "-Infinity"]))
for f in ["abs", "ceil", "floor", "round", "trunc", "sign", "sqrt", "cbrt", "exp", "ln", "log", "degrees", "radians", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cot"]:
    call(f, [("float8", FL + ["2.5", "3.5", "-2.5", "0.5"])])
for f in ["sind", "cosd", "tand"]:
    call(f, [("float8", ["0", "30", "45", "60", "90", "120", "135", "180", "270", "-30", "360"])])
for f in ["asind", "acosd", "atand"]:
    call(f, [("float8", ["0", "0.5", "1", "-1", "-0.5"])])

cast("numeric", ["1.5", "2.5", "-2.5", "32767.5", "NaN", "Infinity", "1e20", "0", "123.456", "-99.995", "1e400", "1e-400"], "int2", "int4", "int8", "float4", "float8", "text", "numeric(5,2)", "numeric(3,0)", "numeric(3,-2)", "numeric(2,4)")
cast("float8", ["1.5", "2.5", "-2.5", "32767.5", "NaN", "Infinity", "1e20", "0.1", "123.456", "1e300", "9223372036854775807", "1e-50", "0.1234567890123456789", "1e15", "1e16"], "int2", "int4", "int8", "float4", "numeric", "text", "numeric(5,2)")
cast("float4", ["1.5", "0.1", "123456.789", "1e10", "NaN", "-2.5"], "int4", "int8", "float8", "numeric", "text")
cast("int8", ["0", "32768", "2147483648", "-1", "4294967296"], "int2", "int4", "oid", "float4", "float8", "numeric", "text", "numeric(3,1)")
cast("int4", ["0", "5", "-1"], "bool", "oid", "int2", "numeric(2,1)", "varchar(1)", "char(3)", "name")
cast("bool", ["t", "f"], "int4", "text", "varchar(2)", "char(10)")
cast("text", ["hello", "a  ", "", "12", "2020-01-01", "true"], "varchar(3)", "char(3)", "char(8)", "name", "int4", "date", "bool", "bytea")
cast("bpchar", ["ab   "], "text", "varchar(10)", "varchar(1)", "name")
cast("timestamp", GOOD_TS, "date", "time", "timestamptz", "text", "timestamp(0)", "timestamp(3)", "varchar(10)")
cast("timestamptz", GOOD_TS, "date", "time", "timestamp", "text", "timestamptz(2)")
cast("date", GOOD_DATE, "timestamp", "timestamptz", "text")
cast("time", ["04:05:06.789", "23:59:59.999999"], "interval", "text", "time(0)", "time(2)")
cast("interval", GOOD_IV, "time", "text", "interval(0)")

ALL_TS = [("timestamp", GOOD_TS)]
for o in ["+", "-"]:
    op(o, ("timestamp", GOOD_TS), ("interval", GOOD_IV))
    op(o, ("timestamptz", GOOD_TS), ("interval", GOOD_IV))
    op(o, ("date", GOOD_DATE), ("interval", GOOD_IV))
    op(o, ("time", ["00:00", "12:34:56.5", "23:59:59"]), ("interval", GOOD_IV))
    op(o, ("interval", GOOD_IV), ("interval", GOOD_IV))
    op(o, ("date", GOOD_DATE), ("int4", ["0", "1", "-400", "2147483647"]))
op("-", ("timestamp", GOOD_TS), ("timestamp", GOOD_TS))
op("-", ("timestamptz", GOOD_TS), ("timestamptz", GOOD_TS))
op("-", ("date", GOOD_DATE), ("date", GOOD_DATE))
op("-", ("time", ["00:00", "12:34:56.5"]), ("time", ["23:59:59", "01:00"]))
op("+", ("date", GOOD_DATE), ("time", ["00:00", "12:34:56.5", "24:00"]))
op("*", ("interval", GOOD_IV), ("float8", ["0", "1", "1.5", "-0.3", "10.123", "1e10"]))
op("/", ("interval", GOOD_IV), ("float8", ["0", "1", "1.5", "-3", "7"]))
for o in ["=", "<", ">="]:
    op(o, ("interval", GOOD_IV), ("interval", GOOD_IV))
    op(o, ("date", GOOD_DATE), ("timestamp", GOOD_TS))
    op(o, ("timestamp", GOOD_TS), ("timestamptz", GOOD_TS))
call("age", [("timestamp", GOOD_TS), ("timestamp", GOOD_TS)], [("timestamptz", GOOD_TS), ("timestamptz", GOOD_TS)])
FIELDS = ["year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "dow", "isodow", "doy", "week", "isoyear", "quarter", "decade", "century", "millennium", "epoch", "julian", "timezone", "timezone_hour", "bogus", "YEARS"]
for f in ["extract", "date_part"]:
    call(f, [("text", FIELDS), ("timestamp", GOOD_TS)], [("text", FIELDS), ("timestamptz", GOOD_TS)], [("text", FIELDS), ("date", GOOD_DATE)], [("text", FIELDS), ("interval", GOOD_IV)], [("text", FIELDS), ("time", ["12:34:56.789"])])
TRUNC = ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "bogus", "dow"]
call("date_trunc", [("text", TRUNC), ("timestamp", GOOD_TS)], [("text", TRUNC), ("timestamptz", GOOD_TS)], [("text", TRUNC), ("interval", GOOD_IV)])
call("date_trunc", [("text", ["day", "hour"]), ("timestamptz", GOOD_TS), ("text", ["Europe/Berlin", "Asia/Kolkata", "nowhere"])])
call("date_bin", [("interval", ["15 minutes", "1 day", "1 mon", "0", "-1 day"]), ("timestamp", GOOD_TS), ("timestamp", ["2001-02-16 20:05:00", "2000-01-01"])])
call("timezone", [("text", ["UTC", "Europe/Berlin", "PST", "+05:30", "nowhere", "EST5EDT", "America/St_Johns"]), ("timestamptz", GOOD_TS)], [("text", ["UTC", "Europe/Berlin", "PST", "Asia/Tokyo"]), ("timestamp", GOOD_TS)], [("interval", ["-08:00", "1 mon"]), ("timestamptz", GOOD_TS)])
for f in ["justify_hours", "justify_days", "justify_interval"]:
    call(f, [("interval", GOOD_IV + ["1 mon -1 hour", "-1 mon 1 hour", "29 days 24:00:00", "-35 days +50:00:00"])])
call("make_date", [("int4", ["2013", "-44", "0", "6000000"]), ("int4", ["7", "2", "13"]), ("int4", ["15", "30", "0"])])
call("make_time", [("int4", ["8", "24", "25"]), ("int4", ["15", "60"]), ("float8", ["23.5", "0", "60", "-1"])])
call("make_timestamp", [("int4", ["2013", "0"]), ("int4", ["7"]), ("int4", ["15"]), ("int4", ["8", "24"]), ("int4", ["15", "0"]), ("float8", ["23.5", "0"])])
call("make_interval", [("int4", ["1", "-2"]), ("int4", ["2"]), ("int4", ["3"]), ("int4", ["4"]), ("int4", ["5"]), ("int4", ["6"]), ("float8", ["7.89"])])
call("to_timestamp", [("float8", ["0", "1262349296.7890123", "-1", "Infinity", "NaN", "1e20"])])
call("isfinite", [("timestamp", GOOD_TS)], [("date", GOOD_DATE)], [("interval", ["1 day"])])

STR = ["", "a", "hello world", "Ünïcode ß", "  pad  ", "a,b,,c", "日本語", "xyXYxy", "O'Reilly", "back\\slash", "select", "Mixed_9"]
for f in ["length", "char_length", "octet_length", "bit_length", "lower", "upper", "initcap", "reverse", "btrim", "ltrim", "rtrim", "ascii", "md5", "quote_ident", "quote_literal", "quote_nullable"]:
    if f in ("lower", "upper", "initcap"):
        call(f, [("text", [s for s in STR if s.isascii()])])
    else:
        call(f, [("text", STR)])
for f in ["left", "right"]:
    call(f, [("text", STR), ("int4", ["0", "2", "-2", "100", "-100", "-2147483648"])])
call("repeat", [("text", ["ab", ""]), ("int4", ["3", "0", "-1", "2147483647"])])
call("substr", [("text", STR), ("int4", ["1", "0", "3", "-2", "100"])], [("text", STR), ("int4", ["1", "0", "3", "-2", "2147483647"]), ("int4", ["2", "0", "-1", "100", "2147483647"])])
call("lpad", [("text", STR), ("int4", ["5", "0", "-1", "12"])], [("text", STR), ("int4", ["8", "2"]), ("text", ["xy", "", "日"])])
call("rpad", [("text", STR), ("int4", ["5", "12"])], [("text", STR), ("int4", ["8"]), ("text", ["xy", ""])])
for f in ["btrim", "ltrim", "rtrim"]:
    call(f, [("text", STR), ("text", ["xy", " ", "", "a"])])
call("replace", [("text", STR), ("text", ["l", "", "xy", ","]), ("text", ["", "LONG", "xyxy"])])
call("translate", [("text", STR), ("text", ["abc", "lo", ""]), ("text", ["12", ""])])
call("split_part", [("text", ["a,b,,c", "", "abc", "a::b::c"]), ("text", [",", "", "::"]), ("int4", ["1", "2", "-1", "-2", "0", "9"])])
call("strpos", [("text", STR), ("text", ["", "o", "本", "xy", "zzz"])])
call("position", [("text", STR), ("text", ["", "o", "本"])])
call("overlay", [("text", STR), ("text", ["XX", ""]), ("int4", ["1", "3", "0"])], [("text", STR), ("text", ["XX"]), ("int4", ["2"]), ("int4", ["0", "3", "-1"])])
call("starts_with", [("text", STR), ("text", ["", "he", "日"])])
call("chr", [("int4", ["65", "0", "-1", "8364", "1114112", "55296", "128512"])])
call("to_hex", [("int4", ["255", "-1", "0"])], [("int8", ["255", "-1"])])
call("concat_ws", [("text", [","]), ("text", ["a"]), ("int4", ["5"])])
call("concat", [("text", ["a"]), ("bool", ["t"]), ("float8", ["1.5"])])
call("format", [("text", ["%s", "%I", "%L", "%5s|", "%-5s|", "%%", "%1$s %1$s", "%2$s", "%", "%q", "%0$s", "%*s"]), ("text", ["O'Re", "abc", "5"])], [("text", ["%s-%s", "%2$s-%1$s", "%*s", "%1$s %s", "%s %s %s"]), ("int4", ["3"]), ("text", ["x"])])
call("encode", [("bytea", ["\\x", "\\x00ff41", "\\x5c", "\\x" + "41" * 60]), ("text", ["hex", "base64", "escape", "bogus"])])
call("decode", [("text", ["", "00ff", "AP9B", "abc", "QQ==", "a\\\\b", "zz", "Q"]), ("text", ["hex", "base64", "escape", "bogus"])])
for o in ["~~", "!~~", "~~*"]:
    op(o, ("text", ["abc", "", "a%c", "a_c", "ABC", "aXXbc", "日本", "a\\b"]), ("text", ["abc", "a%", "%c", "a_c", "%", "", "_", "__", "a\\%c", "a\\_c", "%b%", "a\\", "A%", "a%b%c", "a\\\\b"]))
for o in ["~", "~*", "!~"]:
    op(o, ("text", ["abc", "", "a1b2", "ABC", "foo bar", "line1\nline2"]), ("text", ["b", "^a", "c$", "[0-9]+", "^$", "a.c", "(ab|c)", "\\d", "\\mfoo\\M", "\\ybar", "line1.line2", "^line2", "***=a.c", "[[:alpha:]]+", "\\w+ \\w+", "x*"]))
call("regexp_replace", [("text", ["foobarbaz", "Thomas", "aaa"]), ("text", ["b..", ".[mN]a.", "a", "(b)(.)", "x*"]), ("text", ["X", "\\2\\1", "[\\&]", "\\\\"])], [("text", ["foobarbaz", "ABCabc"]), ("text", ["b..", "b"]), ("text", ["X\\&"]), ("text", ["g", "i", "gi", "q", ""])])
call("substring", [("text", ["foobar", "abc"]), ("text", ["o(.)b", "o.b", "z", "(x)?b"])])
op("||", ("text", ["a", ""]), ("text", ["b", ""]))
op("||", ("bytea", ["\\x01"]), ("bytea", ["\\x02", "\\x"]))
for o in ["=", "<"]:
    op(o, ("bpchar", ["ab", "ab  ", "abc"]), ("bpchar", ["ab", "ab ", "b"]))
    op(o, ("text", ["ab", "ab  ", "B"]), ("text", ["ab", "ab ", "b"]))
    op(o, ("bytea", ["\\x00", "\\xff"]), ("bytea", ["\\x00", "\\x0001"]))
    op(o, ("bool", ["t", "f"]), ("bool", ["t", "f"]))

GROUPS = [["1", "2", "3", "4"], ["5"], ["1", None, "2"], [None], ["7", "7", "7"]]
for ty in ["int2", "int4", "int8", "numeric", "float4", "float8"]:
    for f in ["count", "sum", "avg", "min", "max", "var_pop", "var_samp", "stddev", "stddev_pop"]:
        agg(f, ty, *GROUPS)
agg("sum", "int8", ["9223372036854775807", "1"])
agg("avg", "numeric", ["0.1", "0.25", "1e10"], ["NaN", "1"], ["Infinity", "-Infinity"])
agg("stddev", "numeric", ["0.1", "0.25", "1e10"], ["1.1", "1.10"])
agg("sum", "numeric", ["0.1", "0.250"])
agg("sum", "float4", ["1e38", "3e38"], ["0.1", "0.2"])
agg("stddev", "float8", ["1", "NaN"], ["0.1", "0.25", "1e10"])
for f in ["sum", "avg", "min", "max"]:
    agg(f, "interval", ["1 day", "1 mon -3 days", "04:05"], [None])
for f in ["bit_and", "bit_or", "bit_xor"]:
    agg(f, "int4", ["6", "3"], [None])
for f in ["bool_and", "bool_or"]:
    agg(f, "bool", ["t", "f"], ["t", None], [None])
for f in ["min", "max"]:
    agg(f, "text", ["b", "a", "B"])
    agg(f, "timestamp", ["2000-01-01", "infinity"])

FMT_TS = ["YYYY-MM-DD HH24:MI:SS", "YY YYY Y", "Y,YYY", "Mon Month MON MONTH mon month", "FMMonth FMDD, YYYY", "Dy Day DY DAY dy day", "D ID DD DDD IDDD", "W WW IW CC J Q", "HH HH12 HH24 MI SS SSSS SSSSS", "MS US FF1 FF3 FF6", "AM am A.M. p.m.", "BC AD b.c.", "\"quoted YYYY\" YYYY", "DDth Ddth DDTH", "IYYY-IW-ID", "TZ tz OF TZH:TZM", "RM rm", "FMHH:FMMI:FMSS", "YYYY \\\"x\\\"", "TMMonth", "literal text 99", "", "YYYY-MM-DDTHH24:MI:SS.US"]
call("to_char", [("timestamp", GOOD_TS), ("text", FMT_TS)], [("timestamptz", GOOD_TS), ("text", ["YYYY-MM-DD HH24:MI:SS TZ OF"])], [("interval", GOOD_IV), ("text", ["HH24:MI:SS", "YYYY MM DD", "DDD HH12 MI SS MS"])])
FMT_NUM = ["9", "999", "9999.99", "0000.00", "FM9999.99", "FM0000.00", "S999", "999S", "MI999", "999MI", "PR999", "999PR", "9,999.99", "FM9,999,999", "L999", "999D99", "9G999", "RN", "FMRN", "999th", "V99", "99V99", "9.99EEEE", "SG999", "PL999", "FM999.990", "\"x\"999", "0", ".99", "FM.99", "B999"]
NUMS = ["0", "1", "-1", "12.345", "-485", "485.8", "3148.5", "0.1", "-0.1", "999999", "1e10"]
call("to_char", [("numeric", NUMS), ("text", FMT_NUM)], [("int4", ["0", "-5", "1234"]), ("text", FMT_NUM)], [("float8", ["0", "-1.5", "1234.567"]), ("text", FMT_NUM)])
PAIRS = [("05 Dec 2000", "DD Mon YYYY"), ("2000-12-05", "YYYY-MM-DD"), ("20001205", "YYYYMMDD"), ("5 december 2000", "DD month YYYY"), ("97/12/05", "YY/MM/DD"), ("2000-340", "YYYY-DDD"), ("2006-42-4", "IYYY-IW-ID"), ("12/05/2000", "MM/DD/YYYY"), ("2000", "YYYY"), ("44 BC", "YYYY BC"), ("xx", "YYYY"), ("2000-13-01", "YYYY-MM-DD"), ("2000-02-30", "YYYY-MM-DD"), ("Fri 05 Dec 2000", "Dy DD Mon YYYY"), ("2454336", "J"), ("1,999", "Y,YYY")]
for text, fmt in PAIRS:
    case("fn", "to_date", ("text", text), ("text", fmt))
for text, fmt in PAIRS + [("2000-12-05 13:45:06", "YYYY-MM-DD HH24:MI:SS"), ("2000-12-05 01:45:06 PM", "YYYY-MM-DD HH12:MI:SS PM"), ("2000-12-05 13:45:06.789", "YYYY-MM-DD HH24:MI:SS.MS"), ("2000-12-05 13:45:06.789123", "YYYY-MM-DD HH24:MI:SS.US"), ("20001205134506", "YYYYMMDDHH24MISS"), ("15:12:02.020.001230", "HH24:MI:SS.MS.US"), ("2000-12-05 25:00", "YYYY-MM-DD HH24:MI"), ("2000-12-05 13:00 pm", "YYYY-MM-DD HH12:MI am"), ("2011-12-18 11:38 +05:20", "YYYY-MM-DD HH12:MI TZH:TZM"), ("1985 January 12", "YYYY FMMonth DD"), ("2000-12-05T10", "YYYY-MM-DD\"T\"HH24")]:
    case("fn", "to_timestamp", ("text", text), ("text", fmt))

INTS = ["{}", "{1}", "{1,2}", "{2,1}", "{1,NULL}", "{NULL}", "{1,2,3}", "{{1,2},{3,4}}", "{{1},{2}}", "[0:1]={1,2}", "[2:3]={1,2}", "[-1:0][2:3]={{1,2},{3,4}}", "{{{1},{2}}}"]
FLAT = ["{}", "{1}", "{1,2,1}", "{NULL,1}", "[5:7]={1,2,3}", None]
TEXTS = ["{}", "{a}", "{a,b}", "{A,NULL}", "{\"NULL\",\"\"}", "{\"a b\",\"c,d\"}"]
read("int4[]", *INTS, " { 1 , 2 } ", "{ }", "{{}}", "{{},{}}", "{1,2", "{1,,2}", "{,1}", "{1,}", "1,2", "", "{1}x", "{1} ", "{{1,2},{3}}", "{{1,2},3}", "{1,{2}}", "{{1},{{2}}}", "[1:2]={1}", "[1:2]={1,2}", "[2]={1,2}", "[2:1]={}", "[1:1]={}", "[a:1]={1}", "[1:a]={1}", "[1:1={1}", "[1:1]{1}", "[1:1]= {1}", " [1:1] = {1}", "[1:1] ={1}", "[1:1]=1", "[-2147483648:-2147483648]={1}", "[2147483647:2147483647]={1}", "[0:2147483647]={1}", "{{{{{{1}}}}}}", "{{{{{{{1}}}}}}}", "[1:1][1:1][1:1][1:1][1:1][1:1][1:1]={1}", "{null,Null,NULL}", "{\"1\"}", "{\"null\"}", "{99999999999}", "{1 2}", "}", "{1}}", "{\\1}", "{1\\", "{\"1", "{1\"2\"}")
read("text[]", *TEXTS, "{ a b , c }", "{\"a\\\"b\"}", "{a\\,b}", "{\\ a\\ }", "{\\N}", "{\\NULL}", "{nul\\l}", "{\"a\" }", "{\"a\"b}", "{a\"b\"}", "{a{b}", "{\"{}\"}", "{\t a\n}", "{'a'}", "{\u00e9}")
read("bool[]", "{t,f,NULL}", "{maybe}")
read("numeric[]", "{1.50,NaN,-0.0}", "{x}")
read("timestamptz[]", "{2000-01-01 00:00:00+00,infinity}")
read("interval[]", "{1 day 02:00:00,@ 3 mons}")
read("bytea[]", "{\"\\\\x0aff\",abc}")
read("float8[]", "{1e300,NaN,-Infinity}")
read("bpchar[]", "{\"a \",b}")
read("int2vector", "", "1", " 1  2 ", "1,2", "x", "32767 32768")
read("oidvector", "", "1 4294967295", "-1")
read("\"char\"", "", "a", "ab", "\\")
read("\"char\"[]", "{a,\"\",\" \"}")
for o in ["=", "<>", "<", ">=", "@>", "<@", "&&"]:
    op(o, ("int4[]", INTS + [None]), ("int4[]", INTS))
    op(o, ("text[]", TEXTS), ("text[]", TEXTS))
op("<", ("bpchar[]", ["{a}", "{\"a \"}", "{\"a  \",b}"]), ("bpchar[]", ["{a}", "{\"a \"}", "{b}"]))
op("=", ("numeric[]", ["{1.0}", "{NaN}", "{1,2}"]), ("numeric[]", ["{1}", "{NaN}", "{1.00,2.0}"]))
op("<", ("\"char\"", ["", "a", "b"]), ("\"char\"", ["", "a", "b"]))
op("=", ("int4[]", ["{1}"]), ("int8[]", ["{1}"]))
op("=", ("int2vector", ["1 2"]), ("int2vector", ["1 2", "1"]))
op("||", ("int4[]", INTS + [None]), ("int4[]", INTS + [None]))
op("||", ("int4[]", FLAT + ["{{1}}"]), ("int4", ["5", None]))
op("||", ("int4", ["5", None]), ("int4[]", FLAT + ["{{1}}"]))
op("||", ("int4[]", ["{1}"]), ("numeric", ["1.5"]))
op("||", ("int4[]", ["{1}"]), ("int8[]", ["{2}"]))
op("||", ("text[]", ["{a}"]), ("varchar", ["b"]))
op("||", ("text[]", ["{a}"]), ("int4", ["1"]))
for f in ["array_ndims", "array_dims", "cardinality"]:
    call(f, [("int4[]", INTS + [None])])
for f in ["array_length", "array_lower", "array_upper"]:
    call(f, [("int4[]", INTS), ("int4", ["1", "2", "0", "-1", "7", None])])
call("array_append", [("int4[]", FLAT + ["{{1}}", "[2147483647:2147483647]={1}"]), ("int4", ["9", None])])
call("array_prepend", [("int4", ["9", None]), ("int4[]", FLAT + ["{{1}}", "[-2147483648:-2147483648]={1}"])])
call("array_cat", [("int4[]", INTS), ("int4[]", ["{}", "{7}", "{{7,8}}", "[3:4]={7,8}", None])])
call("array_position", [("int4[]", FLAT + ["{{1}}"]), ("int4", ["1", "3", None])], [("int4[]", FLAT), ("int4", ["1", "3"]), ("int4", ["2", "6", "-5", None])], [("text[]", TEXTS), ("text", ["a", "", None])])
call("array_positions", [("int4[]", FLAT + ["{{1}}"]), ("int4", ["1", "3", None])])
call("array_remove", [("int4[]", FLAT + ["{{1}}"]), ("int4", ["1", "3", None])])
call("array_replace", [("int4[]", FLAT + ["{{1,2}}"]), ("int4", ["1", "3", None]), ("int4", ["7", None])])
call("array_fill", [("int4", ["7", None]), ("int4[]", ["{}", "{2}", "{2,2}", "{0}", "{-1}", "{NULL}", "{{1}}", "{1,1,1,1,1,1,1}", "{100000,100000}", None])], [("text", ["x"]), ("int4[]", ["{2}", "{2,1}"]), ("int4[]", ["{5}", "{0,-1}", "{}", "{NULL}", "{2147483647}", "{{1}}", None])])
call("trim_array", [("int4[]", INTS), ("int4", ["0", "1", "2", "-1", "4"])])
call("array_to_string", [("int4[]", INTS + [None]), ("text", [",", "", None])], [("text[]", TEXTS), ("text", ["-"]), ("text", ["*", "", None])], [("bool[]", ["{t,f,NULL}"]), ("text", [","])], [("float8[]", ["{0.1,1e20}"]), ("text", [" "])], [("bpchar[]", ["{\"a \",b}"]), ("text", [","])])
call("string_to_array", [("text", ["a,b,,c", "", "abc", ",", None]), ("text", [",", "", "bc", None])], [("text", ["a,b,,c", "", "abc"]), ("text", [",", "", None]), ("text", ["b", "", "a", None])])
cast("int4[]", ["{1,NULL}", "[0:0]={3}", "{}"], "text", "int8[]", "numeric[]", "text[]", "bool[]", "varchar(1)[]", "date[]")
cast("text[]", ["{1,2}", "{a}", "{abc}"], "int4[]", "varchar(2)[]", "bpchar(4)[]", "name[]", "text")
cast("text", ["{1,2}", "{x}", "1 2"], "int4[]", "int2vector", "text[]")
cast("int2vector", ["1 2"], "int2[]", "int4[]", "text")
cast("numeric[]", ["{1.234,5.678}"], "numeric(3,1)[]", "int4[]")
cast("\"char\"", ["a", ""], "text", "int4", "varchar", "bpchar")
cast("int4", ["97", "0", "128", "127"], "\"char\"")
cast("text", ["ab", ""], "\"char\"")
agg("array_agg", "int4", ["1", None, "2"], [None])
agg("array_agg", "text", ["a", "b c", ""])
agg("array_agg", "int4[]", ["{1,2}", "{3,4}"], ["{1}", "{1,2}"], ["{}"], [None], ["[0:0]={1}", "[0:0]={2}"])
agg("max", "int4[]", ["{1,2}", "{1,3}", None, "{1}"])
agg("min", "text[]", ["{b}", "{a,z}"])

JS = ["{}", "[]", "1", "\"a\"", "null", "true", "[1,\"a\",null,[2]]", "{\"a\": 1, \"b\" : {\"c\":[1,2]}}", "{\"a\":null}", "{\"a\":\"x\\u00e9\\n\"}", "[[]]", "[{\"a\":1},{\"b\":2}]", "1.50", "[1.0, 2]"]
BADJS = ["", " ", "{", "[", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1,]", "[1 2]", "tru", "true x", "01", "1.", "1e", "-", "1a", "\"abc", "\"\\x\"", "\"\\u00\"", "\"\\u0000\"", "\"\\ud83d\"", "\"\\ude04\"", "\"\\ud83dx\"", "\"\\ud83d\\ude04\"", "{1:2}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "@", "'a'", "[1}", "{]", "\t[ 1 ,\n2 ]", "1e3", "-0", "1E+2", "{\"b\":1,\"aa\":2,\"a\":3,\"b\":4}", "nulla", "\"a\tb\""]
read("json", *JS, *BADJS)
read("jsonb", *JS, *BADJS)
for ty in ["json", "jsonb"]:
    for o in ["->", "->>"]:
        op(o, (ty, JS), ("text", ["a", "b", "x"]))
        op(o, (ty, JS), ("int4", ["0", "1", "-1", "9"]))
    for o in ["#>", "#>>"]:
        op(o, (ty, JS), ("text[]", ["{}", "{a}", "{b,c,-1}", "{0}", "{3,0}", "{x,y}", "{a,NULL}"]))
    for f in ["typeof", "array_length", "strip_nulls"]:
        call(f"{ty}_{f}", [(ty, JS)])
    call(f"{ty}_extract_path", [(ty, JS), ("text", ["b", "3"]), ("text", ["c", "0"])])
    call(f"{ty}_build_array", [("int4", ["1", None]), ("text", ["a\"b", None]), ("bool", ["t"])], [("timestamptz", ["2000-01-01 12:00:00+00", "0044-03-15 12:00:00 BC", "infinity"]), ("date", ["2000-01-01"])], [("float8", ["1.5", "NaN", "1e20", "1e-7"]), ("numeric", ["1.50", "NaN"])], [("int4[]", ["{1,NULL}", "{{1,2},{3,4}}", "{}"]), (ty, JS)])
    call(f"{ty}_build_object", [("text", ["b", None]), ("int4", ["1"]), ("text", ["aa", "b"]), (ty, ["{\"z\": 1}", None])], [("int4", ["1"]), ("bool", ["t"])], [("bool", ["t"]), ("int4", ["1"])], [("text", ["a"])], [("int4[]", ["{1}"]), ("int4", ["1"])])
    call(f"{ty}_object", [("text[]", ["{a,1,b,NULL}", "{{a,1},{b,2}}", "{}", "{a}", "{{a},{b}}", "{NULL,1}", "{{{a,b}}}"])], [("text[]", ["{a,b}", "{}"]), ("text[]", ["{1,NULL}", "{1}", "{}"])])
for f in ["to_json", "to_jsonb"]:
    call(f, [("int4", ["1", None])], [("text", ["a\"\\\n", ""])], [("numeric", ["1.50", "NaN", "-Infinity"])], [("float4", ["0.1", "1e10"])], [("bool", ["t"])], [("timestamp", GOOD_TS)], [("timestamptz", GOOD_TS)], [("interval", ["1 day"])], [("bytea", ["\\x01"])], [("json", JS)], [("jsonb", JS)], [("text[]", TEXTS)], [("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])])
for o in ["=", "<", "@>", "<@", "||"]:
    op(o, ("jsonb", JS), ("jsonb", JS + ["[1]", "{\"a\":1}"]))
op("?", ("jsonb", JS), ("text", ["a", "b", "1"]))
op("?|", ("jsonb", JS), ("text[]", ["{a,z}", "{}", "{NULL}"]))
op("?&", ("jsonb", JS), ("text[]", ["{a,b}", "{}", "{NULL}"]))
op("-", ("jsonb", JS), ("text", ["a", "b"]))
op("-", ("jsonb", JS), ("int4", ["0", "-1", "9"]))
op("-", ("jsonb", JS), ("text[]", ["{a,b}", "{}"]))
op("#-", ("jsonb", JS), ("text[]", ["{a}", "{b,c}", "{0}", "{}", "{x,y}", "{3,-1}"]))
PATHS = ["{a}", "{b,c,0}", "{0}", "{-1}", "{9}", "{-9}", "{x,y}", "{}", "{3,0}"]
for f in ["jsonb_set", "jsonb_insert"]:
    call(f, [("jsonb", JS), ("text[]", PATHS), ("jsonb", ["9"])], [("jsonb", JS[6:8]), ("text[]", PATHS), ("jsonb", ["[9]"]), ("bool", ["t", "f"])])
call("jsonb_pretty", [("jsonb", JS)])
cast("json", JS, "jsonb", "text")
cast("jsonb", JS + ["1.7", "2.5", "\"1\""], "json", "text", "int4", "numeric", "bool", "float8", "int2")

def quote(t):
    return "NULL" if t is None else "'" + t.replace("'", "''") + "'"

def literal(arg):
    ty, t = arg
    return f"{quote(t)}::{ty}"

def sql(kind, name, args):
    if kind == "in":
        return f"select ({literal(args[0])})::text"
    if kind == "op":
        if len(args) == 1:
            return f"select ({name} ({literal(args[0])}))::text"
        return f"select ({literal(args[0])} {name} {literal(args[1])})::text"
    if kind == "fn":
        call = ", ".join(literal(a) for a in args)
        return f'select (pg_catalog."{name}"({call}))::text'
    if kind == "cast":
        return f"select ({literal(args[0])})::{name}::text"
    if kind == "agg":
        rows = ", ".join("(" + literal(a) + ")" for a in args)
        return f"select ({name}(v))::text from (values {rows}) as t(v)"

def tab(t):
    return "\\N" if t is None else t.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

def main():
    setup = """
set client_min_messages = error;
create or replace function pg_temp.answer(q text) returns text language plpgsql as $$
declare r text; begin execute q into r; return 'ok ' || coalesce(r, 'NULL');
exception when others then return 'error ' || sqlstate || ' ' || sqlerrm; end $$;
set timezone = 'America/New_York'; set datestyle = 'ISO, MDY';
create temp table q(id int, q text);
copy q from stdin;
"""
    body = "".join(f"{i}\t{tab(sql(*c))}\n" for i, c in enumerate(CASES))
    script = setup + body + "\\.\ncopy (select pg_temp.answer(q) from q order by id) to stdout;\n"
    out = subprocess.run(["psql", "-qAt", *sys.argv[1:]], input=script, capture_output=True, text=True, check=True)
    answers = out.stdout.split("\n")[:-1]
    assert len(answers) == len(CASES), (len(answers), len(CASES), out.stderr[:500])
    for (kind, name, args), answer in zip(CASES, answers):
        fields = [kind, name, answer]
        for ty, t in args:
            fields += [ty, tab(t)]
        print("\t".join(fields))

if __name__ == "__main__":
    main()
