#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Each lint finds the fault planted for it, and says nothing of the same file without the fault."""

import json
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = '/* SPDX-License-Identifier: BSD-3-Clause\n * Copyright (c) 2026 the weir authors\n */\n'


class Tree:
    """A throw-away repository with one commit on main, in which a lint is run."""

    def __init__(self, path):
        self.path = path
        self.git('init', '-q', '-b', 'main')
        self.git('config', 'user.name', 'a')
        self.git('config', 'user.email', 'a@example.org')
        self.write('.clang-format', open(f'{ROOT}/.clang-format', encoding='utf-8').read())
        self.commit('tree: begin\n\nThere has to be a first commit.')

    def git(self, *args):
        subprocess.run(['git', '-C', self.path, *args], check=True, capture_output=True)

    def write(self, name, text):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        self.git('add', '-A')

    def commit(self, message):
        self.git('commit', '-q', '--allow-empty', '-m', message)

    def lint(self, name, *args):
        """Runs a lint of this tree in the throw-away one: (exit status, all it printed)."""
        run = subprocess.run([f'{ROOT}/devtools/{name}', *args], cwd=self.path, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return run.returncode, run.stdout


@pytest.fixture
def tree(tmp_path):
    return Tree(str(tmp_path))


def refused(result, word):
    status, out = result
    assert status == 1, out
    assert word in out


def accepted(result):
    status, out = result
    assert status == 0, out


def test_spdx_missing_is_refused(tree):
    tree.write('a.c', HEAD + 'int a;\n')
    accepted(tree.lint('check-spdx.sh'))
    tree.write('a.c', 'int a;\n')
    refused(tree.lint('check-spdx.sh'), 'a.c')


def test_spdx_without_copyright_is_refused(tree):
    tree.write('a.sh', '#!/bin/sh\n# SPDX-License-Identifier: BSD-3-Clause\n')
    refused(tree.lint('check-spdx.sh'), 'copyright')


def test_maintainers_orphan_is_refused(tree):
    tree.write('MAINTAINERS', 'F: .clang-format\nF: MAINTAINERS\nF: lib/a/\n')
    tree.write('lib/a/a.c', '')
    accepted(tree.lint('check-maintainers.py'))
    tree.write('lib/b/b.c', '')
    refused(tree.lint('check-maintainers.py'), 'lib/b/b.c')


def test_maintainers_stale_pattern_is_refused(tree):
    tree.write('MAINTAINERS', 'F: .clang-format\nF: MAINTAINERS\nF: lib/gone/\n')
    refused(tree.lint('check-maintainers.py'), 'lib/gone/ names no file')


@pytest.mark.parametrize('line, token', [
    ('strcpy(a, b);', 'strcpy'), ('sprintf(a, "x");', 'sprintf'), ('strtok(a, b);', 'strtok'),
    ('n = atoi(a);', 'atoi'), ('p = alloca(9);', 'alloca'), ('__sync_synchronize();', '__sync_'),
    ('volatile int x;', 'volatile'), ('int x __attribute__((unused));', '__attribute__'),
    ('rte_panic("x");', 'rte_panic'), ('/* TODO later */', 'TODO'),
])
def test_token_is_refused(tree, line, token):
    tree.write('lib/a.c', f'void f(void)\n{{\n\t{line}\n}}\n')
    refused(tree.lint('check-tokens.py'), f'lib/a.c:3: {token}')


def test_token_in_comment_string_or_longer_name_is_accepted(tree):
    tree.write('lib/a.c', '/* no strcpy */\nchar *s = "volatile";\nint my_strcpy_like;\n'
               '#define A __asm__ volatile("")\n')
    tree.write('lib/base/b.h', '#define X __attribute__((x))\n')
    accepted(tree.lint('check-tokens.py'))


def test_panic_is_for_registration(tree):
    tree.write('lib/a.c', 'void\na_register(void)\n{\n\trte_panic("twice");\n}\n')
    accepted(tree.lint('check-tokens.py'))
    tree.write('lib/a.c', 'void\na_start(void)\n{\n\trte_panic("twice");\n}\n')
    refused(tree.lint('check-tokens.py'), 'lib/a.c:4: rte_panic')


WORKER = 'static int WEIR_ON_WORKER\nf(struct a *a)\n{\n\t%s\n\treturn 0;\n}\n'


@pytest.mark.parametrize('call', [
    'p = malloc(1);', 'free(p);', 'printf("x");', 'rte_log(1, 2, "x");', 'WEIR_LOG(ERR, "x");',
    'pthread_mutex_lock(&m);', 'sleep(1);', 'fd = open("x", 0);', 'p = rte_zmalloc(0, 1, 0);',
    'FUSE_LOG_ERR("x");', 'if (a && usleep(1) == 0)',
])
def test_worker_banned_call_is_refused(tree, call):
    tree.write('lib/a.c', WORKER % call)
    refused(tree.lint('check-worker.py'), 'lib/a.c:4: f() runs on a worker')


@pytest.mark.parametrize('call', [
    'ops->open(a);', 'ops.read(a);', '/* malloc(1) */', 's = "free(p)";', 'fuse_open(a);',
    'rte_mempool_get(m, &p);', 'a->free(p);', 'write(fd, &one, 8); /* an eventfd */',
    'fd = open("x", 0); /* worker-may: never reached */', 'FUSE_LOG(DP, "x");',
])
def test_worker_harmless_call_is_accepted(tree, call):
    tree.write('lib/a.c', WORKER % call)
    status, out = tree.lint('check-worker.py')
    assert status == 0, out
    assert '1 worker functions' in out


def test_worker_annotated_in_header_only_is_refused(tree):
    tree.write('lib/a.h', 'int WEIR_ON_WORKER weir_f(int a, void (*cb)(int));\n')
    tree.write('lib/a.c', 'int\nweir_f(int a, void (*cb)(int))\n{\n\tfree(0);\n\treturn 0;\n}\n')
    refused(tree.lint('check-worker.py'), 'weir_f() runs on a worker and calls free()')


def test_worker_other_roles_may_allocate(tree):
    tree.write('lib/a.c', 'static int WEIR_ON_WORKER\ng(void)\n{\n\treturn 0;\n}\n\n'
               'static int WEIR_ON_CONTROL\nf(void)\n{\n\tfree(0);\n\treturn 0;\n}\n')
    accepted(tree.lint('check-worker.py'))


def test_format_of_changed_line_is_refused(tree):
    tree.write('a.c', 'int  a;\nint b;\n')
    tree.commit('a: begin\n\nBadly.')
    refused(tree.lint('check-format.sh'), 'a.c:1')
    tree.git('checkout', '-q', '-b', 'topic')
    tree.write('a.c', 'int  a;\nint c;\n')
    accepted(tree.lint('check-format.sh', 'main'))
    tree.write('a.c', 'int  a;\nint  c;\n')
    refused(tree.lint('check-format.sh', 'main'), '+int c;')


@pytest.mark.parametrize('message, word', [
    ('base: ' + 'x' * 60 + '\n\nWhy.', 'over 60'),
    ('Just words\n\nWhy.', 'component'),
    ('base: add a thing.\n\nWhy.', 'full stop'),
    ('base: add a thing', 'no body'),
    ('base: add a thing\n\n' + 'word ' * 20, 'over 72'),
])
def test_commit_message_is_refused(tree, message, word):
    tree.git('checkout', '-q', '-b', 'topic')
    tree.commit('base, fsdev: add a thing\n\nBecause it was missing.')
    accepted(tree.lint('check-commits.sh'))
    tree.commit(message)
    refused(tree.lint('check-commits.sh'), word)


def build_of(tree, folders):
    """A build directory as far as check-headers.py looks: the compiler's arguments of one file."""
    rows = [{'directory': f'{tree.path}/build', 'file': f'../{folder}/a.c',
             'command': f'cc -I../{folder} {flags} -MD -MQ a.o -MF a.d -o a.o -c ../{folder}/a.c'}
            for folder, flags in folders]
    tree.write('build/compile_commands.json', json.dumps(rows))


def test_header_that_leans_on_another_is_refused(tree):
    build_of(tree, [('lib/worker', '')])
    tree.write('lib/worker/weir_a.h', '#include <stdint.h>\nuint32_t weir_a(void);\n')
    accepted(tree.lint('check-headers.py', 'build'))
    tree.write('lib/worker/weir_a.h', 'uint32_t weir_a(void);\n')
    refused(tree.lint('check-headers.py', 'build'), 'weir_a.h: does not compile alone with clang')


def test_include_against_the_order_is_refused(tree):
    tree.write('lib/base/weir_role.h', '')
    tree.write('lib/virtio/weir_virtio.h', '')
    build_of(tree, [('lib/fsdev', '-I../lib/base')])
    accepted(tree.lint('check-headers.py', 'build'))
    build_of(tree, [('lib/fsdev', '-I../lib/base -I../lib/virtio')])
    refused(tree.lint('check-headers.py', 'build'), 'lib/fsdev: may include weir_virtio.h')


def test_declared_include_out_of_reach_is_refused(tree):
    tree.write('lib/base/weir_role.h', '')
    build_of(tree, [('lib/fsdev', '')])
    refused(tree.lint('check-headers.py', 'build'), 'lib/fsdev: cannot include weir_role.h')


def test_length_warns(tree):
    tree.write('a.c', 'int\nf(void)\n{\n' + '\tg();\n' * 900 + '}\n')
    status, out = tree.lint('check-length.py')
    assert status == 0
    assert 'warning: a.c: 904 lines' in out
    assert 'f() has 90' in out


def test_all_reports_a_single_fault(tree):
    """check-all.sh fails when one lint does, and names that one."""
    tree.write('MAINTAINERS', '# SPDX-License-Identifier: BSD-3-Clause\nF: .clang-format\n'
               'F: MAINTAINERS\nF: build/\nF: a.*\n')
    build_of(tree, [('lib/a', '')])
    tree.write('a.py', '# SPDX-License-Identifier: BSD-3-Clause\n'
               '# Copyright (c) 2026 the weir authors\nimport os\n')
    tree.git('add', '-A')
    os.symlink(f'{ROOT}/devtools', f'{tree.path}/devtools')
    status, out = tree.lint('check-all.sh')
    assert status == 1
    assert [row.split()[1] for row in out.splitlines() if row.startswith('FAILED')] == ['flake8']


def test_count_of_cmocka_and_of_a_crash(tree):
    rows = [{'result': 'OK', 'stdout': '[  PASSED  ] 5 test(s).\n'},
            {'result': 'FAIL', 'stdout': '[  PASSED  ] 2 test(s).\n',
             'stderr': '[  FAILED  ] 3 test(s), listed below:\n'},
            {'result': 'FAIL', 'stdout': 'Segmentation fault\n'}, {'result': 'SKIP', 'name': 'x'},
            {'result': 'OK', 'stdout': ''}]
    tree.write('testlog.json', '\n'.join(map(json.dumps, rows)))
    assert tree.lint('count-tests.py', 'testlog.json') == (0, 'SKIPPED all of x\n8 4 1\n')


def test_count_of_no_report_is_a_failure(tree):
    assert tree.lint('count-tests.py', 'gone.xml')[1].endswith('0 1 0\n')
