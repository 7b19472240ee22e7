// node-postgres: types, prepared statements, transactions, errors, cursors, COPY, notifications.
const assert = require('assert');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const copy = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');

async function main() {
  const pool = new Pool({ connectionString: process.argv[2], max: 3 });
  const client = new Client({ connectionString: process.argv[2] });
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.code));
  await client.connect();

  await client.query(`CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8, 2),
    tags text[], about jsonb, made timestamptz, raw bytea, ok boolean, big bigint, f float8, u uuid)`);
  await client.query('CREATE TABLE IF NOT EXISTS item (id int)');
  assert.deepStrictEqual(notices, ['42P07']);
  const made = new Date('2024-02-29T12:34:56.789Z');
  const inserted = await client.query(
    `INSERT INTO item (name, price, tags, about, made, raw, ok, big, f, u)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *`,
    ['a', '9.50', ['x', 'y "z"', null], { n: [1, null] }, made, Buffer.from([0, 255, 10]), true,
      '9007199254740993', 1.5, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']);
  const row = inserted.rows[0];
  assert.strictEqual(inserted.command, 'INSERT');
  assert.strictEqual(row.id, 1);
  assert.strictEqual(row.price, '9.50');
  assert.deepStrictEqual(row.tags, ['x', 'y "z"', null]);
  assert.deepStrictEqual(row.about, { n: [1, null] });
  assert.strictEqual(row.made.getTime(), made.getTime());
  assert.deepStrictEqual(row.raw, Buffer.from([0, 255, 10]));
  assert.strictEqual(row.big, '9007199254740993');
  assert.deepStrictEqual(inserted.fields.map((field) => field.dataTypeID),
    [23, 25, 1700, 1009, 3802, 1184, 17, 16, 20, 701, 2950]);

  const named = { name: 'by-name', text: 'SELECT id FROM item WHERE name = $1' };
  for (const name of ['a', 'b', 'a']) {
    const found = await client.query({ ...named, values: [name] });
    assert.strictEqual(found.rowCount, name === 'a' ? 1 : 0);
  }
  const inArray = await client.query({ text: 'SELECT id, name FROM item WHERE id = ANY($1)', values: [[1, 2]],
    rowMode: 'array' });
  assert.deepStrictEqual(inArray.rows, [[1, 'a']]);

  await client.query('BEGIN');
  await client.query("INSERT INTO item (name) VALUES ('b')");
  await client.query('SAVEPOINT s');
  await assert.rejects(client.query("INSERT INTO item (name) VALUES ('b')"), (error) => {
    assert.strictEqual(error.code, '23505');
    assert.strictEqual(error.severity, 'ERROR');
    assert.strictEqual(error.schema, 'public');
    assert.strictEqual(error.table, 'item');
    assert.strictEqual(error.constraint, 'item_name_key');
    assert.strictEqual(error.detail, 'Key (name)=(b) already exists.');
    return true;
  });
  await client.query('ROLLBACK TO s');
  await client.query('COMMIT');
  await assert.rejects(client.query('INSERT INTO item (id) VALUES (9)'), { code: '23502', column: 'name' });
  await assert.rejects(client.query('SELECT nothing FROM item'), { code: '42703', position: '8' });
  const many = await client.query('SELECT 1 AS one; SELECT 2 AS two');
  assert.deepStrictEqual(many.map((result) => result.rows[0]), [{ one: 1 }, { two: 2 }]);

  const lines = Array.from({ length: 1000 }, (_, i) => `${i + 10}\tn${i}\n`);
  await pipeline(Readable.from(lines), client.query(copy.from('COPY item (id, name) FROM STDIN')));
  let copied = '';
  for await (const chunk of client.query(copy.to("COPY (SELECT id FROM item WHERE id < 13 ORDER BY id) TO STDOUT"))) {
    copied += chunk;
  }
  assert.strictEqual(copied, '1\n2\n10\n11\n12\n');
  const cursor = client.query(new Cursor('SELECT id FROM item WHERE id >= $1 ORDER BY id', [10]));
  assert.strictEqual((await cursor.read(300)).length, 300);
  assert.strictEqual((await cursor.read(1000)).length, 700);
  await cursor.close();

  const sums = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.query('SELECT sum(id) + $1::int AS s FROM item', [n])));
  assert.strictEqual(new Set(sums.map((sum) => sum.rows[0].s)).size, 5);
  const told = new Promise((resolve) => client.on('notification', resolve));
  await client.query('LISTEN news');
  await pool.query("SELECT pg_notify('news', 'payload')");
  const { channel, payload } = await told;
  assert.deepStrictEqual([channel, payload], ['news', 'payload']);
  await client.end();
  await pool.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
