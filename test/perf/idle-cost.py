#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What idle queues cost a busy one, and what each idle policy costs and takes.

The file system is null, the server has one worker on a CPU of its own, the load another CPU.
Policies that this CPU does not have are left out. Of several runs the best one counts, for whatever
else the machine does makes figures worse only; of CPU the highest, as a polling worker is kept from
taking its own. Reads in a second of the worker's CPU time are medians: they do not depend on how
much of the CPU it got. Nothing is judged: only ratios mean anything.
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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)

DEPTHS = (1, 32)
DEVICES, QUEUES = 32, 64
RATE = 1000
IDLE_S = 3
PARTS = ('idle', 'crowd', 'policies')
LOAD_CPU, SERVER_CPU = CPUS[0], CPUS[-1]


def progress(text):
    print(text, file=sys.stderr)


def bench(sock, depth, seconds):
    out = weirtest.fe('bench', 'randread', '-s', sock, '--depth', str(depth), '--bs', '4096',
                      '--file-size', '1048576', '--seconds', str(seconds), '--poll', '--json')
    got = json.loads(out)
    return {'kops': got['ops_per_s'] / 1e3, 'p50_us': got['p50_us']}


def best(runs):
    pick = {'kops_of_cpu': statistics.median}
    return {key: pick.get(key, min if key.endswith('_us') else max)(run[key] for run in runs)
            for key in runs[0]}


def idle_queues(weir, stack):
    """A crowd of mounted devices that do nothing."""
    # All of them first: librte_vhost takes up to a second to see new ones.
    paths = [weir.add_device(f'idle{i}', 'null0', queues=QUEUES) for i in range(DEVICES)]
    for path in paths:
        stack.enter_context(weirtest.holding_fe(path, '--queues', str(QUEUES), '--depth', '1',
                                                '--max-io', '4096'))


def remove_idle(weir):
    for i in range(DEVICES):
        weir.remove_device(f'idle{i}')


def measure_idle(weir, args):
    """CPU and memory of the whole process while a crowd of devices is mounted and does nothing."""
    before_kib = weir.rss_kib()
    with contextlib.ExitStack() as stack:
        idle_queues(weir, stack)
        kib = (weir.rss_kib() - before_kib) / (DEVICES * (QUEUES + 1))
        progress(f'{IDLE_S} s of nothing, {args.runs} times')
        percent = []
        for _ in range(args.runs):
            before = weir.cpu_seconds()
            time.sleep(IDLE_S)
            percent.append(100 * (weir.cpu_seconds() - before) / IDLE_S)
    remove_idle(weir)
    return {'percent': statistics.median(percent), 'kib_per_queue': kib}


def measure_crowd(weir, sock, args):
    """One busy queue alone, beside the crowd, and alone again."""
    runs = {(depth, idle): [] for depth in DEPTHS for idle in (False, True)}

    def series(idle):
        for _ in range(args.runs):
            for depth in DEPTHS:
                before = worker_seconds(weir)
                got = bench(sock, depth, args.seconds)
                cpu = (worker_seconds(weir) - before) / args.seconds
                runs[depth, idle].append({**got, 'kops_of_cpu': got['kops'] / cpu})

    progress('one busy queue alone')
    series(False)
    with contextlib.ExitStack() as stack:
        idle_queues(weir, stack)
        progress('one busy queue beside idle ones')
        series(True)
    remove_idle(weir)
    progress('alone again')
    series(False)
    return [{'depth': depth, 'idle_queues': DEVICES * (QUEUES + 1) if idle else 0, **best(got)}
            for (depth, idle), got in runs.items()]


def worker_seconds(weir):
    """CPU time of the workers' threads."""
    total = 0
    for tid in os.listdir(f'/proc/{weir.pid}/task'):
        with open(f'/proc/{weir.pid}/task/{tid}/comm', encoding='ascii') as file:
            if 'worker' not in file.read():
                continue
        with open(f'/proc/{weir.pid}/task/{tid}/schedstat', encoding='ascii') as file:
            total += int(file.read().split()[0]) / 1e9
    return total


def measure_rate(weir, sock, seconds):
    """RATE requests a second, one at a time, of a guest that a script leads through pipes."""
    took = []
    with subprocess.Popen([weirtest.FE, 'shell', '-s', sock, '--event'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=0) as guest:
        def ask(line):
            asked = time.monotonic()
            guest.stdin.write(line)
            answer = guest.stdout.readline()
            if not answer or answer.startswith(b'-'):
                raise RuntimeError(f'{line!r} was answered {answer!r}')
            took.append(time.monotonic() - asked)

        ask(b'create f 2\n')
        before, start = worker_seconds(weir), time.monotonic()
        for i in range(seconds * RATE):
            ask(b'fstat 0\n')
            time.sleep(max(0, start + (i + 1) / RATE - time.monotonic()))
        cpu, span = worker_seconds(weir) - before, time.monotonic() - start
        guest.stdin.close()
    return {'rate_percent': 100 * cpu / span, 'rate_us': 1e6 * statistics.median(took)}


def measure_policy(weir, sock, policy, args):
    weir.rpc('weir_set_worker_idle', policy=policy)
    progress(f'policy {policy}')
    runs = []
    for _ in range(args.runs):
        before, start = worker_seconds(weir), time.monotonic()
        time.sleep(args.seconds)
        idle = 100 * (worker_seconds(weir) - before) / (time.monotonic() - start)
        event = json.loads(weirtest.fe(
            'bench', 'randread', '-s', sock, '--depth', '1', '--bs', '4096', '--file-size',
            '1048576', '--seconds', str(args.seconds), '--event', '--json'))
        runs.append({'poll_us': bench(sock, 1, args.seconds)['p50_us'],
                     'event_us': event['p50_us'], 'idle_percent': idle,
                     **measure_rate(weir, sock, args.seconds)})
    return {'policy': policy, **best(runs)}


def policies(weir):
    for policy in ('poll', 'adaptive', 'power'):
        try:
            weir.rpc('weir_set_worker_idle', policy=policy)
        except weirtest.RpcError as error:
            progress(str(error))
        else:
            yield policy


def show_idle(idle):
    print(f"{DEVICES} devices of {QUEUES} queues, idle: {idle['percent']:.2f} % of a core, "
          f"{idle['kib_per_queue']:.1f} KiB for each queue\n")


def show_crowd(crowd):
    print('| depth | idle queues | 1000 reads a CPU second | to alone | median us | to alone |')
    print('|---|---|---|---|---|---|')
    for row in crowd:
        alone = next(r for r in crowd if r['depth'] == row['depth'] and r['idle_queues'] == 0)
        print(f"| {row['depth']} | {row['idle_queues']} | {row['kops_of_cpu']:.0f} | "
              f"{row['kops_of_cpu'] / alone['kops_of_cpu']:.2f} | {row['p50_us']:.1f} | "
              f"{row['p50_us'] / alone['p50_us']:.2f} |")
    print()


def show_policies(table):
    print('| policy | depth 1, median us, guest polls | guest sleeps | CPU idle | '
          f'CPU at {RATE} requests/s | median us of those, script included |')
    print('|---|---|---|---|---|---|')
    for row in table:
        print(f"| {row['policy']} | {row['poll_us']:.1f} | {row['event_us']:.1f} | "
              f"{row['idle_percent']:.1f} % | {row['rate_percent']:.1f} % | "
              f"{row['rate_us']:.0f} |")


def main():
    parser = measurement.parser(__doc__)
    parser.add_argument('--runs', type=int, default=5, help='runs of each, the best counts (5)')
    parser.add_argument('--seconds', type=int, default=1, help='length of a run (1)')
    parser.add_argument('--part', choices=PARTS, action='append', help='only this; repeatable')
    measurement.add_json(parser)
    args = parser.parse_args()
    parts = args.part or PARTS
    got = {}

    weirtest.lcores = lambda: f'0@{LOAD_CPU},1@{SERVER_CPU}'
    weir = weirtest.Weir()
    try:
        os.sched_setaffinity(0, {LOAD_CPU})
        weir.start_transport()
        weir.rpc('fsdev_null_create', name='null0')
        sock = weir.add_device('busy', 'null0', queues=1)
        if 'idle' in parts:
            got['idle'] = measure_idle(weir, args)
        if 'crowd' in parts:
            got['crowd'] = measure_crowd(weir, sock, args)
        if 'policies' in parts:
            got['policies'] = [measure_policy(weir, sock, policy, args)
                               for policy in policies(weir)]
    finally:
        weir.terminate()
        weir.cleanup()
    if args.json:
        print(json.dumps(got))
        return
    for part, show in (('idle', show_idle), ('crowd', show_crowd), ('policies', show_policies)):
        if part in got:
            show(got[part])


if __name__ == '__main__':
    main()
