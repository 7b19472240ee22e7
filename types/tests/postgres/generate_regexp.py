#!/usr/bin/env python3
"""As generate.py, for regular expressions: writes regexp.tsv.

Usage: generate_regexp.py [psql arguments] > regexp.tsv
The database's encoding is UTF8, its LC_CTYPE C.UTF-8.
"""
from generate import CASES, call, main, op

CASES.clear()

# Each a pattern and subjects. What is asked of each: where, which groups, what is replaced.
TABLE = [
    # Alternatives and lengths.
    ("foo|foobar", ["foobar", "foo", "xfoob", ""]),
    ("(foo|foobar)(bar)?", ["foobar", "foobarbar"]),
    ("XY*?", ["XYYY"]), ("Y*", ["XYYY", "YYX", ""]), ("Y*?", ["YY"]),
    ("(a|ab)(c|bcd)(d*)", ["abcd", "acd", "xabcdd"]),
    ("SELECT|(Y*?[0-9]{1,3})", ["XY1234Z"]), ("(Y*[0-9]{1,3})", ["XY1234Z"]), ("(Y*?[0-9]{1,3})", ["XY1234Z"]),
    ("(?:(.*)(\\d+)(.*)){1,1}?", ["abc01234xyz"]), ("(?:(.*?)(\\d+)(.*)){1,1}", ["abc01234xyz"]),
    ("(.*)(\\d+)(.*)", ["abc01234xyz"]), ("(.*?)(\\d+)(.*)", ["abc01234xyz"]),
    ("a{2}", ["aaaa"]), ("a{2,}", ["aaaa"]), ("a{2,3}", ["aaaa"]), ("a{2,3}?", ["aaaa"]), ("a{2,}?b?", ["aaab"]),
    ("a{0}b", ["ab"]), ("(a){0}b", ["ab"]), ("(a){0}\\1", ["a"]), ("(a{0,1}){2,3}", ["aaaa"]),
    ("(a*)+", ["aa", "b"]), ("(a*)*", ["aa", "b", ""]), ("(a|b)*", ["abab", ""]), ("(a+|b)*", ["ab"]), ("(a+|b)+?", ["ab"]),
    ("((a)|(b))*", ["ab", "ba"]), ("((a)|b)+?c", ["abc"]), ("(a?)(ab)?", ["ab"]), ("a?(ab)?", ["ab"]),
    ("(((x)))", ["x"]), ("((x)*)*", ["xx"]), ("()", ["a"]), ("()|a", ["a"]), ("a||b", ["b"]), ("(|a)+", ["aa"]),
    ("(?:a|(b)){2}", ["ab", "ba"]), ("(a*?)(a*)", ["aaa"]), ("(a*?)(a*?)$", ["aaa"]), ("(?:(a*?)b)*?c", ["aabc"]),
    # Anchors and words.
    ("^", ["a\nb"]), ("$", ["a\nb"]), ("^b", ["a\nb"]), ("a$", ["a\nb"]), ("\\Ab", ["a\nb"]), ("a\\Z", ["a\nb"]), ("(^|b)a", ["aba"]),
    ("a^b", ["ab"]), ("^^a$$", ["a"]), ("\\mfoo\\M", ["a foo b", "foobar", "foo"]), ("\\y", ["ab cd"]), ("\\Y.", ["ab cd"]),
    ("[[:<:]]a[[:>:]]", ["ba a"]), ("x\\y", ["x", "xa", "x-"]), ("\\m", [""]), ("\\Y", [""]),
    # Look-around.
    ("a(?=b)", ["acab"]), ("a(?=b*)(?!b)", ["abac"]), ("(?<=a)b", ["bab"]), ("(?<!a)b", ["ab bb"]), ("(?<=a|bc)d", ["bcd", "ad", "cd"]),
    ("(?=a)(?!ab).", ["abac"]), ("(?<=^a)b", ["ab", "cab"]), ("a(?=.*c(?!d))", ["abcd", "abce"]), ("(?=(a))a", ["a"]), ("((?=a)|b)", ["a"]),
    ("(?<=(?<!x)a)b", ["xab", "ab"]), ("(?=$)", ["ab"]), ("(?!^)a", ["aa"]), ("(?<=.)", ["ab"]), ("(?<!.)", ["ab"]), ("(?:(?=a)a)*b", ["aab"]),
    # Back references.
    ("(.)\\1", ["foobarrbazz", "abc"]), ("(a*)\\1b", ["aaab"]), ("^(.+)\\1$", ["abcabc", "abcab"]), ("(a|b)\\1{2}", ["abbb", "abb"]),
    ("(.)(.)\\2\\1", ["xabba"]), ("^(\\w+).*\\1$", ["aXYa"]), ("(a)?\\1", ["a", "aa", ""]), ("((a)\\2)+", ["aaaa"]), ("(?:(a|b)\\1)*", ["aabb"]),
    ("(a*)*\\1", ["aaa"]), ("(a*?)\\1*b", ["aab"]), ("()*\\1", ["a"]), ("()*?\\1", ["a"]), ("(^)\\1a", ["ba", "a"]), ("(\\y)a\\1", ["a", "ab"]), ("(a|ab)\\1?c", ["abc", "ababc"]),
    ("(x)\\1|(y)\\2", ["yy"]), ("(?:(x)|y)\\1", ["yx", "xx"]), ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10", ["abcdefghijj"]), ("(a)\\10", ["a\x08", "aa0"]),
    ("(?i)(a)\\1", ["aA"]), ("(\\w)(\\w*)\\2\\1", ["abcbca"]), ("(.*)\\1(.*)\\2", ["abab"]), ("(?:\\1|(a))+", ["aa"]), ("(a(b)?)+\\2", ["abab"]), ("(?:(a)\\1){2,3}?", ["aaaaaa"]),
    # Escapes and classes.
    ("\\d+", ["a12"]), ("[\\d]+\\D", ["a12b"]), ("\\w+\\W", ["a_1 b"]), ("\\s\\S", ["a b"]), ("[^\\s]+", ["a b"]), ("[\\W]", ["a-"]), ("[^\\w-]", ["a-+"]),
    ("\\x41", ["A"]), ("\\u0041", ["A"]), ("\\U00000041", ["A"]), ("\\x", ["x"]), ("\\u004", ["A"]), ("\\101", ["A"]), ("\\0", ["a"]), ("\\777", ["?7"]),
    ("\\e\\a\\f\\v\\t\\n", ["\x1b\x07\x0c\x0b\t\n"]), ("\\B", ["\\"]), ("\\cA", ["\x01"]), ("\\.\\*\\-", [".*-"]), ("\\q", ["q"]), ("a\\", ["a"]), ("\\é", ["é"]),
    ("[[:alpha:]]+", ["1ab2"]), ("[[:digit:][:space:]]+", ["a1 2"]), ("[^[:alnum:]]", ["a-"]), ("[[:upper:]]", ["aB"]), ("[[:punct:]]+", ["a.,b"]), ("[[:nope:]]", ["a"]), ("[[:xdigit:]]+", ["xfF0g"]), ("[[:word:]]+", ["-a_"]), ("[[:blank:]]", ["\n\t"]), ("[[:cntrl:]]", ["a\n"]), ("[[:graph:]]+", [" a!"]), ("[[:print:]]+", ["\na !"]),("[[:ascii:]]+", ["éab"]),
    ("[a-c]+", ["xabcd"]), ("[c-a]", ["a"]), ("[a-]+", ["a-b"]), ("[-a]+", ["a-b"]), ("[]a]+", ["a]"]), ("[^]a]", ["a]b"]), ("[a\\]]+", ["]a"]), ("[[.hyphen.]]", ["-"]), ("[[.a.]-c]", ["b"]), ("[a-[.c.]]", ["b"]), ("[[=a=]]", ["a"]), ("[[.nope.]]", ["a"]), ("[[.space.]x]+", ["a x"]), ("[[=ab=]]", ["a"]), ("[a-b-c]", ["-"]), ("[a", ["a"]), ("[[:alpha:", ["a"]), ("[", ["["]), ("[]", ["]"]), ("[^]", ["^"]), ("a]", ["a]"]), ("[+--]", [","]), ("[a-\\d]", ["a"]), ("[[:alpha:]-z]", ["-"]), ("[[a]+", ["[a"]), ("[a^]", ["^"]), ("[\\n-]", ["-"]), ("[!--]", ["-"]),
    ("é", ["é", "É"]), ("[à-ü]+", ["xéz"]), ("\\w+", ["né1"]), (".", ["é"]), ("(é)\\1", ["éé"]), ("[^é]", ["éa"]), ("x*", ["éx"]),
    # Errors.
    ("a(b", ["a"]), ("a)", ["a"]), ("(", ["a"]), (")", ["a"]), ("a**", ["a"]), ("*a", ["a"]), ("a|*b", ["a"]), ("(*a)", ["a"]), ("^*a", ["a"]), ("+", ["a"]), ("a{1", ["a"]), ("a{1a}", ["a"]), ("a{,2}", ["a{,2}"]), ("a{2,1}", ["a"]), ("a{256}", ["a"]), ("a{1,256}", ["a"]), ("a{x}", ["a{x}"]), ("{1}", ["a"]), ("a{", ["a{"]), ("a?{1}", ["a"]), ("a{1}{2}", ["a"]), ("\\1", ["a"]), ("(a\\1)", ["a"]), ("\\2(a)", ["a"]), ("(?a)", ["a"]), ("(?", ["a"]), ("(?<a)", ["a"]), ("(?<", ["a"]), ("(?P<x>a)", ["a"]), ("(?=a)*", ["a"]), ("(?=a", ["a"]), ("(?=\\1)", ["a"]), ("(a)(?=\\1)", ["aa"]), ("\\m*", ["a"]), ("a|", ["a", "b"]), ("|a", ["a"]), ("", ["a", ""]), ("(?:a{255}){255}", ["a"]), ("(?:a{20}){20}", ["a"]), ("a{1,2}{3}", ["aaaa"]), ("a??", ["a"]), ("a???", ["a"]), ("a+?+", ["a"]), ("a++", ["a"]),
    # Directors and options.
    ("***=a.b", ["a.b", "axb"]), ("***:a.b", ["axb"]), ("***a", ["a"]), ("***?", ["a"]), ("***", ["a"]), ("****", ["a"]), ("***=", ["a"]),
    ("(?i)ab", ["AB"]), ("(?ic)ab", ["AB"]), ("(?i)[a-b]+", ["xABz"]), ("(?i)[^a]", ["Ab"]), ("(?i)[[:upper:]]+", ["aB1"]), ("(?i)é", ["É"]), ("(?x)a b # c\n d", ["abd", "a b"]), ("(?x)a\\ b", ["a b"]), ("(?x)[a b]+", ["a b"]), ("(?x)a {2}", ["aa"]), ("(?x)a{ 2 }", ["aa"]), ("a(?#comment)b", ["ab"]), ("a(?#comment)*b", ["aab"]), ("a(?#open", ["a"]), ("(?n)^b$", ["a\nb\nc"]), ("(?n)a.b", ["a\nb"]), ("(?n)[^x]", ["\n"]), ("(?p)a.b", ["a\nb"]), ("(?p)^b", ["a\nb"]), ("(?w)a.b", ["a\nb"]), ("(?w)^b", ["a\nb"]), ("(?s)a.b", ["a\nb"]), ("(?m)^", ["a\n\nb"]), ("(?n)\\Ab", ["a\nb"]), ("(?n)a\\Z", ["a\nb"]), ("(?n)\\D\\W", ["\n\n"]), ("(?n)$", ["a\n"]), ("(?q)a.b", ["a.b", "axb"]), ("(?z)a", ["a"]), ("(?i", ["a"]), ("(?e)a+?", ["aa"]), ("(?e)a\\d", ["ad"]), ("(?e)(a|b)\\1", ["aa", "a1"]), ("(?e)a)", ["a)"]), ("(?e)(?:a)", ["a"]),
    ("(?b)a*b", ["aab"]), ("(?b)a+", ["a+"]), ("(?b)\\(a\\)\\1", ["aa"]), ("(?b)a\\{2\\}", ["aa"]), ("(?b)a\\{2,3\\}?", ["aaa?"]), ("(?b)*a", ["*a"]), ("(?b)\\(*a\\)", ["*a"]), ("(?b)^*a", ["*a"]), ("(?b)a^b", ["a^b"]), ("(?b)a$b", ["a$b"]), ("(?b)\\(^a$\\)", ["a"]), ("(?b)a|b", ["a|b"]), ("(?b)\\<a\\>", ["b a"]), ("(?b)\\(a", ["a"]), ("(?b)a\\{2", ["a"]), ("(?b)[a\\d]+", ["\\d"]), ("(?b)a\\{2}", ["a"]),
]
for pattern, subjects in TABLE:
    for s in subjects:
        call("regexp_match", [("text", [s]), ("text", [pattern])])
        call("regexp_instr", [("text", [s]), ("text", [pattern])])
        call("regexp_replace", [("text", [s]), ("text", [pattern]), ("text", ["<\\&|\\1>"]), ("text", ["g"])])
        op("~", ("text", [s]), ("text", [pattern]))
    op("~*", ("text", subjects), ("text", [pattern]))
    call("regexp_split_to_array", [("text", subjects), ("text", [pattern])])
    call("substring", [("text", subjects[:1]), ("text", [pattern])])

FLAGS = ["", "i", "n", "m", "p", "w", "s", "x", "q", "b", "e", "c", "ic", "ci", "iq", "qx", "qn", "t", "z", "g", "ng", "i "]
for f in FLAGS:
    for pattern, s in [("^b.c", "a\nb\nc\nB c"), ("a b|c+", "ab A B c+ C"), ("(a|b)\\1", "xaAbB|b")]:
        for name in ["regexp_match", "regexp_like", "regexp_split_to_array"]:
            call(name, [("text", [s]), ("text", [pattern]), ("text", [f])])
        call("regexp_replace", [("text", [s]), ("text", [pattern]), ("text", ["[\\&]"]), ("text", [f])])
        call("regexp_count", [("text", [s]), ("text", [pattern]), ("int4", ["1", "3"]), ("text", [f])])

for template in ["\\1\\2", "\\\\", "\\", "\\0", "\\9", "\\&\\&", "&", "\\x", "$1", "é\\1"]:
    call("regexp_replace", [("text", ["xaabc"]), ("text", ["(a)(b)?"]), ("text", [template]), ("text", ["g", ""])])
call("regexp_replace", [("text", ["A PostgreSQL function", "éaoa"]), ("text", ["a|e|i|o|u", ""]), ("text", ["X"]), ("int4", ["1", "3", "30"]), ("int4", ["0", "1", "2", "5"]), ("text", ["i", "g"])])
call("regexp_substr", [("text", ["abcabcabc", "éabcé"]), ("text", ["a.c", "(a)(b)|c", "x"]), ("int4", ["1", "2", "0"]), ("int4", ["1", "2", "0"]), ("text", ["", "i"]), ("int4", ["0", "1", "2", "3", "-1"])])
call("regexp_instr", [("text", ["abcabcabc", "éabcé"]), ("text", ["a.c", "(a)(b)|c", "x"]), ("int4", ["1", "2"]), ("int4", ["1", "2"]), ("int4", ["0", "1", "2"]), ("text", ["", "i"]), ("int4", ["0", "1", "2", "3"])])
call("regexp_count", [("text", ["abcabc", "", "é"]), ("text", ["", "a*", "b|$", "x"]), ("int4", ["1", "2", "7", "9"])])
call("regexp_split_to_array", [("text", ["the quick  fox", "", " a "]), ("text", ["\\s+", "\\s*", "", "x|$", "(?=q)"])])

SIMILAR = ["abc", "a%", "%(b|d)%", "(b|c)%", "a_c", "a[bc]+", "a\\%", "a#%", "#", "a\\", "[a\\d]bc", "a.c", "^a$", "a{1}%", "a*b", "", "%#\"(b_)#\"%", "a#\"b#\"c", "#\"#\"#\"", "#\"a", "a|%c", "a#\"%|x#\"c", "(a)#\"b#\"(c)", "[[:alpha:]]+", "[^a]%", "a?bc", "é%", "a[#\"]b", "%*", "a#(b"]
for escape in ["#", "\\", "", "##", "é"]:
    call("similar_to_escape", [("text", SIMILAR), ("text", [escape])])
call("similar_to_escape", [("text", SIMILAR)])
for p in SIMILAR:
    call("substring", [("text", ["abc", "abcabc", "a%"]), ("text", [p]), ("text", ["#", "\\"])])

main()
