#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What an unmodified Linux guest sees of weir. Few boots, many checks: each check that a guest
script runs is a test here.
"""

import glob
import os
import re
import shutil
import sys
import tarfile
import tempfile
import threading
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'functional')]

import kernel  # noqa: E402
import vm  # noqa: E402
import weirtest  # noqa: E402

SCRIPTS = sorted(glob.glob(f'{HERE}/*.sh'))
PRELUDE = 'for f in lib files owners load life boots; do . /out/$f.sh; done\n'
ENTER = 'TAG={tag} MNT=/mnt/{tag}; mount_tag {tag} 2>/dev/null || [ -d $MNT ]\n'


def names(script):
    """The checks that a script defines, in order."""
    with open(f'{HERE}/{script}.sh', encoding='utf-8') as f:
        return re.findall(r'^check_(\w+)\(\)', f.read(), re.MULTILINE)


def plan(tag, checks):
    """Script text that runs checks on a tag, labelled TAG-CHECK."""
    return ENTER.format(tag=tag) + ''.join(f'check {c} {tag}-{c}\n' for c in checks)


# t0: a folder on disk. t1: in memory. t2: a folder on tmpfs.
SLOW = {'dir_10000', 'two_processes', 'mmap'}
ON_MEM = [c for c in names('files') + names('owners') if c not in SLOW] + ['fio_psync_direct']
ON_TMPFS = [c for c in names('files') + names('owners') if c not in SLOW]
PLANS = [('t0', names('files') + names('owners') + names('load')),
         ('t1', ON_MEM), ('t2', ON_TMPFS), ('t0', names('life'))]
MULTI_QUEUE = ['tree', 'two_processes', 'open_unlinked', 'fio_psync_direct', 'fio_libaio_direct']


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
def weir(folders):
    """The appliance with the file systems of the plans."""
    with weirtest.Weir() as w:
        w.start_transport()
        w.rpc('fsdev_aio_create', name='disk', root_path=folders[0])
        w.rpc('fsdev_aio_create', name='shm', root_path=folders[1])
        w.rpc('fsdev_mem_create', name='mem')
        w.rpc('fsdev_null_create', name='null')
        yield w


def new_out():
    return tempfile.mkdtemp(prefix='weir-out-')


def source_tree(path):
    """A tar archive of some hundred small files."""
    with tarfile.open(path, 'w') as tar:
        for folder in ('lib', 'drivers', 'devtools'):
            tar.add(os.path.join(weirtest.ROOT, folder), folder)
        tar.add('/usr/include/linux', 'linux')


class Host(threading.Thread):
    """What the host does to weir while the guest's checks of life.sh run."""

    def __init__(self, weir, guest):
        super().__init__(daemon=True)
        self.weir = weir
        self.guest = guest
        self.said = {}

    def run(self):
        for check in names('life'):
            try:
                self.guest.wait_for(f'at-{check}', 400)
                self.said[check] = getattr(self, check)()
            except Exception as e:  # the test of this check reports it
                self.said[check] = e
            self.guest.write(f'done-{check}')
            self.guest.write(f'go-{check}')

    def neighbour_comes_and_goes(self):
        for _ in range(4):
            self.weir.add_device('d9', 'null', 'other')
            time.sleep(0.3)
            self.weir.remove_device('d9')
        assert not os.path.exists(self.weir.socket_of('d9'))

    def stop_start(self):
        for _ in range(4):
            time.sleep(0.5)
            self.weir.rpc('virtio_fs_device_stop', dev_name='d0')
            assert os.path.exists(self.weir.socket_of('d0'))
            time.sleep(0.5)
            self.weir.rpc('virtio_fs_device_start', dev_name='d0')

    def neighbour_stopped(self):
        self.weir.rpc('virtio_fs_device_stop', dev_name='d1')
        time.sleep(2)
        self.weir.rpc('virtio_fs_device_start', dev_name='d1')

    def idle(self):
        """Returns weir's share of a core over five seconds, in percent."""
        time.sleep(1)
        before = self.weir.cpu_seconds()
        time.sleep(5)
        return (self.weir.cpu_seconds() - before) / 5 * 100

    def neighbour_destroyed(self):
        self.weir.remove_device('d1')
        assert not os.path.exists(self.weir.socket_of('d1'))


class Results:
    """What the checks of one guest said."""

    def __init__(self, guest, error=None):
        self.error = error
        self.logs = {}
        self.lines = {}
        for line in (guest.read('results') or '').splitlines():
            word, label, took = line.rsplit(' ', 2)
            self.lines[label] = (word == 'ok', float(took))
            self.logs[label] = guest.read(f'log/{label}')

    def assert_ok(self, label):
        if label not in self.lines:
            pytest.fail(f'{label} did not run: {self.error or "the guest skipped it"}')
        ok, took = self.lines[label]
        print(f'{label}: {took} s in the guest')
        assert ok, self.logs[label]


def run_guest(guest, script, timeout):
    """Boots the guest and collects what its checks said, whatever happens to it."""
    error = None
    try:
        guest.start(PRELUDE + script, SCRIPTS)
        guest.wait(timeout)
    except vm.GuestError as e:
        error = e
    finally:
        guest.kill()
    results = Results(guest, error)
    shutil.rmtree(guest.out, ignore_errors=True)
    return results


@pytest.fixture(scope='module')
def long_run(weir):
    """One boot of the stock kernel with four devices: the checks of PLANS."""
    fsdevs = ('disk', 'mem', 'shm', 'null')
    devices = [vm.Device(f't{n}', weir.add_device(f'd{n}', fsdev, f't{n}', 2, 1024), queues=2)
               for n, fsdev in enumerate(fsdevs)]
    out = new_out()
    source_tree(f'{out}/tree.tar')
    guest = vm.Guest(out, devices)
    host = Host(weir, guest)
    host.start()
    script = 'mount_tag t3\n' + ''.join(plan(tag, checks) for tag, checks in PLANS)
    results = run_guest(guest, script, 420)
    host.join(5)
    results.host = host.said
    for name in ('d0', 'd2', 'd3'):
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


def test_vmm_killed_under_load_leaves_nothing_behind(weir):
    """Three times kill -9 of QEMU; each next one is served at once."""
    path = weir.add_device('k0', 'disk')
    start = weir.nb_fds()
    rss = []
    try:
        for _ in range(3):
            with vm.Guest(new_out(), [vm.Device('k0', path)]) as guest:
                guest.start(PRELUDE + ENTER.format(tag='k0') + 'load_for_ever', SCRIPTS)
                guest.wait_for('at-load', 120)
                guest.kill()
                shutil.rmtree(guest.out)
            assert settle(weir, start) <= start
            assert weir.is_alive()
            rss.append(weir.rss_kib())
        print('RSS in KiB after each:', rss)
        assert rss[2] - rss[0] < 2048
    finally:
        weir.remove_device('k0')


def test_guest_reset_and_reboot_find_their_files(weir):
    """A reset under load, then a reboot by the guest itself, on one QEMU and one weir."""
    path = weir.add_device('r0', 'disk')
    out = new_out()
    try:
        with vm.Guest(out, [vm.Device('r0', path)]) as guest:
            guest.start(PRELUDE + ENTER.format(tag='r0') + 'boot_three_times', SCRIPTS)
            guest.wait_for('at-load', 120)
            guest.qmp('system_reset')
            guest.wait(180)
            results = Results(guest)
    finally:
        weir.remove_device('r0')
        shutil.rmtree(out, ignore_errors=True)
    results.assert_ok('after_reset')
    results.assert_ok('after_reboot')


@pytest.fixture(scope='module')
def multi_queue(weir):
    """A newer kernel with two CPUs: two of the four request queues are used, two never set up."""
    if kernel.prepare(kernel.MULTI_QUEUE) is None:
        pytest.skip(f'apt offers no {kernel.MULTI_QUEUE}')
    path = weir.add_device('m0', 'disk', queues=4)
    out = new_out()
    source_tree(f'{out}/tree.tar')
    guest = vm.Guest(out, [vm.Device('m0', path, queues=4)], kernel.MULTI_QUEUE, cpus=2)
    results = run_guest(guest, plan('m0', MULTI_QUEUE), 240)
    weir.remove_device('m0')
    return results


@pytest.mark.parametrize('check', MULTI_QUEUE)
def test_multi_queue_guest(multi_queue, check):
    multi_queue.assert_ok(f'm0-{check}')


def test_appliance_ends_in_order(weir):
    """Last: nothing is left mounted, and SIGTERM is answered with success."""
    weir.stop()
