#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Random streams of operations in a guest, each compared with a model in memory."""

import os
import shutil
import tempfile

import pytest

from checks import new_out, run_guest
import ganesha
import vm
import weirtest

# Which streams; WEIR_STREAM="--seed 1000 --ops 20000" does others.
WORDS = os.environ.get('WEIR_STREAM', '--seed 1 --ops 4000')
# Tag and what its folder does not have: the host's tmpfs may forget a name that was renamed when a
# directory is read in parts and changed meanwhile.
TAGS = {'disk': '', 'shm': '--without list_changing', 'mem': '', 'nfs': ''}


@pytest.fixture(scope='module')
def results():
    folders = [tempfile.mkdtemp(prefix='weir-stream-', dir=d) for d in (weirtest.BUILD, '/dev/shm')]
    out = new_out()
    try:
        with ganesha.Ganesha() as server, weirtest.Weir() as weir:
            weir.start_transport()
            weir.rpc('fsdev_aio_create', name='disk', root_path=folders[0])
            weir.rpc('fsdev_aio_create', name='shm', root_path=folders[1])
            weir.rpc('fsdev_mem_create', name='mem')
            weir.rpc('fsdev_nfs_create', name='nfs', **server.params())
            devices = [vm.Device(tag, weir.add_device(tag, tag)) for tag in TAGS]
            script = ''.join(
                f'enter {tag}; WORDS_OF_STREAM="{WORDS} {words}"; check stream {tag}\n'
                for tag, words in TAGS.items())
            script += f'MNT=/tmp; WORDS_OF_STREAM="{WORDS}"; check stream control\n'
            yield run_guest(vm.Guest(out, devices), script, 600)
    finally:
        for path in folders:
            shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize('tag', ['control', *TAGS])
def test_stream(results, tag):
    """control: the guest's own tmpfs."""
    results.assert_ok(tag)
    print(results.logs[tag])
