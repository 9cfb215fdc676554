# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What the tests of NFS share: exports, guests that a test leads, loads that verify themselves."""

import json
import os
import subprocess
import sys

from weirtest import ROOT, Fe, wait_until

sys.path.insert(0, os.path.join(ROOT, 'test', 'nfs'))

import ganesha  # noqa: E402  (its folder is on the path from here on)

Ganesha = ganesha.Ganesha
MIB = 1 << 20
EIO = 5


def can_serve():
    return ganesha.is_installed()


def info(weir, name='nfs0'):
    return weir.rpc('fsdev_get_fsdevs', name=name)['module_specific']


def wait_connected(weir, name='nfs0'):
    """Each worker has connections of its own, and state tells of the worst of them."""
    wait_until(lambda: info(weir, name)['state'] == 'connected', 10, f'{name} to be connected')


def export(weir, server, name='nfs0', **more):
    """An export of a server of ours, which answers."""
    weir.rpc('fsdev_nfs_create', name=name, **{**server.params(), **more})
    wait_connected(weir, name)


def procedure(weir, proc, name='nfs0'):
    """What is reported of one procedure; zeroes while it has not been called."""
    for entry in info(weir, name).get('procedures', []):
        if entry['name'] == proc:
            return entry
    return {'calls': 0, 'errors': 0, 'retransmissions': 0, 'bytes_sent': 0, 'bytes_received': 0}


class Shell(Fe):
    """A guest that does what it is told, one request at a time: see shell.c of weir-fe."""

    def __init__(self, sock, *args):
        super().__init__('shell', '-s', sock, '--timeout', '120', *args, stdin=subprocess.PIPE)
        self.nb_asked = 0
        self.rest = b''
        self.read_to = 0
        self.lines = []

    def ask(self, *words):
        """Asks for something and goes on."""
        line = ' '.join(str(w) for w in words) + '\n'
        self.proc.stdin.write(line.encode(errors='surrogateescape'))
        self.proc.stdin.flush()
        self.nb_asked += 1

    def answers(self):
        """The lines that were answered so far."""
        more = os.pread(self.out_file.fileno(), 16 * MIB, self.read_to)
        self.read_to += len(more)
        *lines, self.rest = (self.rest + more).split(b'\n')
        self.lines += lines
        return self.lines

    def answer(self, seconds=60):
        """(result, the rest) of what was asked last."""
        wait_until(lambda: len(self.answers()) >= self.nb_asked or self.proc.poll() is not None,
                   seconds, 'an answer')
        assert len(self.answers()) == self.nb_asked, f'no answer: {self.err}'
        result, _, rest = self.lines[-1].decode(errors='surrogateescape').partition(' ')
        return int(result), rest.strip()

    def do(self, *words):
        self.ask(*words)
        return self.answer()[0]

    def must(self, *words):
        """Does what has to succeed; returns its result and the rest."""
        self.ask(*words)
        result, rest = self.answer()
        assert result >= 0, f'{words}: {result}'
        return result, rest

    def size(self, path):
        return int(self.must('stat', path)[1].split()[2])

    def end(self):
        self.proc.stdin.close()
        return self.wait()


def load(sock, kind, *args, queues=2, block=MIB, file_size=16 * MIB):
    """Work that goes on until end_load(); it has begun when this returns."""
    run = Fe('load', kind, '-s', sock, '--queues', queues, '--depth', '8', '--bs', block,
             '--file-size', file_size, '--timeout', '120', *args, stdin=subprocess.PIPE)
    wait_until(lambda: 'working' in run.out or run.proc.poll() is not None, 30, 'a load')
    assert run.proc.poll() is None, run.err
    return run


def end_load(run, seconds=60, code=0):
    """Lets it end with its pass; returns what each thread did."""
    run.proc.stdin.close()
    return json.loads(run.wait(seconds, code).splitlines()[-1])
