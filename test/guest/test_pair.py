#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""One folder under two mounts of devices of their own, and the host in it: to weir, two guests."""

import os
import shutil
import subprocess
import tempfile
import threading

import pytest

from checks import names, new_out, run_guest
import vm
import weirtest

PAIR = os.path.join(weirtest.BUILD, 'test/guest/conformance/pair/weir-pair')
PAIRS = {label: names('pair') for label in ('disk', 'shm', 'mem')}
FOLDERS = {'disk': weirtest.BUILD, 'shm': '/dev/shm'}


class HostWriter(threading.Thread):
    """Appends to the log of a folder while guests do."""

    def __init__(self, guest, label, folder):
        super().__init__(daemon=True)
        self.guest, self.label, self.folder = guest, label, folder

    def run(self):
        self.guest.wait_for(f'at-append-{self.label}', 300)
        self.guest.write(f'go-append-{self.label}')
        code = subprocess.run([PAIR, 'append', f'{self.folder}/log', '3', '300'], check=False)
        if code.returncode == 0:
            self.guest.write(f'go-append-{self.label}-end')


def one_pair(label):
    """Script text."""
    rows = ''.join(f'check {c} {label}-{c}\n' for c in PAIRS[label])
    return (f'enter {label}0; enter {label}1; OTHER=$MNT; enter {label}0; LABEL={label}\n'
            f'WRITERS={3 if label in FOLDERS else 2}\n{rows}leave\n')


@pytest.fixture(scope='module')
def results():
    """disk: two devices of one file system. shm: two file systems on one folder. mem: in memory."""
    folders = {label: tempfile.mkdtemp(prefix='weir-pair-', dir=d) for label, d in FOLDERS.items()}
    fsdevs = {'disk': ('disk', 'disk'), 'shm': ('shm0', 'shm1'), 'mem': ('mem', 'mem')}
    out = new_out()
    try:
        with weirtest.Weir() as weir:
            weir.start_transport()
            weir.rpc('fsdev_aio_create', name='disk', root_path=folders['disk'])
            for name in fsdevs['shm']:
                weir.rpc('fsdev_aio_create', name=name, root_path=folders['shm'])
            weir.rpc('fsdev_mem_create', name='mem')
            devices = [vm.Device(f'{label}{n}', weir.add_device(f'{label}{n}', fsdev))
                       for label, pair in fsdevs.items() for n, fsdev in enumerate(pair)]
            guest = vm.Guest(out, devices, cpus=2)
            for label, folder in folders.items():
                HostWriter(guest, label, folder).start()
            yield run_guest(guest, f'PAIR={PAIR}\n' + ''.join(map(one_pair, fsdevs)), 300)
    finally:
        for path in folders.values():
            shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize('label', [f'{pair}-{c}' for pair, checks in PAIRS.items() for c in checks])
def test_pair(results, label):
    results.assert_ok(label)
