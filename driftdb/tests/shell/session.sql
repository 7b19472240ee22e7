CREATE TABLE parents (id int PRIMARY KEY, name text DEFAULT 'x' NOT NULL, CHECK (id > 0));
CREATE TABLE "Children" (id int GENERATED ALWAYS AS IDENTITY, p int REFERENCES parents, double int GENERATED ALWAYS AS (p * 2) STORED);
CREATE INDEX by_name ON parents (lower(name));
CREATE UNIQUE INDEX later ON parents (name) WHERE id > 3;
CREATE VIEW grown AS SELECT id, name FROM parents WHERE id > 17;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT a * 2';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SEQUENCE numbers;
INSERT INTO parents VALUES (1, 'a,"b"'), (20, 'c');
\d
\dt pa*
\dv
\di
\df
\dn
\dT
\du
\dp parents
\d parents
\d "Children"
\d+ grown
\d numbers
\d "Children_id_seq"
\d by_name
\d later
\sf twice
\sv grown
SELECT * FROM parents ORDER BY id \gx
\x on
TABLE parents;
\pset format unaligned
\pset fieldsep '\t'
TABLE parents;
\x off
\pset fieldsep |
\pset format csv
TABLE parents;
\pset format json
SELECT id, name, id > 1 AS big, NULL AS nothing, '{"a": 1}'::json AS j FROM parents ORDER BY id;
\pset format unaligned
\pset null (null)
SELECT 1 AS one, NULL AS nothing;
\t on
SELECT 'rows only';
TABLE parents \gx
\t off
\pset format aligned
\pset trees on
EXPLAIN SELECT * FROM parents p JOIN "Children" c ON c.p = p.id ORDER BY p.name;
\echo 'the \\ end'
SELECT 1 \watch 0 2
\copy parents to 'copied.csv' with (format csv, header)
DELETE FROM parents;
\copy parents from 'copied.csv' with (format csv, header)
SELECT count(*) FROM parents;
\o out.txt
SELECT 'to a file';
\o
\i included.sql
\p
\h undrop
SELECT 'a
\g;
b' AS "in quotes";
\q
SELECT 'never';
