#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""4 KiB random reads through the tree's own front end: weir beside QEMU's C virtiofsd.

Both serve the same folder in the same run, in turn, several times; medians and their ratio are
printed. The server has one CPU, the load another one. CPU time is the server's, all threads; busy
is that part of it in which weir's worker found work, the rest it spun. Nothing is judged: machines
are noisy, and only ratios of one run mean anything.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)

VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
DEPTHS = (1, 32)
CPUS = sorted(os.sched_getaffinity(0))
LOAD_CPU, SERVER_CPU = CPUS[0], CPUS[-1]


def cpu_seconds(pid):
    """CPU time of all threads of a process and of its children, if a sandbox put any behind it."""
    total = 0
    for tid in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{tid}/schedstat', encoding='ascii') as file:
            total += int(file.read().split()[0]) / 1e9
        with open(f'/proc/{pid}/task/{tid}/children', encoding='ascii') as file:
            total += sum(cpu_seconds(int(child)) for child in file.read().split())
    return total


class Virtiofsd:
    """C virtiofsd; it ends with its front end, so each run has one of its own."""

    name = 'C virtiofsd'

    def __init__(self, folder, work):
        self.folder = folder
        self.sock = os.path.join(work, 'v.sock')

    def __enter__(self):
        self.proc = subprocess.Popen(
            [VIRTIOFSD, f'--socket-path={self.sock}', '-o', f'source={self.folder}',
             '-o', 'cache=none', '-o', 'sandbox=chroot'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CPU}))
        weirtest.wait_until(lambda: os.path.exists(self.sock), 10, 'the socket of virtiofsd')
        return self

    def __exit__(self, *exc):
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()
        for path in (self.sock, self.sock + '.pid'):
            if os.path.exists(path):
                os.unlink(path)

    def pid(self):
        return self.proc.pid

    def busy_seconds(self):
        return cpu_seconds(self.proc.pid)


class Weir:
    """A weir device."""

    def __init__(self, name, weir, sock):
        self.name = name
        self.weir = weir
        self.sock = sock

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def pid(self):
        return self.weir.pid

    def busy_seconds(self):
        return sum(w['cycles_busy'] / w['tsc_hz'] for w in self.weir.rpc('weir_get_workers'))


def measure(server, depth, seconds, size):
    """One run. CPU time is taken in its middle: the front end first writes the file."""
    with server, subprocess.Popen(
            [weirtest.FE, 'bench', 'randread', '-s', server.sock, '--depth', str(depth), '--bs',
             '4096', '--file-size', str(size), '--seconds', str(seconds + 1), '--poll', '--json'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU})) as bench:
        time.sleep(1)
        start, cpu, busy = time.monotonic(), cpu_seconds(server.pid()), server.busy_seconds()
        time.sleep(seconds - 0.5)
        span = time.monotonic() - start
        cpu, busy = cpu_seconds(server.pid()) - cpu, server.busy_seconds() - busy
        out, err = bench.communicate(timeout=60)
    if bench.returncode != 0:
        raise RuntimeError(f'{server.name}: the front end failed: {err}')
    got = json.loads(out)
    return {'kops': got['ops_per_s'] / 1e3, 'p50_us': got['p50_us'],
            'cpu_us': cpu / span / got['ops_per_s'] * 1e6,
            'busy_us': busy / span / got['ops_per_s'] * 1e6, 'generator': got['generator_cpu']}


def virtiofsd_serves(folder, work):
    """False where the kernel or a container keeps it from building its sandbox."""
    with Virtiofsd(folder, work) as server:
        return subprocess.run([weirtest.FE, 'info', '-s', server.sock], capture_output=True,
                              check=False).returncode == 0


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--runs', type=int, default=5, help='runs of each, medians count (5)')
    parser.add_argument('--seconds', type=int, default=2, help='length of a run (2)')
    parser.add_argument('--file-size', type=int, default=64 << 20, help='bytes (64 MiB)')
    parser.add_argument('--folder', default='/dev/shm', help='where to make the folder (/dev/shm)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    args = parser.parse_args()
    if not os.access(VIRTIOFSD, os.X_OK):
        sys.exit(f'{VIRTIOFSD} is missing (package qemu-system-common)')

    folder = tempfile.mkdtemp(prefix='weir-perf-', dir=args.folder)
    work = tempfile.mkdtemp(prefix='weir-perf-')
    results = {}
    weirtest.lcores = lambda: f'0@{LOAD_CPU},1@{SERVER_CPU}'
    try:
        weir = weirtest.Weir()
        try:
            weir.start_transport()
            weir.rpc('fsdev_null_create', name='null0')
            weir.rpc('fsdev_aio_create', name='aio0', root_path=folder)
            servers = [Weir('weir null', weir, weir.add_device('null', 'null0', queues=1)),
                       Weir('weir aio', weir, weir.add_device('aio', 'aio0', queues=1))]
            if virtiofsd_serves(folder, work):
                servers.append(Virtiofsd(folder, work))
            else:
                print('virtiofsd cannot build its sandbox here (a container?); weir alone is '
                      'measured', file=sys.stderr)
            for run in range(args.runs):
                for depth in DEPTHS:
                    for server in servers:
                        print(f'run {run + 1} of {args.runs}: {server.name}, depth {depth}',
                              file=sys.stderr)
                        results.setdefault((depth, server.name), []).append(
                            measure(server, depth, args.seconds, args.file_size))
        finally:
            weir.terminate()
            weir.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)

    table = [{'depth': depth, 'server': name, **medians(runs)}
             for (depth, name), runs in sorted(results.items())]
    if args.json:
        print(json.dumps(table))
        return
    print('| depth | server | 1000 reads/s | median us | CPU us per read | busy | to virtiofsd |')
    print('|---|---|---|---|---|---|---|')
    for row in table:
        peer = next((r for r in table if r['depth'] == row['depth'] and
                     r['server'] == Virtiofsd.name), None)
        ratio = '' if peer is None else (f"rate {row['kops'] / peer['kops']:.2f}, "
                                         f"busy {row['busy_us'] / peer['busy_us']:.2f}")
        print(f"| {row['depth']} | {row['server']} | {row['kops']:.0f} | {row['p50_us']:.1f} | "
              f"{row['cpu_us']:.2f} | {row['busy_us']:.2f} | {ratio} |")


if __name__ == '__main__':
    main()
