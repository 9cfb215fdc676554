# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What config/ and doc/ tell an operator to type does what they say."""

import os
import re

from weirtest import ROOT, fe, rpc_tool, wait_until


def example(path, folder):
    """The text of an example that serves a folder, with another folder in it."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        text = file.read()
    assert '/srv/share' in text
    return text.replace('/srv/share', folder)


def assert_serves(weir, folder):
    """The device of the examples runs and shows the folder."""
    with open(os.path.join(folder, 'hello'), 'w', encoding='utf-8') as file:
        file.write('hello')
    device = weir.device('vm1')
    assert (device['state'], device['tag'], device['fsdev']) == ('running', 'share', 'share')
    assert fe('cat', '-s', weir.socket_of('vm1'), 'hello') == 'hello'


def test_init_file_of_config_serves_a_folder(weir_factory, folder, tmp_path):
    conf = tmp_path / 'weir.conf'
    conf.write_text(example('config/weir.conf', folder))
    weir = weir_factory('--init-conf', str(conf))
    wait_until(lambda: 'ran all of' in weir.log, 10, 'the init file')
    assert_serves(weir, folder)


def test_quick_start_serves_a_folder_and_ends(weir, folder):
    text = example('doc/quick-start.md', folder)
    lines = re.search(r"weir-rpc.py <<'EOF'\n(.*?)\n +EOF", text, re.DOTALL).group(1)
    rpc_tool(weir, stdin=lines)
    assert_serves(weir, folder)
    later = re.findall(r'usertools/weir-rpc.py (\S.*)', text[text.index('## 6.'):])
    assert len(later) == 7
    for line in later:
        rpc_tool(weir, *line.split())
    assert weir.rpc('virtio_fs_get_devices') == [] == weir.rpc('fsdev_get_fsdevs')


def test_readme_serves_a_folder(weir, folder):
    lines = re.findall(r'^    \$rpc (.*)', example('README.md', folder), re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        rpc_tool(weir, *line.split())
    assert_serves(weir, folder)
