# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What guests boot is made once, whoever asks for it at the same time."""

import os
import threading

import kernel


def test_two_guests_at_once_on_a_new_machine(tmp_path, monkeypatch):
    """The first boots of a machine make the initial file system, several of them at once."""
    made = kernel.prepare()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    new = tmp_path / 'weir' / kernel.STOCK
    new.mkdir(parents=True)
    for name in os.listdir(made):
        if not name.startswith('initrd'):
            (new / name).symlink_to(f'{made}/{name}')
    found = []
    threads = [threading.Thread(target=lambda: found.append(kernel.prepare())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [str(new)] * 8
    with open(f'{made}/initrd.gz', 'rb') as old, open(new / 'initrd.gz', 'rb') as f:
        assert len(f.read()) > 0.9 * len(old.read())
    assert sorted(os.listdir(new)) == sorted(n for n in os.listdir(made) if '.gz.' not in n)
