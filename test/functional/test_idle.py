# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What an appliance costs that has nothing to do."""

import contextlib
import time

from weirtest import SLOW, holding_fe

SECONDS = 5


def test_four_idle_devices_cost_under_2_percent(served):
    with contextlib.ExitStack() as stack:
        for i in range(4):
            path = served.add_device(f'd{i}', 'mem0')
            stack.enter_context(holding_fe(path, '--queues', '4'))
        time.sleep(0.5)
        before = served.cpu_seconds()
        time.sleep(SECONDS)
        used = served.cpu_seconds() - before
    assert used < 0.02 * SECONDS * SLOW, f'{100 * used / SECONDS:.2f} % of a core'


def test_polling_workers_do_not_sleep(weir_factory):
    weir = weir_factory('--idle', 'poll')
    sleeps = [w['sleeps'] for w in weir.rpc('weir_get_workers')]
    time.sleep(0.2)
    assert [w['sleeps'] for w in weir.rpc('weir_get_workers')] == sleeps
