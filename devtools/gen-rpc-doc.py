#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""gen-rpc-doc.py [-s SOCKET] [--update FILE]: the reference of the RPC methods, in markdown.

It is made of what a running weir says of its methods (weir_get_rpc_schema). --update puts it into
FILE between the lines <!-- methods --> and <!-- /methods -->; without it, it is printed.
"""

import argparse
import json
import os
import subprocess
import sys

BEGIN, END = '<!-- methods -->\n', '<!-- /methods -->\n'
TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../usertools/weir-rpc.py')


def code(value):
    return f'`{value}`'


def values(row):
    """What a parameter may be."""
    if row['type'] == 'enum':
        text = ', '.join(map(code, row['choices']))
    elif row['type'] == 'string':
        text = f'string, at most {row["max_length"]} bytes'
    elif row['type'] == 'bool':
        text = 'bool'
    else:
        text = f'{row["type"]}, {row["min"]} to {row["max"]}'
        if row.get('power_of_two'):
            text += ', a power of two'
    return text if row['supported'] else text + '; refused when set, not supported yet'


def default(row):
    if row['required']:
        return 'required'
    if row.get('default') in (None, ''):
        return ''
    return code(json.dumps(row['default']).strip('"'))


def spelling(name, row):
    """How a parameter is named in JSON and on a command line."""
    text = ', '.join(map(code, [name] + row.get('aliases', [])))
    if 'position' in row:
        text += f', argument {row["position"]}'
    if 'short' in row:
        text += f', `-{row["short"]}`'
    return text


def method(schema):
    text = [f'### {schema["name"]}\n', f'{schema["help"]}.\n']
    if schema['aliases']:
        text.append(f'Also called {", ".join(map(code, schema["aliases"]))}.\n')
    if schema['params']:
        text += ['| parameter | values | default | meaning |', '|---|---|---|---|']
        for name, row in schema['params'].items():
            cells = (spelling(name, row), values(row), default(row), row['help'])
            text.append('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |')
        text.append('')
    else:
        text.append('No parameters.\n')
    return '\n'.join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('-s', '--server-addr', help='socket of the appliance')
    parser.add_argument('--update', metavar='FILE', help='page to put the reference into')
    args = parser.parse_args()

    words = ['-s', args.server_addr] if args.server_addr else []
    done = subprocess.run([TOOL, *words, '--json', 'weir_get_rpc_schema'], check=False,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return done.returncode
    reference = '\n'.join(method(schema) for schema in json.loads(done.stdout))
    if not args.update:
        print(reference, end='')
        return 0

    with open(args.update, encoding='utf-8') as f:
        page = f.read()
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        print(f'{args.update}: has no lines {BEGIN.strip()} and {END.strip()}', file=sys.stderr)
        return 1
    with open(args.update, 'w', encoding='utf-8') as f:
        f.write(head + begin + '\n' + reference + '\n' + end + tail)
    return 0


if __name__ == '__main__':
    sys.exit(main())
