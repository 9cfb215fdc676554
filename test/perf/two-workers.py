#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What two workers with a queue each get done, beside one.

A worker and the load of its queue share a CPU: the worker sleeps as soon as it has nothing to do,
the load until it is interrupted. So two CPUs are enough for two pairs, and nobody waits for
anything but what both pairs share: caches, memory, and weir's own state. How far two pairs on this
machine hold each other up in any case is measured too, by two appliances that have nothing in
common. All loads run all the time but are stopped while it is not their turn, which is short: of
many rounds the median counts.
"""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import measurement
from measurement import CPUS

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)

PAIR = (CPUS[0], CPUS[-1])
WANTED = 1.8
SETTLE_S = 0.01
# Lcores of the two workers; 0 is control.
WORKERS = (1, 2)
APART, QUEUES, OWN_FILES = 'two appliances', 'two queues', 'two queues, a file each'
LOADS = (('null', 'randread'), ('aio', 'randread'), ('aio', 'getattr'))


def start(stack, cpus, fsdev, folder):
    """A weir with a worker on each of cpus and a file system."""
    weirtest.lcores = lambda: ','.join(f'{i}@{cpu}' for i, cpu in enumerate((cpus[0], *cpus)))
    memory = weirtest.HUGEPAGES if weirtest.hugepages_free() else weirtest.ORDINARY_PAGES
    weir = weirtest.Weir('--idle', 'adaptive', '--spin-us', '0', memory=(*memory, '-m', '128'))
    stack.callback(weir.cleanup)
    stack.callback(weir.terminate)
    weir.start_transport()
    weir.rpc(f'fsdev_{fsdev}_create', name='fs',
             **({'root_path': folder} if fsdev == 'aio' else {}))
    return weir


def add(weir, name, lcores):
    """A device whose request queues are polled by these workers."""
    sock = weir.add_device(name, 'fs', queues=len(lcores))
    for i, lcore in enumerate(lcores):
        weir.rpc('weir_move_queue', dev_name=name, queue=1 + i, lcore=lcore)
    return sock


class Load:
    """A weir-perf that runs only while it is its turn."""

    def __init__(self, stack, weir, name, sock, cpus, work, *options):
        self.weir = weir
        self.name = name
        command = [weirtest.PERF, '-s', sock, '--event', '--cpus', ','.join(map(str, cpus)),
                   '--queues', len(cpus), '--depth', 32, '--seconds', 3600, '--timeout', 3600,
                   '--file-size', '8m', *options, work]
        self.proc = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL)
        stack.callback(self.proc.wait)
        stack.callback(self.proc.kill)
        weirtest.wait_until(lambda: self.requests() > 20000 or self.proc.poll() is not None, 30,
                            'a load')
        self.proc.send_signal(signal.SIGSTOP)

    def queues(self):
        queues = self.weir.rpc('virtio_fs_device_get_stat', dev_name=self.name)[0]['queues']
        return [q for q in queues if q['type'] == 'request']

    def requests(self):
        return sum(q['used'] for q in self.queues())


def cpu_seconds(pid):
    total = 0
    for tid in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{tid}/schedstat', encoding='ascii') as file:
            total += int(file.read().split()[0]) / 1e9
    return total


def turn(loads, seconds):
    """Operations a second and CPU time of an operation, of all these loads together."""
    pids = {load.proc.pid for load in loads} | {load.weir.pid for load in loads}

    def now():
        return (time.monotonic(), sum(load.requests() for load in loads),
                sum(cpu_seconds(pid) for pid in pids))

    for load in loads:
        load.proc.send_signal(signal.SIGCONT)
    try:
        time.sleep(SETTLE_S)
        before = now()
        time.sleep(seconds)
        span, nb, cpu = (b - a for a, b in zip(before, now()))
    finally:
        for load in loads:
            load.proc.send_signal(signal.SIGSTOP)
    if nb == 0:
        raise RuntimeError('a load stands still')
    return {'ops': nb / span, 'cpu': cpu / nb * 1e6}


def all_loads(stack, fsdev, work, folder):
    """The loads of each turn; 0 and 1: one pair alone."""
    def load(weir, name, cpus, lcores, *options):
        return Load(stack, weir, name, add(weir, name, lcores), cpus, work, *options)

    apart = [load(start(stack, (cpu,), fsdev, folder), 'd', (cpu,), WORKERS[:1]) for cpu in PAIR]
    both = start(stack, PAIR, fsdev, folder)
    found = {0: apart[:1], APART: apart, QUEUES: [load(both, 'shared', PAIR, WORKERS)]}
    if work == 'randread':
        found[OWN_FILES] = [load(both, 'each', PAIR, WORKERS, '--file-each')]
    if [q['lcore'] for q in found[QUEUES][0].queues()] != list(WORKERS):
        raise RuntimeError('the queues are not on a worker each')
    return {**found, 1: apart[1:]}


def spread(values):
    """Of a noisy machine, least and greatest say little."""
    low, median, high = statistics.quantiles(values, n=4, method='inclusive')
    return {'median': median, 'low': low, 'high': high}


def measure(fsdev, work, args):
    """A row for each way."""
    folder = tempfile.mkdtemp(prefix='weir-two-', dir='/dev/shm')
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        loads = all_loads(stack, fsdev, work, folder)
        rounds = [{way: turn(of, args.seconds) for way, of in loads.items()}
                  for _ in range(args.rounds)]
    alone = [{key: (r[0][key] + r[1][key]) / 2 for key in r[0]} for r in rounds]
    rows = []
    for way in (way for way in loads if way not in (0, 1)):
        rows.append({
            'fsdev': fsdev, 'work': work, 'way': way,
            'alone_ops': statistics.median(a['ops'] for a in alone),
            'ops': statistics.median(r[way]['ops'] for r in rounds),
            'alone_cpu_us': statistics.median(a['cpu'] for a in alone),
            'cpu_us': statistics.median(r[way]['cpu'] for r in rounds),
            'scale': spread([r[way]['ops'] / a['ops'] for r, a in zip(rounds, alone)]),
            'scale_by_cpu': spread([2 * a['cpu'] / r[way]['cpu'] for r, a in zip(rounds, alone)]),
            'to_apart': spread([r[way]['ops'] / r[APART]['ops'] for r in rounds]),
            'wanted': WANTED})
    return rows


def text(s):
    return f"{s['median']:.2f} ({s['low']:.2f} to {s['high']:.2f})"


def print_table(rows):
    print('| load | two workers | 1000/s, one | two | CPU us, one | two | two to one | by CPU time '
          '| to two appliances |')
    print('|---|---|---|---|---|---|---|---|---|')
    for r in rows:
        print(f"| {r['work']}, {r['fsdev']} | {r['way']} | {r['alone_ops'] / 1e3:.0f} | "
              f"{r['ops'] / 1e3:.0f} | {r['alone_cpu_us']:.3f} | {r['cpu_us']:.3f} | "
              f"{text(r['scale'])} | {text(r['scale_by_cpu'])} | {text(r['to_apart'])} |")


def main():
    parser = measurement.parser(__doc__)
    parser.add_argument('--rounds', type=int, default=30, help='of all ways, medians count (30)')
    parser.add_argument('--seconds', type=float, default=0.1, help='length of a turn (0.1)')
    parser.add_argument('--only', choices=sorted({fsdev for fsdev, _ in LOADS}),
                        help='only this file system')
    measurement.add_json(parser)
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error('--rounds: at least 2')
    measurement.need_two_cpus()
    # So that everything is undone; loads that were stopped would stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = []
    for fsdev, work in LOADS:
        if args.only in (None, fsdev):
            print(f'{work} of {fsdev}', file=sys.stderr)
            rows += measure(fsdev, work, args)
    measurement.show(rows, args, print_table)


if __name__ == '__main__':
    main()
