//! Versions over stretches of time, times that come from rows, and sessions in the past.

use driftdb_server::{Session, SessionOptions};
use driftdb_types::Value;

use crate::harness::{Fixture, everywhere};
use crate::traveller::Traveller;

#[test]
fn every_form_of_a_period() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE INDEX a_v ON a (v)");
        t.run("INSERT INTO a VALUES (1, 10), (2, 20)");
        let first = t.clock();
        t.run("UPDATE a SET v = 11 WHERE id = 1");
        let second = t.clock();
        t.run("DELETE FROM a WHERE id = 2");
        let third = t.clock();
        t.run("UPDATE a SET v = 12 WHERE id = 1");
        let mut shown = |form: &str| t.rows(&format!("SELECT id, v FROM a {form} ORDER BY id, v"));
        let between = |a: &str, b: &str| format!("FOR SYSTEM_TIME BETWEEN '{a}' AND '{b}'");
        assert_eq!(shown(&between(&first, &first)), ["1 10", "2 20"]);
        assert_eq!(shown(&between(&first, &second)), ["1 10", "1 11", "2 20"]);
        assert_eq!(shown(&between(&second, &third)), ["1 11", "2 20"]);
        assert_eq!(shown(&between(&third, &third)), ["1 11"]);
        assert_eq!(shown(&between(&third, "infinity")), ["1 11", "1 12"]);
        assert!(shown(&between(&third, &second)).is_empty());
        let from = |a: &str, b: &str| format!("FOR SYSTEM_TIME FROM '{a}' TO '{b}'");
        assert_eq!(shown(&from(&first, &second)), ["1 10", "1 11", "2 20"]);
        assert!(shown(&from(&first, &first)).is_empty());
        let contained = |a: &str, b: &str| format!("FOR SYSTEM_TIME CONTAINED IN ('{a}', '{b}')");
        assert!(shown(&contained(&first, &third)).is_empty());
        assert_eq!(shown(&contained(&first, "infinity")), ["1 11", "1 12"]);
        // The edges, where a version begins and ends, by the times that it names itself.
        let (start, end) = {
            let times = "SELECT system_time_start, system_time_end FROM a FOR SYSTEM_TIME ALL";
            let row = t.rows(&format!("{times} WHERE v = 11")).remove(0);
            let (start, end) = row.split_once("+00 ").unwrap();
            (format!("{start}+00"), end.to_owned())
        };
        let mut values =
            |form: &str| t.rows(&format!("SELECT v FROM a {form} WHERE id = 1 ORDER BY 1"));
        assert_eq!(values(&format!("FOR SYSTEM_TIME AS OF '{start}'")), ["11"]);
        assert_eq!(values(&format!("FOR SYSTEM_TIME AS OF '{end}'")), ["12"]);
        assert_eq!(values(&between(&start, &end)), ["11", "12"]);
        assert_eq!(values(&from(&start, &end)), ["11"]);
        assert_eq!(values(&contained(&start, &end)), ["11"]);
        // By the numbers of commits, which versions name, too.
        let seq = t.rows("SELECT system_seq FROM a FOR SYSTEM_TIME ALL WHERE v = 11").remove(0);
        let seq: u64 = seq.parse().unwrap();
        let mut values =
            |form: &str| t.rows(&format!("SELECT v FROM a {form} WHERE id = 1 ORDER BY 1"));
        assert_eq!(values(&format!("FOR SYSTEM_TIME AS OF @SEQ:{seq}")), ["11"]);
        let (before, after) = (seq - 1, seq + 2);
        assert_eq!(
            values(&format!("FOR SYSTEM_TIME BETWEEN @SEQ:{before} AND @SEQ:{after}")),
            ["10", "11", "12"]
        );
        assert_eq!(values(&format!("FOR SYSTEM_TIME FROM @SEQ:{seq} TO @SEQ:{after}")), ["11"]);
        assert_eq!(
            values(&format!("FOR SYSTEM_TIME CONTAINED IN (@SEQ:{seq}, @SEQ:{after})")),
            ["11"]
        );
    });
}

#[test]
fn periods_of_dropped_and_changed_tables() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE b (id int PRIMARY KEY, old text); INSERT INTO b VALUES (1, 'x')");
        let before = t.clock();
        t.run("ALTER TABLE b DROP COLUMN old; ALTER TABLE b ADD COLUMN fresh int DEFAULT 7");
        t.run("UPDATE b SET fresh = 8");
        t.run("TRUNCATE b; INSERT INTO b VALUES (2, 9)");
        let last = t.clock();
        t.run("DROP TABLE b");
        t.run("CREATE TABLE b (other bool); INSERT INTO b VALUES (true)");
        // The schema of the end; a new table of the name is another one.
        let all = format!("SELECT * FROM b FOR SYSTEM_TIME BETWEEN '-infinity' AND '{last}'");
        assert_eq!(t.rows(&format!("{all} ORDER BY 1, 2")), ["1 7", "1 8", "2 9"]);
        let early = format!("SELECT * FROM b FOR SYSTEM_TIME BETWEEN '-infinity' AND '{before}'");
        assert_eq!(t.rows(&early), ["1 x"]);
        assert_eq!(t.rows("SELECT * FROM b FOR SYSTEM_TIME ALL"), ["t"]);
        let ends = format!(
            "SELECT id, system_end_op FROM b FOR SYSTEM_TIME BETWEEN '-infinity' AND '{last}' \
             ORDER BY system_seq"
        );
        assert_eq!(t.rows(&ends), ["1 UPDATE", "1 DELETE", "2 DELETE"]);
    });
}

#[test]
fn a_time_may_come_from_another_row() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE prices (item int PRIMARY KEY, price int)");
        t.run("CREATE TABLE orders (id int PRIMARY KEY, item int, made timestamptz)");
        t.run("CREATE INDEX prices_price ON prices (price)");
        let early = t.clock();
        t.run("INSERT INTO prices VALUES (1, 100), (2, 200)");
        let first = t.clock();
        t.run("UPDATE prices SET price = price + 1");
        let second = t.clock();
        t.run("TRUNCATE prices; INSERT INTO prices VALUES (2, 300)");
        let third = t.clock();
        t.run("ALTER TABLE prices ADD COLUMN note text DEFAULT 'n'");
        t.run(&format!(
            "INSERT INTO orders VALUES (1, 1, '{first}'), (2, 2, '{second}'), (3, 1, '{third}'), \
             (4, 2, '{third}'), (5, 1, NULL), (6, 1, '{early}')"
        ));
        let expected = ["1 100", "2 201", "4 300"];
        let joined = "SELECT o.id, p.price FROM orders o, prices FOR SYSTEM_TIME AS OF o.made p \
                      WHERE p.item = o.item ORDER BY o.id";
        assert_eq!(t.rows(joined), expected);
        let lateral = "SELECT o.id, p.price FROM orders o JOIN LATERAL (SELECT * FROM prices \
                       FOR SYSTEM_TIME AS OF o.made WHERE item = o.item) p ON true ORDER BY o.id";
        assert_eq!(t.rows(lateral), expected);
        let on = "SELECT o.id, p.price, p.note FROM orders o \
                  JOIN prices FOR SYSTEM_TIME AS OF o.made AS p ON p.item = o.item ORDER BY o.id";
        assert_eq!(t.rows(on), ["1 100 n", "2 201 n", "4 300 n"]);
        let outer = "SELECT o.id, p.price FROM orders o \
                     LEFT JOIN prices FOR SYSTEM_TIME AS OF o.made AS p USING (item) ORDER BY o.id";
        assert_eq!(t.rows(outer), ["1 100", "2 201", "3 ", "4 300", "5 ", "6 "]);
        let scalar = "SELECT id, (SELECT price FROM prices FOR SYSTEM_TIME AS OF o.made \
                      WHERE item = o.item) FROM orders o WHERE id < 4 ORDER BY id";
        assert_eq!(t.rows(scalar), ["1 100", "2 201", "3 "]);
        let exists = "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM prices \
                      FOR SYSTEM_TIME AS OF o.made WHERE item = o.item AND price > 150) ORDER BY id";
        assert_eq!(t.rows(exists), ["2", "4"]);
        // By an index, of the time, and with what a version knows of itself.
        let by_index = "SELECT o.id, p.item, p.system_end_op FROM orders o, \
                        prices FOR SYSTEM_TIME AS OF o.made - interval '0 s' p \
                        WHERE p.price = 200 ORDER BY o.id";
        assert_eq!(t.rows(by_index), ["1 2 UPDATE"]);
        // A time that a query finds.
        let found = "SELECT item, price FROM prices FOR SYSTEM_TIME AS OF \
                     (SELECT made FROM orders WHERE id = 1) ORDER BY 1";
        assert_eq!(t.rows(found), ["1 100", "2 200"]);
        let three = "SELECT o.id, p.price, q.price FROM orders o \
                     JOIN prices FOR SYSTEM_TIME AS OF o.made AS p USING (item), \
                     prices FOR SYSTEM_TIME AS OF p.system_time_start AS q \
                     WHERE q.item = p.item ORDER BY o.id";
        assert_eq!(t.rows(three), ["1 100 100", "2 201 201", "4 300 300"]);
        let plan = t.rows(&format!("EXPLAIN {joined}"));
        assert!(plan.iter().any(|line| line.contains("As Of Each: o")), "{plan:?}");
        assert!(plan.iter().any(|line| line.contains("Index Scan using prices_pkey")), "{plan:?}");
        t.run("UPDATE orders SET made = now() + interval '1 day' WHERE id = 1");
        assert_eq!(t.code(joined), "22023");
    });
}

#[test]
fn times_may_be_parameters() {
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE c (v int); INSERT INTO c VALUES (1)");
    let first = t.clock();
    t.run("UPDATE c SET v = 2");
    let second = t.clock();
    t.run("UPDATE c SET v = 3");
    let select = "SELECT v FROM c FOR SYSTEM_TIME BETWEEN $1::text::timestamptz AND \
                  $2::text::timestamptz ORDER BY v";
    for (from, to, expected) in [(&first, &second, 2), (&second, &second, 1), (&first, &first, 1)] {
        let params = [Value::text(from.clone()), Value::text(to.clone())];
        assert_eq!(t.session.execute_with(select, &params).unwrap().rows.len(), expected);
    }
    t.run("PREPARE p (timestamptz, timestamptz) AS SELECT v FROM c FOR SYSTEM_TIME FROM $1 TO $2 ORDER BY v");
    assert_eq!(t.rows(&format!("EXECUTE p ('{first}', '{second}')")), ["1", "2"]);
    assert_eq!(t.rows(&format!("EXECUTE p ('{second}', 'infinity')")), ["2", "3"]);
    let analyzed = t.rows("EXPLAIN ANALYZE SELECT v FROM c FOR SYSTEM_TIME ALL");
    assert!(analyzed.iter().any(|line| line.ends_with("Versions Read: 3")), "{analyzed:?}");
}

#[test]
fn a_session_in_the_past() {
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE d (v int); INSERT INTO d VALUES (1)");
        let first = t.clock();
        t.run("UPDATE d SET v = 2; ALTER TABLE d RENAME COLUMN v TO w; CREATE TABLE e (x int)");
        let second = t.clock();
        t.run("UPDATE d SET w = 3; DROP TABLE e");
        t.run(&format!("SET driftdb.as_of = '{first}'"));
        assert_eq!(t.rows("SELECT v FROM d"), ["1"]);
        assert_eq!(t.rows("SELECT v FROM d"), ["1"]);
        assert_eq!(t.code("SELECT * FROM e"), "42P01");
        assert_eq!(t.rows("SHOW driftdb.as_of")[0], first);
        assert_eq!(t.rows("SHOW transaction_read_only"), ["on"]);
        // Nobody can lock the past.
        let mut other = Traveller::new(fixture);
        other.run("BEGIN; LOCK TABLE d; DELETE FROM d");
        assert_eq!(t.rows("SELECT v FROM d"), ["1"]);
        other.run("ROLLBACK");
        // A table's own clause wins.
        assert_eq!(t.rows(&format!("SELECT w FROM d FOR SYSTEM_TIME AS OF '{second}'")), ["2"]);
        // What comes later is not there: for this session, the last version lives on.
        assert_eq!(t.rows("SELECT v, system_time_end FROM d FOR SYSTEM_TIME ALL"), ["1 infinity"]);
        for write in
            ["INSERT INTO d VALUES (9)", "CREATE TABLE f (a int)", "DROP TABLE d", "TRUNCATE d"]
        {
            let error = t.session.query(write).unwrap_err();
            assert_eq!(error.state.code(), "25006", "{write}");
            assert!(error.hint.unwrap().contains("driftdb.as_of"));
        }
        t.run(&format!("SET driftdb.as_of = '{second}'"));
        assert_eq!(t.rows("SELECT w FROM d"), ["2"]);
        assert_eq!(t.rows("SELECT * FROM e"), Vec::<String>::new());
        t.run("RESET driftdb.as_of");
        assert_eq!(t.rows("SELECT w FROM d"), ["3"]);
        t.run("UPDATE d SET w = 4");
        // For one transaction.
        t.run(&format!("BEGIN; SET LOCAL driftdb.as_of = '{second}'"));
        assert_eq!(t.rows("SELECT w FROM d"), ["2"]);
        assert_eq!(t.code("SET driftdb.as_of = ''"), "25001");
        t.run("ROLLBACK");
        for begin in [
            format!("BEGIN AS OF SYSTEM TIME '{first}'"),
            format!("BEGIN TRANSACTION READ ONLY, AS OF '{first}'::timestamptz"),
            format!("BEGIN; SET TRANSACTION AS OF SYSTEM TIME '{first}'"),
        ] {
            t.run(&begin);
            assert_eq!(t.rows("SELECT v FROM d"), ["1"], "{begin}");
            assert_eq!(t.code("UPDATE d SET v = 1"), "25006");
            t.run("ROLLBACK");
            assert_eq!(t.rows("SELECT w FROM d"), ["4"], "{begin}");
        }
        let sequence = t.session.node().store().sequence_at(t.session.node().store().newest());
        let sequence = sequence.unwrap() - 1;
        t.run(&format!("BEGIN AS OF @SEQ:{sequence}"));
        assert_eq!(t.rows("SELECT w FROM d"), ["3"]);
        assert_eq!(t.code(&format!("SET TRANSACTION AS OF '{first}'")), "25001");
        t.run("ROLLBACK");
        t.run(&format!("SET driftdb.as_of = '@seq:{sequence}'"));
        assert_eq!(t.rows("SELECT w FROM d"), ["3"]);
        assert_eq!(t.rows("SHOW driftdb.as_of"), [format!("@SEQ:{sequence}")]);
        t.run("SET driftdb.as_of = ''");
        assert_eq!(t.rows("SELECT w FROM d"), ["4"]);
        assert_eq!(t.code("SET driftdb.as_of = '2999-01-01'"), "22023");
        assert_eq!(t.code("SET driftdb.as_of = 'some day'"), "22007");
        assert_eq!(t.code("BEGIN AS OF SYSTEM TIME '2999-01-01'"), "22023");
        assert_eq!(t.code("COMMIT AND CHAIN"), "25P01");
        // By name.
        t.run("CREATE RESTORE POINT four");
        t.run("UPDATE d SET w = 5");
        t.run("BEGIN AS OF RESTORE POINT four");
        assert_eq!(t.rows("SELECT w FROM d"), ["4"]);
        t.run("COMMIT; SET driftdb.as_of = 'restore point Four'");
        assert_eq!(t.rows("SELECT w FROM d"), ["4"]);
        assert_eq!(t.rows("SHOW driftdb.as_of"), ["RESTORE POINT four"]);
        assert_eq!(t.rows("SELECT count(*) FROM d FOR SYSTEM_TIME ALL"), ["4"]);
        t.run("SET driftdb.as_of = ''");
        assert_eq!(
            t.rows("SELECT w FROM d FOR SYSTEM_TIME BETWEEN RESTORE POINT four AND 'infinity' ORDER BY 1"),
            ["4", "5"]
        );
        t.run("UPDATE d SET w = 4; DROP RESTORE POINT four");
        assert_eq!(t.code("BEGIN AS OF RESTORE POINT four"), "42704");
        assert_eq!(t.code("SET driftdb.as_of = 'RESTORE POINT four'"), "42704");
        // From the connection string.
        let settings = vec![
            ("Driftdb.as_of".to_owned(), first.clone()),
            ("TimeZone".to_owned(), "UTC".to_owned()),
        ];
        let options = SessionOptions { settings, ..SessionOptions::default() };
        let mut tool = Traveller { session: Session::new(&fixture.node, &options).unwrap() };
        assert_eq!(tool.rows("SELECT v FROM d"), ["1"]);
        tool.run("SET driftdb.as_of = ''");
        assert_eq!(tool.rows("SELECT w FROM d"), ["4"]);
        tool.run("RESET ALL");
        assert_eq!(tool.rows("SELECT v FROM d"), ["1"]);
        let settings = vec![("driftdb.as_of".to_owned(), "2999-01-01".to_owned())];
        let options = SessionOptions { settings, ..SessionOptions::default() };
        assert_eq!(Session::new(&fixture.node, &options).unwrap_err().state.code(), "22023");
    });
}

#[test]
fn a_connection_in_the_past() {
    use crate::harness::{block_on, connect};
    let fixture = Fixture::new();
    let mut t = Traveller::new(&fixture);
    t.run("CREATE TABLE i (v int); INSERT INTO i VALUES (1)");
    let first = t.clock().replace(' ', "T").replace('+', "%2B");
    t.run("UPDATE i SET v = 2");
    let url = format!("{}?options=-c%20driftdb.as_of%3D{first}", fixture.url());
    block_on(async {
        let client = connect(&url).await;
        // What a tool does that knows nothing of time.
        let row = client.query_one("SELECT v FROM i WHERE v < $1", &[&10]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
        let refused = client.execute("DELETE FROM i", &[]).await;
        assert_eq!(crate::harness::code(refused), "25006");
    });
}

#[test]
fn times_past_retention_name_the_oldest() {
    use driftdb_storage::{Retention, RetentionPolicy};
    everywhere(|fixture| {
        let mut t = Traveller::new(fixture);
        t.run("CREATE TABLE g (id int PRIMARY KEY, v int); INSERT INTO g VALUES (1, 1)");
        let old = t.clock();
        t.run("UPDATE g SET v = 2");
        t.run("UPDATE g SET v = 3");
        t.clock();
        let store = t.session.node().store();
        let default = Retention::since(store.newest());
        store.set_retention(RetentionPolicy { default, ..RetentionPolicy::default() });
        t.run("UPDATE g SET v = 4");
        t.run("CHECKPOINT");
        // Everything that is promised, and nothing else, whatever is still on disk.
        let all = "SELECT v, system_op, system_end_op FROM g FOR SYSTEM_TIME ALL ORDER BY v";
        assert_eq!(t.rows(all), ["3  UPDATE", "4 UPDATE "]);
        let kept =
            "SELECT v FROM g FOR SYSTEM_TIME BETWEEN '-infinity' AND 'infinity' WHERE id = 1";
        assert_eq!(t.rows(&format!("{kept} ORDER BY v")), ["3", "4"]);
        for query in [
            format!("SELECT * FROM g FOR SYSTEM_TIME AS OF '{old}'"),
            format!("SELECT * FROM g FOR SYSTEM_TIME BETWEEN '{old}' AND 'infinity'"),
            format!("SELECT * FROM g FOR SYSTEM_TIME CONTAINED IN ('{old}', 'infinity')"),
            format!(
                "SELECT p.* FROM (SELECT '{old}'::timestamptz AS at) o, \
                     g FOR SYSTEM_TIME AS OF o.at p"
            ),
            format!("SET driftdb.as_of = '{old}'"),
            format!("BEGIN AS OF SYSTEM TIME '{old}'"),
        ] {
            let error = t.session.query(&query).unwrap_err();
            assert_eq!(error.state.code(), "72000", "{query}: {error}");
            assert!(error.message.contains("history is kept since 20"), "{}", error.message);
        }
    });
}

/// Blocks or pages that a query looks at.
fn pages(t: &mut Traveller, query: &str) -> u64 {
    let looked = |t: &mut Traveller| {
        let mut sum = 0;
        t.session.node().store().stats(&mut |name, value| {
            if ["cache_hits", "cache_misses"].contains(&name) {
                sum += value;
            }
        });
        sum
    };
    t.rows(query);
    let before = looked(t);
    assert_eq!(t.rows(query).len(), 1, "{query}");
    looked(t) - before
}

#[test]
fn a_point_of_the_past_costs_the_same_however_long_the_history() {
    for engine in ["lsm", "btree"] {
        let fixture = Fixture::with(engine, "ssi", |_| {});
        let mut t = Traveller::new(&fixture);
        t.run("CREATE TABLE h (id int PRIMARY KEY, v int, w text)");
        t.run("CREATE TABLE o (made timestamptz)");
        t.run("INSERT INTO h SELECT i, 0, repeat('x', 100) FROM generate_series(1, 20) i");
        t.run("CREATE INDEX h_v ON h (v)");
        let mut costs = Vec::new();
        let (mut written, mut middle) = (0, String::new());
        for versions in [10, 100, 1000] {
            while written < versions {
                written += 1;
                if written == versions / 2 {
                    middle = t.clock();
                }
                t.run(&format!("UPDATE h SET v = {written} WHERE id IN (7, 8, 10)"));
            }
            t.run("CHECKPOINT");
            t.run("DELETE FROM o");
            t.run(&format!("INSERT INTO o VALUES ('{middle}')"));
            let at = versions / 2 - 1;
            let queries = [
                format!("SELECT v FROM h FOR SYSTEM_TIME AS OF '{middle}' WHERE id = 7"),
                format!(
                    "SELECT id FROM h FOR SYSTEM_TIME AS OF '{middle}' WHERE v = {at} AND id = 7"
                ),
                format!(
                    "SELECT v FROM h FOR SYSTEM_TIME BETWEEN '{middle}' AND '{middle}' WHERE id = 7"
                ),
                "SELECT p.v FROM o, h FOR SYSTEM_TIME AS OF o.made p WHERE p.id = 7".to_owned(),
                // The history of one key, between two with longer ones.
                "SELECT count(*), max(v) FROM h FOR SYSTEM_TIME ALL WHERE id = 9".to_owned(),
                "SELECT count(system_op) FROM h FOR SYSTEM_TIME ALL WHERE v = 0 AND id = 9"
                    .to_owned(),
            ];
            costs.push(queries.map(|query| pages(&mut t, &query)));
        }
        println!("{engine}: {costs:?}");
        // A B+tree keeps old versions by leaf and time: the history of one key is among those of its
        // neighbours there (docs/design/0009-history-pages.md).
        let flat = if engine == "lsm" { 6 } else { 4 };
        for (index, short) in costs[0].iter().enumerate().take(flat) {
            let long = costs[2][index];
            // A hundred times the history: a level of a tree or two, a run of tables or two, no more.
            assert!(long <= short + 8, "{engine}: query {index} looks at {costs:?}");
        }
    }
}
