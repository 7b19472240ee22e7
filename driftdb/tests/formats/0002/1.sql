CREATE TABLE parent (id int PRIMARY KEY, v text UNIQUE);
CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE, n int CHECK (n >= 0));
CREATE INDEX child_up ON child (up);
SET driftdb.comment = 'what the second release wrote';
INSERT INTO parent SELECT g, 'p' || g FROM generate_series(1, 50) g;
INSERT INTO child SELECT g, g % 50 + 1, g FROM generate_series(1, 150) g;
CREATE RESTORE POINT start WITH (pin);
UPDATE child SET n = n + 1000 WHERE id % 3 = 0;
DELETE FROM parent WHERE id = 7;
