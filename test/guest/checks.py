#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The checks of the guest scripts: which there are, how a guest runs them, what they said."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE] + [os.path.join(os.path.dirname(HERE), d) for d in ('functional', 'nfs')]

import vm  # noqa: E402
import weirtest  # noqa: E402

CONFORMANCE = os.path.join(weirtest.BUILD, 'test/guest/conformance')
PAIR = f'{CONFORMANCE}/pair/weir-pair'
# What guests run. They get copies: some folders of the host are hidden by the guest's own.
PROGRAMS = [PAIR, f'{CONFORMANCE}/stream/weir-stream']
SCRIPTS = sorted(glob.glob(f'{HERE}/*.sh'))
PRELUDE = ('PAIR=/out/weir-pair STREAM=/out/weir-stream\n' +
           ''.join(f'. /out/{os.path.basename(path)}\n' for path in SCRIPTS))

# Of the device for the checks MAPPED of options.sh, which know them.
MAPS = {
    'uid_map': 'map:0:4000:1,map:1000:5000:10,squash-guest:2000:5999:1000,squash-host:0:65534:1,'
               'forbid-guest:66:1',
    'gid_map': 'map:0:4100:1,map:100:600:10,squash-guest:2000:6999:1000,squash-host:0:65534:1',
}
MAPPED = ['ids_are_mapped', 'ids_are_given_mapped', 'mapped_ids_have_rights',
          'forbidden_id_makes_nothing', 'no_acls_with_maps']


def names(script):
    """The checks that a script defines, in order."""
    with open(f'{HERE}/{script}.sh', encoding='utf-8') as f:
        return re.findall(r'^check_(\w+)\(\)', f.read(), re.MULTILINE)


def plan(tag, checks, words='', label=None):
    """Script text that runs checks on a tag, or on what mount makes of the words: LABEL-CHECK."""
    rows = ''.join(f'check {c} {label or tag}-{c}\n' for c in checks)
    return f"enter {tag} '{words}'\n{rows}leave\n"


def kernel_mount(port, mount_port, path):
    """Words for mount: the guest's own client, with what it does by default."""
    host = vm.HostLoopback.ADDRESS
    return (f'-i -t nfs -o vers=3,proto=tcp,port={port},mountport={mount_port},mountproto=tcp,'
            f'nolock,addr={host} {host}:{path}')


def new_out():
    return tempfile.mkdtemp(prefix='weir-out-')


def source_tree(path, folders=('lib', 'drivers', 'devtools', '/usr/include/linux')):
    """A tar archive of some hundred small files."""
    with tarfile.open(path, 'w') as tar:
        for folder in folders:
            tar.add(os.path.join(weirtest.ROOT, folder), folder)


class Host(threading.Thread):
    """What the host does to weir while the guest's checks of life.sh run on one device."""

    def __init__(self, weir, guest, device, neighbour):
        super().__init__(daemon=True)
        self.weir = weir
        self.guest = guest
        self.device = device
        self.neighbour = neighbour
        self.checks = names('life')
        self.said = {}

    def run(self):
        for check in self.checks:
            try:
                self.guest.wait_for(f'at-{check}', 600)
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
            self.weir.rpc('virtio_fs_device_stop', dev_name=self.device)
            assert os.path.exists(self.weir.socket_of(self.device))
            time.sleep(0.5)
            self.weir.rpc('virtio_fs_device_start', dev_name=self.device)

    def neighbour_stopped(self):
        self.weir.rpc('virtio_fs_device_stop', dev_name=self.neighbour)
        time.sleep(2)
        self.weir.rpc('virtio_fs_device_start', dev_name=self.neighbour)

    def idle(self):
        """Returns weir's share of a core over five seconds, in percent."""
        time.sleep(1)
        before = self.weir.cpu_seconds()
        time.sleep(5)
        return (self.weir.cpu_seconds() - before) / 5 * 100

    def neighbour_destroyed(self):
        self.weir.remove_device(self.neighbour)
        assert not os.path.exists(self.weir.socket_of(self.neighbour))


class Hand(threading.Thread):
    """Does in the folder what the guest asks the host for."""

    def __init__(self, guest, folder):
        super().__init__(daemon=True)
        self.guest = guest
        self.folder = folder
        self.over = False

    def __enter__(self):
        self.start()

    def __exit__(self, *exc):
        self.over = True
        self.join()

    def run(self):
        while not self.over:
            ask = self.guest.read('ask')
            if ask is None:
                time.sleep(0.02)
                continue
            os.unlink(os.path.join(self.guest.out, 'ask'))
            done = subprocess.run(['sh', '-c', ask], cwd=self.folder, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.guest.write('answer-rc', str(done.returncode))
            self.guest.write('answer', done.stdout.decode())


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
        guest.start(PRELUDE + script, SCRIPTS + PROGRAMS)
        guest.wait(timeout)
    except vm.GuestError as e:
        error = e
    finally:
        guest.kill()
    results = Results(guest, error)
    shutil.rmtree(guest.out, ignore_errors=True)
    return results
