# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Pages say what is there: the RPC reference what the running appliance says of its methods, the
table of options and the statistics those that it has; and links lead somewhere."""

import os
import re
import shutil
import subprocess

import weirtest

DOC = os.path.join(weirtest.ROOT, 'doc')
PAGE = os.path.join(DOC, 'rpc.md')
GENERATOR = os.path.join(weirtest.ROOT, 'devtools', 'gen-rpc-doc.py')


def test_rpc_page_is_generated_from_the_tables(weir, folder):
    copy = os.path.join(folder, 'rpc.md')
    shutil.copy(PAGE, copy)
    subprocess.run(['/usr/bin/python3', GENERATOR, '-s', weir.rpc_path, '--update', copy],
                   check=True, timeout=60)
    with open(PAGE, encoding='utf-8') as page, open(copy, encoding='utf-8') as fresh:
        assert page.read() == fresh.read(), 'run devtools/gen-rpc-doc.py --update doc/rpc.md'


def read(page):
    with open(page, encoding='utf-8') as file:
        return file.read()


def names(texts):
    return {name for text in texts for name in re.findall(r'--[a-z-]+', text)}


def test_options_of_weir_stand_in_their_table():
    usage = subprocess.run([weirtest.WEIR, '--help'], stdout=subprocess.PIPE, text=True, check=True,
                           timeout=60).stdout
    has = names(re.findall(r'^  (-.*?)(?:  |$)', usage, re.MULTILINE))
    table = read(os.path.join(DOC, 'configuration.md')).split('\n## Options of weir\n')[1]
    rows = re.findall(r'^\| (`.*?`) \|', table, re.MULTILINE)
    assert names(rows) == has


def keys(value, are_names=False):
    """All keys of an answer, but for those of ops and faults, which are names of things."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    inner = [keys(part, key in ('ops', 'faults')) for key, part in value.items()]
    return set().union(*inner, () if are_names else value)


def test_statistics_are_explained(weir, folder):
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    weir.rpc('fsdev_mem_create', name='mem0')
    sock = weir.add_device('d0', 'aio0')
    with weirtest.holding_fe(sock):
        seen = keys(weir.rpc('virtio_fs_device_get_stat')) | keys(weir.rpc('weir_get_workers'))
    params = {row['name']: row['params'] for row in weir.rpc('weir_get_rpc_schema')}
    for fsdev in weir.rpc('fsdev_get_fsdevs'):
        known = params[f'fsdev_{fsdev["module_name"]}_create']
        named = {name for key, row in known.items() for name in (key, *row.get('aliases', []))}
        seen |= set(fsdev['module_specific']) - named
    page = read(os.path.join(DOC, 'statistics.md'))
    said = {word for name in re.findall(r'`([^`]+)`', page) for word in re.findall(r'\w+', name)}
    assert seen - said - {'name', 'dev_name', 'queue'} == set()


def anchors(page):
    """What GitHub makes of the headings."""
    heads = re.findall(r'^#+ (.*)$', read(page), re.MULTILINE)
    return {re.sub(r'[^a-z0-9 _-]', '', head.lower()).replace(' ', '-') for head in heads}


def test_links_lead_somewhere():
    pages = [os.path.join(DOC, name) for name in os.listdir(DOC) if name.endswith('.md')]
    pages.append(os.path.join(weirtest.ROOT, 'README.md'))
    nowhere = []
    for page in pages:
        for path, anchor in re.findall(r'\]\(([^)#\s]*)#?([^)\s]*)\)', read(page)):
            if path.startswith('https:'):
                continue
            leads = os.path.join(os.path.dirname(page), path) if path else page
            if not os.path.exists(leads) or anchor and anchor not in anchors(leads):
                nowhere.append((os.path.basename(page), path, anchor))
    assert not nowhere
