"""DriftDB's answers against PostgreSQL's: random typed expressions, and random queries over small tables.

    run.py --ours URL [--theirs URL] [--seed N] [--expressions N] [--queries N] [--statements FILE] [--show N]

Without --theirs it starts a PostgreSQL 15 of its own, as a user without rights, in a directory that goes with it;
where none is installed it says that it is skipped. Compared are the rows, the types of the columns, and of errors
the SQLSTATE. What may differ is listed in `excused`. A seed tells one run from the next: the same seed asks the
same. --statements runs a file's statements (one to a line) rather than random ones.
"""
import argparse, random, re, sys

import psycopg
from psycopg import pq

from expressions import Catalog, Expressions, call
from postgres import BIN, Postgres
from queries import Queries, tables

# What is not built and said so: never a wrong answer.
REFUSED = {'0A000'}
# Limits that are each server's own.
NUMERIC = 1700
LIMITS = {'54000', '54001', '53200', '57014'}


class Server:
    def __init__(self, url):
        self.url = url
        self.connect()

    def connect(self):
        self.connection = pq.PGconn.connect(self.url.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message
        for setting in ("TimeZone = 'America/Los_Angeles'", "statement_timeout = '10s'", "DateStyle = 'ISO, MDY'"):
            self.ask(f'SET {setting}')

    def ask(self, sql):
        """('rows', types, rows) or ('error', SQLSTATE, message)."""
        result = self.connection.exec_(sql.encode())
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
            if state is None or self.connection.status != pq.ConnStatus.OK:
                self.connect()
                return ('error', 'LOST', 'the connection is lost')
            return ('error', state.decode(), (message or b'').decode(errors='replace'))
        columns = range(result.nfields)
        rows = [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
        return ('rows', [result.ftype(column) for column in columns], rows)

    def rows(self, sql):
        kind, _, rows = answer = self.ask(sql)
        assert kind == 'rows', answer
        return [tuple(None if cell is None else cell.decode() for cell in row) for row in rows]


def excused(sql, ours, theirs):
    """Whether two answers may differ."""
    if ours[0] == 'error' and ours[1] in REFUSED:
        return True
    if ours[0] == 'error' and theirs[0] == 'rows':
        # PostgreSQL 15 lets the difference of far times wrap around.
        if ours[1:] == ('22008', 'interval out of range'):
            return True
        # It reads nearly any text as a POSIX zone.
        if ours[1] == '22023' and ours[2].startswith('time zone '):
            return True
        # It computes more than we do before it runs, and does not ask what is beside a NULL.
        if ours[1] != 'XX000' and 'FROM' not in sql and theirs[2] == [(None,)] and sql.count('(') > 3:
            return True
    states = {answer[1] for answer in (ours, theirs) if answer[0] == 'error'}
    return bool(states & LIMITS)


def same(sql, ours, theirs):
    if ours[0] == theirs[0] == 'error' and sql.count('(') > 3:
        # Where several parts fail, which one is told is not said.
        return True
    if ours[0] != theirs[0] or ours[1] != theirs[1]:
        return False
    if ours[0] == 'error':
        return True
    last = sql.rsplit(')', 1)[-1]
    if 'ORDER BY' in last or 'FROM' not in sql:
        return numbered(ours) == numbered(theirs) if 'FROM' in sql else ours[2] == theirs[2]
    return bag(ours) == bag(theirs)


def bag(answer):
    """Rows in any order."""
    return sorted(numbered(answer), key=lambda row: tuple((cell is None, cell or b'') for cell in row))


def numbered(answer):
    """Rows. Which of equal numbers stands for a group is anybody's choice: 1.0 is 1."""
    _, types, rows = answer
    return [tuple(plain(cell) if ty == NUMERIC and cell and b'.' in cell else cell for ty, cell in zip(types, row)) for row in rows]


def plain(number):
    return number.rstrip(b'0').rstrip(b'.')


def told(answer):
    if answer[0] == 'error':
        return f'{answer[1]} {answer[2]}'
    rows = [', '.join('NULL' if cell is None else cell.decode(errors='replace') for cell in row) for row in answer[2]]
    return f"types {answer[1]}: {'; '.join(rows)[:300]} ({len(rows)} rows)"


class Comparison:
    def __init__(self, ours, theirs, show):
        self.ours, self.theirs, self.show = ours, theirs, show
        self.asked = self.refused = self.differ = self.both_fail = 0

    def ask(self, sql, setup=()):
        ours, theirs = self.ours.ask(sql), self.theirs.ask(sql)
        self.asked += 1
        self.both_fail += ours[0] == theirs[0] == 'error'
        if same(sql, ours, theirs):
            return True
        if excused(sql, ours, theirs):
            self.refused += 1
            return True
        self.differ += 1
        if self.differ <= self.show:
            print('\n'.join([*(f'{statement};' for statement in setup), f'{sql};', f'    ours:       {told(ours)}', f'    PostgreSQL: {told(theirs)}']), flush=True)
        return False

    def prepare(self, sql):
        for server in (self.ours, self.theirs):
            answer = server.ask(sql)
            assert answer[0] == 'rows', (sql, answer)


def compare(arguments, theirs_url):
    ours, theirs = Server(arguments.ours), Server(theirs_url)
    comparison = Comparison(ours, theirs, arguments.show)
    if arguments.statements:
        for line in open(arguments.statements):
            if line.strip() and not line.startswith('    '):
                comparison.ask(line.strip().rstrip(';'))
    source = random.Random(arguments.seed)
    if arguments.expressions:
        catalog = Catalog(ours.rows, theirs.rows)
        expressions = Expressions(source, catalog)
        if arguments.each:
            for result, listed in [*catalog.functions.items(), *catalog.operators.items()]:
                for name, args in listed:
                    for _ in range(arguments.each):
                        given = [expressions.expr(arg, 0) for arg in args]
                        is_operator = not (name[0].isalpha() or name[0] == '_')
                        asked = f'{given[0] if len(given) > 1 else ""} {name} {given[-1]}' if is_operator else call(name, given)
                        comparison.ask(f'SELECT {asked}')
        for _ in range(arguments.expressions):
            comparison.ask(f'SELECT {expressions.expr(expressions.any_type(), source.choice([1, 1, 2, 3]))}')
    for _ in range(0, arguments.queries, 100):
        setup = list(tables(source))
        for statement in setup:
            comparison.prepare(statement)
        for _ in range(100):
            comparison.ask(Queries(source).select(2)[0], setup if arguments.with_setup else ())
    print(f'seed {arguments.seed}: {comparison.asked} asked, {comparison.differ} differ, {comparison.refused} refused or beyond limits, '
          f'{comparison.both_fail} fail alike')
    return comparison.differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ours', required=True)
    parser.add_argument('--theirs')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--expressions', type=int, default=2000)
    parser.add_argument('--each', type=int, default=0, help='also every function and operator with so many draws of literals')
    parser.add_argument('--queries', type=int, default=1000)
    parser.add_argument('--statements')
    parser.add_argument('--show', type=int, default=20)
    parser.add_argument('--with-setup', action='store_true', help='show the tables of a query that differs')
    arguments = parser.parse_args()
    if arguments.theirs:
        sys.exit(compare(arguments, arguments.theirs) != 0)
    if not (BIN / 'postgres').exists():
        print(f'skipped: PostgreSQL 15 is not installed in {BIN}')
        return
    with Postgres() as url:
        sys.exit(compare(arguments, url) != 0)


if __name__ == '__main__':
    main()
