#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir-stream, which tests file systems, on the host's: they are right, and lies are noticed."""

import os
import re
import subprocess
import tempfile

import pytest

import weirtest

BUILT = os.path.join(weirtest.BUILD, 'test/guest/conformance/stream')
STREAM = os.path.join(BUILT, 'weir-stream')
LIAR = os.path.join(BUILT, 'libstreamliar.so')
# The host's tmpfs may forget a name that was renamed when a directory is read in parts and changed
# meanwhile.
FOLDERS = {weirtest.BUILD: (), '/dev/shm': ('--without', 'list_changing')}
LIES = ('lost write', 'replaced', 'not exchanged', 'wrong error', 'lost bits', 'coarse time',
        'short file', 'torn map')


def stream(parent, *args, lie=None):
    """Runs it in a folder of its own; returns its exit status and what it said."""
    env = dict(os.environ)
    if lie is not None:
        env |= {'LD_PRELOAD': LIAR, 'WEIR_LIE': lie}
    with tempfile.TemporaryDirectory(prefix='weir-stream-', dir=parent) as folder:
        run = subprocess.run([STREAM, *args, folder], env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=120, check=False)
    return run.returncode, run.stdout.decode()


@pytest.mark.parametrize('parent', FOLDERS)
def test_file_systems_of_the_host_are_as_in_the_model(parent):
    code, said = stream(parent, '--seed', '100', '--ops', '3000', '--processes', '8',
                        *FOLDERS[parent])
    assert code == 0, said
    assert len(re.findall('3000 operations as in the model', said)) == 8


@pytest.mark.skipif(weirtest.SANITIZED, reason='a sanitizer must be the first library')
@pytest.mark.parametrize('lie', LIES)
def test_lie_is_noticed(lie):
    code, said = stream(weirtest.BUILD, '--seed', '1', '--ops', '5000', lie=lie)
    assert code == 1, said
    assert 'DIFFERENCE: seed 1, operation' in said


def test_difference_is_found_again_from_its_seed():
    args = ['--seed', '1', '--ops', '5000']
    if weirtest.SANITIZED:
        pytest.skip('a sanitizer must be the first library')
    first, again = (stream(weirtest.BUILD, *args, lie='lost bits')[1] for _ in range(2))
    assert first == again


@pytest.mark.parametrize('start', (1, 500, 2999))
def test_stream_begins_in_the_midst(start):
    """What came before is in the model only, and is laid out."""
    code, said = stream(weirtest.BUILD, '--seed', '5', '--ops', '3000', '--from', str(start))
    assert code == 0, said


def test_only_what_is_asked_for_is_done():
    _, said = stream(weirtest.BUILD, '--to', '9', '--trace', '--without', 'xattr,fifo')
    assert 'seed 1: 10 operations' in said
    assert re.search(r'left out:.* fifo', said)
