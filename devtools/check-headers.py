#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""check-headers.py [BUILD_DIR]: headers stand alone, and libraries see only what they declare.

1. Each header compiles as the first and only include of a file, with gcc and with clang, with the
   flags of its own folder, so nothing but the folder's declared dependencies is in reach.
2. The order of the libraries in doc/design.md holds: an include against it does not compile. The
   test is the compiler's own refusal, for each pair of the table below.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import csource

# A file in the folder, or below it, may not include the header.
FORBIDDEN = [
    ('lib/base', 'weir_rpc.h'), ('lib/base', 'weir_worker.h'), ('lib/base', 'weir_fsdev.h'),
    ('lib/rpc', 'weir_stats.h'), ('lib/rpc', 'weir_worker.h'),
    ('lib/stats', 'weir_fsdev.h'), ('lib/stats', 'weir_device.h'),
    ('lib/worker', 'weir_virtio.h'), ('lib/worker', 'weir_fsdev.h'),
    ('lib/worker', 'weir_device.h'), ('lib/virtio', 'weir_fsdev.h'),
    ('lib/virtio', 'weir_fuse.h'), ('lib/virtio', 'weir_transport.h'),
    ('lib/fsdev', 'weir_virtio.h'), ('lib/fsdev', 'weir_fuse.h'), ('lib/fsdev', 'weir_device.h'),
    ('lib/fuse', 'weir_virtio.h'), ('lib/fuse', 'weir_transport.h'), ('lib/fuse', 'weir_device.h'),
    ('lib/fsdev', 'weir_sunrpc.h'), ('lib/sunrpc', 'weir_fsdev.h'), ('lib/sunrpc', 'weir_fuse.h'),
    ('lib/transport', 'weir_fuse.h'), ('lib/transport', 'weir_device.h'),
    ('drivers/fsdev', 'weir_virtio.h'), ('drivers/fsdev', 'weir_fuse.h'),
    ('drivers/fsdev', 'weir_transport.h'), ('drivers/fsdev', 'weir_device.h'),
    ('drivers/transport', 'weir_fuse.h'), ('drivers/transport', 'weir_fsdev.h'),
]

SOURCE = '#include "{}"\nextern int not_empty;\n'


def folder_flags(build):
    """Compiler arguments of each source folder, from its first file in the build."""
    with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as f:
        rows = json.load(f)
    flags, seen = {}, {}
    for row in rows:
        path = os.path.relpath(os.path.join(row['directory'], row['file']))
        args = shlex.split(row['command'])
        # Where ccache is installed, meson puts it in front of the compiler.
        args = args[2:] if os.path.basename(args[0]) == 'ccache' else args[1:]
        keep = []
        while args:
            arg = args.pop(0)
            if arg in ('-o', '-MF', '-MQ', '-MT'):
                args.pop(0)
            # What only gcc knows of would be an error.
            elif arg not in ('-c', '-MD', '-MMD', '-MP', '-ffat-lto-objects', row['file']):
                keep.append(arg)
        folder = os.path.dirname(path)
        if folder.startswith('test/'):
            # Each program there has dependencies of its own; a header may use those of all. Beside
            # a folder of its own many have the same, and a command line has an end.
            keep = tuple(arg for arg in keep if not re.fullmatch(r'-I.*\.p', arg))
            if keep not in seen.setdefault(folder, set()):
                seen[folder].add(keep)
                flags.setdefault(folder, []).extend(keep)
        else:
            flags.setdefault(folder, keep)
    return flags


def compiles(build, compiler, flags, source):
    """Whether the text compiles; the compiler's complaint if not."""
    run = subprocess.run([compiler, *flags, '-Werror', '-Wno-unknown-warning-option', '-x', 'c',
                          '-fsyntax-only', '-'],
                         cwd=build, input=source, capture_output=True, text=True)
    return run.returncode == 0, run.stderr


def check_alone(build, flags):
    jobs = []
    for header in csource.tracked('lib/*.h', 'drivers/*.h', 'app/*.h', 'test/*.h'):
        own = flags.get(os.path.dirname(header))
        if own is None:
            print(f'note: {header}: its folder has no source in this build')
            continue
        source = SOURCE.format(os.path.abspath(header))
        jobs += [(header, c, own, source) for c in ('gcc', 'clang')]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda j: compiles(build, *j[1:]), jobs))
    faults = 0
    for (header, compiler, _, _), (ok, complaint) in zip(jobs, results):
        if not ok:
            print(f'{header}: does not compile alone with {compiler}\n{complaint[:1500]}',
                  file=sys.stderr)
            faults += 1
    return len(jobs), faults


def check_order(build, flags):
    faults = checked = 0
    pairs = [(folder, header) for above, header in FORBIDDEN for folder in flags
             if folder == above or folder.startswith(above + '/')]
    for folder, header in pairs:
        checked += 1
        if compiles(build, 'gcc', flags[folder], SOURCE.format(header))[0]:
            print(f'{folder}: may include {header}, against the order of the libraries',
                  file=sys.stderr)
            faults += 1
    # The other way round, so that a refusal means what it seems to: what is declared is in reach.
    for folder, header in (('lib/fsdev', 'weir_role.h'), ('lib/fuse', 'weir_fsdev.h')):
        own = flags.get(folder)
        if own is not None:
            ok, complaint = compiles(build, 'gcc', own, SOURCE.format(header))
            if not ok:
                print(f'{folder}: cannot include {header}\n{complaint[:1500]}', file=sys.stderr)
                faults += 1
    return checked, faults


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else 'build'
    if not os.path.exists(os.path.join(build, 'compile_commands.json')):
        sys.exit(f'check-headers: {build} is no build directory')
    flags = folder_flags(build)
    alone, bad_alone = check_alone(build, flags)
    pairs, bad_pairs = check_order(build, flags)
    print(f'check-headers: {alone} compilations alone, {pairs} forbidden includes, '
          f'{bad_alone + bad_pairs} faults')
    return 1 if bad_alone or bad_pairs else 0


if __name__ == '__main__':
    sys.exit(main())
