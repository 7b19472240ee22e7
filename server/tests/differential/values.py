"""Literals of each type: ordinary ones, and those at which implementations part ways."""

NUMBERS = ['0', '1', '-1', '2', '3', '7', '10', '42', '-5', '100']
DATES = ['2000-01-01', '1999-12-31', '2024-02-29', '1970-01-01', '0044-03-15 BC', 'infinity', '-infinity',
         '2026-07-04', '1582-10-15', '9999-12-31', '4713-01-01 BC']
TIMES = ['00:00:00', '23:59:59.999999', '24:00:00', '12:34:56.789', '06:07:08', '00:00:00.000001']
MOMENTS = ['2000-01-01 00:00:00', '2024-02-29 23:59:59.999999', '1969-07-20 20:17:40', 'infinity', '-infinity',
           '2026-03-29 02:30:00', '2026-10-25 02:30:00', '0044-03-15 12:00:00 BC', '1900-01-01 00:00:01.5',
           '294276-12-31 23:59:59', '2001-02-16 20:38:40.12']
RANGES = ['empty', '[,]', '[%s,%s)', '(%s,%s]', '[%s,%s]', '(%s,%s)', '[%s,)', '(,%s]']

VALUES = {
    'bool': ['t', 'f'],
    'int2': NUMBERS + ['32767', '-32768'],
    'int4': NUMBERS + ['2147483647', '-2147483648', '65536', '12345'],
    'int8': NUMBERS + ['9223372036854775807', '-9223372036854775808', '4294967296', '123456789012'],
    'numeric': NUMBERS + ['NaN', 'Infinity', '-Infinity', '0.5', '-0.5', '1.5', '2.5', '0.00001', '123456789.987654321',
                          '1e20', '-1e-20', '99999999999999999999.99', '3.14159265358979323846', '0.000', '1.10', '12e3',
                          '1e-130', '1e130'],
    'float4': NUMBERS + ['NaN', 'Infinity', '-Infinity', '0.1', '-0', '1.5', '1e20', '1e-20', '3.4028235e38', '1e-45',
                         '16777216', '2.5', '1234567'],
    'float8': NUMBERS + ['NaN', 'Infinity', '-Infinity', '0.1', '-0', '1.5', '2.5', '1e200', '1e-200', '0.30000000000000004',
                         '1.7976931348623157e308', '4.9e-324', '-0.5', '9007199254740993', '0.7853981633974483'],
    'money': ['0', '1', '-1', '12.34', '-0.01', '1234567.89', '92233720368547758.07'],
    'text': ['', 'a', 'A', 'abc', 'Hello World', ' x ', '12', '1.5', 'ärger', 'naïve café', '日本語', '%', '_', 'a%b_c',
             'foo bar  baz', '\\', "it''s", 'true', '2024-02-29', '{1,2}', '{"a": 1}', '(1,2)', '^a.*c$', '[a-c]+', 'x,y,,z',
             'AbCdEfG', 'aaa', 'banana', '  12  ', '$12.34', 'NULL', 'a\tb'],
    'varchar': ['', 'a', 'abc ', 'ABC', 'straße', '12', ' x'],
    'bpchar': ['', 'a', 'abc ', 'ABC', 'x  ', '12'],
    'name': ['', 'a', 'pg_class', 'Some Name', 'b'],
    'char': ['', 'a', 'Z', '\\', '1'],
    'bytea': ['', '\\x00', '\\xdeadbeef', 'abc', '\\x616263', '\\xff00ff00', '\\\\', '\\x0102030405060708090a'],
    'date': DATES,
    'time': TIMES,
    'timetz': [time + zone for time in TIMES for zone in ('+00', '-08', '+05:30', '+15:59:59')],
    'timestamp': MOMENTS,
    'timestamptz': [m if 'inf' in m else (m[:-3] + '+02 BC' if m.endswith('BC') else m + z) for m in MOMENTS for z in ('+00', '-07', '+05:45')],
    'interval': ['0', '1 day', '-1 day', '1 month', '1 year 2 months 3 days 04:05:06.789', '-00:00:01', '36:00:00',
                 '1 mon -1 day', '-1 year', '100000 hours', '1.5 days', '@ 1 hour ago', 'P1Y2M3DT4H5M6S', '15 minutes',
                 '-1 mon +30 days -12:00', '178000000 years', '0.000001 sec'],
    'uuid': ['00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    'json': ['null', '1', '"a"', '[]', '{}', '[1, "2", null, {"a": [true]}]', '{"a": 1, "b": {"c": [1,2,3]}, "a": 2}', '-1.50e2', '"\\u00e4\\n"',
             '  { "x" : null }  ', '[[1,2],[3,4]]', '"12"'],
    'bit': ['0', '1', '101', '11111111', '0000', '10000000000000000000000000000000', ''],
    'varbit': ['0', '1', '101', '11111111', '0000', '1010101010101010101010101010101010101010', ''],
    'inet': ['10.0.0.1', '192.168.1.0/24', '::1', '2001:db8::/32', '0.0.0.0/0', '255.255.255.255', '10.1.2.3/8', '::ffff:1.2.3.4'],
    'cidr': ['10.0.0.0/8', '192.168.1.0/24', '::1', '2001:db8::/32', '0.0.0.0/0', '10.1.2.3/32'],
    'macaddr': ['08:00:2b:01:02:03', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'],
    'macaddr8': ['08:00:2b:01:02:03:04:05', '00:00:00:00:00:00:00:00', '08:00:2b:ff:fe:01:02:03'],
    'oid': ['0', '1', '23', '4294967295'],
    'jsonpath': ['$', '$.a', '$[*]', '$.a[0 to 1]', '$.** ? (@ > 1)', 'strict $.b.c', '$.a.type()', '$.size()', '$ ? (exists(@.a))',
                 '$[*] ? (@ like_regex "^a")', '$.b.keyvalue()', '$[last]', '1 + $.a', '$[0].double()'],
}
VALUES['jsonb'] = VALUES['json']
for name, subtype in (('int4range', 'int4'), ('int8range', 'int8'), ('numrange', 'numeric'), ('daterange', 'date'),
                      ('tsrange', 'timestamp'), ('tstzrange', 'timestamptz')):
    ends = {'int4': ['1', '5', '10', '-3'], 'int8': ['1', '5', '10', '-3'], 'numeric': ['1.5', '2.5', '10', '-3'],
            'date': ['2000-01-01', '2000-01-05', '1999-01-01'], 'timestamp': ['2000-01-01 10:00', '2000-01-05 00:00', '1999-01-01 12:30'],
            'timestamptz': ['2000-01-01 10:00+00', '2000-01-05 00:00+02', '1999-01-01 12:30-05']}[subtype]
    listed, key = [], {'-3': -3, '1': 1, '5': 5, '10': 10, '1.5': 1.5, '2.5': 2.5}
    ordered = sorted(ends, key=lambda end: key.get(end, 0) if end in key else 0) if subtype in ('int4', 'int8', 'numeric') else sorted(ends)
    for form in RANGES:
        for low in range(len(ordered)):
            for high in range(low, len(ordered)):
                count = form.count('%s')
                listed.append(form % ((ordered[low], ordered[high])[:count] if count else ()) if count else form)
    VALUES[name] = sorted(set(listed))
    VALUES[name.replace('range', 'multirange')] = ['{}', '{%s}' % listed[9], '{%s,%s}' % (listed[4], listed[-1]), '{[,]}']

# What an array of a type is called, and literals of arrays.
ARRAYED = ['bool', 'int2', 'int4', 'int8', 'numeric', 'float8', 'text', 'date', 'timestamp', 'interval', 'uuid']


def quoted(text):
    return '"%s"' % text.replace('\\', '\\\\').replace('"', '\\"')


for name in ARRAYED:
    own = VALUES[name]
    VALUES['_' + name] = ['{}', '{NULL}', '{%s}' % quoted(own[0]), '{%s,%s,NULL}' % (quoted(own[1]), quoted(own[0])),
                          '{%s}' % ','.join(quoted(value) for value in own[:5]), '{{%s,%s},{%s,NULL}}' % (quoted(own[0]), quoted(own[1]), quoted(own[-1])),
                          '[0:1]={%s,%s}' % (quoted(own[-1]), quoted(own[0]))]


def literal(random, type_name):
    """`'text'::type`; now and then NULL."""
    if random.random() < 0.06:
        return f'NULL::{spelt(type_name)}'
    text = random.choice(VALUES[type_name])
    text = text if "''" in text else text.replace("'", "''")
    if type_name in ('int4',) and random.random() < 0.4:
        return f'({text})'
    return f"'{text}'::{spelt(type_name)}"


def spelt(type_name):
    """How a type is written in SQL."""
    if type_name.startswith('_'):
        return spelt(type_name[1:]) + '[]'
    # A bare bit or char has length 1.
    return {'bit': '"bit"', 'char': '"char"', 'bpchar': 'bpchar'}.get(type_name, type_name)
