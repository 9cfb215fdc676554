# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Very many files of one device, step by step, and what weir takes for them meanwhile."""

import json
import subprocess
import time

from weirtest import SLOW, Fe, wait_until

STEP_S = 600


class ManyFiles:
    """A front end that makes, looks up, lists, opens and removes count files on demand."""

    def __init__(self, weir, sock, count, entries=10000, *args):
        self.weir = weir
        self.count = count
        # It polls: what is looked at is memory, and no interrupt is late on a busy machine.
        self.fe = Fe('many', '-s', sock, '--queues', '1', '--depth', '64', '--count', count,
                     '--entries', entries, '--poll', *args, stdin=subprocess.PIPE)
        self.answers = 0
        self._answer()
        self.base_kib = weir.rss_kib()
        self.base_fds = weir.nb_fds()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.fe.__exit__(*exc)

    def _answer(self):
        """The next line that it prints, a whole one."""
        def lines():
            seen = self.fe.out.split('\n')[:-1]
            return seen if len(seen) > self.answers or self.fe.proc.poll() is not None else None
        seen = wait_until(lines, STEP_S, 'a step with many files')
        assert len(seen) > self.answers, f'the front end has ended: {self.fe.err}'
        self.answers += 1
        return seen[-1]

    def step(self, name):
        """Does a step; what came of it, with what weir has now beside what it had at first."""
        self.fe.proc.stdin.write(f'{name}\n'.encode())
        self.fe.proc.stdin.flush()
        got = json.loads(self._answer())
        assert got['rc'] == 0, f'{name}: {got}'
        return {**got, **self.taken()}

    def taken(self):
        """Bytes of memory for each file, and descriptors."""
        kib = self.weir.rss_kib() - self.base_kib
        return {'bytes': kib * 1024 / self.count, 'kib': kib,
                'fds': self.weir.nb_fds() - self.base_fds}

    def settle(self):
        """What is left when control has given back all that it gives back."""
        now = self.taken()
        since = time.monotonic()
        while time.monotonic() < since + 0.5 * SLOW:
            time.sleep(0.05)
            before, now = now, self.taken()
            if (now['kib'], now['fds']) < (before['kib'], before['fds']):
                since = time.monotonic()
        return now

    def end(self):
        self.fe.proc.stdin.close()
        self.fe.wait()
