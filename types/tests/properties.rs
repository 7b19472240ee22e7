//! Properties that hold for all values: round trips, orders and exact arithmetic.

use std::cmp::Ordering;
use std::hash::Hasher;

use driftdb_types::{
    Array, DataType, Dimension, EvalContext, Interval, Numeric, TimeZone, Value, compare,
    compare_typed, decode_int, decode_key, decode_str, decode_value, encode_key, encode_value,
    hash_typed, key_is_lossless, parse_binary, parse_text, skip_value, write_binary, write_text,
};
use num_bigint::BigInt;
use proptest::prelude::*;

/// FNV-1a: any hash will do.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

fn hash(ty: DataType, value: &Value) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hash_typed(ty, value, &mut hasher);
    hasher.finish()
}

fn numerics() -> impl Strategy<Value = Numeric> {
    let finite = |text: String| Numeric::parse(&text).expect("a number");
    prop_oneof![
        6 => "-?[0-9]{1,20}(\\.[0-9]{0,12})?".prop_map(finite),
        2 => "-?[0-9]{1,60}(\\.[0-9]{0,40})?".prop_map(finite),
        2 => "-?[0-9]{1,3}(\\.0{0,4})?".prop_map(finite),
        1 => Just(Numeric::NaN),
        1 => Just(Numeric::Infinity),
        1 => Just(Numeric::NegInfinity),
    ]
}

/// Finite timestamps in range, and the infinities.
fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -211_813_488_000_000_000i64..9_223_371_331_200_000_000,
        4 => -3_000_000_000_000_000i64..3_000_000_000_000_000,
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ]
}

/// Arrays of a type whose equal values have one text, NULLs among them, in one or two dimensions.
fn arrays() -> impl Strategy<Value = (DataType, Value)> {
    let element = prop_oneof![
        (-2i32..3).prop_map(Value::Int4).prop_map(|value| (DataType::Int4, value)),
        "[ab\"\\\\{}, ]{0,3}|null|NULL".prop_map(|text| (DataType::Text, Value::text(text))),
        numerics().prop_map(|number| (DataType::Numeric, Value::Numeric(number))),
        "[ab ]{0,3}".prop_map(|text| (DataType::Bpchar, Value::text(text))),
    ];
    (prop::collection::vec(element, 1..60), 0usize..5, 1usize..3, -2i32..3, any::<bool>()).prop_map(
        |(pool, length, width, lower, has_null)| {
            let ty = pool[0].0;
            let mut values: Vec<Value> = pool
                .into_iter()
                .filter(|(other, _)| *other == ty)
                .map(|(_, value)| value)
                .take(length * width)
                .collect();
            values.resize(length * width, Value::Null);
            if has_null && let Some(first) = values.first_mut() {
                *first = Value::Null;
            }
            let mut dimensions = vec![Dimension { length: length as i32, lower }];
            if width > 1 {
                dimensions.push(Dimension { length: width as i32, lower: 1 });
            }
            let array = Array::new(ty, dimensions, values).expect("a small array");
            (ty.array().expect("an array type"), Value::array(array))
        },
    )
}

/// Values of `jsonb`, from their texts.
fn jsons() -> impl Strategy<Value = (DataType, Value)> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        "-?[0-3](\\.[05]0?)?",
        "\"[ab\u{e9}]{0,2}\"",
        Just("\"\\u0001\\n\"".to_owned()),
    ];
    let text = leaf.prop_recursive(3, 12, 3, |inner| {
        let pair =
            ("[a-c]{0,2}", inner.clone()).prop_map(|(key, value)| format!("\"{key}\": {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(pair, 0..3).prop_map(|pairs| format!("{{{}}}", pairs.join(", "))),
        ]
    });
    text.prop_map(|text| {
        let json = parse_text(DataType::Jsonb, -1, &text, &EvalContext::default());
        (DataType::Jsonb, json.expect("JSON"))
    })
}

/// Values that are made of text: bit strings, addresses, ranges.
fn spelt() -> impl Strategy<Value = (DataType, Value)> {
    let read = |ty: DataType, text: &str| {
        let value = parse_text(ty, -1, text, &EvalContext::default());
        (ty, value.unwrap_or_else(|error| panic!("{text}: {error}")))
    };
    let bound = || prop_oneof![Just(String::new()), (-3i32..6).prop_map(|v| v.to_string())];
    let range = move || {
        (any::<bool>(), bound(), bound(), any::<bool>()).prop_map(|(open, a, b, close)| {
            let (a, b) = match (a.parse::<i32>(), b.parse::<i32>()) {
                (Ok(x), Ok(y)) if x > y => (b, a),
                _ => (a, b),
            };
            let (open, close) = (if open { '(' } else { '[' }, if close { ')' } else { ']' });
            format!("{open}{a},{b}{close}")
        })
    };
    let ranges = || prop::collection::vec(range(), 0..4).prop_map(|all| all.join(","));
    prop_oneof![
        "[01]{0,18}".prop_map(move |text| read(DataType::Varbit, &text)),
        (prop_oneof![0u32..4, any::<u32>()], 0u8..=32).prop_map(move |(v, bits)| {
            let address = std::net::Ipv4Addr::from(v);
            read(DataType::Inet, &format!("{address}/{bits}"))
        }),
        (prop_oneof![0u128..4, any::<u128>()], 0u8..=128).prop_map(move |(v, bits)| {
            let address = std::net::Ipv6Addr::from(v);
            read(DataType::Inet, &format!("{address}/{bits}"))
        }),
        any::<i64>().prop_map(Value::Money).prop_map(|value| (DataType::Money, value)),
        any::<[u8; 6]>().prop_map(Value::Macaddr).prop_map(|value| (DataType::Macaddr, value)),
        any::<[u8; 8]>().prop_map(Value::Macaddr8).prop_map(|value| (DataType::Macaddr8, value)),
        any::<u64>().prop_map(Value::Lsn).prop_map(|value| (DataType::PgLsn, value)),
        ((0i64..=86_400_000_000), -57_599i32..57_600).prop_map(|(micros, west)| {
            (DataType::Timetz, Value::Timetz(driftdb_types::Timetz { micros, west }))
        }),
        range().prop_map(move |text| read(DataType::Int4range, &text)),
        range().prop_map(move |text| read(DataType::Numrange, &text)),
        ranges().prop_map(move |text| read(DataType::Int8multirange, &format!("{{{text}}}"))),
        ranges().prop_map(move |text| read(DataType::Nummultirange, &format!("{{{text}}}"))),
    ]
}

fn values() -> impl Strategy<Value = (DataType, Value)> {
    let with = |ty: DataType| move |value: Value| (ty, value);
    prop_oneof![
        any::<bool>().prop_map(Value::Bool).prop_map(with(DataType::Bool)),
        any::<i16>().prop_map(Value::Int2).prop_map(with(DataType::Int2)),
        any::<i32>().prop_map(Value::Int4).prop_map(with(DataType::Int4)),
        any::<i64>().prop_map(Value::Int8).prop_map(with(DataType::Int8)),
        (-300i64..300).prop_map(Value::Int8).prop_map(with(DataType::Int8)),
        any::<u32>().prop_map(Value::Oid).prop_map(with(DataType::Oid)),
        any::<u32>().prop_map(Value::Oid).prop_map(with(DataType::Xid)),
        any::<u32>().prop_map(Value::Oid).prop_map(with(DataType::Regclass)),
        (0u32..3000).prop_map(Value::Oid).prop_map(with(DataType::Regtype)),
        any::<f32>().prop_map(Value::Float4).prop_map(with(DataType::Float4)),
        any::<f64>().prop_map(Value::Float8).prop_map(with(DataType::Float8)),
        numerics().prop_map(Value::Numeric).prop_map(with(DataType::Numeric)),
        "[a-c\u{1}\u{e9} ]{0,6}".prop_map(Value::text).prop_map(with(DataType::Text)),
        "[ab ]{0,4}".prop_map(Value::text).prop_map(with(DataType::Bpchar)),
        prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..6)
            .prop_map(|bytes| Value::Bytea(bytes.into()))
            .prop_map(with(DataType::Bytea)),
        prop_oneof![-2_451_545i32..2_145_031_949, Just(i32::MIN), Just(i32::MAX)]
            .prop_map(Value::Date)
            .prop_map(with(DataType::Date)),
        (0i64..=86_400_000_000).prop_map(Value::Time).prop_map(with(DataType::Time)),
        timestamps().prop_map(Value::Timestamp).prop_map(with(DataType::Timestamp)),
        timestamps().prop_map(Value::Timestamptz).prop_map(with(DataType::Timestamptz)),
        (-30_000i32..30_000, any::<i32>(), any::<i64>())
            .prop_map(|(months, days, micros)| Value::Interval(Interval { months, days, micros }))
            .prop_map(with(DataType::Interval)),
        (-2i32..2, -31i32..31, -3i64..3)
            .prop_map(|(months, days, hours)| Value::Interval(Interval {
                months,
                days,
                micros: hours * 43_200_000_000
            }))
            .prop_map(with(DataType::Interval)),
        any::<[u8; 16]>().prop_map(Value::Uuid).prop_map(with(DataType::Uuid)),
        any::<u8>().prop_map(Value::Char).prop_map(with(DataType::Char)),
        arrays(),
        arrays(),
        arrays(),
        jsons(),
        jsons(),
        spelt(),
        spelt(),
    ]
}

/// Two values of one type, often equal or near.
fn pairs() -> impl Strategy<Value = (DataType, Value, Value)> {
    (prop::collection::vec(values(), 40), 0usize..40).prop_map(|(all, index)| {
        let (ty, a) = all[index].clone();
        let other = all.iter().enumerate().find(|(at, (other, _))| *at != index && *other == ty);
        let b = other.map_or_else(|| a.clone(), |(_, (_, b))| b.clone());
        (ty, a, b)
    })
}

/// NaN is not equal to itself for Rust.
fn same(ty: DataType, a: &Value, b: &Value) -> bool {
    a == b || (compare_typed(ty, a, b).is_eq() && a.as_float().is_some_and(f64::is_nan))
}

fn key(ty: DataType, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(value, ty, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_reads_back((ty, value) in values(), zone in prop_oneof![
        Just("UTC"), Just("America/New_York"), Just("Asia/Kolkata"), Just("Europe/Dublin")
    ]) {
        let ctx = EvalContext { time_zone: TimeZone::parse(zone).unwrap(), ..EvalContext::default() };
        let mut out = Vec::new();
        write_text(&value, ty, &ctx, &mut out);
        let text = String::from_utf8(out).unwrap();
        let back = parse_text(ty, -1, &text, &ctx).unwrap_or_else(|error| panic!("{text}: {error}"));
        prop_assert!(same(ty, &value, &back), "{text}: {value:?} became {back:?}");
    }

    #[test]
    fn binary_reads_back((ty, value) in values()) {
        let mut out = Vec::new();
        write_binary(&value, ty, &mut out);
        let back = parse_binary(ty, -1, &out).unwrap();
        prop_assert!(same(ty, &value, &back), "{value:?} became {back:?}");
    }

    #[test]
    fn cells_read_back((ty, value) in values(), more in any::<u8>()) {
        let mut out = Vec::new();
        encode_value(&value, ty, &mut out);
        out.push(more);
        let mut bytes = &out[..];
        let back = decode_value(ty, &mut bytes).unwrap();
        prop_assert!(same(ty, &value, &back), "{value:?} became {back:?}");
        prop_assert_eq!(bytes, &[more][..]);
        let mut bytes = &out[..];
        skip_value(&mut bytes).unwrap();
        prop_assert_eq!(bytes, &[more][..]);
    }

    /// The short ways say of any bytes what the long one does.
    #[test]
    fn cells_of_numbers_and_strings_read_the_same_without_values(
        (ty, value) in values(), bytes in prop::collection::vec(any::<u8>(), 0..12)
    ) {
        let mut cell = Vec::new();
        encode_value(&value, ty, &mut cell);
        for bytes in [cell, bytes] {
            let long = decode_value(ty, &mut &bytes[..]).ok();
            if Value::from_int(ty, 0).is_ok() {
                let short = decode_int(ty, &bytes).ok();
                prop_assert_eq!(short, long.as_ref().map(Value::as_int));
            }
            if matches!(ty, DataType::Text | DataType::Varchar | DataType::Bpchar | DataType::Name) {
                let short = decode_str(&bytes).ok();
                prop_assert_eq!(short, long.as_ref().map(Value::as_str));
            }
        }
    }

    #[test]
    fn keys_order_as_values_do((ty, a, b) in pairs()) {
        let order = compare_typed(ty, &a, &b);
        prop_assert_eq!(key(ty, &a).cmp(&key(ty, &b)), order, "{:?} {:?}", a, b);
        prop_assert!(key(ty, &a) < key(ty, &Value::Null));
        if order == Ordering::Equal {
            prop_assert_eq!(hash(ty, &a), hash(ty, &b));
        }
    }

    #[test]
    fn no_key_begins_another((ty, a, b) in pairs()) {
        let (a, b) = (key(ty, &a), key(ty, &b));
        prop_assert!(a == b || (!a.starts_with(&b) && !b.starts_with(&a)));
    }

    #[test]
    fn keys_read_back((ty, value) in values()) {
        let bytes = key(ty, &value);
        let mut rest = &bytes[..];
        let back = decode_key(ty, &mut rest);
        prop_assert!(rest.is_empty());
        let back = back.unwrap();
        prop_assert!(compare_typed(ty, &value, &back).is_eq(), "{value:?} became {back:?}");
        if key_is_lossless(ty) {
            prop_assert_eq!(value, back);
        }
    }

    #[test]
    fn foreign_bytes_are_errors_not_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..40), (ty, _) in values()
    ) {
        drop(decode_key(ty, &mut &bytes[..]));
        drop(decode_value(ty, &mut &bytes[..]));
        drop(parse_binary(ty, -1, &bytes));
        if let Ok(value) = decode_value(ty, &mut &bytes[..]) {
            let mut out = Vec::new();
            write_text(&value, ty, &EvalContext::default(), &mut out);
        }
    }

    #[test]
    fn foreign_text_is_an_error_not_a_panic(text in "\\PC{0,24}", (ty, _) in values()) {
        drop(parse_text(ty, -1, &text, &EvalContext::default()));
    }

    #[test]
    fn datelike_text_does_not_panic(
        text in "[0-9:. /TPYMD+-]{0,20}( (bc|pm|jan|ago|days?|est|j|t|utc)){0,2}",
        ty in prop_oneof![
            Just(DataType::Date), Just(DataType::Time), Just(DataType::Timestamp),
            Just(DataType::Timestamptz), Just(DataType::Interval)
        ],
    ) {
        drop(parse_text(ty, -1, &text, &EvalContext::default()));
    }

    #[test]
    fn arithmetic_is_exact(a in numerics(), b in numerics()) {
        let (Some((x, scale_x)), Some((y, scale_y))) = (parts(&a), parts(&b)) else { return Ok(()) };
        let scale = scale_x.max(scale_y);
        let (x, y) = (x * ten(scale - scale_x), y * ten(scale - scale_y));
        prop_assert_eq!(parts(&a.add(&b).unwrap()), Some((&x + &y, scale)));
        prop_assert_eq!(parts(&a.sub(&b).unwrap()), Some((&x - &y, scale)));
        prop_assert_eq!(a.compare(&b), x.cmp(&y));
        let product = a.mul(&b).unwrap();
        prop_assert_eq!(u32::from(product.scale()), scale_x + scale_y);
        let (p, _) = parts(&product).unwrap();
        prop_assert_eq!(p * ten(2 * scale - scale_x - scale_y), &x * &y);
        if !b.is_zero() {
            let (r, _) = parts(&a.rem(&b).unwrap()).unwrap();
            prop_assert_eq!(r, &x % &y);
            // |quotient * y - x| <= y / 2 in units of the quotient's last place.
            let quotient = a.div(&b).unwrap();
            let (q, scale_q) = parts(&quotient).unwrap();
            let error: BigInt = (q * &y - x * ten(scale_q)) * 2;
            prop_assert!(error.magnitude() <= y.magnitude());
        }
    }

    #[test]
    fn roots_are_nearest(a in numerics()) {
        let a = a.abs();
        let Some((x, scale_x)) = parts(&a) else { return Ok(()) };
        let root = a.sqrt().unwrap();
        let (r, scale) = parts(&root).unwrap();
        // (r - 1/2)^2 <= x <= (r + 1/2)^2 at four times the square of the root's scale.
        let x4 = x * 4 * ten(2 * scale - scale_x);
        let low: BigInt = &r * 2 - 1;
        let high: BigInt = r * 2 + 1;
        prop_assert!(x4 <= &high * &high);
        prop_assert!(low.sign() == num_bigint::Sign::Minus || &low * &low <= x4);
    }
}

fn ten(n: u32) -> BigInt {
    BigInt::from(10u8).pow(n)
}

fn parts(number: &Numeric) -> Option<(BigInt, u32)> {
    match number {
        Numeric::Small { digits, scale } => Some((BigInt::from(*digits), u32::from(*scale))),
        Numeric::Large(large) => Some((large.0.clone(), u32::from(large.1))),
        _ => None,
    }
}

#[test]
fn null_is_above_all() {
    assert_eq!(compare(&Value::Null, &Value::Int4(i32::MAX)), Ordering::Greater);
    assert_eq!(compare(&Value::Null, &Value::Null), Ordering::Equal);
    assert!(key(DataType::Int4, &Value::Null) > key(DataType::Int4, &Value::Int4(i32::MAX)));
}
