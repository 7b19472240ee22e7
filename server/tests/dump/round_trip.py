"""pg_dump's round trips: what is dumped and restored, and dumped again, is the same text.

    round_trip.py URL URL URL URL

The URLs are fresh DriftDB servers. `everything.sql` makes what PostgreSQL has, too; `history.sql` what only
DriftDB has. DriftDB to DriftDB in plain and custom format; and, where PostgreSQL 15's server is installed (else it
says that this is skipped), DriftDB to PostgreSQL and PostgreSQL to DriftDB.
"""
import difflib, os, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'differential'))
from postgres import BIN, Postgres

ENV = dict(os.environ, PGTZ='UTC', LC_ALL='C.UTF-8')
ROLES = 'CREATE ROLE clerk; CREATE ROLE boss;'
# A key that is new each time, and which server it was.
IGNORED = ('\\restrict', '\\unrestrict', '-- Dumped from')


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, env=ENV, **options)
    assert done.returncode == 0, f'{command}:\n{done.stderr.decode()}'
    return done.stdout


def load(url, text):
    run('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url, '-f', '-', input=text.encode())


def dump(url):
    lines = run('pg_dump', '-d', url).decode().splitlines()
    return '\n'.join(line for line in lines if not line.startswith(IGNORED)) + '\n'


def same(what, one, other):
    differences = list(difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm='', n=2))
    assert not differences, f'{what}:\n' + '\n'.join(differences[:100])
    print(f'{what}: {len(one.splitlines())} lines')


def main():
    first, second, third, fourth = sys.argv[1:]
    everything = (HERE / 'everything.sql').read_text()
    load(first, ROLES + everything)
    dumped = dump(first)
    if (BIN / 'initdb').exists():
        with Postgres() as postgres:
            load(postgres, ROLES + 'CREATE DATABASE other')
            load(postgres, dumped)
            same('DriftDB to PostgreSQL', dumped, dump(postgres))
            other = postgres.rsplit('/', 1)[0] + '/other'
            load(other, everything)
            theirs = dump(other)
            load(fourth, ROLES + theirs)
            same('PostgreSQL to DriftDB', theirs, dump(fourth))
    else:
        print('skipped: PostgreSQL 15 is not installed')
    load(first, (HERE / 'history.sql').read_text())
    dumped = dump(first)
    load(second, ROLES + dumped)
    same('DriftDB to DriftDB', dumped, dump(second))
    with tempfile.NamedTemporaryFile() as archive:
        run('pg_dump', '-Fc', '-f', archive.name, '-d', first)
        load(third, ROLES)
        run('pg_restore', '--exit-on-error', '-d', third, archive.name)
    same('DriftDB to DriftDB by pg_restore', dumped, dump(third))


main()
