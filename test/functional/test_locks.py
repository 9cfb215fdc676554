# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Locks of two guests on one file system, of programs of the host, and what ends a wait for one."""

import errno
import fcntl
import os
import struct
import sys

import pytest

import weirtest

sys.path.insert(0, os.path.join(weirtest.ROOT, 'test', 'functional'))

from hangfs import HangFs  # noqa: E402
from nfstest import Shell  # noqa: E402

END = (1 << 63) - 1
RDWR = os.O_RDWR
RING = 64
REQUESTS = 64


def modules(weir):
    return weir.rpc('fsdev_get_fsdevs', name='fs')['module_specific']


def wait_for_waiters(weir, nb):
    weirtest.wait_until(lambda: modules(weir)['lock_waiters'] == nb, 30, f'{nb} waiters')


@pytest.fixture(params=['mem', 'aio'])
def guests(request, weir_factory, folder):
    """weir with a file system, and two guests that have its file "f" open as file 0."""
    weir = weir_factory('--requests', str(REQUESTS))
    weir.start_transport()
    if request.param == 'mem':
        weir.rpc('fsdev_mem_create', name='fs')
    else:
        os.mkdir(os.path.join(folder, 'share'))
        weir.rpc('fsdev_aio_create', name='fs', root_path=os.path.join(folder, 'share'))
    socks = [weir.add_device(f'd{i}', 'fs', queue_size=RING) for i in range(2)]
    with Shell(socks[0], '--ring-size', str(RING), '--depth', '40') as one, \
            Shell(socks[1], '--ring-size', str(RING), '--depth', '40') as two:
        assert one.must('create', 'f', RDWR)[0] == 0
        assert two.must('open', 'f', RDWR)[0] == 0
        yield weir, one, two


def test_guests_exclude_each_other(guests):
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, 9, 1) == 0
    assert one.do('lock', 0, 'W', 0, END, 2) == 0
    assert two.do('lock', 0, 'r', 9, 12, 1) == -errno.EAGAIN
    assert two.do('lock', 0, 'R', 0, END, 2) == -errno.EAGAIN
    assert two.must('getlk', 0, 'r', 5, END, 1)[1] == f'{fcntl.F_WRLCK} 0 9 0'
    assert one.must('getlk', 0, 'r', 5, END, 3)[1] == f'{fcntl.F_WRLCK} 0 9 77'
    assert two.do('lock', 0, 'r', 10, 12, 1) == 0
    wait = two.must('wait', 0, 'w', 0, 12, 1)[0]
    flock = two.must('wait', 0, 'W', 0, END, 2)[0]
    wait_for_waiters(weir, 2)
    # A close by another owner changes nothing.
    assert one.do('flush', 0, 7) == 0
    assert modules(weir)['lock_waiters'] == 2
    assert one.do('flush', 0, 1) == 0
    assert two.do('reap', wait) == 0
    assert one.do('release', 0) == 0
    assert two.do('reap', flock) == 0
    assert modules(weir)['locks_held'] == 2


def test_waits_in_a_circle_are_told(guests):
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, 0, 1) == 0
    assert two.do('lock', 0, 'w', 1, 1, 1) == 0
    wait = one.must('wait', 0, 'w', 1, 1, 1)[0]
    wait_for_waiters(weir, 1)
    last = two.must('wait', 0, 'w', 0, 0, 1)[0]
    assert two.do('reap', last) == -errno.EDEADLK
    assert two.do('flush', 0, 1) == 0
    assert one.do('reap', wait) == 0


def test_bad_locks_are_refused(guests):
    weir, one, two = guests
    assert two.must('open', 'f', os.O_RDONLY)[0] == 1
    assert two.must('open', 'f', os.O_WRONLY)[0] == 2
    assert two.do('lock', 1, 'w', 0, 0, 1) == -errno.EBADF
    assert two.do('lock', 2, 'r', 0, 0, 1) == -errno.EBADF
    assert two.do('lock', 0, 'w', 5, 4, 1) == -errno.EINVAL
    assert two.do('lock', 0, 'w', 0, 1 << 63, 1) == -errno.EINVAL
    assert two.do('lock', 1, 'r', 0, 0, 1) == 0
    assert two.do('lock', 2, 'w', END, END, 1) == 0
    assert two.do('lock', 2, 'u', 0, END, 1) == 0
    assert modules(weir)['locks_held'] == 0


def test_wait_ends_by_interrupt_and_release(guests):
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, END, 1) == 0
    waits = [two.must('wait', 0, 'w', 0, 0, owner)[0] for owner in (1, 2)]
    wait_for_waiters(weir, 2)
    assert two.do('interrupt', waits[0]) == 0
    assert two.do('reap', waits[0]) == -errno.EINTR
    assert two.do('interrupt', waits[0]) == -errno.EAGAIN
    assert two.do('release', 0) == 0
    assert two.do('reap', waits[1]) == -errno.EINTR
    assert modules(weir)['lock_waiters'] == 0


def test_waiters_leave_room_for_who_unlocks(guests):
    """However many wait, of one guest or of all: the ring and the pool have room for an unlock."""
    weir, one, two = guests
    assert one.do('lock', 0, 'W', 0, END, 0) == 0
    waits = []
    for guest in (one, two):
        waits += [guest.must('wait', 0, 'W', 0, END, 1 + i)[0] for i in range(24)]
        # What a queue answers, it has taken all before it.
        guest.must('getlk', 0, 'r', 0, 0, 99)
    limit = REQUESTS // 8
    assert modules(weir)['lock_waiters'] == limit
    assert one.do('lock', 0, 'U', 0, END, 0) == 0
    results = []
    for guest, begun in ((one, waits[:24]), (two, waits[24:])):
        for i, wait in enumerate(begun):
            results.append(guest.do('reap', wait))
            if results[-1] == 0:
                assert guest.do('lock', 0, 'U', 0, END, 1 + i) == 0
    assert results.count(-errno.ENOLCK) == 48 - results.count(0)
    assert results.count(0) == limit
    refused = sum(stat['fuse']['faults']['too_many_waiters']
                  for stat in weir.rpc('virtio_fs_device_get_stat'))
    assert refused == results.count(-errno.ENOLCK)


def test_locks_go_with_their_guest(guests):
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, END, 1) == 0
    assert one.do('lock', 0, 'W', 0, END, 1) == 0
    wait = two.must('wait', 0, 'w', 0, END, 1)[0]
    flock = two.must('wait', 0, 'W', 0, END, 2)[0]
    wait_for_waiters(weir, 2)
    one.kill()
    assert two.do('reap', wait) == 0
    assert two.do('reap', flock) == 0


def test_waits_go_with_their_guest(guests):
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, END, 1) == 0
    for owner in range(4):
        two.must('wait', 0, 'w', owner, owner, owner)
    wait_for_waiters(weir, 4)
    two.kill()
    wait_for_waiters(weir, 0)
    # The device is as good as new, and can be taken away while a guest waits.
    with Shell(weir.socket_of('d1')) as three:
        assert three.must('open', 'f', RDWR)[0] == 0
        three.must('wait', 0, 'w', 0, 0, 1)
        wait_for_waiters(weir, 1)
        weir.remove_device('d1')
    assert modules(weir)['lock_waiters'] == 0
    assert one.do('lock', 0, 'u', 0, END, 1) == 0


def lcore_of(weir, device):
    """Of its first request queue."""
    return [worker['lcore'] for worker in weir.rpc('weir_get_workers') for q in worker['queues']
            if (q['dev_name'], q['queue']) == (device, 1)]


@pytest.mark.parametrize('unlock', ['later', 'meanwhile'])
def test_wait_ends_when_its_queue_moves(guests, unlock):
    """Once, on the queue it came from; and what was not granted is not held."""
    weir, one, two = guests
    lcores = [worker['lcore'] for worker in weir.rpc('weir_get_workers')]
    for _ in range(12):
        assert one.do('lock', 0, 'w', 0, END, 1) == 0
        wait = two.must('wait', 0, 'w', 0, END, 1)[0]
        wait_for_waiters(weir, 1)
        to = [lcore for lcore in lcores if [lcore] != lcore_of(weir, 'd1')][0]
        if unlock == 'meanwhile':
            one.ask('lock', 0, 'u', 0, END, 1)
        weir.rpc('weir_move_queue', dev_name='d1', queue=1, lcore=to)
        assert lcore_of(weir, 'd1') == [to]
        if unlock == 'meanwhile':
            assert one.answer()[0] == 0
            assert two.do('reap', wait) in (0, -errno.EAGAIN)
            assert two.do('lock', 0, 'u', 0, END, 1) == 0
        else:
            assert two.do('reap', wait) == -errno.EAGAIN
            assert one.do('lock', 0, 'u', 0, END, 1) == 0
        assert modules(weir)['lock_waiters'] == modules(weir)['locks_held'] == 0
    queues = weir.rpc('virtio_fs_device_get_stat', dev_name='d1')[0]['queues']
    assert [queue['chains'] for queue in queues] == [queue['used'] for queue in queues]


def test_wait_ends_when_its_vm_pauses(guests):
    """A VMM that stops the ring has nothing under way any more; what the guest has locked stays."""
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, 9, 1) == 0
    assert two.do('lock', 0, 'w', 10, 19, 1) == 0
    waits = [two.must('wait', 0, 'w', 0, 9, owner)[0] for owner in (2, 3)]
    other = one.must('wait', 0, 'w', 10, 19, 2)[0]
    wait_for_waiters(weir, 3)
    assert two.must('pause')[0] == 0
    assert [two.do('reap', wait) for wait in waits] == [-errno.EAGAIN] * 2
    assert modules(weir)['lock_waiters'] == 1
    assert two.do('flush', 0, 1) == 0
    assert one.do('reap', other) == 0


def test_holder_is_taken_away(guests):
    """With its device go its locks; a file system goes when no device has it any more."""
    weir, one, two = guests
    kind = weir.rpc('fsdev_get_fsdevs', name='fs')['module_name']
    assert one.do('lock', 0, 'w', 0, END, 1) == 0
    waits = [one.must('wait', 0, 'W', 0, END, 7)[0], two.must('wait', 0, 'w', 0, 0, 1)[0]]
    assert one.do('reap', waits[0]) == 0
    waits.append(two.must('wait', 0, 'R', 0, END, 1)[0])
    wait_for_waiters(weir, 2)
    weir.rpc_fails(-errno.EBUSY, 'd0', f'fsdev_{kind}_delete', name='fs')
    weir.remove_device('d0')
    assert [two.do('reap', wait) for wait in waits[1:]] == [0, 0]
    two.must('wait', 0, 'w', 0, 0, 2)
    wait_for_waiters(weir, 1)
    weir.remove_device('d1')
    assert modules(weir)['lock_waiters'] == modules(weir)['locks_held'] == 0
    weir.rpc(f'fsdev_{kind}_delete', name='fs')


def memory_of(guest):
    """Files of the memory of a guest, which stay when it goes."""
    folder = f'/proc/{guest.proc.pid}/fd'
    return [open(f'{folder}/{fd}', 'rb') for fd in os.listdir(folder)
            if os.readlink(f'{folder}/{fd}').startswith('/memfd:')]


def content(files):
    return [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in files]


def late_answers(weir):
    """Requests whose guest has gone, which are still to be answered."""
    return sum(queue['in_backend'] for queue in
               weir.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['queues'])


def test_late_answers_touch_no_memory(weir_factory):
    """A lock that hangs on the host, and a guest that goes meanwhile: it is told nothing later."""
    weir = weir_factory()
    weir.start_transport()
    if not os.access('/dev/fuse', os.R_OK | os.W_OK):
        pytest.skip('no /dev/fuse here')
    with HangFs() as hanging:
        weir.rpc('fsdev_aio_create', name='fs', root_path=hanging.path)
        with Shell(weir.add_device('d0', 'fs')) as guest:
            assert guest.must('open', 'hello', RDWR)[0] == 0
            hanging.hang()
            for owner in range(3):
                guest.must('wait', 0, 'w', 0, 0, owner)
            weirtest.wait_until(hanging.is_asked, 30, 'a lock that hangs')
            files = memory_of(guest)
            assert files
            guest.kill()
            weirtest.wait_until(lambda: not weir.device('d0')['connected'], 30, 'the disconnect')
            assert late_answers(weir) == 3
            before = content(files)
            hanging.release()
            weirtest.wait_until(lambda: late_answers(weir) == 0, 30, 'the answers')
            assert content(files) == before
        assert modules(weir)['lock_waiters'] == modules(weir)['locks_held'] == 0
        weir.stop()


def test_weir_ends_while_guests_wait(guests):
    """Long before any of them would have waited long enough."""
    weir, one, two = guests
    assert one.do('lock', 0, 'w', 0, END, 1) == 0
    assert two.do('lock', 0, 'W', 0, END, 1) == 0
    for owner in range(4):
        two.must('wait', 0, 'w', 0, 0, owner)
        one.must('wait', 0, 'R', 0, END, owner)
    wait_for_waiters(weir, 8)
    weir.stop()


def flock_of(kind, start, length):
    return struct.pack('hhqqi4x', kind, os.SEEK_SET, start, length, 0)


def test_host_and_guests_exclude_each_other(guests, folder):
    weir, one, two = guests
    path = os.path.join(folder, 'share', 'f')
    if not os.path.exists(path):
        pytest.skip('nothing of it is on the host')
    with open(path, 'r+b') as file:
        fcntl.fcntl(file, fcntl.F_SETLK, flock_of(fcntl.F_WRLCK, 0, 10))
        assert one.do('lock', 0, 'r', 9, 9, 1) == -errno.EAGAIN
        assert one.do('lock', 0, 'w', 10, 19, 1) == 0
        assert two.must('getlk', 0, 'r', 0, 9, 1)[1] == f'{fcntl.F_WRLCK} 0 9 0'
        with pytest.raises(BlockingIOError):
            fcntl.fcntl(file, fcntl.F_SETLK, flock_of(fcntl.F_RDLCK, 19, 1))
        wait = two.must('wait', 0, 'w', 0, 9, 1)[0]
        wait_for_waiters(weir, 1)
        fcntl.fcntl(file, fcntl.F_SETLK, flock_of(fcntl.F_UNLCK, 0, 10))
        assert two.do('reap', wait) == 0
        with pytest.raises(BlockingIOError):
            fcntl.fcntl(file, fcntl.F_SETLK, flock_of(fcntl.F_RDLCK, 0, 1))
        fcntl.flock(file, fcntl.LOCK_EX)
        wait = one.must('wait', 0, 'R', 0, END, 5)[0]
        wait_for_waiters(weir, 1)
    assert one.do('reap', wait) == 0
