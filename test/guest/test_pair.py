#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""One folder in two virtual machines at a time, and the host in it. One boot of each."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from checks import PAIR, names, new_out, run_guest
import vm
import weirtest

FOLDERS = {'disk': weirtest.BUILD, 'shm': '/dev/shm'}
# disk, mem: two devices of one file system. shm: two file systems on one folder.
FSDEVS = {'disk': ('disk', 'disk'), 'shm': ('shm1', 'shm2'), 'mem': ('mem', 'mem')}
LAST = 'killed_guest_lets_go'
NEEDS_HOST = ['host_excludes_both']
CHECKS = {label: [c for c in names('pair')
                  if c != LAST and (label in FOLDERS or c not in NEEDS_HOST)]
          for label in FSDEVS}
KINDS = ('fcntl', 'ofd', 'flock')
F_OFD_SETLK = 37


def try_lock(file, kind):
    """Of what weir-pair calls these kinds; returns whether it was free."""
    try:
        if kind == 'flock':
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.fcntl(file, F_OFD_SETLK if kind == 'ofd' else fcntl.F_SETLK,
                        struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except BlockingIOError:
        return False
    return True


class Host(threading.Thread):
    """Lets the guests go on when both have come to a step; then does what is the host's there."""

    def __init__(self, weir, guests, folders):
        super().__init__(daemon=True)
        self.weir, self.guests, self.folders = weir, guests, folders
        self.locked = contextlib.ExitStack()
        self.is_over = False
        self.errors = {}

    def run(self):
        done = set()
        while not self.is_over:
            for step in sorted(self.steps(self.guests[0]) | self.steps(self.guests[1])):
                if step not in done and self.is_reached(step):
                    done.add(step)
                    self.let_go(step)
            time.sleep(0.03)

    def is_reached(self, step):
        return all(step in self.steps(guest) or self.has_ended(guest, step)
                   for guest in self.guests)

    @staticmethod
    def steps(guest):
        """Those that the guest has come to."""
        with contextlib.suppress(FileNotFoundError):
            return {name[3:] for name in os.listdir(guest.out) if name.startswith('at-')}
        return set()

    @staticmethod
    def has_ended(guest, step):
        """The guest will never come to this step."""
        label = step.rpartition('.')[0]
        return guest.is_over() or f' {label} ' in (guest.read('results') or '')

    def let_go(self, step):
        for guest in self.guests:
            with contextlib.suppress(FileNotFoundError):
                guest.write(f'go-{step}')
        check, _, word = step.rpartition('.')
        label, _, check = check.partition('-')
        part = getattr(self, f'{check}_{word}', None)
        try:
            if part is not None and (label in self.folders or check not in NEEDS_HOST):
                part(label)
        except Exception as e:  # the test of this check reports it
            self.errors[f'{label}-{check}'] = e

    def pair(self, label, name, *words):
        """weir-pair does something with a file of the folder, if that is one of the host's."""
        if label in self.folders:
            path = f'{self.folders[label]}/{name}'
            subprocess.run([PAIR, words[0], path, *words[1:]], check=True)

    def wait_for_waiters(self, fsdevs, nb):
        def waiters():
            shown = [self.weir.rpc('fsdev_get_fsdevs', name=name) for name in fsdevs]
            return sum(one['module_specific']['lock_waiters'] for one in shown)
        weirtest.wait_until(lambda: waiters() == nb, 30, f'{nb} waiters')

    def appends_of_both_are_there_append(self, label):
        self.pair(label, 'log', 'append', '3', '300')

    def replaced_name_is_always_there_resolve(self, label):
        """For as long as guests replace it."""
        while not self.is_reached(f'{label}-replaced_name_is_always_there.resolved'):
            self.pair(label, 'name', 'resolve', '10000')
            time.sleep(0.01)

    def fcntl_locks_exclude_exclude(self, label):
        self.pair(label, 'fcntl', 'exclude', 'fcntl', '100')

    def ofd_locks_exclude_exclude(self, label):
        self.pair(label, 'ofd', 'exclude', 'ofd', '100')

    def flocks_exclude_exclude(self, label):
        self.pair(label, 'flock', 'exclude', 'flock', '100')

    def waiter_is_let_in_by_unlock_held(self, label):
        """Guest 2 has the locks."""
        for kind in KINDS if label in self.folders else ():
            with open(f'{self.folders[label]}/held.{kind}', 'w') as file:
                assert not try_lock(file, kind), kind
        self.wait_for_waiters(FSDEVS[label][:1], len(KINDS))

    def host_excludes_both_lock(self, label):
        for kind in KINDS:
            file = self.locked.enter_context(open(f'{self.folders[label]}/host.{kind}', 'w'))
            assert try_lock(file, kind), kind

    def host_excludes_both_locked(self, label):
        with self.locked:
            self.wait_for_waiters(set(FSDEVS[label]), 2 * len(KINDS))
            with open(f'{self.folders[label]}/host.let-go', 'w'):
                pass

    def killed_guest_lets_go_held(self, _):
        self.wait_for_waiters([one for one, _ in FSDEVS.values()],
                              len(FSDEVS) * len(KINDS))
        self.guests[1].kill()


def script(me):
    """What guest 1 or 2 does."""
    text = f'export PAIR ME={me} MNT WRITERS TAGS="{" ".join(FSDEVS)}"\n'
    for label, checks in CHECKS.items():
        rows = ''.join(f'check {c} {label}-{c}\n' for c in checks)
        text += f'enter {label}; WRITERS={3 if label in FOLDERS else 2}\n{rows}'
    return f'{text}check {LAST} all-{LAST}\n'


def devices(weir, n):
    """Of one of the guests."""
    return [vm.Device(label, weir.add_device(f'{label}{n}', pair[n], label))
            for label, pair in FSDEVS.items()]


@pytest.fixture(scope='module')
def runs():
    """Results of both guests, and what went wrong in the host's part by label."""
    folders = {label: tempfile.mkdtemp(prefix='weir-pair-', dir=d) for label, d in FOLDERS.items()}
    try:
        with weirtest.Weir() as weir:
            weir.start_transport()
            weir.rpc('fsdev_mem_create', name='mem')
            for label, folder in folders.items():
                for name in set(FSDEVS[label]):
                    weir.rpc('fsdev_aio_create', name=name, root_path=folder)
            yield run_both(weir, [vm.Guest(new_out(), devices(weir, n), mem_mb=512)
                                  for n in range(2)], folders)
    finally:
        for path in folders.values():
            shutil.rmtree(path, ignore_errors=True)


def run_both(weir, guests, folders):
    results = [None, None]

    def work(n):
        results[n] = run_guest(guests[n], script(n + 1), 300)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    host = Host(weir, guests, folders)
    host.start()
    for thread in threads:
        thread.join()
    host.is_over = True
    host.join()
    return results, host.errors


@pytest.mark.parametrize('label', [f'{label}-{c}' for label, checks in CHECKS.items()
                                   for c in checks])
def test_pair(runs, label):
    results, errors = runs
    for guest in results:
        guest.assert_ok(label)
    assert label not in errors, errors[label]


def test_killed_guest_lets_go(runs):
    results, errors = runs
    results[0].assert_ok(f'all-{LAST}')
    assert f'all-{LAST}' not in errors, errors[f'all-{LAST}']
