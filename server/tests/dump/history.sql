-- What only DriftDB has, and views that are shown as they were written.
SET search_path = app;
CREATE TABLE kept (a int PRIMARY KEY) WITH (retention = '30 days');
CREATE TABLE for_ever (a int PRIMARY KEY);
ALTER TABLE for_ever SET (retention = 'forever');
CREATE TABLE price (item int, price numeric, "valid from" date, valid_to date,
    PERIOD FOR valid_time ("valid from", valid_to), PRIMARY KEY (item, "valid from"));
INSERT INTO price VALUES (1, 2.50, '2026-01-01', 'infinity');
UPDATE price FOR PORTION OF valid_time FROM '2026-03-01' TO '2026-04-01' SET price = 3;
CREATE VIEW was AS SELECT price FROM price FOR valid_time AS OF '2026-03-15';
CREATE VIEW as_written AS
    SELECT twice(id), rank() OVER (ORDER BY code), 'ok'::mood AS m FROM parents WHERE mood IN ('sad', 'ok');
