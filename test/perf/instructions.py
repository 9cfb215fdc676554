#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""How many instructions weir executes for an operation, and a bar that this may not exceed by 3 %.

The same program executes the same number of instructions each time, however busy the machine is, so
this tells of a change what a stop-watch cannot. weir's code runs under callgrind, which counts: the
engine on null and mem, from the ring and back to it, and the NFS client on recorded replies. What
is counted, and what it does not say: doc/performance.md, "The bar".

Of an operation that takes more than 1.03 times its bar, the functions that grew are named.
"""

import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import measurement

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get('WEIR_BUILD', os.path.join(ROOT, 'build')))
BARS = os.path.join(HERE, 'instructions.json')
ABOUT = 'Instructions per operation, and the functions that execute most; see instructions.py.'

RECORDING = os.path.join(HERE, 'nfs-replies.txt')
# By the name that callgrind's files get; {folder} is where they are.
PROGRAMS = {'null-split': ('weir-insn-engine', 'null', 'split', '{folder}'),
            'null-packed': ('weir-insn-engine', 'null', 'packed', '{folder}'),
            'mem-split': ('weir-insn-engine', 'mem', 'split', '{folder}'),
            'nfs': ('weir-insn-nfs', RECORDING)}
# What the NFS server's file is: insn_nfs.c relies on it.
FILE_NAME, FILE_BYTES = 'instructions', 1 << 20
TIMEOUT_S = 300
LIMIT = 1.03
# Below 1 / LIMIT the bar is worth lowering; below this it is lowered when it is updated.
LOWER = 0.999
# Functions with less than that share of an operation are not kept with its bar.
SHARE = 0.01
GROWN = 8

# The C library chooses by the CPU; these leave it SSE2, which every CPU has.
HWCAPS = ('AVX', 'AVX2', 'AVX512BW', 'AVX512F', 'AVX512VL', 'AVX_Fast_Unaligned_Load', 'BMI1',
          'BMI2', 'ERMS', 'FSRM', 'RTM', 'SSE4_1', 'SSE4_2', 'SSSE3')
TUNABLES = ('glibc.cpu.hwcaps=' + ','.join('-' + cap for cap in HWCAPS) +
            ':glibc.cpu.x86_non_temporal_threshold=0x10000000:glibc.malloc.arena_max=1')
VALGRIND = '/usr/bin/valgrind'
CALLGRIND = ('--tool=callgrind', '--instr-atstart=no', '--collect-atstart=no', '--dump-line=no',
             '--compress-strings=no', '--compress-pos=no')

# What the programs execute themselves while it counts.
OWN = ('meter_poll', 'nfs_go', 'task_done')

Case = collections.namedtuple('Case', 'per_op functions')


def path_of(program):
    path = os.path.join(BUILD, 'test', 'perf', program)
    if not os.path.exists(path):
        sys.exit(f'{path} is not there; it is built where valgrind/callgrind.h is')
    return path


def run(name, folder):
    """Runs a program under callgrind; the lines that it prints."""
    command = [word.format(folder=folder) for word in PROGRAMS[name]]
    out = os.path.join(folder, 'callgrind.' + name)
    # Nothing of our environment; and what EAL and the devices leave goes where all goes.
    env = {'GLIBC_TUNABLES': TUNABLES, 'LD_BIND_NOW': '1', 'RUNTIME_DIRECTORY': folder}
    done = subprocess.run([VALGRIND, *CALLGRIND, f'--callgrind-out-file={out}',
                           path_of(command[0]), *command[1:]],
                          env=env, cwd=folder, timeout=TIMEOUT_S, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f'{" ".join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}')
    return [json.loads(line) for line in done.stdout.splitlines()]


def read_profile(path):
    """What a file of callgrind's is of, and what each function executed itself."""
    name, where, function, callee = None, '', '', False
    functions = collections.Counter()
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            key, _, value = line.rstrip('\n').partition('=')
            if key == 'fn':
                # Without a symbol all that is known is whose it is. GCC's parts are one function.
                function = where if value.startswith('0x') else re.split(r"[.'@]", value)[0]
            elif key == 'ob':
                where = os.path.basename(value)
            elif key == 'calls':
                callee = True
            elif line.startswith('desc: Trigger: Client Request: '):
                name = line.split(': ', 3)[3].strip()
            elif line[0].isdigit():
                if not callee:
                    functions[function] += int(line.split()[1])
                callee = False
    return name, functions


def measure(folder):
    """Each operation's Case by its name, and the compiler."""
    cases, compiler = {}, None
    for program in PROGRAMS:
        lines = run(program, folder)
        compiler = lines[0]['compiler']
        ops = {line['name']: line['ops'] for line in lines[1:]}
        for file in glob.glob(os.path.join(folder, f'callgrind.{program}.*')):
            name, functions = read_profile(file)
            if name in ops:
                nb = ops.pop(name)
                for function in OWN:
                    del functions[function]
                cases[name] = Case(sum(functions.values()) / nb,
                                   {f: n / nb for f, n in functions.items()})
        if ops:
            sys.exit(f'{program}: callgrind wrote nothing of {", ".join(ops)}')
    return cases, compiler


def grown(case, bar):
    """The functions that grew most: (name, before, now), for one operation."""
    before = bar['functions']
    # What is not kept with the bar had less than its share.
    least = bar['instructions'] * SHARE
    rows = [(f, before.get(f, 0), n) for f, n in case.functions.items()
            if f in before or n > least]
    rows = [row for row in rows if row[2] > row[1] + 1]
    return sorted(rows, key=lambda row: row[1] - row[2])[:GROWN]


def judge(cases, bars):
    """A row for each operation measured or with a bar, in the order of the bars."""
    rows = []
    for name in list(bars) + [n for n in cases if n not in bars]:
        case, bar = cases.get(name), bars.get(name)
        row = {'operation': name, 'instructions': case and round(case.per_op, 1),
               'bar': bar and bar['instructions'], 'verdict': 'ok', 'grown': []}
        if case is None or bar is None:
            row['verdict'] = 'not measured' if case is None else 'has no bar'
        elif case.per_op > LIMIT * row['bar']:
            row['verdict'] = 'TOO MANY'
            row['grown'] = grown(case, bar)
        elif case.per_op * LIMIT < row['bar']:
            row['verdict'] = 'lower the bar'
        rows.append(row)
    return rows


def failed(row):
    return row['verdict'] not in ('ok', 'lower the bar')


def print_table(rows):
    print('| operation | instructions | bar | difference | |')
    print('|---|---|---|---|---|')
    for row in rows:
        got, bar = row['instructions'], row['bar']
        diff = f'{got / bar - 1:+.2%}' if got and bar else ''
        print(f"| {row['operation']} | {got or ''} | {bar or ''} | {diff} | {row['verdict']} |")
    for row in rows:
        for number, (function, before, now) in enumerate(row['grown']):
            if number == 0:
                print(f"\n{row['operation']}: grown most, in instructions for one operation")
            was = f'{before:.0f}' if before else 'little or nothing'
            print(f'    {function}: {now:.0f}, was {was}')


def new_bar(case):
    least = case.per_op * SHARE
    order = sorted(case.functions.items(), key=lambda item: (-item[1], item[0]))
    return {'instructions': round(case.per_op, 1),
            'functions': {f: round(n) for f, n in order if n > least}}


def update(cases, bars, may_raise):
    """The bars as they ought to be; what has not changed stays as it is."""
    bars = dict(bars)
    for name, case in cases.items():
        bar = bars.get(name)
        if bar is not None and not may_raise and case.per_op > LOWER * bar['instructions']:
            continue
        bars[name] = new_bar(case)
    return {name: bars[name] for name in sorted(cases)}


def write_bars(compiler, bars):
    """One line an operation, so that a difference is easy to read."""
    lines = [f'    {json.dumps(name)}: {json.dumps(bar)}' for name, bar in bars.items()]
    with open(BARS, 'w', encoding='utf-8') as file:
        file.write('{\n'
                   f'  "about": {json.dumps(ABOUT)},\n'
                   f'  "compiler": {json.dumps(compiler)},\n'
                   '  "operations": {\n' + ',\n'.join(lines) + '\n  }\n}\n')


def record():
    """Makes the recording anew, with an nfs-ganesha."""
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'nfs'))
    import ganesha
    if not ganesha.is_installed():
        sys.exit(f'this needs root, {ganesha.SERVER} and {ganesha.SHIM}')
    if os.path.exists(RECORDING):
        os.remove(RECORDING)
    with ganesha.Ganesha() as server:
        with open(os.path.join(server.folder, FILE_NAME), 'wb') as file:
            file.write(b'w' * FILE_BYTES)
        params = server.params()
        subprocess.run([path_of('weir-insn-nfs'), RECORDING, str(params['port']),
                        str(params['mount_port'])], stdout=subprocess.DEVNULL, check=True)


def main():
    parser = measurement.parser(
        __doc__, 'It has to be of gcc, with the options that meson has by default.',
        exits='Exit status: 0 all within the bars; 1 some not, or not measured; 2 wrong usage.')
    measurement.add_json(parser)
    parser.add_argument('--update', action='store_true',
                        help='lower bars to what was measured, and add new ones')
    parser.add_argument('--raise', action='store_true', dest='may_raise',
                        help='with --update: raise bars, too; say in the commit why')
    parser.add_argument('--record', action='store_true',
                        help="first make the recording of the NFS server's replies anew")
    parser.add_argument('--keep', metavar='FOLDER',
                        help="leave callgrind's files there, for callgrind_annotate")
    args = parser.parse_args()
    if args.may_raise and not args.update:
        parser.error('--raise goes with --update')

    if not os.path.exists(VALGRIND):
        sys.exit(f'this needs {VALGRIND}')
    if args.record:
        record()
    known = {'compiler': None, 'operations': {}}
    if os.path.exists(BARS):
        with open(BARS, encoding='utf-8') as file:
            known = json.load(file)
    bars = known['operations']
    with tempfile.TemporaryDirectory(prefix='weir-insn-') as folder:
        cases, compiler = measure(folder)
        for file in os.listdir(folder) if args.keep else ():
            if file.startswith('callgrind.'):
                os.makedirs(args.keep, exist_ok=True)
                shutil.copy(os.path.join(folder, file), args.keep)
    if args.update:
        bars = update(cases, bars, args.may_raise)
        write_bars(compiler, bars)
    rows = judge(cases, bars)
    if args.json:
        print(json.dumps({'compiler': compiler, 'operations': rows}))
    else:
        print_table(rows)
    if not args.update and known['compiler'] not in (None, compiler):
        print(f"\nthe bars are of {known['compiler']}, this is {compiler}", file=sys.stderr)
    return 1 if any(failed(row) for row in rows) else 0


if __name__ == '__main__':
    sys.exit(main())
