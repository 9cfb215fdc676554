# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Fixtures: a running appliance, folders on several file systems."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import hangfs  # noqa: E402  (its folder is on the path from here on)
import nfstest  # noqa: E402
import weirtest  # noqa: E402


def pytest_sessionstart(session):
    for path in (weirtest.WEIR, weirtest.FE, weirtest.PERF):
        if not os.access(path, os.X_OK):
            pytest.exit(f'{path} is not built; WEIR_BUILD names the build directory', 2)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test itself failed, and shows the appliance's log then."""
    outcome = yield
    report = outcome.get_result()
    if call.when != 'call':
        return
    item.failed = report.failed
    if report.failed:
        for weir in getattr(item, 'weirs', []):
            report.sections.append(('log of weir', weir.log[-8000:]))


@pytest.fixture
def weir_factory(request):
    """Starts appliances: weir_factory(option, ...). What still runs at the end must end clean."""
    request.node.weirs = []

    def start(*args, **kwargs):
        weir = weirtest.Weir(*args, **kwargs)
        request.node.weirs.append(weir)
        return weir

    yield start
    try:
        for weir in request.node.weirs:
            if weir.is_alive() and not getattr(request.node, 'failed', False):
                weir.stop()
    finally:
        for weir in request.node.weirs:
            weir.cleanup()


@pytest.fixture
def weir(weir_factory):
    """A running appliance, without any object."""
    return weir_factory()


@pytest.fixture
def served(weir):
    """An appliance with a started transport and the file system mem0."""
    weir.start_transport()
    # What a hostile guest makes wait must not hold up the others of its requests for long.
    weir.rpc('fsdev_mem_create', name='mem0', lock_wait_ms=1)
    return weir


@pytest.fixture
def folder():
    """A folder on the file system of the temporary directory."""
    path = tempfile.mkdtemp(prefix='weir-folder-')
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def tmpfs_folder():
    """A folder on tmpfs."""
    path = tempfile.mkdtemp(prefix='weir-folder-', dir='/dev/shm')
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def server():
    """An nfs-ganesha that sees at once what is done in its folder."""
    if not nfstest.can_serve():
        pytest.skip('no nfs-ganesha can run here')
    with nfstest.Ganesha(cache=False) as ganesha:
        yield ganesha


@pytest.fixture
def three_workers(monkeypatch):
    """Appliances have workers with lcores 1 to 3, on two CPUs where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(weirtest, 'lcores',
                        lambda: f'0@{cpus[0]},1@{cpus[0]},2@{cpus[-1]},3@{cpus[-1]}')


@pytest.fixture
def hanging():
    """A folder that can be told not to answer."""
    if not os.access('/dev/fuse', os.R_OK | os.W_OK):
        pytest.skip('no /dev/fuse here')
    with hangfs.HangFs() as fs:
        yield fs
