#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Fixed scenarios that say how fast weir is, each with what was meant to be reached.

Most run weir and another server in turn under one load by weir-perf: its own floor (rings and FUSE
only), or QEMU's C virtiofsd on the same tmpfs folder. Load and server have a CPU each. Medians, and
the least and greatest ratio of a round, are printed as soon as they are known, then all of them as
a table. Nothing is judged. What the machine lacks the means for is left out and named at the end.
"""

import contextlib
import json
import mmap
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import measurement
from measurement import CPUS

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)

VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
LOAD_CPU, SERVER_CPU = CPUS[0], CPUS[-1]
WEIR, FLOOR, PEER, LOOP = 'weir', 'floor', 'virtiofsd', 'loop'
MIB = 1 << 20
KIND = {'ops': 'operations/s', 'p50': 'median us', 'cost': 'CPU us/operation'}


class Target(NamedTuple):
    """What a measure is meant to be beside the other side's."""

    measure: str  # a key of KIND
    how: str  # ratio or difference
    limit: float
    at_most: bool = True
    other: str = None  # the scenario's, unless it is said

    def text(self):
        if self.limit is None:
            return ''
        sign = '<=' if self.at_most else '>='
        return f'{sign} {self.limit:g}' + (' us' if self.how == 'difference' else '')

    def met(self, value):
        if self.limit is None or value is None:
            return None
        return value <= self.limit if self.at_most else value >= self.limit


class Versus(NamedTuple):
    """A load on weir and on another server in turn."""

    fsdev: str
    other: str
    load: str
    depth: int
    targets: tuple
    args: tuple = ()
    idle: str = 'adaptive'
    packed: bool = False


def at_most(measure, limit):
    return Target(measure, 'ratio', limit)


def at_least(measure, limit, other=None):
    return Target(measure, 'ratio', limit, False, other)


def shown(measure):
    """Printed for its own sake."""
    return Target(measure, 'ratio', None)


NEAR_FLOOR = (at_least('ops', 0.75), shown('cost'))
SOON = (Target('p50', 'difference', 1), shown('p50'))
DATA = (at_most('cost', 0.6), at_least('ops', 1.4))
STREAM = (at_least('ops', 0.9, LOOP), shown('ops'), shown('cost'))
BIG = ('--bs', '1m')
VERSUS = {
    'null-32': Versus('null', FLOOR, 'randread', 32, NEAR_FLOOR),
    'null-1': Versus('null', FLOOR, 'randread', 1, SOON, idle='poll'),
    'null-32-packed': Versus('null', FLOOR, 'randread', 32, NEAR_FLOOR, packed=True),
    'null-1-packed': Versus('null', FLOOR, 'randread', 1, SOON, idle='poll', packed=True),
    'read-1-poll': Versus('aio', PEER, 'randread', 1, (at_most('p50', 0.35),), idle='poll'),
    'read-1-adaptive': Versus('aio', PEER, 'randread', 1, (at_most('p50', 1),)),
    'read-32': Versus('aio', PEER, 'randread', 32, DATA),
    'write-32': Versus('aio', PEER, 'randwrite', 32, DATA),
    'seqread': Versus('aio', PEER, 'seqread', 8, STREAM, BIG),
    'seqwrite': Versus('aio', PEER, 'seqwrite', 8, STREAM, BIG),
    'getattr': Versus('aio', PEER, 'getattr', 32, (at_most('cost', 0.5), shown('ops'))),
    'lookup': Versus('aio', PEER, 'lookup', 32, (at_most('cost', 0.5), shown('ops'))),
    'create-unlink': Versus('aio', PEER, 'create-unlink', 8,
                            (at_most('cost', 0.65), shown('ops'))),
}


def progress(text):
    print(text, file=sys.stderr, flush=True)


def json_of(command, seconds):
    """What a command prints. Whatever happens, it gets to stop what it has started."""
    command = [str(c) for c in command]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as proc:
        try:
            out = proc.communicate(timeout=seconds)[0]
        except BaseException:
            proc.terminate()
            proc.wait()
            raise
    if proc.returncode != 0:
        raise subprocess.CalledProcessError(proc.returncode, command)
    return json.loads(out)


def virtiofsd_serves(folder):
    """False where the kernel or a container keeps it from building its sandbox."""
    if not os.access(VIRTIOFSD, os.X_OK):
        return False
    with tempfile.TemporaryDirectory(prefix='weir-scenario-') as work:
        sock = os.path.join(work, 's')
        with subprocess.Popen(
                [VIRTIOFSD, f'--socket-path={sock}', '-o', f'source={folder}', '-o', 'cache=none',
                 '-o', 'sandbox=chroot', '-f'], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                weirtest.wait_until(lambda: os.path.exists(sock) or server.poll() is not None,
                                    10, 'the socket of virtiofsd')
                return subprocess.run([weirtest.FE, 'info', '-s', sock], capture_output=True,
                                      check=False).returncode == 0
            finally:
                server.terminate()


class Bench:
    """What all scenarios need."""

    def __init__(self, args, stack):
        self.args = args
        self.seconds = 0.4 if args.quick else 0.7
        self.file_size = 16 * MIB if args.quick else 64 * MIB
        self.rounds = args.rounds or (3 if args.quick else 5)
        self.work = stack.enter_context(tempfile.TemporaryDirectory(prefix='weir-scenario-'))
        self.folder = tempfile.mkdtemp(prefix='weir-scenario-', dir=args.folder)
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.huge = weirtest.hugepages_free()
        self.memory = weirtest.HUGEPAGES if self.huge else weirtest.ORDINARY_PAGES
        self.has_peer = virtiofsd_serves(self.folder)

    def describe(self):
        return {
            'memory': 'huge pages' if self.huge else 'ordinary pages',
            'cpus': {'load': LOAD_CPU, 'server': SERVER_CPU}, 'rounds': self.rounds,
            'seconds': self.seconds, 'file_bytes': self.file_size,
            'virtiofsd': self.has_peer,
        }

    def weir_command(self, scenario):
        conf = os.path.join(self.work, f'{scenario.fsdev}-{int(scenario.packed)}')
        source = f' {self.folder}' if scenario.fsdev == 'aio' else ''
        packed = ' --packed-vq' if scenario.packed else ''
        with open(conf, 'w', encoding='ascii') as file:
            file.write('virtio_fs_transport_create -t DOCA\nvirtio_fs_transport_start -t DOCA\n'
                       f'fsdev_{scenario.fsdev}_create fs{source}\n'
                       'virtio_fs_device_create -t DOCA --dev-name perf --tag perf --fsdev fs'
                       f'{packed}\nvirtio_fs_device_start --dev-name perf\n')
        command = weirtest.Weir.command_line('{rpc}', '{dir}', f'weir-scenario-{os.getpid()}',
                                             self.memory)
        return ' '.join(['exec', *command, '--init-conf', conf, '--idle', scenario.idle])

    def command(self, side, scenario):
        if side == WEIR:
            return self.weir_command(scenario)
        if side == FLOOR:
            return f'exec taskset -c {SERVER_CPU} {weirtest.PERF} --serve {{socket}}'
        return (f'exec taskset -c {SERVER_CPU} {VIRTIOFSD} --socket-path={{socket}} '
                f'-o source={self.folder} -o cache=none -o sandbox=chroot')

    def perf(self, *args):
        command = [weirtest.PERF, '--json', '--seconds', self.seconds, '--ramp', '0.2',
                   '--file-size', self.file_size, *args]
        return json_of(command, 120)

    @staticmethod
    def script(name, *args):
        """The JSON of one of the other scripts in this folder."""
        return json_of([sys.executable, os.path.join(HERE, name), '--json', *args], 900)


def plain_loop(bench, write, block, nb_buffers):
    """preadv or pwritev of one block after the other, with as many buffers as requests have."""
    own = os.sched_getaffinity(0)
    buffers = [mmap.mmap(-1, block) for _ in range(nb_buffers)]
    call = os.pwritev if write else os.preadv
    with tempfile.TemporaryFile(dir=bench.folder) as file:
        os.sched_setaffinity(0, {SERVER_CPU})
        try:
            for buffer in buffers:
                buffer.write(b'\1' * block)
            for off in range(0, bench.file_size, block):
                os.pwritev(file.fileno(), buffers[:1], off)
            nb, off, start = 0, 0, time.perf_counter()
            end = start + bench.seconds
            while time.perf_counter() < end:
                call(file.fileno(), (buffers[nb % nb_buffers],), off)
                nb += 1
                off = (off + block) % bench.file_size
            span = time.perf_counter() - start
        finally:
            os.sched_setaffinity(0, own)
    return {'ops': nb / span, 'p50': span / nb * 1e6, 'cost': span / nb * 1e6}


def side_values(values):
    return {'ops': values['ops_per_s']['median'], 'p50': values['p50_us']['median'],
            'cost': values['cost_us_per_op']['median'],
            'working': values['generator_working']['median']}


def versus_round(bench, scenario, turn):
    """One round: values of each side. Who is first changes, so that nobody always is."""
    args = [*scenario.args, '--cpus', LOAD_CPU, '--depth', scenario.depth, '--rounds', '1',
            *(['--packed'] if scenario.packed else []), scenario.load]
    sides = [WEIR, scenario.other] if turn % 2 == 0 else [scenario.other, WEIR]
    got = bench.perf('--server', bench.command(sides[0], scenario),
                     '--versus', bench.command(sides[1], scenario), *args)
    found = {sides[0]: side_values(got['server']), sides[1]: side_values(got['versus'])}
    if any(target.other == LOOP for target in scenario.targets):
        found[LOOP] = plain_loop(bench, scenario.load == 'seqwrite', MIB, scenario.depth)
    return found


def spread(values):
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def row(scenario, measure, weir, other, compared, target, **more):
    """A row of the table. weir, other, compared: spreads, or None."""
    return {'scenario': scenario, 'measure': measure, 'weir': weir, 'other': other,
            'compared': compared, 'target': target.text(),
            'met': target.met(compared['median'] if compared else None), **more}


def run_versus(bench, name):
    scenario = VERSUS[name]
    if scenario.other == PEER and not bench.has_peer:
        raise NotHere('virtiofsd is missing (package qemu-system-common), or cannot build its '
                      'sandbox here')
    rounds = [versus_round(bench, scenario, turn) for turn in range(bench.rounds)]
    rows = []
    for target in scenario.targets:
        other = target.other or scenario.other
        mine = [r[WEIR][target.measure] for r in rounds]
        theirs = [r[other][target.measure] for r in rounds]
        if target.how == 'difference':
            compared = spread([a - b for a, b in zip(mine, theirs)])
        else:
            compared = spread([a / b for a, b in zip(mine, theirs)])
        rows.append(row(name, KIND[target.measure], spread(mine), spread(theirs), compared, target,
                        versus=other, how=target.how, generator={
                            side: statistics.median(r[side]['working'] for r in rounds)
                            for side in (WEIR, scenario.other)}))
    return rows, rounds


class NotHere(Exception):
    """This machine lacks what a scenario needs."""


def run_nfs(bench, name):
    """weir's worker from the virtqueue to the server, beside its NFS client driven without one."""
    try:
        got = bench.script('nfs-client.py', '--runs', min(bench.rounds, 5), '--ms',
                           int(bench.seconds * 1000))
    except subprocess.CalledProcessError as error:
        raise NotHere('nfs-client.py says why') from error
    rows = []
    for case in got:
        ratio = case.get('busy_to_weir')
        if ratio is not None:
            client = next(r for r in got if r['case'] == case['case'] and r['client'] == 'weir')
            rows.append(row(f"{name}, {case['case']}", 'busy us/operation', fixed(case['busy_us']),
                            fixed(client['busy_us']), ratio, at_most('', ratio['wanted']),
                            versus='its client alone'))
    return rows, got


def run_handoff(bench, name):
    got = bench.script('handoff.py', '--runs', bench.rounds)
    target = Target('', 'difference', 0.25)
    return [row(f"{name}, depth {r['depth']}", 'busy us/operation',
                fixed(r['frontend_us'] + r['backend_us']), fixed(r['alone_us']),
                fixed(r['cost_us']), target if r['depth'] == 32 else Target('', 'difference', None),
                versus='one worker', how='difference') for r in got], got


def run_idle(bench, name):
    got = bench.script('idle-cost.py', '--runs', 1, '--part', 'idle')
    idle = got['idle']
    return [row(name, 'percent of a core', fixed(idle['percent']), None, fixed(idle['percent']),
                Target('', 'value', 1), versus='32 devices of 64 queues', how='value'),
            row(name, 'KiB for each queue', fixed(idle['kib_per_queue']), None,
                fixed(idle['kib_per_queue']), Target('', 'value', 16),
                versus='32 devices of 64 queues', how='value')], got


def run_workers(bench, name):
    got = bench.script('two-workers.py', '--rounds', 10 * bench.rounds)
    return [row(f"{name}, {r['work']} of {r['fsdev']}", 'operations/s', fixed(r['ops']),
                fixed(r['alone_ops']), {'median': r['scale']['median'], 'min': r['scale']['low'],
                                        'max': r['scale']['high']},
                shown('') if r['way'] == 'two appliances' else at_least('', r['wanted']),
                versus=f"one worker ({r['way']})") for r in got], got


def fixed(value):
    return {'median': value, 'min': value, 'max': value}


SCRIPTS = {
    'nfs': (run_nfs, 'weir on an NFS export beside its own client alone (nfs-client.py)'),
    'two-workers': (run_workers, 'two workers and queues beside one (two-workers.py)'),
    'hand-off': (run_handoff, 'two workers for a request beside one (handoff.py)'),
    'idle': (run_idle, 'what idle queues take (idle-cost.py)'),
}


def describe(name):
    if name in SCRIPTS:
        return SCRIPTS[name][1]
    s = VERSUS[name]
    return (f"{s.load}{' 1 MiB' if s.args else ''}, depth {s.depth}: weir {s.fsdev}, {s.idle}"
            f"{', packed ring' if s.packed else ''}, beside {s.other}"
            + (' and a plain loop' if any(t.other for t in s.targets) else ''))


def number(value):
    return f'{value:.0f}' if value >= 1000 else f'{value:.3g}'


def print_row(r):
    """A line of the table."""
    def cell(s):
        return '' if s is None else number(s['median'])

    def compared(s):
        unit = ' us' if r.get('how') == 'difference' else ''
        text = f"{s['median']:.2f}{unit}"
        return text + (f" ({s['min']:.2f} to {s['max']:.2f})" if s['min'] != s['max'] else '')

    met = {True: 'yes', False: 'no', None: ''}[r['met']]
    working = r.get('generator', {}).get(WEIR)
    print(f"| {r['scenario']} | {r['measure']} | {cell(r['weir'])} | {r['versus']} | "
          f"{cell(r['other'])} | {compared(r['compared'])} | {r['target']} | {met} | "
          f"{'' if working is None else f'{working:.0%}'} |", flush=True)


def print_table(rows):
    print('| scenario | measure | weir | beside | | to it | wanted | met | load generator busy |')
    print('|---|---|---|---|---|---|---|---|---|')
    for r in rows:
        print_row(r)


def measure(bench, names):
    """Rows, raw values and what could not be measured, by scenario."""
    rows, raw, skipped = [], {}, {}
    for i, name in enumerate(names):
        progress(f'{i + 1} of {len(names)}: {name}: {describe(name)}')
        start = time.monotonic()
        try:
            run = SCRIPTS[name][0] if name in SCRIPTS else run_versus
            found, raw[name] = run(bench, name)
        except NotHere as why:
            skipped[name] = str(why)
            progress(f'  skipped: {why}')
            continue
        for r in found:
            progress(f"  {r['measure']}: {number(r['weir']['median'])}, to {r['versus']} "
                     f"{r['compared']['median']:.2f}"
                     + (f", wanted {r['target']}" if r['target'] else ''))
        progress(f'  {time.monotonic() - start:.0f} s')
        rows += found
    return rows, raw, skipped


def parse_args():
    parser = measurement.parser(
        __doc__, 'Two CPUs are needed; give weir and the load the first and the last by taskset.',
        exits='Exit status: 0 measured what the machine has the means for; 1 not; 2 wrong usage.')
    parser.add_argument('--list', action='store_true', help='say what scenarios there are')
    parser.add_argument('--only', metavar='NAME', action='append', default=[],
                        help='only this one, or those that begin so when it ends in *; repeatable')
    parser.add_argument('--versus', action='store_true',
                        help='only those of weir beside another server')
    parser.add_argument('--rounds', type=int, help='of each, medians count (5; quick: 3)')
    parser.add_argument('--quick', action='store_true', help='shorter rounds, a smaller file')
    parser.add_argument('--folder', default='/dev/shm', help='on tmpfs, for the files (/dev/shm)')
    parser.add_argument('--json', metavar='FILE', help='write all there, single rounds too')
    args = parser.parse_args()
    every = [*VERSUS, *SCRIPTS]
    args.names = [] if args.only else list(VERSUS) if args.versus else every
    for only in args.only:
        found = [n for n in every if n == only or only.endswith('*') and n.startswith(only[:-1])]
        if not found:
            parser.error(f'no scenario {only}; see --list')
        args.names += found
    return args


def main():
    args = parse_args()
    if args.list:
        for name in args.names:
            print(f'{name:16} {describe(name)}')
        return
    measurement.need_two_cpus()
    # So that everything is undone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    weirtest.lcores = lambda: f'0@{LOAD_CPU},1@{SERVER_CPU}'
    with contextlib.ExitStack() as stack:
        bench = Bench(args, stack)
        about = bench.describe()
        progress(f"{about['memory']}; load on CPU {LOAD_CPU}, servers on CPU {SERVER_CPU}; "
                 f"{about['rounds']} rounds")
        rows, raw, skipped = measure(bench, args.names)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump({'about': about, 'rows': rows, 'rounds': raw, 'skipped': skipped}, file,
                      indent=1)
    print_table(rows)
    for name, why in skipped.items():
        print(f'{name} was not measured: {why}')


if __name__ == '__main__':
    main()
