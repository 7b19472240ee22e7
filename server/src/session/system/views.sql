-- pg_tables
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), t.spcname, c.relhasindex, c.relhasrules,
       c.relhastriggers, c.relrowsecurity
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p')

-- pg_views
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v'

-- pg_matviews
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), t.spcname, c.relhasindex, c.relispopulated,
       pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relkind = 'm'

-- pg_roles
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
       rolconnlimit, '********', rolvaliduntil, rolbypassrls, NULL, oid
FROM pg_catalog.pg_authid

-- pg_user
SELECT rolname, oid, rolcreatedb, rolsuper, rolreplication, rolbypassrls, '********', rolvaliduntil,
       NULL
FROM pg_catalog.pg_authid WHERE rolcanlogin

-- pg_shadow
SELECT rolname, oid, rolcreatedb, rolsuper, rolreplication, rolbypassrls, rolpassword, rolvaliduntil,
       NULL
FROM pg_catalog.pg_authid WHERE rolcanlogin

-- pg_group
SELECT rolname, oid, '{}' FROM pg_catalog.pg_authid WHERE NOT rolcanlogin

-- information_schema.information_schema_catalog_name
SELECT current_database()

-- information_schema.schemata
SELECT current_database(), n.nspname, pg_get_userbyid(n.nspowner), NULL, NULL, NULL, NULL
FROM pg_catalog.pg_namespace n

-- information_schema.tables
SELECT current_database(), n.nspname, c.relname,
       CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'BASE TABLE' END, NULL, NULL, NULL, NULL, NULL,
       CASE c.relkind WHEN 'r' THEN 'YES' ELSE 'NO' END, 'NO', NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'f', 'p')

-- information_schema.columns
SELECT current_database(), n.nspname, c.relname, a.attname, a.attnum,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' ELSE format_type(t.oid, NULL) END,
       CASE WHEN t.oid IN (1042, 1043) AND a.atttypmod > 0 THEN a.atttypmod - 4 END,
       CASE WHEN t.oid IN (1042, 1043) AND a.atttypmod > 0 THEN (a.atttypmod - 4) * 4
            WHEN t.oid IN (25, 1042, 1043) THEN 1073741824 END,
       CASE t.oid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53
                  WHEN 1700 THEN CASE WHEN a.atttypmod > 0 THEN ((a.atttypmod - 4) >> 16) & 65535 END END,
       CASE WHEN t.oid IN (21, 23, 20, 700, 701) THEN 2 WHEN t.oid = 1700 THEN 10 END,
       CASE WHEN t.oid IN (21, 23, 20) THEN 0
            WHEN t.oid = 1700 AND a.atttypmod > 0 THEN (a.atttypmod - 4) & 65535 END,
       CASE WHEN t.oid = 1082 THEN 0
            WHEN t.oid IN (1083, 1114, 1184, 1266)
            THEN CASE WHEN a.atttypmod < 0 THEN 6 ELSE a.atttypmod END
            WHEN t.oid = 1186
            THEN CASE WHEN a.atttypmod < 0 OR (a.atttypmod & 65535) = 65535 THEN 6
                      ELSE a.atttypmod & 65535 END END,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       current_database(), 'pg_catalog', t.typname, NULL, NULL, NULL, NULL, a.attnum::text,
       'NO', CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END,
       CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
       q.seqstart::text, q.seqincrement::text, q.seqmax::text, q.seqmin::text,
       CASE WHEN q.seqcycle THEN 'YES' ELSE 'NO' END,
       CASE WHEN a.attgenerated <> '' THEN 'ALWAYS' ELSE 'NEVER' END,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       CASE WHEN c.relkind IN ('r', 'p') THEN 'YES' ELSE 'NO' END
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_depend p ON p.classid = 1259 AND p.refclassid = 1259 AND p.deptype = 'i'
     AND p.refobjid = c.oid AND p.refobjsubid = a.attnum
LEFT JOIN pg_catalog.pg_sequence q ON q.seqrelid = p.objid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'p')

-- information_schema.table_constraints
SELECT current_database(), n.nspname, k.conname, current_database(), n.nspname, c.relname,
       CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
                      ELSE 'UNIQUE' END,
       CASE WHEN k.condeferrable THEN 'YES' ELSE 'NO' END,
       CASE WHEN k.condeferred THEN 'YES' ELSE 'NO' END,
       'YES', CASE WHEN k.contype = 'u' THEN 'YES' END
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype NOT IN ('t', 'x')
UNION ALL
SELECT current_database(), n.nspname,
       n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null',
       current_database(), n.nspname, c.relname, 'CHECK', 'NO', 'NO', 'YES', NULL
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')

-- information_schema.check_constraints
SELECT current_database(), n.nspname, k.conname, '(' || k.conbin || ')'
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
WHERE k.contype = 'c'
UNION ALL
SELECT current_database(), n.nspname,
       n.oid::text || '_' || c.oid::text || '_' || a.attnum::text || '_not_null',
       a.attname || ' IS NOT NULL'
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')

-- information_schema.referential_constraints
SELECT current_database(), n.nspname, k.conname, current_database(), un.nspname, u.conname,
       CASE k.confmatchtype WHEN 'f' THEN 'FULL' ELSE 'NONE' END,
       CASE k.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                          WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END,
       CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                          WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_constraint u ON u.conindid = k.conindid AND u.conrelid = k.confrelid
                                    AND u.contype IN ('p', 'u')
LEFT JOIN pg_catalog.pg_namespace un ON un.oid = u.connamespace
WHERE k.contype = 'f'

-- information_schema.enabled_roles
SELECT rolname FROM pg_catalog.pg_authid

-- pg_stat_all_tables
SELECT c.oid, n.nspname, c.relname, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples END, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm', 'p')

-- pg_stat_user_tables
SELECT * FROM pg_catalog.pg_stat_all_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_toast'

-- information_schema.key_column_usage
SELECT current_database(), n.nspname, k.conname, current_database(), n.nspname, c.relname, a.attname,
       k.place, CASE WHEN k.contype = 'f' THEN array_position(u.indkey::int2[], k.confkey[k.place]) + 1 END
FROM (SELECT s.*, generate_subscripts(s.conkey, 1) AS place
      FROM pg_catalog.pg_constraint s WHERE s.contype IN ('p', 'u', 'f')) k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[k.place]
LEFT JOIN pg_catalog.pg_index u ON u.indexrelid = k.conindid AND k.contype = 'f'

-- information_schema.constraint_column_usage
SELECT current_database(), n.nspname, c.relname, a.attname, current_database(), kn.nspname, k.conname
FROM (SELECT s.oid, s.conname, s.connamespace,
             CASE WHEN s.contype = 'f' THEN s.confrelid ELSE s.conrelid END AS target,
             unnest(CASE WHEN s.contype = 'f' THEN s.confkey ELSE s.conkey END) AS number
      FROM pg_catalog.pg_constraint s WHERE s.contype IN ('c', 'p', 'u', 'f')) k
JOIN pg_catalog.pg_class c ON c.oid = k.target
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_namespace kn ON kn.oid = k.connamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.target AND a.attnum = k.number

-- information_schema.constraint_table_usage
SELECT current_database(), n.nspname, c.relname, current_database(), kn.nspname, k.conname
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = CASE WHEN k.contype = 'f' THEN k.confrelid ELSE k.conrelid END
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_namespace kn ON kn.oid = k.connamespace
WHERE k.contype IN ('p', 'u', 'f')

-- information_schema.table_privileges
SELECT o.rolname, o.rolname, current_database(), n.nspname, c.relname, p.privilege, 'YES',
       CASE WHEN p.privilege = 'SELECT' THEN 'YES' ELSE 'NO' END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_authid o ON o.oid = c.relowner
CROSS JOIN unnest('{INSERT,SELECT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p(privilege)
WHERE c.relkind IN ('r', 'v', 'f', 'p')

-- information_schema.role_table_grants
SELECT * FROM information_schema.table_privileges

-- information_schema.character_sets
SELECT NULL, NULL, 'UTF8', 'UCS', 'UTF8', current_database(), 'pg_catalog', 'default'

-- information_schema.views
SELECT current_database(), n.nspname, c.relname, pg_get_viewdef(c.oid),
       CASE WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED'
            WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL' ELSE 'NONE' END,
       CASE WHEN pg_relation_is_updatable(c.oid, false) & 20 = 20 THEN 'YES' ELSE 'NO' END,
       CASE WHEN pg_relation_is_updatable(c.oid, false) & 8 = 8 THEN 'YES' ELSE 'NO' END,
       'NO', 'NO', 'NO'
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v'

-- pg_sequences
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), s.seqtypid::regtype, s.seqstart, s.seqmin,
       s.seqmax, s.seqincrement, s.seqcycle, s.seqcache, pg_sequence_last_value(c.oid::regclass)
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace

-- information_schema.sequences
SELECT current_database(), n.nspname, c.relname, format_type(s.seqtypid, NULL),
       CASE s.seqtypid WHEN 21 THEN 16 WHEN 23 THEN 32 ELSE 64 END, 2, 0, s.seqstart::text,
       s.seqmin::text, s.seqmax::text, s.seqincrement::text,
       CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'i')

-- pg_statio_all_tables
SELECT c.oid, n.nspname, c.relname, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm')

-- pg_statio_user_tables
SELECT * FROM pg_catalog.pg_statio_all_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_toast'

-- pg_stat_all_indexes
SELECT c.oid, i.oid, n.nspname, c.relname, i.relname, NULL, NULL, NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_index x ON x.indrelid = c.oid
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm')

-- pg_stat_user_indexes
SELECT * FROM pg_catalog.pg_stat_all_indexes
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname !~ '^pg_toast'

-- pg_stat_database
SELECT d.oid, d.datname, (SELECT count(*)::int4 FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid),
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM pg_catalog.pg_database d

-- information_schema.view_table_usage
SELECT DISTINCT current_database(), vn.nspname, v.relname, current_database(), tn.nspname, t.relname
FROM pg_catalog.pg_class v
JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
JOIN pg_catalog.pg_depend d ON d.classid = 2618 AND d.objid = r.oid AND d.refclassid = 1259
                           AND d.refobjid <> v.oid
JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE v.relkind = 'v' AND t.relkind IN ('r', 'v', 'f', 'p')

-- information_schema.view_column_usage
SELECT DISTINCT current_database(), vn.nspname, v.relname, current_database(), tn.nspname, t.relname,
       a.attname
FROM pg_catalog.pg_class v
JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
JOIN pg_catalog.pg_depend d ON d.classid = 2618 AND d.objid = r.oid AND d.refclassid = 1259
                           AND d.refobjid <> v.oid
JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE v.relkind = 'v' AND t.relkind IN ('r', 'v', 'f', 'p')
