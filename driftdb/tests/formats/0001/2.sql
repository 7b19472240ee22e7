INSERT INTO account VALUES (1000, 'from the log', 7);
UPDATE document SET body = 'short' WHERE id = 1;
ALTER TABLE account ADD COLUMN note text DEFAULT 'none';
UPDATE account SET note = 'last' WHERE id = 1000;
