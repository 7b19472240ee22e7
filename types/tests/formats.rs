//! Golden bytes of cells and keys: what docs/formats/value.md shows, and one of every type.

use driftdb_types::{
    DataType, Element, EvalContext, Value, decode_value, encode_key, encode_value, parse_text,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Type, text, cell, key.
const GOLDEN: &[(DataType, &str, &str, &str)] = &[
    (DataType::Bool, "true", "0201", "0101"),
    (DataType::Int2, "-2", "02fe", "017ffe"),
    (DataType::Int4, "0", "01", "0180000000"),
    (DataType::Int4, "-1", "02ff", "017fffffff"),
    (DataType::Int4, "128", "038000", "0180000080"),
    (DataType::Int8, "300", "032c01", "01800000000000012c"),
    (DataType::Oid, "4294967295", "06ffffffff00", "01ffffffff"),
    (DataType::Float4, "1.5", "050000c03f", "01bfc00000"),
    (DataType::Float8, "-1.5", "09000000000000f8bf", "014007ffffffffffff"),
    (DataType::Numeric, "1.50", "060002009600", "014080000001023300"),
    (DataType::Numeric, "1.0", "050001000a", "0140800000010200"),
    (DataType::Numeric, "1", "0500000001", "0140800000010200"),
    (DataType::Numeric, "0.01", "0500020001", "0140800000000200"),
    (DataType::Numeric, "-12.5", "0500010083", "01207ffffffef2ccff"),
    (DataType::Numeric, "0", "04000000", "0130"),
    (DataType::Numeric, "NaN", "0201", "0160"),
    (DataType::Text, "hi", "036869", "0168690001"),
    (DataType::Bpchar, "a ", "036120", "01610001"),
    (DataType::Bytea, "\\x00ff", "0300ff", "0100ffff0001"),
    (DataType::Date, "2000-01-02", "0201", "0180000001"),
    (DataType::Time, "00:00:00.000001", "0201", "018000000000000001"),
    (DataType::Timestamp, "infinity", "09ffffffffffffff7f", "01ffffffffffffffff"),
    (DataType::Timestamptz, "2000-01-01 00:00:00+00", "01", "018000000000000000"),
    (
        DataType::Interval,
        "1 mon 2 days 00:00:03",
        "11c0c62d00000000000200000001000000",
        "01800000000000000000000283bb19c6c0",
    ),
    (
        DataType::Uuid,
        "00112233-4455-6677-8899-aabbccddeeff",
        "1100112233445566778899aabbccddeeff",
        "0100112233445566778899aabbccddeeff",
    ),
    (DataType::Char, "a", "0261", "0161"),
    (DataType::Timetz, "04:05:06-08", "0d80c08b6c0300000080700000", "018000000a2128e08080007080"),
    (DataType::Varbit, "101", "0603000000a0", "01a0000100000003"),
    (DataType::Varbit, "", "0500000000", "01000100000000"),
    (DataType::Money, "-1.50", "096affffffffffffff", "017fffffffffffff6a"),
    (DataType::Inet, "10.1.2.3/8", "06080a010203", "01005599000a010203"),
    (
        DataType::Cidr,
        "2001:db8::/32",
        "122020010db8000000000000000000000000",
        "01015955555655a69a950020010db8000000000000000000000000",
    ),
    (DataType::Macaddr, "08:00:2b:01:02:03", "0708002b010203", "0108002b010203"),
    (DataType::Macaddr8, "08:00:2b:01:02:03:04:05", "0908002b0102030405", "0108002b0102030405"),
    (DataType::PgLsn, "16/B374D848", "0948d874b316000000", "0100000016b374d848"),
    (DataType::Jsonpath, "$.a", "06242e226122", "01242e2261220001"),
    (DataType::Int4range, "[1,5)", "060202010205", "01010101800000010001018000000500"),
    (DataType::Int4range, "empty", "0201", "0100"),
    (DataType::Numrange, "(,1.5]", "070c050001000f", "0101000101408000000102330001"),
    (
        DataType::Int4multirange,
        "{[1,2),[5,)}",
        "090202010202120205",
        "01010101018000000100010180000002000101010180000005000200",
    ),
    (DataType::Int4multirange, "{}", "01", "0100"),
    (DataType::Json, "{\"a\": 1}", "097b2261223a20317d", "017b2261223a20317d0001"),
    (
        DataType::Jsonb,
        "{\"a\":[1,null]}",
        "117b2261223a205b312c206e756c6c5d7d",
        "01600000000161000150000000023040800000010200\
         10",
    ),
    (DataType::Jsonb, "[]", "035b5d", "0108"),
    (DataType::Array(Element::Int4), "{}", "0200", "010000"),
    (
        DataType::Array(Element::Int4),
        "{1,NULL}",
        "0a010201000000020100",
        "0101800000010200010000000280000001",
    ),
    (
        DataType::Array(Element::Text),
        "[0:0][1:2]={{a,b}}",
        "10020100000000020100000002610262",
        "010161000101620001000200000001000000028000000080000001",
    ),
    (DataType::Int2vector, "1 2", "0b01020000000002010202", "0101800101800200010000000280000000"),
];

#[test]
fn the_bytes_are_as_documented() {
    let ctx = EvalContext::default();
    let mut wrong = Vec::new();
    for (ty, text, cell, key) in GOLDEN {
        let value = parse_text(*ty, -1, text, &ctx).unwrap();
        let (mut cell_out, mut key_out) = (Vec::new(), Vec::new());
        encode_value(&value, *ty, &mut cell_out);
        encode_key(&value, *ty, &mut key_out);
        if hex(&cell_out) != *cell || hex(&key_out) != *key {
            wrong.push(format!("{ty} {text}: cell {} key {}", hex(&cell_out), hex(&key_out)));
        }
        assert_eq!(decode_value(*ty, &mut &cell_out[..]).unwrap(), value);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut null = Vec::new();
    encode_value(&Value::Null, DataType::Int4, &mut null);
    encode_key(&Value::Null, DataType::Int4, &mut null);
    assert_eq!(hex(&null), "0002");
}
