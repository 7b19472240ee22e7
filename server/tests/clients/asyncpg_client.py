"""asyncpg: binary only, prepared statements, a pool, types looked up in the catalog, notifications."""
import asyncio
import datetime as dt
import decimal
import sys

import asyncpg


async def main(dsn):
    conn = await asyncpg.connect(dsn)
    for type_name, value in [
        ('int2', 7), ('int8', -2**60), ('float8', 0.1), ('numeric', decimal.Decimal('-1.500')), ('bool', False),
        ('text', 'ü'), ('bytea', b'\0'), ('date', dt.date(1, 1, 1)), ('timestamp', dt.datetime(2024, 5, 6, 7)),
        ('timestamptz', dt.datetime(2024, 5, 6, tzinfo=dt.timezone.utc)), ('interval', dt.timedelta(1, 2, 3)),
        ('jsonb', '{"a": 1}'), ('int4[]', [1, 2, None]), ('text[]', ['x', 'y']),
        ('int4range', asyncpg.Range(1, 3)),
    ]:
        found = await conn.fetchval(f'SELECT $1::{type_name}', value)
        assert found == value, (type_name, found)

    await conn.execute('CREATE TABLE account (id int PRIMARY KEY, balance int8 NOT NULL)')
    await conn.executemany('INSERT INTO account VALUES ($1, $2)', [(n, 100) for n in range(50)])
    statement = await conn.prepare('SELECT balance FROM account WHERE id = $1')
    assert [a.name for a in statement.get_attributes()] == ['balance']
    assert [p.name for p in statement.get_parameters()] == ['int4']
    assert await statement.fetchval(7) == 100
    try:
        async with conn.transaction():
            await conn.execute('UPDATE account SET balance = 0')
            raise RuntimeError('undone')
    except RuntimeError:
        pass
    assert await conn.fetchval('SELECT sum(balance) FROM account') == 5000

    async with conn.transaction():
        seen = [record['id'] async for record in conn.cursor('SELECT id FROM account ORDER BY id', prefetch=7)]
    assert seen == list(range(50))

    await conn.executemany('INSERT INTO account VALUES ($1, $2)', [(n, n) for n in range(100, 200)])
    assert await conn.fetchval('SELECT count(*) FROM account') == 150

    async with asyncpg.create_pool(dsn, min_size=4, max_size=4) as pool:
        async def transfer(source, target):
            while True:
                try:
                    async with pool.acquire() as one, one.transaction(isolation='serializable'):
                        await one.execute('UPDATE account SET balance = balance - 1 WHERE id = $1', source)
                        await one.execute('UPDATE account SET balance = balance + 1 WHERE id = $1', target)
                        return
                except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                    pass
        await asyncio.gather(*[transfer(n % 5, (n + 1) % 5) for n in range(40)])
    assert await conn.fetchval('SELECT sum(balance) FROM account WHERE id < 50') == 5000

    told = asyncio.get_running_loop().create_future()
    await conn.add_listener('news', lambda *news: told.set_result(news[2:]))
    await conn.execute("NOTIFY news, 'hello'")
    assert await asyncio.wait_for(told, 10) == ('news', 'hello')
    await conn.close()
    print('asyncpg', asyncpg.__version__)


asyncio.run(main(sys.argv[1]))
