#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What an unmodified guest sees of an NFS export behind weir, beside what it sees when its own
kernel mounts the same export: on nfs-ganesha, and on Linux's server in a second VM.

Every check passes in all four columns, but those that a table of doc/nfs.md lists.
"""

import os
import re
import shutil
import threading
import time

import pytest

from checks import Host, kernel_mount, names, new_out, plan, run_guest, source_tree
import ganesha
import kernel
import vm
import weirtest

pytestmark = pytest.mark.skipif(not ganesha.is_installed(), reason='needs root and nfs-ganesha')

# Columns of the table: a tag of weir's or a mount of the kernel's, and what to call it.
COLUMNS = {
    'gw': 'nfs-ganesha: weir',
    'gk': "nfs-ganesha: Linux's client",
    'kw': "Linux's server: weir",
    'kk': "Linux's server: Linux's client",
}
CHECKS = names('files') + names('owners') + names('edges') + names('load')
# gw2 is a second device on the file system of gw, gs a file system of its own on the same export.
SHARES = [('gw', 'gw2'), ('gw', 'gs'), ('gs', 'gw'), ('gw', 'gk'), ('gk', 'gw'), ('kw', 'kk'),
          ('kk', 'kw')]
MULTI_QUEUE = ['tree', 'two_processes', 'open_unlinked', 'group_of_folder', 'fio_psync_direct',
               'fio_libaio_direct']
# A folder of the export that no shell pattern of the other guest's names.
SECOND = '.second'
NB_TURNS = 8
# Not on tmpfs: where names are removed while it is listed, its cookies lead astray. This server is
# not killed, so it may answer before it has stored.
SERVE = '''
set -e
forward_up
/usr/sbin/modprobe -a loop ext4
truncate -s 400M /tmp/disk
/usr/sbin/mke2fs -q -t ext4 -b 4096 /tmp/disk
mkdir /mnt/export
mount -o loop /tmp/disk /mnt/export
knfsd_up /mnt/export async
meet serving
'''
# Names in the large folder of a column; as many as for other tags where weir alone is seen.
ENTRIES = {'gw': 10000, 'gk': 1000, 'kw': 1000, 'kk': 1000}


def seen_by(reader):
    """Checks of share.sh. Linux's client believes for half a minute that a name is not there."""
    unseen = {'take_turns'} if reader[1] != 'k' else {'take_turns', 'new_is_seen'}
    return [c for c in names('share') if c not in unseen]


SHARED = [f'{a}-to-{b}-{c}' for a, b in SHARES for c in seen_by(b)]


def documented():
    """The rows of the document's table: check, what it does in each column, and why."""
    with open(os.path.join(weirtest.ROOT, 'doc', 'nfs.md'), encoding='utf-8') as f:
        rows = re.findall(r'^\| `(\w+)` \|(.*)\|$', f.read(), re.MULTILINE)
    table = {}
    for check, cells in rows:
        cells = [cell.strip() for cell in cells.split('|')]
        if len(cells) == len(COLUMNS) + 1 and set(cells[:-1]) <= {'passes', 'fails'}:
            table[check] = (dict(zip(COLUMNS, cells)), cells[-1])
    return table


DOCUMENTED = documented()


class NfsHost(Host):
    """And what it does to the server."""

    def __init__(self, weir, guest, device, neighbour, server):
        super().__init__(weir, guest, device, neighbour)
        self.checks = names('outage') + self.checks
        self.server = server

    def server_killed(self):
        for _ in range(3):
            time.sleep(0.7)
            self.server.kill()
            time.sleep(1)
            self.server.start()
        time.sleep(0.7)


class Carrier(threading.Thread):
    """Carries what one guest says in take_turns to the other."""

    def __init__(self, guests):
        super().__init__(daemon=True)
        self.guests = guests

    def run(self):
        for turn in range(1, NB_TURNS + 1):
            try:
                said = self.guests[turn % 2].wait_for(f'turn-{turn}', 600)
            except vm.GuestError:
                said = 'the other guest is gone'
            if os.path.isdir(self.guests[1 - turn % 2].out):
                self.guests[1 - turn % 2].write(f'turn-{turn}', said)


@pytest.fixture(scope='module')
def server():
    """nfs-ganesha."""
    with ganesha.Ganesha() as s:
        yield s


@pytest.fixture(scope='module')
def linux_server():
    """Linux's own, in a VM; its ports on the host's loopback. It is waited for by who needs it."""
    ports = ganesha.free_ports(2)
    guest = vm.Guest(new_out(), [], forward=list(zip(ports, (2049, 20048))))
    script = os.path.join(weirtest.ROOT, 'test', 'nfs', 'knfsd.sh')
    with guest:
        guest.start('. /out/lib.sh; . /out/knfsd.sh\n' + SERVE,
                    [script, os.path.join(os.path.dirname(__file__), 'lib.sh')])
        yield ports
    shutil.rmtree(guest.out, ignore_errors=True)


@pytest.fixture(scope='module')
def weir(server, linux_server):
    port, mount_port = linux_server
    second = {**server.params(), 'exportname': f'/export/{SECOND}'}
    os.mkdir(os.path.join(server.folder, SECOND))
    with weirtest.Weir() as w:
        w.start_transport()
        w.rpc('fsdev_null_create', name='null')
        w.rpc('fsdev_nfs_create', name='ganesha', **server.params())
        w.rpc('fsdev_nfs_create', name='second', **second)
        w.rpc('fsdev_nfs_create', name='stable', write_mode='file_sync', **server.params())
        w.rpc('fsdev_nfs_create', name='linux', server='127.0.0.1', exportname='/mnt/export',
              port=port, mount_port=mount_port, on_down='retry')
        yield w


def first_script(server, linux_server):
    """All columns, and the second guest's turn; then what is shared, then what the host does."""
    words = {'gk': kernel_mount(server.port, server.mount_port, '/export'),
             'kk': kernel_mount(*linux_server, '/mnt/export')}
    script = ['forward_up; /usr/sbin/modprobe nfsv3\n']
    for tag in COLUMNS:
        script.append(f'ENTRIES={ENTRIES[tag]}\n' + plan(tag, CHECKS, words.get(tag, '')))
        if tag == 'gw':
            script.append('OURS=1\n' + plan(tag, ['take_turns']))
    for writer, reader in SHARES:
        script.append(f"enter {reader} '{words.get(reader, '')}'; OTHER=$MNT\n")
        script.append(plan(writer, seen_by(reader), words.get(writer, ''), f'{writer}-to-{reader}'))
    script.append(plan('gs', names('outage')))
    script.append('NEIGHBOUR=gw2\n' + plan('gw', names('life')))
    return ''.join(script)


class Second(threading.Thread):
    """A newer kernel with two CPUs, beside the first guest; its checks in a folder of its own."""

    def __init__(self, devices):
        super().__init__(daemon=True)
        meta = kernel.MULTI_QUEUE if kernel.prepare(kernel.MULTI_QUEUE) else kernel.STOCK
        self.guest = vm.Guest(new_out(), devices, meta, cpus=2)
        source_tree(f'{self.guest.out}/tree.tar', ('lib', 'drivers'))
        self.results = None

    def run(self):
        turns = 'OURS=0; enter mt; check take_turns mt-take_turns\n'
        self.results = run_guest(self.guest, plan('mw', MULTI_QUEUE) + turns, 600)


@pytest.fixture(scope='module')
def runs(weir, server, linux_server):
    """Two guests at once: what the checks of the first and of the second said."""
    def device(tag, fsdev, queues=2):
        return vm.Device(tag, weir.add_device(f'd-{tag}', fsdev, tag, queues, 1024), queues=queues)

    tags = {'gw': 'ganesha', 'gw2': 'ganesha', 'gs': 'stable', 'kw': 'linux'}
    devices = [device(tag, fsdev) for tag, fsdev in tags.items()] + [vm.HostLoopback()]
    out = new_out()
    source_tree(f'{out}/tree.tar', ('lib', 'drivers', 'devtools'))
    guest = vm.Guest(out, devices)
    second = Second([device('mw', 'second', 4), device('mt', 'ganesha', 4)])
    host = NfsHost(weir, guest, 'd-gw', 'd-gw2', server)
    for thread in (host, second, Carrier([second.guest, guest])):
        thread.start()
    try:
        results = run_guest(guest, first_script(server, linux_server), 600)
        host.join(5)
        second.join(60)
    finally:
        second.guest.kill()
    results.host = host.said
    return results, second.results


@pytest.mark.parametrize('check', CHECKS)
@pytest.mark.parametrize('column', COLUMNS)
def test_nfs_guest(runs, column, check):
    """Passes, or fails where the document says that it does."""
    results = runs[0]
    label = f'{column}-{check}'
    if check in DOCUMENTED and DOCUMENTED[check][0][column] == 'fails':
        assert label in results.lines, f'{label} did not run: {results.error}'
        assert not results.lines[label][0], f'{label} passes: doc/nfs.md says that it fails'
    else:
        results.assert_ok(label)


def test_document_lists_differences_and_nothing_else(capsys, runs):
    """Prints the table, check by check."""
    lines = runs[0].lines
    with capsys.disabled():
        print('\n| check | ' + ' | '.join(COLUMNS.values()) + ' |')
        print('|---' * (len(COLUMNS) + 1) + '|')
        for check in CHECKS:
            took = [lines.get(f'{column}-{check}', (False, 0)) for column in COLUMNS]
            cells = [f'{"passes" if ok else "fails"}, {seconds} s' for ok, seconds in took]
            print(f'| {check} | ' + ' | '.join(cells) + ' |')
    for check, (columns, why) in DOCUMENTED.items():
        assert check in CHECKS
        assert 'fails' in columns.values(), f'{check} passes everywhere'
        assert len(why) > 10, f'{check}: why?'


@pytest.mark.parametrize('label', SHARED + ['gw-take_turns'])
def test_nfs_guest_shares_an_export(runs, label):
    runs[0].assert_ok(label)


@pytest.mark.parametrize('check', names('outage'))
def test_nothing_is_lost_when_the_server_is_killed(runs, check, weir):
    runs[0].assert_ok(f'gs-{check}')
    assert runs[0].host[check] is None, runs[0].host[check]
    export = weir.rpc('fsdev_get_fsdevs', name='stable')['module_specific']
    assert export['reconnects'] >= 3
    assert export['lost_writes'] == 0


@pytest.mark.parametrize('check', names('life'))
def test_nfs_guest_while_devices_come_and_go(runs, check):
    runs[0].assert_ok(f'gw-{check}')


def test_idle_nfs_devices_cost_under_2_percent_of_a_core(runs):
    percent = runs[0].host.get('idle')
    print(f'idle mounted devices: {percent} % of a core')
    assert isinstance(percent, float), percent
    assert percent < 2


@pytest.mark.parametrize('label', [f'mw-{c}' for c in MULTI_QUEUE] + ['mt-take_turns'])
def test_second_nfs_guest(runs, label):
    runs[1].assert_ok(label)


def test_appliance_ends_in_order(runs, weir):
    """Last: it has not complained, nothing is held at the servers, and it ends at once."""
    trouble = [line for line in weir.log.splitlines()
               if re.search(r'Sanitizer|runtime error|panic', line)]
    assert not trouble
    weir.stop()
