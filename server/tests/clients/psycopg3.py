"""psycopg 3: types both ways in text and binary, transactions, pipelines, COPY, cursors, errors, notifications."""
import datetime as dt
import decimal
import ipaddress
import sys
import uuid

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

conn = psycopg.connect(sys.argv[1], autocommit=True)

# Every type comes back as it went, in both formats.
tz = dt.timezone(dt.timedelta(hours=2))
values = [
    ('int2', 7), ('int4', -70000), ('int8', 2**60), ('float4', 1.5), ('float8', -0.1), ('bool', True),
    ('numeric', decimal.Decimal('12345678901234567890.123')), ('text', 'grüße\n'), ('varchar', ''),
    ('bytea', b'\x00\xff'), ('date', dt.date(2024, 2, 29)), ('time', dt.time(23, 59, 59, 999999)),
    ('timestamp', dt.datetime(1999, 12, 31, 23, 59)), ('timestamptz', dt.datetime(2024, 1, 1, tzinfo=tz)),
    ('interval', dt.timedelta(days=3, seconds=4, microseconds=5)), ('uuid', uuid.UUID(int=2**100)),
    ('jsonb', Jsonb({'a': [1, None, 'x']})), ('int4[]', [1, None, 3]), ('text[]', ['a', 'b,c', None]),
    ('inet', ipaddress.ip_interface('10.1.2.3/24')), ('int4range', Range(1, 5)),
]
for binary in (False, True):
    for type_name, value in values:
        with conn.cursor(binary=binary) as cursor:
            form = '%b' if binary and not isinstance(value, Jsonb) else '%s'
            cursor.execute(f'SELECT {form}::{type_name}, NULL::{type_name}', (value,))
            found, null = cursor.fetchone()
            expected = value.obj if isinstance(value, Jsonb) else value
            assert found == expected and null is None, (type_name, binary, found)

conn.execute('CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2))')

# Many rows, and what each statement did.
with conn.cursor() as cursor:
    cursor.executemany('INSERT INTO item VALUES (%s, %s, %s) RETURNING id',
                       [(n, f'item {n}', decimal.Decimal(n) / 4) for n in range(100)], returning=True)
    ids = [cursor.fetchone()[0]]
    while cursor.nextset():
        ids.append(cursor.fetchone()[0])
    assert ids == list(range(100))
    assert cursor.execute('UPDATE item SET price = price + 1 WHERE id < 10').rowcount == 10

# Blocks, savepoints, what fails and what that leaves.
with conn.transaction():
    conn.execute("INSERT INTO item VALUES (200, 'kept', 1)")
    try:
        with conn.transaction():
            conn.execute("INSERT INTO item VALUES (200, 'again', 1)")
        raise AssertionError('a duplicate key was taken')
    except errors.UniqueViolation as error:
        assert error.diag.constraint_name == 'item_pkey' and error.diag.table_name == 'item'
assert conn.execute('SELECT name FROM item WHERE id = 200').fetchone() == ('kept',)
for sql, kind in [('SELECT 1 / 0', errors.DivisionByZero), ('SELECT nothing', errors.UndefinedColumn),
                  ('SELEC 1', errors.SyntaxError), ("SELECT 'x'::int", errors.InvalidTextRepresentation)]:
    try:
        conn.execute(sql)
        raise AssertionError(f'{sql} was taken')
    except kind:
        pass

# A pipeline: one round trip, results in order, an error that spoils the rest up to its sync only.
with conn.pipeline() as pipeline:
    cursors = [conn.execute('SELECT %s::int + 1', (n,)) for n in range(20)]
    pipeline.sync()
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1, 21))

# COPY both ways, as text and as rows of Python values.
with conn.cursor() as cursor:
    with cursor.copy('COPY item (id, name, price) FROM STDIN') as copy:
        for n in range(1000, 1500):
            copy.write_row((n, 'tab\tand "quote"', None))
    with cursor.copy('COPY (SELECT id, name, price FROM item WHERE id >= 1000 ORDER BY id) TO STDOUT') as copy:
        copy.set_types(['int4', 'text', 'numeric'])
        rows = list(copy.rows())
    assert len(rows) == 500 and rows[0] == (1000, 'tab\tand "quote"', None)

# COPY in binary, and only the rows that are meant.
with conn.cursor() as cursor:
    with cursor.copy('COPY item (id, name, price) FROM STDIN (FORMAT binary) WHERE id < 2010') as copy:
        copy.set_types(['int4', 'text', 'numeric'])
        for n in range(2000, 2020):
            copy.write_row((n, 'b', decimal.Decimal('1.50')))
    assert cursor.rowcount == 10
    with cursor.copy('COPY (SELECT id, price FROM item WHERE id >= 2000 ORDER BY id) TO STDOUT (FORMAT binary)') as copy:
        copy.set_types(['int4', 'numeric'])
        assert list(copy.rows())[-1] == (2009, decimal.Decimal('1.50'))
    cursor.execute('DELETE FROM item WHERE id >= 2000')

# EXPLAIN as JSON comes parsed; what another session does is seen.
plan = conn.execute('EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM item WHERE id = 1').fetchone()[0]
assert plan[0]['Plan']['Actual Rows'] == 1 and plan[0]['Execution Time'] >= 0, plan
with psycopg.connect(sys.argv[1], application_name='watched') as watched:
    watched.execute('SELECT 1')
    seen = conn.execute("""SELECT state, query, usename, backend_start <= xact_start, xact_start <= query_start,
        wait_event FROM pg_stat_activity WHERE application_name = 'watched'""").fetchone()
    assert seen == ('idle in transaction', 'SELECT 1', 'driftdb', True, True, 'ClientRead'), seen
    watched.rollback()
    states = conn.execute("SELECT state, xact_start FROM pg_stat_activity WHERE application_name = 'watched'")
    assert states.fetchone() == ('idle', None)
own = conn.execute('SELECT state FROM pg_stat_activity WHERE pid = pg_backend_pid()').fetchone()
assert own == ('active',)

# A cursor in the server, read in small pieces.
with conn.transaction(), conn.cursor(name='in_server') as cursor:
    cursor.itersize = 64
    cursor.execute('SELECT id FROM item ORDER BY id')
    assert sum(1 for _ in cursor) == 601

# Statements that the client prepares after some runs.
for n in range(10):
    assert conn.execute('SELECT name FROM item WHERE id = %s', (n,)).fetchone() == (f'item {n}',)

# Two sessions: isolation, and one told by the other.
other = psycopg.connect(sys.argv[1])
other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
other.execute('SELECT sum(price) FROM item').fetchone()
conn.execute("UPDATE item SET name = 'changed' WHERE id = 1")
try:
    other.execute("UPDATE item SET name = 'mine' WHERE id = 1")
    raise AssertionError('an update of a row that changed since the snapshot')
except errors.SerializationFailure:
    other.rollback()
conn.execute('LISTEN news')
other.execute("SELECT pg_notify('news', 'hello')")
other.commit()
told = next(conn.notifies(timeout=10, stop_after=1))
assert (told.channel, told.payload) == ('news', 'hello')

# The past.
before = conn.execute('SELECT now()').fetchone()[0]
conn.execute('DELETE FROM item')
past = conn.execute('SELECT count(*) FROM item FOR SYSTEM_TIME AS OF %s', (before,)).fetchone()[0]
assert past == 601, past
assert conn.execute('SELECT count(*) FROM item').fetchone() == (0,)
print('psycopg', psycopg.__version__)
