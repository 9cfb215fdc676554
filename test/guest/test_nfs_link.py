#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir on the NFS server of Linux, both in one guest and with a link of their own, which is cut and
whose connections are reset while a storm of operations runs (test/nfs/cut.py). One boot, of which
each test looks at one outcome.
"""

import json
import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TEST, 'functional')]

import vm  # noqa: E402
import weirtest  # noqa: E402

SEED = 1
INTERRUPTIONS = 200
RESTARTS = 5
FILES = [f'{HERE}/lib.sh', f'{TEST}/nfs/knfsd.sh', f'{TEST}/nfs/cut.py',
         f'{TEST}/functional/weirtest.py']

SCRIPT = f'''
. /out/lib.sh
. /out/knfsd.sh
cp -r /out/build /run/build
/usr/sbin/modprobe veth
/usr/sbin/modprobe tcp_diag
mkdir /mnt/export
mount -t tmpfs -o size=200M export /mnt/export
knfsd_up /mnt/export || exit 1
WEIR_BUILD=/run/build /usr/bin/python3 /out/cut.py {SEED} {INTERRUPTIONS} {RESTARTS} /out/seen
'''


@pytest.fixture(scope='module')
def seen():
    """What cut.py has seen in the guest."""
    out = tempfile.mkdtemp(prefix='weir-out-')
    try:
        # Not from where they are: a guest has a /tmp of its own, where the build may lie.
        for path in (weirtest.WEIR, weirtest.FE):
            copy = os.path.join(out, 'build', os.path.relpath(path, weirtest.BUILD))
            os.makedirs(os.path.dirname(copy))
            shutil.copy(path, copy)
        with vm.Guest(out, [], mem_mb=1024) as guest:
            guest.start(SCRIPT, FILES)
            status = guest.wait(540)
            print(guest.read('console'))
            assert status == 0
            yield json.loads(guest.read('seen'))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def test_link_was_cut_in_all_ways(seen):
    counts = seen['cut']['interruptions']
    print(counts, seen['cut']['seconds'], 's')
    assert sum(counts.values()) == INTERRUPTIONS
    assert len(counts) == 5 and min(counts.values()) >= INTERRUPTIONS / 10
    assert seen['cut']['reconnects'] > INTERRUPTIONS / 10


def test_storm_finds_all_as_it_must_be(seen):
    """Names, kinds, links, sizes and data, after every operation and at the end."""
    assert (seen['cut']['code'], seen['cut']['err']) == (0, ''), seen['cut']


def test_each_operation_was_done_once(seen):
    """By the server's count: what its cache of requests had never seen, it carried out."""
    cut = seen['cut']
    print(f"{cut['asked']} asked, {cut['done']} done, {cut['retransmissions']} sent again")
    assert cut['asked'] > 1000
    assert cut['done'] == cut['asked']


def test_server_knew_what_came_again(seen):
    print(f"{seen['cut']['hits']} calls that came again were answered from the server's cache")
    assert seen['cut']['hits'] > 0
    assert seen['cut']['retransmissions'] >= seen['cut']['hits']


def test_source_ports_stay(seen):
    """One for each worker: what the server knows its client by."""
    assert len(seen['cut']['ports']) == 2
    assert seen['cut']['ports_used'] == seen['cut']['ports']
    assert seen['cut']['port_changes'] == 0


def test_server_restarts_lose_nothing(seen):
    """New threads that remember no request; write_mode=file_sync."""
    print(seen['restart'])
    assert (seen['restart']['code'], seen['restart']['err']) == (0, ''), seen['restart']
    assert seen['restart']['lost_writes'] == 0


def test_nothing_is_left_on_the_server(seen):
    """No name of an open file that was removed, either."""
    assert seen['left'] == []
