// JDBC: types, batches, generated keys, transactions, errors, cursors, COPY, metadata.
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;

public class Jdbc {
    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    public static void main(String[] args) throws Exception {
        // The driver takes the user's name as a parameter only. Prepared statements from the first use on, so that
        // values travel in binary.
        String url = args[0].replaceFirst("//.*@", "//") + "?user=driftdb&prepareThreshold=-1";
        try (Connection db = DriverManager.getConnection("jdbc:" + url)) {
            try (Statement statement = db.createStatement()) {
                statement.execute("CREATE TABLE author (id bigserial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE)");
                statement.execute("CREATE TABLE book (id serial PRIMARY KEY, author bigint REFERENCES author (id), "
                    + "title text, price numeric(8, 2) CHECK (price >= 0), sold date, at timestamptz, tags text[], "
                    + "about jsonb, ok boolean, raw bytea, f float8, u uuid)");
            }
            long ada;
            try (PreparedStatement insert = db.prepareStatement("INSERT INTO author (name) VALUES (?)",
                    Statement.RETURN_GENERATED_KEYS)) {
                insert.setString(1, "Ada");
                same(insert.executeUpdate(), 1);
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    keys.next();
                    ada = keys.getLong("id");
                }
            }
            UUID id = UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
            OffsetDateTime at = OffsetDateTime.parse("2024-02-29T12:34:56.789123Z");
            try (PreparedStatement insert = db.prepareStatement("INSERT INTO book (author, title, price, sold, at, tags, "
                    + "about, ok, raw, f, u) VALUES (?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?)")) {
                for (int i = 0; i < 5; i++) {
                    insert.setLong(1, ada);
                    insert.setString(2, "Book " + i);
                    insert.setBigDecimal(3, new BigDecimal("9.50").add(BigDecimal.valueOf(i)));
                    insert.setObject(4, LocalDate.of(2024, 2, 29));
                    insert.setObject(5, at);
                    insert.setArray(6, db.createArrayOf("text", new String[] {"x", null, "y,z"}));
                    insert.setString(7, "{\"n\": [1, null]}");
                    insert.setBoolean(8, i % 2 == 0);
                    insert.setBytes(9, new byte[] {0, -1, 10});
                    insert.setDouble(10, i / 2.0);
                    insert.setObject(11, id);
                    insert.addBatch();
                }
                same(Arrays.stream(insert.executeBatch()).sum(), 5);
            }
            try (PreparedStatement query = db.prepareStatement("SELECT * FROM book WHERE author = ? ORDER BY id")) {
                query.setLong(1, ada);
                for (int round = 0; round < 2; round++) {
                    try (ResultSet rows = query.executeQuery()) {
                        rows.next();
                        rows.next();
                        same(rows.getString("title"), "Book 1");
                        same(rows.getBigDecimal("price"), new BigDecimal("10.50"));
                        same(rows.getObject("sold", LocalDate.class), LocalDate.of(2024, 2, 29));
                        same(rows.getObject("at", OffsetDateTime.class).toInstant(), at.toInstant());
                        same(Arrays.asList((Object[]) rows.getArray("tags").getArray()), Arrays.asList("x", null, "y,z"));
                        same(rows.getString("about"), "{\"n\": [1, null]}");
                        same(rows.getBoolean("ok"), false);
                        same(Arrays.equals(rows.getBytes("raw"), new byte[] {0, -1, 10}), true);
                        same(rows.getDouble("f"), 0.5);
                        same(rows.getObject("u"), id);
                    }
                }
            }
            transactions(db, ada);
            cursor(db);
            copy(db);
            metadata(db);
        }
    }

    static void transactions(Connection db, long ada) throws SQLException {
        db.setAutoCommit(false);
        try (Statement statement = db.createStatement()) {
            statement.executeUpdate("UPDATE book SET price = price + 1");
            Savepoint savepoint = db.setSavepoint();
            try {
                statement.executeUpdate("INSERT INTO author (name) VALUES ('Ada')");
                throw new AssertionError("a duplicate was taken");
            } catch (PSQLException error) {
                same(error.getSQLState(), "23505");
                same(error.getServerErrorMessage().getConstraint(), "author_name_key");
                same(error.getServerErrorMessage().getTable(), "author");
                db.rollback(savepoint);
            }
            db.commit();
            statement.executeUpdate("DELETE FROM book");
            db.rollback();
            try {
                statement.executeUpdate("INSERT INTO book (price) VALUES (-1)");
                throw new AssertionError("a negative price was taken");
            } catch (PSQLException error) {
                same(error.getServerErrorMessage().getConstraint(), "book_price_check");
                db.rollback();
            }
        }
        db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        try (Statement statement = db.createStatement();
                ResultSet rows = statement.executeQuery("SELECT count(*), sum(price) FROM book WHERE author = " + ada)) {
            rows.next();
            same(rows.getInt(1), 5);
            same(rows.getBigDecimal(2), new BigDecimal("62.50"));
        }
        db.commit();
        db.setAutoCommit(true);
    }

    /** Rows in portions, through a portal with a limit. */
    static void cursor(Connection db) throws SQLException {
        db.setAutoCommit(false);
        try (PreparedStatement query = db.prepareStatement("SELECT g, g::text FROM generate_series(1, ?) g")) {
            query.setInt(1, 1000);
            query.setFetchSize(64);
            long sum = 0;
            try (ResultSet rows = query.executeQuery()) {
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
            }
            same(sum, 500500L);
        }
        db.commit();
        db.setAutoCommit(true);
    }

    static void copy(Connection db) throws Exception {
        var api = db.unwrap(PGConnection.class).getCopyAPI();
        same(api.copyIn("COPY book (title, price) FROM STDIN (FORMAT csv)", new StringReader("\"a,b\",1\nc,\n")), 2L);
        StringWriter out = new StringWriter();
        api.copyOut("COPY (SELECT title, price FROM book WHERE author IS NULL ORDER BY title) TO STDOUT", out);
        same(out.toString(), "a,b\t1.00\nc\t\\N\n");
    }

    /** Without keys and indexes: the driver asks for them with information_schema._pg_expandarray. */
    static void metadata(Connection db) throws SQLException {
        DatabaseMetaData meta = db.getMetaData();
        same(meta.getDatabaseProductName(), "PostgreSQL");
        same(listed(meta.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME"), List.of("author", "book"));
        same(listed(meta.getImportedKeys(null, "public", "book"), "PKTABLE_NAME"), List.of("author"));
        same(listed(meta.getExportedKeys(null, "public", "author"), "FKCOLUMN_NAME"), List.of("author"));
        same(listed(meta.getColumns(null, "public", "author", "%"), "TYPE_NAME"), List.of("bigserial", "varchar"));
        try (PreparedStatement query = db.prepareStatement("SELECT price, id FROM book WHERE title = ?")) {
            same(query.getMetaData().getColumnTypeName(1), "numeric");
            same(query.getMetaData().getPrecision(1), 8);
            same(query.getMetaData().isAutoIncrement(2), true);
            same(query.getParameterMetaData().getParameterTypeName(1), "text");
        }
    }

    static List<String> listed(ResultSet rows, String column) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getString(column));
            }
        }
        return values;
    }
}
