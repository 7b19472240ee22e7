"""Random typed expressions, over the functions, operators and casts that both servers list in their catalogs."""
from values import VALUES, literal, spelt

# Not functions of their arguments alone, or of what only one server has (files, statistics, identities).
EXCLUDED = ('pg_', 'has_', 'current_', 'to_reg', 'inet_', 'txid_', 'binary_upgrade', 'driftdb', 'lo_', 'currtid', 'query_to',
            'table_to', 'cursor_to', 'schema_to', 'database_to', 'xml', 'obj_', 'col_', 'shobj_', 'amvalidate', 'like_escape')
EXCLUDED_NAMES = {'version', 'now', 'timeofday', 'statement_timestamp', 'transaction_timestamp', 'clock_timestamp', 'random', 'setseed',
                  'gen_random_uuid', 'nextval', 'currval', 'lastval', 'setval', 'set_config', 'getdatabaseencoding', 'regclass', 'format_type',
                  'session_user', 'overlaps', 'hashtext', 'age', 'unknownin', 'row_security_active', 'generate_series', 'repeat', 'lpad', 'rpad',
                  'restore_point', 'timestamp_mi', 'make_interval', 'jsonb_delete', 'brin_summarize_new_values', 'getpgusername', 'user', 'array_fill', 'factorial', 'xmlcomment'}
WORDS = {'position', 'extract', 'overlay', 'substring', 'numeric', 'varchar', 'time', 'timestamp', 'interval', 'bit', 'char', 'float4', 'float8'}
POLYMORPHIC = {'anyelement', 'anyarray', 'anynonarray', 'anycompatible', 'anycompatiblearray', 'anycompatiblenonarray', 'anyrange',
               'anymultirange', 'anycompatiblerange', 'anycompatiblemultirange', 'anyenum', 'any'}

FUNCTIONS = '''
    SELECT p.proname, array(SELECT t.typname FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (oid, n) JOIN pg_type t ON t.oid = a.oid
                            ORDER BY a.n)::text[], r.typname, p.proretset
    FROM pg_proc p JOIN pg_type r ON r.oid = p.prorettype JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prokind = 'f' AND n.nspname = 'pg_catalog' '''
OPERATORS = '''
    SELECT o.oprname, l.typname, r.typname, t.typname
    FROM pg_operator o LEFT JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright JOIN pg_type t ON t.oid = o.oprresult'''
CASTS = '''SELECT s.typname, t.typname FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget'''


class Catalog:
    """What both servers have."""

    def __init__(self, ask_ours, ask_theirs):
        self.functions, self.operators, self.casts = {}, {}, {}
        both = lambda sql: sorted(set(ask_ours(sql)) & set(ask_theirs(sql)), key=repr)
        for name, args, result, is_set in both(FUNCTIONS):
            args = args.strip('{}').split(',') if args != '{}' else []
            # Of a comparison only the sign is promised.
            if name.startswith(EXCLUDED) or name in EXCLUDED_NAMES or is_set == 't' or 'cmp' in name:
                continue
            for args, result in instances(args, result):
                self.functions.setdefault(result, []).append((name, args))
        for name, left, right, result in both(OPERATORS):
            for args, result in instances([left, right] if left else [right], result):
                self.operators.setdefault(result, []).append((name, args))
        for source, target in both(CASTS):
            if source in VALUES and target in VALUES:
                self.casts.setdefault(target, []).append(source)


def instances(args, result):
    """A signature with concrete types for polymorphic ones."""
    if not any(arg in POLYMORPHIC for arg in args):
        if all(arg in VALUES for arg in args) and result in VALUES:
            yield args, result
        return
    for element in ('int4', 'text', 'numeric', 'date'):
        ranges = {'int4': ('int4range', 'int4multirange'), 'numeric': ('numrange', 'nummultirange'), 'date': ('daterange', 'datemultirange')}
        one = {name: element for name in ('anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray', 'any')}
        one |= {'anyarray': '_' + element, 'anycompatiblearray': '_' + element}
        if element in ranges:
            one |= {'anyrange': ranges[element][0], 'anymultirange': ranges[element][1],
                    'anycompatiblerange': ranges[element][0], 'anycompatiblemultirange': ranges[element][1]}
        given = [one.get(arg, arg) for arg in args]
        yields = one.get(result, result)
        if all(arg in VALUES for arg in given) and yields in VALUES:
            yield given, yields


def call(name, args):
    # Some names of functions are words of the grammar.
    name = f'pg_catalog."{name}"' if name in WORDS else name
    return f"{name}({', '.join(args)})"


class Expressions:
    def __init__(self, random, catalog):
        self.random, self.catalog = random, catalog

    def any_type(self):
        return self.random.choice(list(VALUES))

    def expr(self, ty, depth, columns=()):
        """An expression of a type, `depth` calls deep at most. `columns`: (text, type) that may be named."""
        random = self.random
        own = [text for text, of in columns if of == ty]
        if depth <= 0 or random.random() < 0.1:
            return random.choice(own) if own and random.random() < 0.8 else literal(random, ty)
        deeper = lambda of: self.expr(of, depth - 1, columns)
        choice = random.random()
        if choice < 0.40 and ty in self.catalog.functions:
            name, args = random.choice(self.catalog.functions[ty])
            return call(name, [deeper(arg) for arg in args])
        if choice < 0.80 and ty in self.catalog.operators:
            name, args = random.choice(self.catalog.operators[ty])
            if len(args) == 1:
                return f'({name} {deeper(args[0])})'
            return f'({deeper(args[0])} {name} {deeper(args[1])})'
        if choice < 0.88 and ty in self.catalog.casts:
            return f'({deeper(random.choice(self.catalog.casts[ty]))})::{spelt(ty)}'
        if choice < 0.92:
            return f'({deeper("text")})::{spelt(ty)}' if random.random() < 0.3 else f'({deeper(ty)})::text::{spelt(ty)}'
        return self.special(ty, deeper)

    def special(self, ty, deeper):
        """What is spelt in a way of its own."""
        random, other = self.random, self.random.choice(['int4', 'text', 'numeric', 'date', 'float8', 'interval'])
        if ty == 'bool':
            return random.choice([
                lambda: f'({deeper("bool")} AND {deeper("bool")})',
                lambda: f'({deeper("bool")} OR {deeper("bool")})',
                lambda: f'(NOT {deeper("bool")})',
                lambda: f'({deeper(other)} IS NULL)',
                lambda: f'({deeper(other)} IS DISTINCT FROM {deeper(other)})',
                lambda: f'({deeper(other)} BETWEEN SYMMETRIC {deeper(other)} AND {deeper(other)})',
                lambda: f'({deeper(other)} IN ({deeper(other)}, {deeper(other)}))',
                lambda: f'({deeper(other)} NOT IN ({deeper(other)}, {deeper(other)}, NULL))',
                lambda: f'({deeper(other)} < ANY (ARRAY[{deeper(other)}, {deeper(other)}]))',
                lambda: f'({deeper(other)} >= ALL (ARRAY[{deeper(other)}, NULL]))',
                lambda: f'(({deeper(other)}, {deeper("int4")}) < ({deeper(other)}, {deeper("int4")}))',
                lambda: f'({deeper("bool")} IS NOT TRUE)',
                lambda: f'({deeper("text")} LIKE {deeper("text")} ESCAPE \'!\')',
                lambda: f'({deeper("text")} SIMILAR TO {deeper("text")})',
                lambda: f'(({deeper("date")}, {deeper("interval")}) OVERLAPS ({deeper("date")}, {deeper("interval")}))',
            ])()
        return random.choice([
            lambda: f'(CASE WHEN {deeper("bool")} THEN {deeper(ty)} ELSE {deeper(ty)} END)',
            lambda: f'(CASE {deeper("int4")} WHEN {deeper("int4")} THEN {deeper(ty)} END)',
            lambda: f'coalesce({deeper(ty)}, {deeper(ty)})',
            lambda: f'nullif({deeper(ty)}, {deeper(ty)})' if ty not in ('json', 'jsonpath') else deeper(ty),
            lambda: f'greatest({deeper(ty)}, {deeper(ty)})' if ty not in ('json', 'jsonpath') else deeper(ty),
            lambda: f'(SELECT {deeper(ty)})',
            lambda: f'(ARRAY[{deeper(ty)}, {deeper(ty)}])[{deeper("int4")}]',
            lambda: self.spelt_call(ty, deeper),
        ])()

    def spelt_call(self, ty, deeper):
        random = self.random
        fields = ('year', 'month', 'day', 'hour', 'minute', 'second', 'epoch', 'dow', 'doy', 'week', 'quarter', 'century', 'decade', 'millennium',
                  'isoyear', 'isodow', 'microseconds', 'milliseconds', 'julian', 'timezone', 'timezone_hour')
        moment = random.choice(('date', 'time', 'timestamp', 'timestamptz', 'interval', 'timetz'))
        if ty == 'numeric':
            return random.choice([lambda: f'extract({random.choice(fields)} FROM {deeper(moment)})',
                                  lambda: f'round({deeper("numeric")}, {random.randrange(-5, 10)})'])()
        if ty == 'float8':
            return f"date_part('{random.choice(fields)}', {deeper(moment)})"
        if ty == 'text':
            places = ('FM9,999.99', '000.0', 'S99', '9.99EEEE', 'RN', 'L9999', '99V9', 'PR999', 'MI99', 'FMSG999th', '9G999D99')
            forms = ('YYYY-MM-DD HH24:MI:SS.US', 'Day, DD Month YYYY', 'FMDay FMDDth', 'Q IW IYYY ID J', 'HH12:MI am', 'Dy Mon RM CC', 'DDD WW W SSSS TZ OF BC',
                     'YY Y,YYY MS FF3')
            return random.choice([
                lambda: f'substring({deeper("text")} FROM {random.randrange(-2, 5)} FOR {random.randrange(0, 6)})',
                lambda: f'trim(BOTH {deeper("text")} FROM {deeper("text")})',
                lambda: f'overlay({deeper("text")} PLACING {deeper("text")} FROM {random.randrange(1, 5)})',
                lambda: f"to_char({deeper(random.choice(('numeric', 'int4', 'float8', 'int8')))}, '{random.choice(places)}')",
                lambda: f"to_char({deeper(random.choice(('timestamp', 'timestamptz', 'interval')))}, '{random.choice(forms)}')",
                lambda: f"format('%s|%I|%L|%5s|%-5s|', {deeper('text')}, 'x' || {deeper('text')}, {deeper('text')}, {deeper('int4')}, {deeper('text')})",
                lambda: f'concat_ws({deeper("text")}, {deeper("int4")}, {deeper("text")}, {deeper("date")})',
                lambda: f'lpad({deeper("text")}, {random.randrange(-1, 12)}, {deeper("text")})',
                lambda: f'repeat({deeper("text")}, {random.randrange(-1, 4)})',
                lambda: f'regexp_replace({deeper("text")}, \'[a-c]+\', {deeper("text")}, \'g\')',
                lambda: f'(row({deeper("int4")}, {deeper("text")}))::text',
            ])()
        if ty == 'timestamp':
            return f"({deeper('timestamptz')} AT TIME ZONE 'Europe/Berlin')"
        if ty == 'timestamptz':
            return f"({deeper('timestamp')} AT TIME ZONE 'America/New_York')"
        if ty == 'interval':
            return f"age({deeper('timestamp')}, {deeper('timestamp')})"
        return deeper(ty)
