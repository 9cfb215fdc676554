# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""An NFS server whose replies are cut, stretched, repeated, swapped, and untrue."""

import contextlib
import json
import os
import random
import subprocess
import threading

import pytest

from nfstest import MIB, Shell, info, wait_connected
from weirtest import BUILD, SLOW, Fe, fe, wait_until

LIAR = os.path.join(BUILD, 'test', 'nfs', 'nfs-liar')
FILE_BYTES = 100000
SEED = 1
GUESTS = 4
REQUESTS = 200  # of each guest
PER_MILLE = 300  # of the replies are lies
RDWR = os.O_RDWR


class Liar:
    """The server; see test/nfs/liar.c."""

    def __init__(self):
        self.proc = subprocess.Popen([LIAR], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        port = int(self.proc.stdout.readline())
        self.params = {'server': '127.0.0.1', 'exportname': '/x', 'port': port,
                       'mount_port': port}

    def lie(self, seed, per_mille):
        """From now on; returns how many lies were told so far."""
        self.proc.stdin.write(f'{seed} {per_mille}\n')
        self.proc.stdin.flush()
        return int(self.proc.stdout.readline())

    def cleanup(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()


@pytest.fixture
def liar():
    server = Liar()
    yield server
    server.cleanup()


def byte_at(off):
    return (off * 2654435761 % (1 << 64) >> 11) & 0xff


def expand(text):
    """The bytes that a shell told in runs."""
    runs = (run.split('*') for run in text.split())
    return b''.join(bytes([int(value)]) * int(count) for value, count in runs)


def any_request(dice):
    """One of all requests that a shell knows, on names that are files, folders and links."""
    name = dice.choice(['f1', 'f2', 'd1', 'l1', 'd1/f3', 'd1/d2', 'd1/l2', 'another'])
    file, off = dice.randrange(8), dice.randrange(FILE_BYTES)
    size = dice.choice([1, 4096, 65536, 300000, MIB])
    return dice.choice([
        ('open', name, RDWR), ('create', name, RDWR), ('create', name, RDWR | os.O_EXCL),
        ('read', file, off, size), ('read', file, 0, size), ('read', file, off, size),
        ('write', file, off, size, 'w'), ('write', file, 0, size, 'w'),
        ('fsync', file), ('flush', file), ('release', file), ('fstat', file),
        ('truncate', file, off), ('stat', name), ('mkdir', name), ('symlink', name, 'target'),
        ('unlink', name), ('rmdir', name), ('rename', name, 'f9'), ('list', 'd1'),
        ('list', '/', 'plus'), ('readlink', 'l1'),
    ])


class Lied(threading.Thread):
    """A guest that asks for this and that, and takes any answer that FUSE allows."""

    def __init__(self, guest, seed):
        super().__init__()
        self.guest = guest
        self.dice = random.Random(seed)
        self.results = []
        self.failure = None

    def run(self):
        try:
            for _ in range(REQUESTS):
                words = any_request(self.dice)
                result = self.guest.do(*words)
                assert -511 < result <= MIB, (words, result)
                self.results.append(result)
        except BaseException as failure:  # it is raised again where it is seen
            self.failure = failure


def test_lies_become_errors_and_nothing_else(served, liar):
    served.rpc('fsdev_nfs_create', name='nfs0', **liar.params, hard=False, timeo_ms=100, retrans=0,
               nconnect=2, rsize=32768, wsize=32768, attr_valid_ms=0, entry_valid_ms=0)
    wait_connected(served)
    control = served.add_device('control', 'mem0')
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(Fe('bench', 'getattr', '-s', control, '--queues', '2',
                                       '--depth', '1', '--seconds', '3', '--json'))
        guests = [stack.enter_context(Shell(served.add_device(f'd{i}', 'nfs0', queues=2)))
                  for i in range(GUESTS)]
        for guest in guests:
            guest.must('open', 'f1', RDWR)
        liar.lie(SEED, PER_MILLE)
        lied = [Lied(guest, SEED + i) for i, guest in enumerate(guests)]
        for thread in lied:
            thread.start()
        for thread in lied:
            thread.join()
            if thread.failure is not None:
                raise thread.failure
        lies = liar.lie(SEED, 0)
        results = [result for thread in lied for result in thread.results]
        failed = sum(result < 0 for result in results)
        print(f'{len(results)} requests, {failed} of them failed, {lies} lies')
        assert len(results) == GUESTS * REQUESTS and lies > 300
        assert 0 < failed < len(results)
        report = json.loads(other.wait(60))
        assert report['errors'] == 0 and report['max_us'] < 1e6 * SLOW, report

        # The truth is understood again, by every guest, and no rule of FUSE was broken before.
        wait_until(lambda: guests[0].do('stat', 'f1') == 0, 20, 'a true answer')
        want = bytes(byte_at(off) for off in range(FILE_BYTES))
        for guest in guests:
            wait_until(lambda: guest.do('stat', 'f1') == 0, 20, 'a true answer')
            file = guest.must('open', 'f1', RDWR)[0]
            size, runs = guest.must('read', file, 0, MIB)
            assert size == FILE_BYTES and expand(runs) == want
            assert guest.must('list', 'd1')[0] >= 40
            guest.end()
    told = info(served)
    assert sum(entry['errors'] for entry in told['procedures']) > 0
    fe('ls', '-s', control)
    for i in range(GUESTS):
        served.remove_device(f'd{i}')
    served.rpc('fsdev_nfs_delete', name='nfs0')


def test_links_lead_to_any_bytes(served):
    """What the front end prints of them is read, too, whether or not it is text."""
    with Shell(served.add_device('d0', 'mem0')) as guest:
        guest.must('symlink', 'l1', 'a\udcff\udc80b')
        assert guest.must('readlink', 'l1')[1] == 'a\udcff\udc80b'
        assert r'a\xff\x80b' in guest.end()
