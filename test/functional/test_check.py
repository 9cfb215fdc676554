# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The front end's own suite of file system semantics, on every backend that keeps files."""

import os

import pytest

from weirtest import Fe, fe, wait_until

VARIANTS = {
    'plain': [],
    'queues': ['--queues', '4', '--depth', '64'],
    'no-indirect': ['--no-indirect', '--ring-size', '1024', '--depth', '8'],
    'no-event-idx': ['--no-event-idx'],
    'neither': ['--no-indirect', '--no-event-idx', '--depth', '4'],
    'small-ring': ['--ring-size', '8', '--depth', '2'],
    'pieces': ['--piece', '1000', '--regions', '7', '--ring-size', '1024'],
    'odd-pieces': ['--piece', '97', '--ring-size', '1024'],
    'adjacent': ['--adjacent', '--regions', '7'],
}


def check(weir, fsdev, *args):
    path = weir.add_device('d0', fsdev)
    out = fe('check', '-s', path, *args, seconds=120)
    assert ' 0 failed' in out.splitlines()[-1]


@pytest.mark.parametrize('variant', VARIANTS)
def test_mem_behaves(served, variant):
    entries = [] if variant == 'plain' else ['--entries', '500']
    check(served, 'mem0', *VARIANTS[variant], *entries)


def test_mem_behaves_with_a_polling_driver(served):
    check(served, 'mem0', '--poll', '--only', 'data-sizes,queues-depth,queues-parallel')


def test_aio_on_the_temporary_directory_behaves(served, folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    check(served, 'aio0')


def test_aio_on_tmpfs_behaves(served, tmpfs_folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    check(served, 'aio0', '--queues', '4')


@pytest.mark.parametrize('variant', ['no-indirect', 'pieces', 'odd-pieces', 'adjacent'])
def test_aio_behaves_with_any_driver(served, tmpfs_folder, variant):
    served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    check(served, 'aio0', *VARIANTS[variant], '--entries', '500')


@pytest.mark.parametrize('params', [{'uring': 'off'}, {'inode_file_handles': 'never'}], ids=str)
def test_aio_behaves_with_what_a_container_leaves_it(served, folder, params):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder, **params)
    check(served, 'aio0', '--entries', '1000')


@pytest.mark.skipif(os.geteuid() != 0, reason='labels take CAP_SYS_ADMIN')
@pytest.mark.parametrize('backend', ['mem', 'folder', 'tmpfs_folder'])
def test_labels_come_with_new_files(weir_factory, request, backend):
    weir = weir_factory('--keep-cap', 'sys_admin')
    weir.start_transport()
    if backend == 'mem':
        weir.rpc('fsdev_mem_create', name='fs0')
    else:
        weir.rpc('fsdev_aio_create', name='fs0', root_path=request.getfixturevalue(backend),
                 security_label=True)
    check(weir, 'fs0', '--only', 'label-comes-with-new-files')


def test_aio_out_of_descriptors_says_so_and_recovers(served, folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder, inode_file_handles='never',
               max_fds=64)
    path = served.add_device('d0', 'aio0')
    out = fe('check', '-s', path, '--only', 'names-large-directory', '--entries', '5000', code=1)
    assert 'Too many open files' in out
    wait_until(lambda: served.rpc('fsdev_get_fsdevs', name='aio0')['module_specific']
               ['open_fds'] <= 1, 10, 'descriptors to be closed')
    fe('check', '-s', path, '--only', 'data-sync,names-rename')


def test_what_the_guest_writes_is_in_the_folder(served, folder, tmp_path):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    path = served.add_device('d0', 'aio0')
    fe('mkdir', '-s', path, 'dir')
    fe('put', '-s', path, 'dir/empty')
    with open(f'{folder}/dir/host', 'w') as file:
        file.write('from the host\n')
    assert set(fe('ls', '-s', path, 'dir').split()) == {'.', '..', 'empty', 'host'}
    assert fe('cat', '-s', path, 'dir/host') == 'from the host\n'
    fe('mv', '-s', path, 'dir/host', 'moved')
    with open(f'{folder}/moved') as file:
        assert file.read() == 'from the host\n'
    fe('rm', '-s', path, 'dir')
    with Fe('cat', '-s', path, 'dir/host') as run:
        run.wait(code=1)
        assert 'No such file' in run.err
