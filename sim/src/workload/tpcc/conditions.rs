//! The tables of the order-entry business, and what must hold between them: each condition is a query for what violates it.

/// The tables and an index; the transaction stays open.
pub(super) fn definitions(has_references: bool) -> String {
    let reference = |columns: &str, table: &str| match has_references {
        true => format!(", FOREIGN KEY ({columns}) REFERENCES {table}"),
        false => String::new(),
    };
    format!(
        "BEGIN;
         CREATE TABLE warehouse (w_id int PRIMARY KEY, w_ytd bigint NOT NULL);
         CREATE TABLE district (d_w_id int, d_id int, d_ytd bigint NOT NULL, d_next_o_id bigint NOT NULL,
             PRIMARY KEY (d_w_id, d_id){});
         CREATE TABLE customer (c_w_id int, c_d_id int, c_id int, c_balance bigint NOT NULL,
             c_payment_cnt int NOT NULL, PRIMARY KEY (c_w_id, c_d_id, c_id){});
         CREATE TABLE item (i_id int PRIMARY KEY, i_price bigint NOT NULL);
         CREATE TABLE stock (s_w_id int, s_i_id int, s_quantity bigint NOT NULL, s_ytd bigint NOT NULL,
             s_order_cnt int NOT NULL, PRIMARY KEY (s_w_id, s_i_id){});
         CREATE TABLE history (h_w_id int, h_d_id int, h_c_id int, h_amount bigint NOT NULL,
             h_token bigint NOT NULL{});
         CREATE TABLE orders (o_w_id int, o_d_id int, o_id bigint, o_c_id int NOT NULL, o_carrier_id int,
             o_ol_cnt bigint NOT NULL, o_token bigint UNIQUE, PRIMARY KEY (o_w_id, o_d_id, o_id){});
         CREATE TABLE new_order (no_w_id int, no_d_id int, no_o_id bigint,
             PRIMARY KEY (no_w_id, no_d_id, no_o_id){});
         CREATE TABLE order_line (ol_w_id int, ol_d_id int, ol_o_id bigint, ol_number int,
             ol_i_id int NOT NULL, ol_quantity bigint NOT NULL, ol_amount bigint NOT NULL,
             ol_is_delivered boolean NOT NULL, PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number){});
         CREATE INDEX ON orders (o_w_id, o_d_id, o_c_id, o_id DESC);
         CREATE INDEX ON order_line (ol_i_id) WHERE NOT ol_is_delivered;",
        reference("d_w_id", "warehouse"),
        reference("c_w_id, c_d_id", "district"),
        reference("s_i_id", "item"),
        reference("h_w_id, h_d_id, h_c_id", "customer"),
        reference("o_w_id, o_d_id, o_c_id", "customer"),
        reference("no_w_id, no_d_id, no_o_id", "orders"),
        reference("ol_w_id, ol_d_id, ol_o_id", "orders"),
    )
}

/// The tokens of all orders and payments.
pub(super) const TOKENS: &str = "SELECT o_token FROM orders UNION ALL SELECT h_token FROM history";

/// What each says, and a query that finds what violates it. The first ten are those of clause 3.3.2.
pub(super) const CONDITIONS: &[(&str, &str)] = &[
    (
        "1: W_YTD is the sum of D_YTD",
        "SELECT w_id, w_ytd FROM warehouse
         WHERE w_ytd <> (SELECT sum(d_ytd) FROM district WHERE d_w_id = w_id)",
    ),
    (
        "2: D_NEXT_O_ID follows the newest order, which is the newest that is open, if one is",
        "SELECT d_w_id, d_id, d_next_o_id, o_last, no_last FROM district
         LEFT JOIN (SELECT o_w_id, o_d_id, max(o_id) FROM orders GROUP BY 1, 2) AS o (o_w, o_d, o_last)
             ON o_w = d_w_id AND o_d = d_id
         LEFT JOIN (SELECT no_w_id, no_d_id, max(no_o_id) FROM new_order GROUP BY 1, 2) AS n (no_w, no_d, no_last)
             ON no_w = d_w_id AND no_d = d_id
         WHERE coalesce(o_last, 0) <> d_next_o_id - 1 OR no_last <> d_next_o_id - 1",
    ),
    (
        "3: numbers of open orders have no gaps",
        "SELECT no_w_id, no_d_id, min(no_o_id), max(no_o_id), count(*) FROM new_order
         GROUP BY no_w_id, no_d_id HAVING max(no_o_id) - min(no_o_id) + 1 <> count(*)",
    ),
    (
        "4: the sum of O_OL_CNT is the number of lines",
        "SELECT d_w_id, d_id FROM district WHERE
         (SELECT coalesce(sum(o_ol_cnt), 0) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)
         <> (SELECT count(*) FROM order_line WHERE ol_w_id = d_w_id AND ol_d_id = d_id)",
    ),
    (
        "5: an order has no carrier as long as it is open",
        "SELECT o_w_id, o_d_id, o_id, o_carrier_id FROM orders WHERE (o_carrier_id IS NULL) <>
         EXISTS (SELECT 1 FROM new_order WHERE no_w_id = o_w_id AND no_d_id = o_d_id AND no_o_id = o_id)",
    ),
    (
        "6: O_OL_CNT is the number of the order's lines",
        "SELECT o_w_id, o_d_id, o_id, o_ol_cnt, count(ol_number) FROM orders
         LEFT JOIN order_line ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
         GROUP BY o_w_id, o_d_id, o_id HAVING o_ol_cnt <> count(ol_number)",
    ),
    (
        "7: a line is delivered when its order is",
        "SELECT ol_w_id, ol_d_id, ol_o_id, ol_number FROM order_line
         LEFT JOIN orders ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
         WHERE o_id IS NULL OR ol_is_delivered <> (o_carrier_id IS NOT NULL)",
    ),
    (
        "8: W_YTD is the sum of payments",
        "SELECT w_id FROM warehouse
         WHERE w_ytd <> (SELECT coalesce(sum(h_amount), 0) FROM history WHERE h_w_id = w_id)",
    ),
    (
        "9: D_YTD is the sum of payments",
        "SELECT d_w_id, d_id FROM district WHERE d_ytd <>
         (SELECT coalesce(sum(h_amount), 0) FROM history WHERE h_w_id = d_w_id AND h_d_id = d_id)",
    ),
    (
        "10: a balance is what was delivered less what was paid",
        "SELECT c_w_id, c_d_id, c_id, c_balance FROM customer WHERE c_balance <>
         (SELECT coalesce(sum(ol_amount), 0) FROM order_line
          JOIN orders ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id
          WHERE ol_is_delivered AND o_w_id = c_w_id AND o_d_id = c_d_id AND o_c_id = c_id)
         - (SELECT coalesce(sum(h_amount), 0) FROM history
            WHERE h_w_id = c_w_id AND h_d_id = c_d_id AND h_c_id = c_id)",
    ),
    (
        "a payment is counted once",
        "SELECT c_w_id, c_d_id, c_id, c_payment_cnt FROM customer WHERE c_payment_cnt <>
         (SELECT count(*) FROM history WHERE h_w_id = c_w_id AND h_d_id = c_d_id AND h_c_id = c_id)",
    ),
    (
        "what left the stock was ordered",
        "SELECT s_w_id, s_i_id, s_ytd, s_order_cnt, sum(ol_quantity), count(ol_quantity) FROM stock
         LEFT JOIN order_line ON ol_w_id = s_w_id AND ol_i_id = s_i_id
         GROUP BY s_w_id, s_i_id
         HAVING s_ytd <> coalesce(sum(ol_quantity), 0) OR s_order_cnt <> count(ol_quantity)",
    ),
];
