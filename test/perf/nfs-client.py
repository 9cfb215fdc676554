#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir's NFS client beside libnfs's raw asynchronous calls, and the same from a virtqueue on.

One nfs-ganesha with its memory back end serves all, one file, in turn, several times; medians and
the spread of the ratios are printed. The client's thread has one CPU, all else the other one. Time
counts in poll rounds that did work: in system calls as system time, else as user time. Nothing is
judged: machines are noisy, and only ratios of one run mean anything.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

import measurement
from measurement import CPUS

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'functional'), os.path.join(HERE, '..', 'nfs')]

import ganesha  # noqa: E402  (their folders are on the path from here on)
import weirtest  # noqa: E402

BENCH = os.path.join(weirtest.BUILD, 'test', 'perf', 'weir-nfs-bench')
OTHER_CPU, CLIENT_CPU = CPUS[0], CPUS[-1]

MIB = 1 << 20
# Name, bytes, calls in flight, write, what the ratio of user CPU is meant to be at most.
CASES = (('READ 4 KiB', 4096, 32, False, 0.25),
         ('READ 1 MiB', MIB, 8, False, 0.1),
         ('WRITE 1 MiB', MIB, 8, True, 0.1))
# weir's READ leaves the data where the request wants them, so libnfs's has to be copied there. What
# it takes without that is printed too.
LIBNFS, LIBNFS_RAW, WEIR, DEVICE = 'libnfs', 'libnfs, data not delivered', 'weir', 'weir, device'
# Of the CPU time in busy rounds, which is what weir reports of a device's worker.
DEVICE_LIMIT = 1.3
# Slots: a request of 1 MiB in single pages has to fit.
RING = 1024
TRIES = 5  # on a machine so busy that nothing happened in the time of a run
CALLS = 3  # where Device._now() has them


@contextlib.contextmanager
def elsewhere():
    """What is started meanwhile keeps off the client's CPU."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OTHER_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def run_client(server, client, case, ms):
    """One run of weir-nfs-bench."""
    _, size, depth, write, _ = case
    params = server.params('/mem')
    command = [BENCH, 'weir' if client == WEIR else 'libnfs', '--export', '/mem',
               '--port', params['port'], '--mount-port', params['mount_port'],
               '--server-pid', server.pid, '--bytes', size, '--depth', depth, '--ms', ms,
               '--file-bytes', ganesha.MEM_FILE_BYTES, '--cpu', CLIENT_CPU,
               '--control-cpu', OTHER_CPU]
    command += ['--write'] if write else []
    command += ['--copy'] if client == LIBNFS else []
    for _ in range(TRIES):
        out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True,
                             check=True, timeout=60 + ms / 1000).stdout
        got = json.loads(out)
        if got['errors']:
            raise RuntimeError(f"{client}: {got['errors']} calls failed")
        if got['busy_us'] > 0 and got['user_us'] > 0:
            return got
    raise RuntimeError(f'{client}: the server did not answer a call in {ms} ms')


class Device:
    """A weir process with a device on the export, and a front end that puts a load on it."""

    def __init__(self, server):
        weirtest.lcores = lambda: f'0@{OTHER_CPU},1@{CLIENT_CPU}'
        self.server = server
        # Between its runs the worker leaves the CPU to the others.
        self.weir = weirtest.Weir('--idle', 'adaptive')
        self.weir.start_transport()
        self.weir.rpc('fsdev_nfs_create', name='nfs0', **server.params('/mem'))
        self.sock = self.weir.add_device('nfs', 'nfs0', queues=1, queue_size=RING)
        self.tid = next(tid for tid in os.listdir(f'/proc/{self.weir.pid}/task')
                        if self._name(tid).startswith('rte-worker'))

    def _name(self, tid):
        with open(f'/proc/{self.weir.pid}/task/{tid}/comm', encoding='ascii') as file:
            return file.read()

    def _now(self, proc):
        """Wall, busy and CPU seconds of the worker, calls made, CPU seconds of the server."""
        worker = self.weir.rpc('weir_get_workers')[0]
        info = self.weir.rpc('fsdev_get_fsdevs', name='nfs0')
        info = (info[0] if isinstance(info, list) else info)['module_specific']
        calls = sum(p['calls'] for p in info['procedures'] if p['name'] == proc)
        with open(f'/proc/{self.weir.pid}/task/{self.tid}/schedstat', encoding='ascii') as file:
            cpu = int(file.read().split()[0]) / 1e9
        return (time.monotonic(), worker['cycles_busy'] / worker['tsc_hz'], cpu, calls,
                sum(self.server.cpu_seconds()))

    def run(self, case, ms):
        """One run, polling."""
        self.weir.rpc('weir_set_worker_idle', policy='poll')
        try:
            with elsewhere():
                return self._load(case, ms)
        finally:
            self.weir.rpc('weir_set_worker_idle', policy='adaptive')

    def _load(self, case, ms):
        """The front end writes the file before its load begins."""
        _, size, depth, write, _ = case
        proc = 'WRITE' if write else 'READ'
        start = self._now(proc)[CALLS]
        with weirtest.Fe('bench', 'seqwrite' if write else 'randread', '-s', self.sock, '--event',
                         '--ring-size', RING, '--depth', depth, '--bs', size, '--max-io', size,
                         '--file-size', ganesha.MEM_FILE_BYTES, '--seconds', 60) as fe:
            weirtest.wait_until(lambda: self._now(proc)[CALLS] > start + 10 * depth or
                                fe.proc.poll() is not None, 30, 'the load of the front end')
            before = self._now(proc)
            time.sleep(ms / 1000)
            weirtest.wait_until(lambda: self._now(proc)[CALLS] > before[CALLS] or
                                fe.proc.poll() is not None, 30, 'a call')
            after = self._now(proc)
            if fe.proc.poll() is not None:
                raise RuntimeError(f'the front end ended: {fe.out}{fe.err}')
        wall, busy, cpu, calls, server = (b - a for a, b in zip(before, after))
        return {'calls_per_s': calls / wall, 'busy_us': busy * cpu / wall / calls * 1e6,
                'idle': 1 - busy / wall, 'server_cpus': server / wall}

    def close(self):
        self.weir.terminate()
        self.weir.cleanup()


def measure(args):
    """All runs: (case, client) -> list."""
    runs = {}
    with ganesha.Ganesha(mem=True, start=False) as server, contextlib.ExitStack() as stack:
        with elsewhere():
            server.start()
            port = server.params()
            subprocess.run([BENCH, 'fill', '--export', '/mem', '--port', str(port['port']),
                            '--mount-port', str(port['mount_port'])], check=True)
        device = Device(server)
        stack.callback(device.close)
        for run in range(args.runs):
            for case in CASES:
                # weir's two are neighbours: their ratio counts, too.
                clients = (LIBNFS,) + (() if case[3] else (LIBNFS_RAW,)) + (WEIR, DEVICE)
                for client in clients:
                    print(f'run {run + 1} of {args.runs}: {case[0]}, {client}', file=sys.stderr)
                    got = (device.run(case, args.ms) if client == DEVICE else
                           run_client(server, client, case, args.ms))
                    runs.setdefault((case[0], client), []).append(got)
    return runs


def ratios(of, to, key):
    """Of runs that were neighbours: median, least, greatest."""
    each = [a[key] / b[key] for a, b in zip(of, to)]
    return {'median': statistics.median(each), 'min': min(each), 'max': max(each)}


def summary(runs):
    """A row a case and client."""
    rows = []
    for case in CASES:
        for client in (LIBNFS, LIBNFS_RAW, WEIR, DEVICE):
            these = runs.get((case[0], client))
            if these is None:
                continue
            row = {'case': case[0], 'depth': case[2], 'client': client}
            row.update({key: statistics.median(run[key] for run in these) for key in these[0]
                        if key != 'client'})
            if client == WEIR:
                row['user_to_libnfs'] = {'wanted': case[4], **ratios(
                    these, runs[case[0], LIBNFS], 'user_us')}
            elif client == DEVICE:
                row['busy_to_weir'] = {'wanted': DEVICE_LIMIT, **ratios(
                    these, runs[case[0], WEIR], 'busy_us')}
            rows.append(row)
    return rows


def ratio_text(row):
    for key, what in (('user_to_libnfs', 'user'), ('busy_to_weir', 'busy')):
        if key in row:
            r = row[key]
            return (f"{what} {r['median']:.3f} ({r['min']:.3f} to {r['max']:.3f}), "
                    f"wanted {r['wanted']}")
    return ''


def print_table(rows):
    print('| calls | client | user us | system us | busy us | idle | 1000 calls/s | server CPUs '
          '| ratio to libnfs, to weir |')
    print('|---|---|---|---|---|---|---|---|---|')
    for row in rows:
        user, system = (f'{row[key]:.2f}' if key in row else '' for key in ('user_us', 'system_us'))
        print(f"| {row['case']}, {row['depth']} | {row['client']} | {user} | {system} | "
              f"{row['busy_us']:.2f} | {row['idle']:.0%} | {row['calls_per_s'] / 1e3:.2f} | "
              f"{row['server_cpus']:.2f} | {ratio_text(row)} |")


def main():
    parser = measurement.parser(__doc__)
    parser.add_argument('--runs', type=int, default=5, help='runs of each, medians count (5)')
    parser.add_argument('--ms', type=int, default=2000, help='length of a run (2000)')
    measurement.add_json(parser)
    args = parser.parse_args()
    if not ganesha.is_installed():
        sys.exit(f'this needs root, {ganesha.SERVER} and {ganesha.SHIM}')

    rows = summary(measure(args))
    measurement.show(rows, args, print_table)


if __name__ == '__main__':
    main()
