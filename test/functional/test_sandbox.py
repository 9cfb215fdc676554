# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What weir has given up, seen from outside, and that it serves all the same."""

import ctypes
import errno
import os

import pytest

import nfstest
from weirtest import SANITIZED, Weir, fe, holding_fe

# Linux's numbers of them, as in capability.h.
NEEDED = {'chown': 0, 'dac_override': 1, 'dac_read_search': 2, 'fowner': 3, 'fsetid': 4,
          'setgid': 6, 'setuid': 7, 'net_bind_service': 10, 'ipc_lock': 14, 'mknod': 27,
          'setfcap': 31}
SYS_ADMIN = 21
SYS_RESOURCE = 24
SETPCAP = 8
DESCRIPTORS = 1 << 20
LANDLOCK_CREATE_RULESET = 444
FILTERED = 2


def status(pid, tid):
    with open(f'/proc/{pid}/task/{tid}/status', encoding='ascii') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


def threads(weir):
    """What the kernel says of each thread."""
    return [status(weir.pid, tid) for tid in os.listdir(f'/proc/{weir.pid}/task')]


def own_caps():
    return int(status('self', os.getpid())['CapEff'], 16)


def mask(*numbers):
    return sum(1 << number for number in numbers)


def assert_all(weir, caps, seccomp, no_new_privs='1'):
    states = threads(weir)
    assert len(states) >= 4
    for state in states:
        assert int(state['CapEff'], 16) == int(state['CapPrm'], 16) == caps, state
        if own_caps() >> SETPCAP & 1:
            assert int(state['CapBnd'], 16) & ~caps == 0 or caps == own_caps(), state
        assert int(state['Seccomp']) == seccomp, state
        assert state['NoNewPrivs'] == no_new_privs, state


def landlock_abi():
    abi = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    return abi if abi >= 2 else 0


@pytest.fixture
def confined(weir_factory):
    """Starts an appliance that may serve these folders only."""
    def start(*folders, args=()):
        allowed = [word for folder in folders for word in ('--allow-folder', folder)]
        # Who looks for leaks traces, which Landlock does not let it.
        env = {'ASAN_OPTIONS': 'detect_leaks=0'} if SANITIZED else {}
        weir = weir_factory('--landlock', 'on', *args, *allowed, env=env)
        weir.start_transport()
        return weir
    return start


def check(weir, fsdev, *args):
    path = weir.add_device('d0', fsdev)
    out = fe('check', '-s', path, '--entries', '1000', *args, seconds=120)
    assert ' 0 failed' in out.splitlines()[-1]
    # Threads that have come meanwhile are no freer than the first.
    assert_all(weir, own_caps() & mask(*NEEDED.values()), FILTERED)
    weir.stop()


def test_by_default_capabilities_and_calls_are_given_up(weir_factory, folder):
    served = weir_factory(strict=False)
    served.start_transport()
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    with holding_fe(served.add_device('d0', 'aio0')):
        assert_all(served, own_caps() & mask(*NEEDED.values()), FILTERED)
    report = served.rpc('weir_get_sandbox')
    held = {name for name, number in NEEDED.items() if own_caps() >> number & 1}
    assert report['capabilities']['dropped'] is True
    assert set(report['capabilities']['held']) == {'cap_' + name for name in held}
    assert report['folders'] == {'limited': False, 'allowed': []}
    assert report['landlock']['mode'] == 'auto' and report['landlock']['active'] is False
    assert report['landlock']['abi'] == landlock_abi()
    assert report['seccomp'] == {'mode': 'deny', 'active': True}
    assert report['no_new_privs'] is True
    told = served.telemetry('/weir/sandbox')['/weir/sandbox']
    assert told['seccomp']['mode'] == 'deny'
    for line in ('capabilities: ', 'folders: ', 'system calls: filter deny'):
        assert 'sandbox: ' + line in served.log


def test_each_part_can_be_switched_off(weir_factory):
    weir = weir_factory('--drop-caps', 'off', '--seccomp', 'off', '--landlock', 'off')
    assert_all(weir, own_caps(), 0)
    report = weir.rpc('weir_get_sandbox')
    assert report['capabilities']['dropped'] is False
    assert report['seccomp'] == {'mode': 'off', 'active': False}
    assert report['landlock']['active'] is False


def test_a_capability_can_be_kept(weir_factory):
    weir = weir_factory('--keep-cap', 'sys_admin', '--keep-cap', 'CAP_SETPCAP')
    assert_all(weir, own_caps() & mask(SYS_ADMIN, SETPCAP, *NEEDED.values()), FILTERED)


class FewDescriptors(Weir):
    """Started where little is allowed."""

    @staticmethod
    def command_line(*args):
        return ['prlimit', '--nofile=512:2048', *Weir.command_line(*args)]


def descriptors(pid):
    with open(f'/proc/{pid}/limits', encoding='ascii') as file:
        line = next(line for line in file if line.startswith('Max open files'))
    return [int(word) for word in line.split()[3:5]]


def test_descriptors_are_raised_before_the_right_to_is_given_up():
    with open('/proc/sys/fs/nr_open', encoding='ascii') as file:
        may = own_caps() >> SYS_RESOURCE & 1 and int(file.read()) >= DESCRIPTORS
    with FewDescriptors() as weir:
        assert descriptors(weir.pid) == [DESCRIPTORS if may else 2048] * 2
        # With it, no quota of a file's owner would hold what weir writes for a guest.
        assert_all(weir, own_caps() & mask(*NEEDED.values()), FILTERED)
        weir.stop()


def test_aio_behaves_when_all_is_on(confined, folder):
    weir = confined(folder)
    weir.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    info = weir.rpc('fsdev_get_fsdevs', name='aio0')['module_specific']
    # Landlock does not know where a file is that was opened by handle.
    assert not (landlock_abi() and info['file_handles'])
    check(weir, 'aio0', '--queues', '4')


def test_aio_on_tmpfs_behaves_when_all_is_on(confined, tmpfs_folder):
    weir = confined(os.path.dirname(tmpfs_folder))
    weir.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    check(weir, 'aio0')


def test_mem_behaves_when_all_is_on(confined):
    weir = confined()
    weir.rpc('fsdev_mem_create', name='mem0')
    check(weir, 'mem0')


def test_nfs_behaves_when_all_is_on(confined, server):
    weir = confined()
    nfstest.export(weir, server)
    check(weir, 'nfs0', '--only', 'data-sync,names-rename,data-sizes')


def assert_refused(weir, folder):
    weir.rpc_fails(-errno.EACCES, f'{folder}|--allow-folder', 'fsdev_aio_create', name='no',
                   root_path=folder)
    assert weir.rpc('fsdev_get_fsdevs') == []


@pytest.mark.parametrize('landlock', ['auto', 'off'])
def test_other_folders_are_refused(confined, folder, tmpfs_folder, landlock):
    inside = os.path.join(folder, 'inside')
    os.mkdir(inside)
    os.mkdir(folder + 'er')
    os.symlink(tmpfs_folder, os.path.join(inside, 'out'))
    try:
        weir = confined(inside, args=('--landlock', landlock))
        for other in (folder, folder + 'er', tmpfs_folder, '/', os.path.join(inside, 'out'),
                      os.path.join(inside, '..')):
            assert_refused(weir, other)
        report = weir.rpc('weir_get_sandbox')
        assert report['folders'] == {'limited': True, 'allowed': [inside]}
        assert report['landlock']['active'] is (landlock == 'auto' and landlock_abi() > 0)
        weir.rpc('fsdev_aio_create', name='yes', root_path=inside)
    finally:
        os.rmdir(folder + 'er')


def test_without_a_folder_none_is_served(confined, folder):
    assert_refused(confined(), folder)


@pytest.mark.parametrize('args', [('--seccomp', 'maybe'), ('--landlock', 'yes'),
                                  ('--drop-caps', '1'), ('--keep-cap', 'all')])
def test_wrong_switches_are_refused(weir_factory, args):
    weir = weir_factory(*args, wait=False)
    assert weir.proc.wait(30) == 2
    assert args[0] in weir.log and args[1] in weir.log


def test_a_missing_folder_ends_the_start(folder):
    with Weir('--allow-folder', os.path.join(folder, 'missing'), wait=False) as weir:
        assert weir.proc.wait(30) == 1
        assert 'missing: No such file or directory' in weir.log
        assert not os.path.exists(weir.rpc_path)
