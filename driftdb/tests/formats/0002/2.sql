UPDATE child SET n = 5 WHERE id = 10;
INSERT INTO parent VALUES (100, 'from the log');
DROP TABLE child;
SELECT pg_sleep(60);
