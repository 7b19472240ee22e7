"""Random queries over small random tables.

Expressions in them cannot fail, so that the order of evaluation, which is anybody's choice, does not show.
What is not determined by the query (the order of rows, ties in windows) is not asked for.
"""

TYPES = {'a': 'int4', 'b': 'int4', 'c': 'text', 'd': 'numeric', 'e': 'bool', 'f': 'date'}


def value(random, ty):
    if random.random() < 0.2:
        return 'NULL'
    return {'int4': lambda: str(random.randrange(-2, 6)), 'text': lambda: f"'{random.choice(['', 'a', 'b', 'ab', 'B', 'é'])}'",
            'numeric': lambda: random.choice(['0', '1', '1.0', '1.50', '-2.5', '3']), 'bool': lambda: random.choice(['true', 'false']),
            'date': lambda: f"date '2024-02-{random.randrange(26, 30)}'"}[ty]()


def tables(random):
    """Statements that make the tables t0, t1 and t2."""
    yield 'DROP TABLE IF EXISTS t0, t1, t2'
    for name in ('t0', 't1', 't2'):
        columns = ', '.join(f'{column} {ty}' for column, ty in TYPES.items())
        yield f'CREATE TABLE {name} (id int PRIMARY KEY, {columns})'
        rows = random.choice([0, 1, 5, 12, 30])
        if rows:
            listed = ', '.join(f"({row}, {', '.join(value(random, ty) for ty in TYPES.values())})" for row in range(rows))
            yield f'INSERT INTO {name} VALUES {listed}'
        for column in random.sample(list(TYPES), random.randrange(0, 3)):
            yield f'CREATE INDEX ON {name} ({column})'


class Queries:
    def __init__(self, random):
        self.random = random
        self.count = 0

    def name(self, letter):
        self.count += 1
        return f'{letter}{self.count}'

    def scalar(self, ty, columns, depth=2, outer=True):
        """An expression that cannot fail."""
        random = self.random
        own = [text for text, of in columns if of == ty]
        if depth <= 0 or random.random() < 0.25:
            return random.choice(own) if own and random.random() < 0.85 else f'({value(random, ty)})::{ty}'
        deeper = lambda of: self.scalar(of, columns, depth - 1, outer)
        generic = [lambda: f'coalesce({deeper(ty)}, {deeper(ty)})', lambda: f'nullif({deeper(ty)}, {deeper(ty)})',
                   lambda: f'CASE WHEN {deeper("bool")} THEN {deeper(ty)} ELSE {deeper(ty)} END',
                   lambda: f'greatest({deeper(ty)}, {deeper(ty)})']
        if outer:
            generic.append(lambda: self.subquery(ty, columns))
        kinds = {
            'int4': [lambda: f'({deeper("int4")} {random.choice("+-")} {deeper("int4")})', lambda: f'length({deeper("text")})', lambda: f'abs({deeper("int4")})'],
            'text': [lambda: f'({deeper("text")} || {deeper("text")})', lambda: f'upper({deeper("text")})', lambda: f'({deeper(random.choice(list(TYPES.values())))})::text',
                     lambda: f'left({deeper("text")}, 1)'],
            'numeric': [lambda: f'({deeper("numeric")} {random.choice("+-*")} {deeper("numeric")})', lambda: f'({deeper("int4")})::numeric', lambda: f'round({deeper("numeric")}, 1)'],
            'bool': [lambda: self.predicate(columns, depth - 1, outer)],
            'date': [lambda: f'({deeper("date")} + {random.randrange(-3, 4)})'],
        }
        return random.choice(generic + kinds[ty] * 2)()

    def predicate(self, columns, depth=2, outer=True):
        random = self.random
        ty = random.choice(list(TYPES.values()))
        one = lambda of=ty: self.scalar(of, columns, depth - 1, outer)
        choices = [
            lambda: f'({one()} {random.choice(["=", "<", ">", "<=", ">=", "<>"])} {one()})',
            lambda: f'({one()} IS {random.choice(["", "NOT "])}NULL)',
            lambda: f'({one()} IS {random.choice(["", "NOT "])}DISTINCT FROM {one()})',
            lambda: f'({one()} {random.choice(["", "NOT "])}IN ({one()}, {one()}))',
            lambda: f'({one()} BETWEEN {one()} AND {one()})',
            lambda: f'(({one()}, {one("int4")}) {random.choice(["=", "<", "<>", ">="])} ({one()}, {one("int4")}))',
        ]
        if depth > 0:
            more = lambda: self.predicate(columns, depth - 1, outer)
            choices += [lambda: f'({more()} AND {more()})', lambda: f'({more()} OR {more()})', lambda: f'(NOT {more()})',
                        lambda: f'({more()} IS NOT TRUE)']
        if outer and depth > 0:
            choices += [
                lambda: f'{random.choice(["", "NOT "])}EXISTS ({self.inner(columns, "1")})',
                lambda: f'({one()} {random.choice(["", "NOT "])}IN ({self.inner(columns, ty)}))',
                lambda: f'({one()} {random.choice(["=", "<", ">="])} {random.choice(["ANY", "ALL"])} ({self.inner(columns, ty)}))',
            ]
        return random.choice(choices)()

    def inner(self, columns, what):
        """A subquery that may name columns around it and yields one column of a type."""
        table, alias = self.random.choice(('t0', 't1', 't2')), self.name('s')
        inner = [(f'{alias}.{column}', ty) for column, ty in TYPES.items()]
        yields = what if what == '1' else self.scalar(what, inner + list(columns), 1, False)
        return f'SELECT {yields} FROM {table} {alias} WHERE {self.predicate(inner * 2 + list(columns), 1, False)}'

    def subquery(self, ty, columns):
        table, alias = self.random.choice(('t0', 't1', 't2')), self.name('s')
        inner = [(f'{alias}.{column}', of) for column, of in TYPES.items()]
        where = self.predicate(inner + list(columns), 1, False)
        if ty in ('int4', 'numeric', 'text', 'date') and self.random.random() < 0.6:
            return f'(SELECT {self.random.choice(["min", "max"])}({self.scalar(ty, inner, 1, False)}) FROM {table} {alias} WHERE {where})'
        return f'(SELECT {self.scalar(ty, inner + list(columns), 1, False)} FROM {table} {alias} WHERE {where} ORDER BY {alias}.id LIMIT 1)'

    def relation(self, depth=1):
        """A FROM item and its columns."""
        random = self.random
        if depth and random.random() < 0.25:
            alias = self.name('q')
            query, columns = self.select(depth - 1, False)
            names = [f'x{index}' for index in range(len(columns))]
            return f"({query}) AS {alias} ({', '.join(names)})", [(f'{alias}.{name}', ty) for name, ty in zip(names, columns)]
        table, alias = random.choice(('t0', 't1', 't2')), self.name('r')
        return f'{table} {alias}', [(f'{alias}.{column}', ty) for column, ty in [('id', 'int4'), *TYPES.items()]]

    def source(self, depth):
        random = self.random
        text, columns = self.relation(depth)
        for _ in range(random.choice([0, 0, 1, 1, 2])):
            right, others = self.relation(depth)
            kind = random.choice(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'CROSS JOIN', 'LEFT JOIN LATERAL'])
            if kind == 'LEFT JOIN LATERAL':
                alias, ty = self.name('l'), random.choice(list(TYPES.values()))
                right = f'LATERAL ({self.inner(columns, ty)}) AS {alias} (x)'
                text, columns = f'{text} LEFT JOIN {right} ON {random.choice(["true", self.predicate([(alias + ".x", ty)] + columns, 1, False)])}', columns + [(f'{alias}.x', ty)]
                continue
            if kind == 'CROSS JOIN':
                text, columns = f'{text} CROSS JOIN {right}', columns + others
                continue
            ty = random.choice(['int4', 'int4', 'text', 'numeric', 'date'])
            ours, theirs = [c for c, of in columns if of == ty], [c for c, of in others if of == ty]
            on = f'{random.choice(ours)} = {random.choice(theirs)}' if ours and theirs else 'true'
            # A full join is by what can be hashed or merged.
            if random.random() < 0.4 and kind != 'FULL JOIN':
                on += f' AND {self.predicate(columns + others, 1, False)}'
            text, columns = f'{text} {kind} {right} ON {on}', columns + others
        return text, columns

    def aggregate(self, ty, columns):
        random = self.random
        of = lambda kind: self.scalar(kind, columns, 1, False)
        listed = {
            'int4': [lambda: f'min({of("int4")})', lambda: f'count({random.choice(["", "DISTINCT "])}{of("text")})::int4', lambda: 'count(*)::int4',
                     lambda: f'max({of("int4")})', lambda: f'sum({of("int4")})::int4'],
            'text': [lambda: f'min({of("text")} COLLATE "C")', lambda: f'max({of("text")})',
                     lambda: f'(array_agg(DISTINCT {of("int4")}))::text'],
            'numeric': [lambda: f'sum({of("numeric")})', lambda: f'avg({of("int4")})', lambda: f'sum(DISTINCT {of("numeric")})', lambda: f'stddev_samp({of("int4")})',
                        lambda: f'var_pop({of("numeric")})'],
            'bool': [lambda: f'bool_and({of("bool")})', lambda: f'bool_or({of("bool")})'],
            'date': [lambda: f'min({of("date")})', lambda: f'max({of("date")})'],
        }
        call = random.choice(listed[ty])()
        return call if '::' in call or random.random() < 0.7 else f'{call} FILTER (WHERE {self.predicate(columns, 1, False)})'

    def window(self, ty, columns):
        """A call over a window: over a total order, or a whole partition."""
        random = self.random
        is_total = not any(c[0] in 'ql' for c, _ in columns)
        order = ', '.join(c for c, _ in columns)
        part = f'PARTITION BY {random.choice(columns)[0]} ' if random.random() < 0.5 else ''
        if not is_total:
            # Which of equal rows comes first is open: calls that do not tell.
            call = {'int4': random.choice(['rank()', 'dense_rank()']), 'numeric': f'sum({self.scalar("numeric", columns, 1, False)})'}.get(
                ty, f'min({self.scalar("text" if ty == "bool" else ty, columns, 1, False)})')
            cast = '::int4' if ty == 'int4' else f'::{ty}' if ty != 'bool' else ' IS NULL'
            return f'({call} OVER ({part}ORDER BY {order}{random.choice(["", " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW"])})){cast}'
        frame = random.choice(['', '', 'ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING', 'ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW',
                               'GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW', 'ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING'])
        call = {'int4': lambda: random.choice(['row_number()::int4', 'rank()::int4', 'dense_rank()::int4', 'ntile(3)']),
                'numeric': lambda: f'sum({self.scalar("numeric", columns, 1, False)})'}.get(
                    ty, lambda: random.choice(['lag', 'lead', 'first_value', 'last_value']) + f'({self.scalar(ty, columns, 1, False)})')()
        cast = '::int4' if call.endswith('::int4') else ''
        call = call.removesuffix('::int4')
        return f'({call} OVER ({part}ORDER BY {order} {frame})){cast}'

    def select(self, depth=1, ordered=True):
        """A query and the types of its columns."""
        random = self.random
        if depth and random.random() < 0.15:
            types = [random.choice(list(TYPES.values())) for _ in range(random.randrange(1, 4))]
            parts = [self.plain(types, depth - 1) for _ in range(random.choice([2, 2, 3]))]
            text = parts[0]
            for part in parts[1:]:
                text = f'({text}) {random.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])} ({part})'
            return text, types
        types = [random.choice(list(TYPES.values())) for _ in range(random.randrange(1, 5))]
        text = self.plain(types, depth)
        if depth and random.random() < 0.1:
            name = self.name('w')
            text = f'WITH {name} AS ({text}) SELECT * FROM {name} UNION ALL SELECT * FROM {name}'
        elif random.random() < 0.15 and ' DISTINCT' not in text:
            keys = ', '.join(f'{index + 1}{random.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])}' for index in range(len(types)))
            text = f'SELECT * FROM ({text}) AS {self.name("o")} ORDER BY {keys} LIMIT {random.randrange(0, 6)} OFFSET {random.randrange(0, 3)}'
        return text, types

    def plain(self, types, depth):
        random = self.random
        source, columns = self.source(depth)
        where = f' WHERE {self.predicate(columns)}' if random.random() < 0.6 else ''
        choice = random.random()
        if choice < 0.30:
            keys = [(text, ty) for text, ty in random.sample(columns, min(len(columns), random.randrange(1, 4)))]
            if random.random() < 0.3:
                ty = random.choice(['int4', 'text'])
                keys.append((self.scalar(ty, columns, 1, False), ty))
            keys = [key for key in keys if not key[0].startswith(('(NULL', "('", '(date', '(t', '(f', '(-', '(0', '(1', '(2', '(3', '(4', '(5'))] or [columns[0]]
            listed = ', '.join(key for key, _ in keys)
            form = random.choice([f'{listed}', f'{listed}', f'ROLLUP ({listed})', f'CUBE ({listed})', f'GROUPING SETS (({listed}), ({keys[0][0]}), ())'])
            yields = []
            for ty in types:
                same = [key for key, of in keys if of == ty]
                yields.append(random.choice(same) if same and random.random() < 0.5 else self.aggregate(ty, columns))
            having = f' HAVING {self.aggregate("int4", columns)} > {random.randrange(0, 3)}' if random.random() < 0.25 else ''
            return f"SELECT {', '.join(yields)} FROM {source}{where} GROUP BY {form}{having}"
        if choice < 0.40:
            return f"SELECT {', '.join(self.aggregate(ty, columns) for ty in types)} FROM {source}{where}"
        if choice < 0.50:
            return f"SELECT {', '.join(self.window(ty, columns) for ty in types)} FROM {source}{where}"
        distinct = 'DISTINCT ' if random.random() < 0.15 else ''
        return f"SELECT {distinct}{', '.join(self.scalar(ty, columns) for ty in types)} FROM {source}{where}"
