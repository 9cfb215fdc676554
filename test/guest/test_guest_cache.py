#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What a stock guest sees of a folder that the host changes, by the options of the file system."""

import os
import shutil
import tempfile

import pytest

from checks import MAPPED, MAPS, Hand, names, new_out, plan, run_guest
import vm
import weirtest

VALID_S = 2
# Tag: what is created, and its checks.
FRESH = ['open_sees_the_host']
IN_TIME = FRESH + ['open_file_sees_the_host_in_time']
LONG = 3600000
# Those that test_guest.py makes in a guest with a newer kernel.
NEWER = ['shared_mappings', 'newer_guests_ids_are_mapped']
BITS = ['set_id_bits_fall']
TAGS = {
    'auto': ({'attr_valid_ms': VALID_S * 1000}, IN_TIME),
    'kept': ({'attr_valid_ms': VALID_S * 1000, 'keep_cache': True}, IN_TIME),
    'fresh': ({}, FRESH + ['submounts', 'direct_io_goes_past_the_host'] + BITS),
    'one': ({'announce_submounts': False}, ['no_submounts']),
    'never': ({'cache': 'never'}, FRESH + ['nothing_is_kept']),
    'believe': ({'attr_valid_ms': LONG, 'close_to_open': False}, ['old_size_is_believed']),
    'names': ({'attr_valid_ms': VALID_S * 1000, 'negative_valid_ms': VALID_S * 1000},
              ['names_in_time']),
    'always': ({'cache': 'always', 'negative_valid_ms': LONG}, ['everything_is_believed']),
    'back': ({'enable_writeback_cache': True}, ['write_back'] + BITS),
    'force': ({'direct_io': 'force', 'attr_valid_ms': LONG, 'close_to_open': False},
              ['data_are_not_kept', 'no_shared_mappings', 'direct_io_goes_past_the_host']),
    'strip': ({'direct_io': 'strip'}, ['direct_io_is_stripped']),
    'ro': ({'readonly': True}, ['read_only']),
    'ids': ({'posix_acl': 'off', 'attr_valid_ms': LONG, 'close_to_open': False}, MAPPED),
}
# Two devices of one file system, each believing for as long as it may.
SHARES = {'aio': {'attr_valid_ms': LONG}, 'mem': {'attr_valid_ms': LONG}}
SHARED = ['closed_is_seen', 'replaced_is_seen']
# Of a check that writes 3000 bytes one by one.
MAX_WRITES = 100
# So that there are enough for all.
MAX_FDS = 1000


@pytest.fixture(scope='module')
def folder():
    """On a disk, where times of last access are kept."""
    path = tempfile.mkdtemp(prefix='weir-cache-', dir=weirtest.BUILD)
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='module')
def weir(folder):
    with weirtest.Weir() as w:
        w.start_transport()
        for tag, (options, _) in TAGS.items():
            w.rpc('fsdev_aio_create', name=tag, root_path=folder, max_fds=MAX_FDS, **options)
        w.rpc('fsdev_aio_create', name='aio', root_path=folder, max_fds=MAX_FDS, **SHARES['aio'])
        w.rpc('fsdev_mem_create', name='mem', **SHARES['mem'])
        yield w


@pytest.fixture(scope='module')
def results(weir, folder):
    """One boot of the stock kernel."""
    devices = {tag: tag for tag in TAGS}
    for name in SHARES:
        devices.update({f'{name}1': name, f'{name}2': name})
    guest = vm.Guest(new_out(), [
        vm.Device(tag, weir.add_device(tag, fsdev, tag, 1, **MAPS if tag == 'ids' else {}))
        for tag, fsdev in devices.items()])
    script = f'VALID_S={VALID_S}\n'
    script += ''.join(plan(tag, checks) for tag, (_, checks) in TAGS.items())
    for name in SHARES:
        script += (f'enter {name}2; OTHER=$MNT\n' + plan(f'{name}1', SHARED))
    with Hand(guest, folder):
        return run_guest(guest, script, 300)


@pytest.mark.parametrize('label', [f'{tag}-{check}' for tag, (_, checks) in TAGS.items()
                                   for check in checks])
def test_guest(results, label):
    results.assert_ok(label)


@pytest.mark.parametrize('label', [f'{name}1-{check}' for name in SHARES for check in SHARED])
def test_shared(results, label):
    results.assert_ok(label)


def test_every_check_is_made():
    made = {check for _, checks in TAGS.values() for check in checks}
    assert made == set(names('cache') + names('options')) - set(NEWER)


def test_small_writes_were_collected(results, weir):
    results.assert_ok('back-write_back')
    ops = weir.rpc('virtio_fs_device_get_stat', dev_name='back')[0]['fuse']['ops']
    assert ops['WRITE']['count'] < MAX_WRITES
