#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What an unmodified Linux guest sees of weir. Few boots, many checks: each check that a guest
script runs is a test here.
"""

import os
import re
import shutil
import tempfile
import time

import pytest

from checks import (MAPPED, MAPS, PRELUDE, SCRIPTS, Hand, Host, Results, names, new_out, plan,
                    run_guest, source_tree)
import ganesha
import kernel
import vm
import weirtest

# t0, t4: a folder on disk. t1: in memory. t2: a folder on tmpfs.
SLOW = {'large_dir', 'two_processes', 'mmap'}
ON_MEM = [c for c in names('files') + names('owners') if c not in SLOW] + ['fio_psync_direct']
ON_TMPFS = [c for c in names('files') + names('owners') if c not in SLOW]
PLANS = [('t0', names('files') + names('owners') + names('edges') + names('load')),
         ('t0', names('locks')), ('t1', ON_MEM), ('t2', ON_TMPFS), ('t0', names('life'))]
# File systems of t0's folder for a newer guest: name, options and maps, and checks.
NEWER = {
    'm0': ({}, {}, ['packed_rings', 'tree', 'two_processes', 'open_unlinked', 'group_of_folder',
                    'fio_psync_direct', 'fio_libaio_direct', 'set_id_bits_fall']),
    'm1': ({'direct_io': 'force', 'allow_mmap': True}, {}, ['shared_mappings']),
    'm2': ({'posix_acl': 'off', 'attr_valid_ms': 3600000, 'close_to_open': False}, MAPS,
           MAPPED + ['newer_guests_ids_are_mapped']),
}


@pytest.fixture(scope='module')
def folders():
    """A folder on the disk that holds the build, and one on tmpfs."""
    paths = [tempfile.mkdtemp(prefix='weir-guest-', dir=d)
             for d in (weirtest.BUILD, '/dev/shm')]
    for path in paths:
        os.chmod(path, 0o755)
    yield paths
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='module')
def server():
    """nfs-ganesha, for the guests that end untimely."""
    with ganesha.Ganesha() as s:
        yield s


@pytest.fixture(scope='module')
def weir(folders, server):
    """The appliance with the file systems of the plans."""
    with weirtest.Weir() as w:
        w.start_transport()
        w.rpc('fsdev_aio_create', name='disk', root_path=folders[0], lock_wait_ms=3000)
        w.rpc('fsdev_aio_create', name='shm', root_path=folders[1])
        w.rpc('fsdev_mem_create', name='mem')
        w.rpc('fsdev_null_create', name='null')
        w.rpc('fsdev_nfs_create', name='nfs', **server.params())
        yield w


@pytest.fixture(scope='module')
def long_run(weir):
    """One boot of the stock kernel with five devices: the checks of PLANS."""
    fsdevs = ('disk', 'mem', 'shm', 'null', 'disk')
    devices = [vm.Device(f't{n}', weir.add_device(f'd{n}', fsdev, f't{n}', 2, 1024), queues=2)
               for n, fsdev in enumerate(fsdevs)]
    out = new_out()
    source_tree(f'{out}/tree.tar')
    guest = vm.Guest(out, devices)
    host = Host(weir, guest, 'd0', 'd1')
    host.start()
    script = 'enter t3; NEIGHBOUR=t1 TWIN=t4\n'
    script += ''.join(plan(tag, checks) for tag, checks in PLANS)
    results = run_guest(guest, script, 420)
    host.join(5)
    results.host = host.said
    for name in ('d0', 'd2', 'd3', 'd4'):
        weir.remove_device(name)
    return results


@pytest.mark.parametrize('label', [f'{tag}-{c}' for tag, checks in PLANS for c in checks])
def test_guest(long_run, label):
    long_run.assert_ok(label)


@pytest.mark.parametrize('check', [c for c in names('life') if c != 'idle'])
def test_host_side_of(long_run, check):
    """The remote calls made during the check succeeded."""
    said = long_run.host.get(check, 'it did not run')
    assert said is None, said


def test_idle_mounted_devices_cost_under_2_percent_of_a_core(long_run):
    percent = long_run.host.get('idle')
    print(f'four idle mounted devices: {percent} % of a core')
    assert isinstance(percent, float), percent
    assert percent < 2


def test_appliance_has_not_complained(long_run, weir):
    assert weir.is_alive()
    trouble = [line for line in weir.log.splitlines()
               if re.search(r'Sanitizer|runtime error|panic', line)]
    assert not trouble


def settle(weir, nb_fds):
    """Waits until no more descriptors are open than before; returns how many are."""
    end = time.monotonic() + 10
    while weir.nb_fds() > nb_fds and time.monotonic() < end:
        time.sleep(0.1)
    return weir.nb_fds()


ENDS = {'disk': 'e0', 'nfs': 'e1'}


@pytest.fixture
def ends(weir):
    """Devices of a guest that ends untimely: a folder's and an NFS export's."""
    yield [vm.Device(tag, weir.add_device(tag, fsdev)) for fsdev, tag in ENDS.items()]
    for tag in ENDS.values():
        weir.remove_device(tag)


def ending(what):
    """Script text."""
    tags = list(ENDS.values())
    return f'{PRELUDE}TAGS="{" ".join(tags)}"; for t in $TAGS; do enter $t; done; {what}'


def test_vmm_killed_under_load_leaves_nothing_behind(weir, ends):
    """Three times kill -9 of QEMU; each next one is served at once."""
    start = weir.nb_fds()
    rss = []
    for _ in range(3):
        with vm.Guest(new_out(), ends) as guest:
            guest.start(ending('load_for_ever'), SCRIPTS)
            guest.wait_for('at-load', 120)
            guest.kill()
            shutil.rmtree(guest.out)
        assert settle(weir, start) <= start
        assert weir.is_alive()
        rss.append(weir.rss_kib())
    print('RSS in KiB after each:', rss)
    assert rss[2] - rss[0] < 2048


def test_guest_reset_and_reboot_find_their_files(ends):
    """A reset under load, then a reboot by the guest itself, on one QEMU and one weir."""
    out = new_out()
    try:
        with vm.Guest(out, ends) as guest:
            guest.start(ending('boot_three_times'), SCRIPTS)
            guest.wait_for('at-load', 120)
            guest.qmp('system_reset')
            guest.wait(240)
            results = Results(guest)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    for tag in ENDS.values():
        results.assert_ok(f'{tag}-after_reset')
        results.assert_ok(f'{tag}-after_reboot')


@pytest.fixture(scope='module')
def multi_queue(weir, folders):
    """
    A newer kernel with two CPUs: two of the four request queues are used, two never set up. All of
    them are packed rings.
    """
    if kernel.prepare(kernel.MULTI_QUEUE) is None:
        pytest.skip(f'apt offers no {kernel.MULTI_QUEUE}')
    devices = []
    for tag, (options, maps, _) in NEWER.items():
        weir.rpc('fsdev_aio_create', name=tag, root_path=folders[0], max_fds=1000, **options)
        path = weir.add_device(tag, tag, queues=4, packed=True, **maps)
        devices.append(vm.Device(tag, path, queues=4, packed=True))
    out = new_out()
    source_tree(f'{out}/tree.tar')
    guest = vm.Guest(out, devices, kernel.MULTI_QUEUE, cpus=2)
    script = ''.join(plan(tag, checks) for tag, (_, _, checks) in NEWER.items())
    with Hand(guest, folders[0]):
        results = run_guest(guest, script, 240)
    for tag in NEWER:
        weir.remove_device(tag)
    return results


@pytest.mark.parametrize('label', [f'{tag}-{check}' for tag, (_, _, checks) in NEWER.items()
                                   for check in checks])
def test_multi_queue_guest(multi_queue, label):
    multi_queue.assert_ok(label)


def test_appliance_ends_in_order(weir):
    """Last: nothing is left mounted, and SIGTERM is answered with success."""
    weir.stop()
