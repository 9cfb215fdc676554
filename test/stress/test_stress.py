#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""stress-ng's file-system class in a guest, on each of weir's file systems. Run it on a build with
sanitizers: what they find is in the log, and weir ends.
"""

import os
import re
import shutil
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, 'test', 'guest')]

from checks import new_out, run_guest  # noqa: E402
import ganesha  # noqa: E402
import vm  # noqa: E402
import weirtest  # noqa: E402

# The class but for what looks at no folder of ours: bind-mount, binderfs, dup, eventfd, ioprio and
# procfs. On the guest's own ext4 all pass, verity skipped; its tmpfs has no fiemap and no xattr.
STRESSORS = '''
    access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify fallocate fanotify
    fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify
    io iomix lease link locka lockf lockofd mknod open rename symlink sync-file touch utime verity
    xattr
'''.split()
# May find that there is no such thing: FUSE has no word for the extents of a file, signed files
# need an ioctl that weir does not pass, as do immutable ones, NFSv3 has no attributes.
LEFT_OUT = {'disk': {'chattr', 'fiemap', 'verity'}, 'mem': {'fiemap', 'verity'},
            'nfs': {'fiemap', 'verity', 'xattr'}}
# May fail: over NFS a file that is open is still in its folder when it has been unlinked; and where
# there is no fallocate, stress-ng writes instead, and takes the end of its time for success.
MAY_FAIL = {('nfs', 'fanotify'), ('nfs', 'fsize')}
# Seconds for each stressor: with the first, five minutes in all.
SECONDS = {'disk': 7, 'mem': 1, 'nfs': 1}


def script_of(tag):
    """Script text."""
    rows = ''.join(f'STRESSOR={s}; check stress {tag}-{s}\n' for s in STRESSORS)
    return f'enter {tag}; SECONDS_OF_STRESS={SECONDS[tag]}\n{rows}'


@pytest.fixture(scope='module')
def results():
    folder = tempfile.mkdtemp(prefix='weir-stress-', dir=weirtest.BUILD)
    out = new_out()
    try:
        with ganesha.Ganesha() as server, weirtest.Weir() as weir:
            weir.start_transport()
            # One of them kills who waits for its lock, and has it until that one is gone: a guest
            # does not tell of signals, so that only the limit of a wait helps.
            weir.rpc('fsdev_aio_create', name='disk', root_path=folder, lock_wait_ms=5000)
            weir.rpc('fsdev_mem_create', name='mem', lock_wait_ms=5000)
            weir.rpc('fsdev_nfs_create', name='nfs', **server.params())
            devices = [vm.Device(tag, weir.add_device(tag, tag)) for tag in SECONDS]
            with open(os.path.join(ROOT, 'test/stress/stress.sh'), encoding='utf-8') as f:
                script = f.read() + ''.join(map(script_of, SECONDS))
            found = run_guest(vm.Guest(out, devices, mem_mb=1024), script, 1800)
            found.trouble = [line for line in weir.log.splitlines()
                             if re.search(r'Sanitizer|runtime error|panic', line)]
            found.is_alive = weir.is_alive()
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize('stressor', STRESSORS)
@pytest.mark.parametrize('tag', SECONDS)
def test_stress(results, tag, stressor):
    label = f'{tag}-{stressor}'
    log = results.logs.get(label, '')
    if (tag, stressor) not in MAY_FAIL or not re.search('^stress-ng: fail:', log, re.MULTILINE):
        results.assert_ok(label)
        assert 'fail:' not in log, log
    assert not re.search('skipp', log) or stressor in LEFT_OUT[tag], log


def test_weir_goes_on(results):
    assert not results.trouble
    assert results.is_alive
