"""A PostgreSQL 15 of one's own."""
import os, shutil, socket, subprocess, tempfile
from pathlib import Path

BIN = Path('/usr/lib/postgresql/15/bin')


class Postgres:
    """A PostgreSQL for as long as the block lasts."""

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix='differential-'))
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.user = []
        if os.geteuid() == 0:
            shutil.chown(self.directory, 'nobody')
            self.user = ['setpriv', '--reuid=nobody', '--clear-groups']
        self.run('initdb', '-D', 'data', '-U', 'driftdb', '-A', 'trust', '--locale=C.UTF-8', '-E', 'UTF8', '-N')
        options = f'-c port={self.port} -c fsync=off -c unix_socket_directories={self.directory} -c listen_addresses=127.0.0.1'
        self.run('pg_ctl', '-D', 'data', '-l', 'log', '-w', '-o', options, 'start')
        return f'postgresql://driftdb@127.0.0.1:{self.port}/postgres'

    def run(self, program, *arguments):
        subprocess.run([*self.user, BIN / program, *arguments], cwd=self.directory, check=True, stdout=subprocess.DEVNULL)

    def __exit__(self, *_):
        self.run('pg_ctl', '-D', 'data', '-m', 'immediate', 'stop')
        shutil.rmtree(self.directory)
