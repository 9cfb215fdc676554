# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The reference page of the RPC methods is what the running appliance says of them."""

import os
import shutil
import subprocess

import weirtest

PAGE = os.path.join(weirtest.ROOT, 'doc', 'rpc.md')
GENERATOR = os.path.join(weirtest.ROOT, 'devtools', 'gen-rpc-doc.py')


def test_rpc_page_is_generated_from_the_tables(weir, folder):
    copy = os.path.join(folder, 'rpc.md')
    shutil.copy(PAGE, copy)
    subprocess.run(['/usr/bin/python3', GENERATOR, '-s', weir.rpc_path, '--update', copy],
                   check=True, timeout=60)
    with open(PAGE, encoding='utf-8') as page, open(copy, encoding='utf-8') as fresh:
        assert page.read() == fresh.read(), 'run devtools/gen-rpc-doc.py --update doc/rpc.md'
