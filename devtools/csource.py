# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What the lints share about C sources: which files, and their text without comments."""

import re
import subprocess

_NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def tracked(*patterns):
    """Tracked files that match the git patterns, in order."""
    return subprocess.run(['git', 'ls-files', *patterns], check=True, capture_output=True,
                          text=True).stdout.splitlines()


def code_only(text):
    """The text with comments and literals blanked; lines keep their numbers."""
    return _NOISE.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def read_code(path):
    with open(path, encoding='utf-8') as f:
        return code_only(f.read())


def functions(paths):
    """Yields (path, name, first line, last line) of each function definition, found by ctags."""
    if not paths:
        return
    tags = subprocess.run(
        ['ctags', '-x', '--_xformat=%F\t%N\t%n\t%e', '--languages=C', '--langmap=C:.c.h',
         '--kinds-C=f', '-I', 'WEIR_ON_WORKER,WEIR_ON_CONTROL,WEIR_ON_TRANSPORT,WEIR_ON_HELPER',
         '-f', '-', *paths],
        check=True, capture_output=True, text=True).stdout
    for row in tags.splitlines():
        path, name, first, last = row.split('\t')
        if last.isdigit():
            yield path, name, int(first), int(last)
