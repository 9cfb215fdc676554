#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Runs weir-conform in a guest on mounted directories of all kinds, and compares with the table of
doc/conformance.md.

    conform.py [--only PATTERN] [--param NAME=VALUE]... MOUNT...
    conform.py --update [--reason TEXT]

A MOUNT is aio:FOLDER, mem, nfs:FOLDER (weir's NFS client, of a nfs-ganesha that serves the folder),
or for comparison virtiofsd:FOLDER (QEMU's in C), linux-nfs:FOLDER (the guest's own client), tmpfs
(the guest's own). FOLDER is one of the host, and is left as it was found. Prints what does not
pass. --param goes to weir's fsdev_aio_create, fsdev_mem_create or fsdev_nfs_create. --update runs
all columns of the table and writes it anew, with TEXT as the reason of rows that are new.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from checks import HERE, kernel_mount, new_out
import ganesha
import vm
import weirtest

PROGRAM = os.path.join(weirtest.BUILD, 'test', 'guest', 'conformance', 'weir-conform')
DOCUMENT = os.path.join(weirtest.ROOT, 'doc', 'conformance.md')
VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
# As much as it can: locks, attributes, and the capability that trusted.* takes.
VIRTIOFSD_OPTIONS = ('sandbox=chroot,xattr,posix_acl,flock,posix_lock,allow_direct_io,'
                     'modcaps=+sys_admin')

# Columns of the table in the order of the document; {ext4} and {tmpfs} are folders of the host.
COLUMNS = {
    'aio, ext4': 'aio:{ext4}/aio',
    'virtiofsd, ext4': 'virtiofsd:{ext4}/virtiofsd',
    'aio, tmpfs': 'aio:{tmpfs}',
    'mem': 'mem',
    'nfs': 'nfs:{ext4}/nfs',
    'Linux NFS': 'linux-nfs:{ext4}/nfs',
    'tmpfs': 'tmpfs',
}
# What a guest may believe of names, as it may with virtiofsd; the others have weir's defaults.
OPTIONS = {'aio, ext4': {'attr_valid_ms': 1000, 'entry_valid_ms': 1000, 'close_to_open': False}}
# Which guest has which, so that both take about as long.
GUESTS = (('aio, ext4', 'aio, tmpfs', 'mem', 'tmpfs'), ('virtiofsd, ext4', 'nfs', 'Linux NFS'))
# What weir must not fail unless the other fails it.
PEERS = {'aio, ext4': 'virtiofsd, ext4', 'nfs': 'Linux NFS'}

WORDS = {'ok': '-', 'FAIL': 'fails', 'skip': 'skips'}
# In the table by hand, and kept: what is one time so, and another time so. It is not counted.
VARIES = 'varies'
TIMEOUT = 900


class Results:
    """What weir-conform said of a mount: check to word (of WORDS) and text."""

    def __init__(self, text):
        self.lines = {}
        self.is_complete = False
        for line in (text or '').splitlines():
            match = re.match(r'(ok|FAIL|skip) (\S+?)(?:: (.*))?$', line)
            if match:
                self.lines[match[2]] = (WORDS[match[1]], match[3] or '')
            self.is_complete |= bool(re.match(r'\d+ passed, \d+ failed', line))

    def word(self, check):
        """What became of the check; of one that has not run, None."""
        return self.lines.get(check, (None, ''))[0]

    def count(self, word, but=()):
        return sum(w == word for check, (w, _) in self.lines.items() if check not in but)


def all_checks():
    """Their names, in the order in which they run."""
    out = subprocess.run([PROGRAM, '--list'], check=True, stdout=subprocess.PIPE, text=True).stdout
    return out.split()


@contextlib.contextmanager
def mounted(*words):
    """A folder of the host's where mount puts something new."""
    with tempfile.TemporaryDirectory(prefix='weir-conform-') as folder:
        subprocess.run(['mount', *words, folder], check=True)
        os.chmod(folder, 0o755)
        try:
            yield folder
        finally:
            # A server that was told to end may take a moment to let go of it.
            subprocess.run(['umount', '-l', folder], check=True)


@contextlib.contextmanager
def folders():
    """The folders of COLUMNS, new: what to put for {ext4} and {tmpfs}."""
    with tempfile.NamedTemporaryFile(prefix='weir-ext4-', dir=weirtest.BUILD) as image:
        image.truncate(600 << 20)
        # Always the same order of names in a directory.
        seed = 'hash_seed=6d5e4f30-1122-4c3b-8d4e-77655e6f7081'
        subprocess.run(['/usr/sbin/mke2fs', '-q', '-t', 'ext4', '-b', '4096', '-E', seed,
                        image.name], check=True)
        with mounted('-o', 'loop', image.name) as ext4, mounted('-t', 'tmpfs', 'tmpfs') as tmpfs:
            for name in ('aio', 'virtiofsd', 'nfs'):
                os.mkdir(f'{ext4}/{name}')
            yield {'ext4': ext4, 'tmpfs': tmpfs}


class Servers(contextlib.ExitStack):
    """Weir, and whatever else serves mounts; all end together."""

    def __init__(self, params=None):
        super().__init__()
        self.params = params or {}
        self.weir = None
        self.exports = {}
        self.count = 0

    def device(self, spec, options=None):
        """Starts what serves the mount; returns a device or None, a tag, and words for enter."""
        kind, _, folder = spec.partition(':')
        self.count += 1
        tag = f'{kind}{self.count}'
        if kind == 'tmpfs':
            return None, tag, '-t tmpfs tmpfs'
        if kind == 'linux-nfs':
            server = self.export(folder)
            words = kernel_mount(server.port, server.mount_port, '/export')
            # nfs-ganesha has no protocol for ACLs: what the client would answer then is EIO.
            return vm.HostLoopback(), tag, words.replace('nolock', 'nolock,noacl')
        if kind == 'virtiofsd':
            path = self.virtiofsd(folder)
        else:
            path = self.fsdev(kind, folder, tag, options or self.params)
        return vm.Device(tag, path, ring=256), tag, ''

    def export(self, folder):
        """A nfs-ganesha for the folder."""
        if folder not in self.exports:
            self.exports[folder] = self.enter_context(ganesha.Ganesha(folder))
        return self.exports[folder]

    def fsdev(self, kind, folder, tag, options):
        """A file system of weir; returns the socket of a device of it."""
        params = {'aio': lambda: {'root_path': folder}, 'mem': dict,
                  'nfs': lambda: self.export(folder).params()}[kind]()
        if self.weir is None:
            # As virtiofsd has it, for trusted.* attributes.
            self.weir = self.enter_context(weirtest.Weir('--keep-cap', 'sys_admin'))
            self.weir.start_transport()
        self.weir.rpc(f'fsdev_{kind}_create', name=tag, **params, **options)
        return self.weir.add_device(tag, tag, queues=2)

    def virtiofsd(self, folder):
        work = self.enter_context(tempfile.TemporaryDirectory(prefix='weir-peer-'))
        path = f'{work}/sock'
        with open(f'{work}/log', 'wb') as log:
            command = [VIRTIOFSD, f'--socket-path={path}', '-f', '-o', f'source={folder}',
                       '-o', VIRTIOFSD_OPTIONS]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.callback(process.wait)
        self.callback(process.kill)
        weirtest.wait_until(lambda: 'Waiting for vhost-user' in self.text_of(f'{work}/log'), 10,
                            'virtiofsd')
        return path

    @staticmethod
    def text_of(path):
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()


def guest_script(mounts, options):
    """Script text for mounts, (name of the output, tag, words) each."""
    text = ['. /out/lib.sh\n', 'cp /out/weir-conform /run/bin/\n', 'ulimit -n 4096\n',
            # A check that hangs is a failure of its own, and no reason to stop.
            'echo 0 >/proc/sys/kernel/hung_task_timeout_secs\n']
    if any('nfs' in words for _, _, words in mounts):
        text.append('forward_up; modprobe nfsv3\n')
    for name, tag, words in mounts:
        text.append(f"enter {tag} '{words}' && weir-conform {options} $MNT >/out/{name} 2>&1\n")
    return ''.join(text) + 'exit 0\n'


def run_guest(specs, mounts, options=''):
    """Boots a guest with these mounts, which are what Servers.device() made of specs: Results."""
    out = new_out()
    error = None
    named = [(f'said-{n}', tag, words) for n, (_, tag, words) in enumerate(mounts)]
    try:
        with vm.Guest(out, [device for device, _, _ in mounts if device]) as guest:
            guest.start(guest_script(named, options), [PROGRAM, f'{HERE}/lib.sh'])
            guest.wait(TIMEOUT)
    except vm.GuestError as e:
        error = e
    said = [guest.read(name) for name, _, _ in named]
    shutil.rmtree(out, ignore_errors=True)
    results = [Results(text) for text in said]
    for spec, text, result in zip(specs, said, results):
        if not result.is_complete:
            print(f'{spec}: not complete: {(text or "")[-300:]}\n{error or ""}', file=sys.stderr)
    return results


def run_columns():
    """All columns, two guests at once: column to Results."""
    results = {}

    def work(columns, mounts):
        results.update(zip(columns, run_guest(columns, mounts)))

    with folders() as places, Servers() as servers:
        threads = [threading.Thread(target=work, args=(columns, [
            servers.device(COLUMNS[c].format(**places), OPTIONS.get(c))
            for c in columns])) for columns in GUESTS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return results


class Table:
    """The rows of the document: pattern of checks to what becomes of them, and the reason."""

    ROW = re.compile(r'^\| `([\w.*,{}-]+)` \|(.*)\|$', re.MULTILINE)
    COUNT = re.compile(r'^\| (passes|fails|skips) \|(.*)\|$', re.MULTILINE)

    def __init__(self, text):
        self.rows, self.counts = {}, {}
        for pattern, rest in self.ROW.findall(text):
            *cells, why = [cell.strip() for cell in rest.split('|')]
            self.rows[pattern] = (dict(zip(COLUMNS, cells)), why)
        for word, rest in self.COUNT.findall(text):
            self.counts[word] = [int(cell) for cell in rest.split('|')]

    @classmethod
    def of_document(cls):
        with open(DOCUMENT, encoding='utf-8') as f:
            return cls(f.read())

    def row_of(self, check):
        """What is said of a check: cells and reason."""
        for pattern, row in self.rows.items():
            if any(fnmatch.fnmatchcase(check, p) for p in expand(pattern)):
                return row
        return {column: '-' for column in COLUMNS}, ''


def count_rows(results, table):
    """Cells of the rows that count."""
    varying = {c: [check for check in results[c].lines
                   if table.row_of(check)[0][c] == VARIES] for c in COLUMNS}
    return {name: [results[c].count(word, varying[c]) for c in COLUMNS]
            for name, word in (('passes', '-'), ('fails', 'fails'), ('skips', 'skips'))}


def expand(pattern):
    """The names or patterns that a pattern with alternatives in braces stands for."""
    match = re.match(r'(.*)\{(.*)\}$', pattern)
    return [match[1] + end for end in match[2].split(',')] if match else [pattern]


def group(checks, fates):
    """Rows, pattern to fate: what has the same name up to a point and the same fate is one row."""
    rows = {}
    for depth in (r'^(\w+\.)', r'^(\w+\.\w+\.)', r'^(\w+\.\w+\.\w+\.)'):
        families = {}
        for check in checks:
            match = re.match(depth, check)
            families.setdefault(match[1] if match else '', []).append(check)
        for family, members in families.items():
            if family and len(members) > 1 and len({fates[c] for c in members}) == 1:
                rows[f'{family}*'] = fates[members[0]]
                checks = [c for c in checks if c not in members]
    families = {}
    for check in checks:
        families.setdefault((check.rpartition('.')[0], fates[check]), []).append(check)
    for (family, fate), members in families.items():
        ends = ','.join(c.rpartition('.')[2] for c in members)
        rows[f'{family}.{{{ends}}}' if len(members) > 1 else members[0]] = fate
    return {p: fate for p, fate in rows.items() if set(fate[0]) != {'-'}}


def write_table(results, new_reason):
    """Puts what came into the document; reasons stay with their checks."""
    old = Table.of_document()
    checks, fates = all_checks(), {}
    for check in checks:
        was = old.row_of(check)[0]
        cells = tuple(VARIES if was[c] == VARIES else results[c].word(check) or '?'
                      for c in COLUMNS)
        why = '' if set(cells) == {'-'} else old.row_of(check)[1] or new_reason
        fates[check] = (cells, why)
    head = '| {} | ' + ' | '.join(COLUMNS) + ' |{}\n' + '|---' * (len(COLUMNS) + 1) + '|{}\n'
    counts = head.format('checks', '', '')
    for name, numbers in count_rows(results, old).items():
        counts += f'| {name} | ' + ' | '.join(map(str, numbers)) + ' |\n'
    rows = head.format('check', ' why |', '---|')
    groups = group(checks, fates)
    for pattern in sorted(groups):
        cells, why = groups[pattern]
        rows += f'| `{pattern}` | ' + ' | '.join(cells) + f' | {why} |\n'
    with open(DOCUMENT, encoding='utf-8') as f:
        text = f.read()
    for name, table in (('counts', counts), ('differences', rows)):
        text = re.sub(rf'(<!-- {name} -->\n).*?(<!-- end -->)',
                      lambda m, t=table: f'{m[1]}\n{t}\n{m[2]}', text, flags=re.DOTALL)
    with open(DOCUMENT, 'w', encoding='utf-8') as f:
        f.write(text)


def broken_rule(results):
    """Checks that weir does not pass and its peer does: (column, check) each."""
    return [(ours, check) for ours, peer in PEERS.items() for check in all_checks()
            if results[ours].word(check) != '-' and results[peer].word(check) == '-']


def param_arg(text):
    name, _, value = text.partition('=')
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='WEIR_BUILD names the build directory.\n'
        'Exit status: 0 all checks ran, whatever became of them; 1 not; 2 wrong usage.')
    parser.add_argument('--only', metavar='PATTERN', help="only these checks, as 'rename.*'")
    parser.add_argument('--param', action='append', default=[], type=param_arg,
                        metavar='NAME=VALUE', help='of the file systems; may be repeated')
    parser.add_argument('--update', action='store_true', help='run all columns, write the table')
    parser.add_argument('--reason', default='?', metavar='TEXT', help='of rows that are new (?)')
    parser.add_argument('mounts', nargs='*', metavar='MOUNT', help='what to run the checks on')
    args = parser.parse_args()
    if bool(args.mounts) == args.update:
        parser.error('either mounts or --update')
    if args.update:
        results = run_columns()
        write_table(results, args.reason)
        for column, check in broken_rule(results):
            print(f'{column}: {check}: its peer passes')
    else:
        with Servers(dict(args.param)) as servers:
            options = f"--only '{args.only}'" if args.only else ''
            mounts = [servers.device(spec) for spec in args.mounts]
            results = dict(zip(args.mounts, run_guest(args.mounts, mounts, options)))
    for mount, result in results.items():
        print(f'{mount}: {len(result.lines)} checks')
        for check, (word, text) in result.lines.items():
            if word != '-':
                print(f'{word} {check}: {text}')
    return 0 if all(r.is_complete for r in results.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
