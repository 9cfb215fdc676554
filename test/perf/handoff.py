#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What it costs to hand a request over to another worker, and when that pays.

Requests of the null file system, which takes next to no time itself, carried out by the worker that
submits them, and by one on another CPU, in turn: first inside one process without a virtqueue, by
handoff-bench, in short turns of which quartiles count; with --device also through a device, where
the load shares the backend worker's CPU if there are only two. Time counts in poll rounds that did
work. Nothing is judged: machines are noisy, and only differences within one run mean anything.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import measurement
from measurement import CPUS

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)

BENCH = os.path.join(weirtest.BUILD, 'test', 'perf', 'handoff-bench')
PERF = os.path.join(weirtest.BUILD, 'app', 'weir-perf', 'weir-perf')
LOAD_CPU, BACKEND_CPU, FRONTEND_CPU = CPUS[0], CPUS[len(CPUS) // 2 - 1], CPUS[-1]
DEPTHS = (1, 4, 32)
DEVICE_DEPTHS = (1, 32)
ALONE, OVER = 'run to completion', 'handed over'
MEDIAN = 1  # of the quartiles


def run_bench(depth, turns):
    """Busy time per request in us: of the worker alone, of both when one hands over."""
    out = subprocess.run([BENCH, str(FRONTEND_CPU), str(BACKEND_CPU), str(depth), str(turns)],
                         stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout
    got = json.loads(out)
    return {'alone_us': got['alone'][0][MEDIAN] / 1e3, 'frontend_us': got['over'][0][MEDIAN] / 1e3,
            'backend_us': got['over'][1][MEDIAN] / 1e3}


class Server:
    """A weir of which each worker's busy time is known."""

    def __init__(self, mode):
        cpus = [LOAD_CPU, FRONTEND_CPU] + ([BACKEND_CPU] if mode == OVER else [])
        weirtest.lcores = lambda: ','.join(f'{i}@{cpu}' for i, cpu in enumerate(cpus))
        roles = ['--frontend-lcores', '1', '--backend-lcores', '2'] if mode == OVER else []
        self.weir = weirtest.Weir('--idle', 'poll', *roles)
        self.weir.start_transport()
        self.weir.rpc('fsdev_null_create', name='null0')
        self.sock = self.weir.add_device('d0', 'null0', queues=1)
        self.tids = {}
        for tid in os.listdir(f'/proc/{self.weir.pid}/task'):
            with open(f'/proc/{self.weir.pid}/task/{tid}/comm', encoding='ascii') as file:
                name, _, lcore = file.read().strip().rpartition('-')
            if name == 'rte-worker':
                self.tids[int(lcore)] = tid

    def now(self):
        """Of each worker: wall, busy and CPU seconds."""
        found = {}
        for worker in self.weir.rpc('weir_get_workers'):
            tid = self.tids[worker['lcore']]
            with open(f'/proc/{self.weir.pid}/task/{tid}/schedstat', encoding='ascii') as file:
                cpu = int(file.read().split()[0]) / 1e9
            found[worker['lcore']] = (time.monotonic(), worker['cycles_busy'] / worker['tsc_hz'],
                                      cpu)
        return found

    def requests(self):
        ops = self.weir.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['fuse']['ops']
        return sum(op['count'] for op in ops.values())

    def run(self, depth, seconds):
        """Busy time per request of each worker, in us, in the middle of a load."""
        command = [PERF, '-s', self.sock, '--cpus', LOAD_CPU, '--depth', depth, '--seconds', 600,
                   '--event', 'getattr']
        with subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as load:
            begun = self.requests()
            weirtest.wait_until(lambda: self.requests() > begun + 20000 or
                                load.poll() is not None, 60, 'the load')
            nb, before = self.requests(), self.now()
            time.sleep(seconds)
            after, nb = self.now(), self.requests() - nb
            if load.poll() is not None:
                raise RuntimeError('the load ended')
            load.kill()
        weirtest.wait_until(lambda: not self.weir.device('d0')['mounted'], 30, 'the session to end')
        busy = {}
        for lcore, now in after.items():
            wall, spent, cpu = (b - a for a, b in zip(before[lcore], now))
            busy[lcore] = spent * cpu / wall / nb * 1e6
        return {'frontend_us': busy[1], 'backend_us': busy.get(2, 0.0)}

    def close(self):
        self.weir.terminate()
        self.weir.cleanup()


def run_device(depth, seconds):
    """As run_bench(), through a device."""
    got = {}
    for mode in (ALONE, OVER):
        server = Server(mode)
        try:
            got[mode] = server.run(depth, seconds)
        finally:
            server.close()
    return {'alone_us': got[ALONE]['frontend_us'], **got[OVER]}


def summary(runs):
    """A row for each way and depth, of medians."""
    rows = []
    for (way, depth), these in runs.items():
        row = {'way': way, 'depth': depth}
        row.update({key: statistics.median(run[key] for run in these) for key in these[0]})
        row['cost_us'] = row['frontend_us'] + row['backend_us'] - row['alone_us']
        # What the frontend worker spends on it, which is won back where the rest takes longer.
        row['pays_from_us'] = max(0, row['frontend_us'] - row['alone_us'])
        rows.append(row)
    return rows


def print_table(rows):
    print('| GETATTR of null, depth | one worker us | frontend us | backend us | hand-off us |')
    print('|---|---|---|---|---|')
    for row in rows:
        print(f"| {row['way']}, {row['depth']} | {row['alone_us']:.3f} | "
              f"{row['frontend_us']:.3f} | {row['backend_us']:.3f} | {row['cost_us']:.3f} |")
    for row in rows:
        print(f"\n{row['way']}, depth {row['depth']}: a worker gets more done by handing over "
              f"where a request takes\nits file system more than {row['pays_from_us']:.2f} us of "
              f"CPU time; both together spend {row['cost_us']:.2f} us more.")


def main():
    parser = measurement.parser(__doc__)
    parser.add_argument('--runs', type=int, default=5, help='runs of each, medians count (5)')
    parser.add_argument('--turns', type=int, default=1000, help='of each mode in a run (1000)')
    parser.add_argument('--device', action='store_true', help='also through a device')
    parser.add_argument('--seconds', type=float, default=2, help='length of a run of it (2)')
    measurement.add_json(parser)
    args = parser.parse_args()
    measurement.need_two_cpus()
    runs = {}
    for run in range(args.runs):
        print(f'run {run + 1} of {args.runs}', file=sys.stderr)
        for depth in DEPTHS:
            runs.setdefault(('in process', depth), []).append(run_bench(depth, args.turns))
        for depth in DEVICE_DEPTHS if args.device else ():
            runs.setdefault(('device', depth), []).append(run_device(depth, args.seconds))
    rows = summary(runs)
    measurement.show(rows, args, print_table)


if __name__ == '__main__':
    main()
