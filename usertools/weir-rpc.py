#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors

"""Calls the RPC methods of a running weir.

The methods, their parameters and their help come from the appliance itself (weir_get_rpc_schema).
The command-line form of a call has the same rules in weir's init file (lib/rpc/cmdline.c).
"""

import difflib
import json
import os
import re
import socket
import sys
import textwrap

DEFAULT_SOCK = '/run/weir/rpc.sock'
TOOLS = ('rpc.py', 'spdk_rpc.py', 'snap_rpc.py', 'weir-rpc.py', 'spdk_rpc')

OK, FAILED, USAGE, NO_CONNECTION = range(4)

HELP = f'''\
usage: weir-rpc.py [OPTION...] METHOD [PARAMETER...]
       weir-rpc.py [OPTION...] METHOD --help
       weir-rpc.py [OPTION...] < FILE

Calls a method of a running weir and prints its result. Without a method, reads command lines from
standard input, one call a line, and stops at the first that fails: # starts a comment, a backslash
at the end of a line continues it, quotes make one word of several.

options, before the method:
  -s, --server-addr SOCK  socket of the appliance; default $WEIR_RPC_SOCK, or {DEFAULT_SOCK}
  -t, --timeout SECONDS   how long to wait for an answer; default 60
  -v, --verbose           print request and response to standard error
  --json                  print the result as JSON in one line
  --plugin X              ignored, so that command lines written for SPDK's rpc.py work
  -h, --help              this text and the methods; behind a method, its parameters

parameters, after the method: some by position, all as --name VALUE or --name=VALUE, some with a
short option; flags as --name. Dashes and underscores in names are alike.

exit status: 0 success, 1 the call failed, 2 wrong usage, 3 no connection to the appliance
'''


class Failure(Exception):
    """What ends the program: a text for the user and the exit status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class RpcError(Exception):
    """An error response."""

    def __init__(self, method, error):
        super().__init__(error.get('message', 'no message'))
        self.method = method
        self.error = error


class Options:
    """The options before the method."""

    def __init__(self):
        self.sock = os.environ.get('WEIR_RPC_SOCK') or DEFAULT_SOCK
        self.timeout = 60.0
        self.verbose = False
        self.json = False
        self.help = False

    def take(self, words):
        """Removes the options from the front of words."""
        if words and os.path.basename(words[0]) in TOOLS:
            del words[0]
        while words and words[0].startswith('-'):
            name, equals, value = words.pop(0).partition('=')
            name = name.replace('_', '-')
            if name in ('-v', '--verbose'):
                self.verbose = True
            elif name == '--json':
                self.json = True
            elif name in ('-h', '--help'):
                self.help = True
            elif name in ('-s', '--server-addr', '-t', '--timeout', '--plugin'):
                if not equals:
                    if not words:
                        raise Failure(USAGE, f'{name}: needs a value')
                    value = words.pop(0)
                self.set(name, value)
            else:
                raise Failure(USAGE, f'{name}: no such option before the method')

    def set(self, name, value):
        if name in ('-s', '--server-addr'):
            self.sock = value
        elif name in ('-t', '--timeout'):
            try:
                self.timeout = float(value)
            except ValueError:
                self.timeout = 0
            if not 0 < self.timeout < 1e9:
                raise Failure(USAGE, f'{name}: must be a number of seconds above 0')


class Client:
    """A connection to the appliance, opened when it is first needed."""

    def __init__(self, options):
        self.options = options
        self.stream = None
        self.next_id = 1
        self.schemas = {}

    def connect(self):
        if self.stream is not None:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.options.timeout)
        try:
            sock.connect(self.options.sock)
        except OSError as e:
            raise Failure(NO_CONNECTION,
                          f'cannot connect to {self.options.sock}: {e.strerror or e}') from e
        self.stream = sock

    def exchange(self, request):
        """Sends one request and returns the one line that answers it."""
        data = bytearray()
        try:
            self.stream.settimeout(self.options.timeout)
            self.stream.sendall(json.dumps(request).encode())
            while not data.endswith(b'\n'):
                chunk = self.stream.recv(1 << 16)
                if not chunk:
                    raise Failure(FAILED, 'the appliance closed the connection')
                data += chunk
        except socket.timeout as e:
            raise Failure(FAILED, f'no answer within {self.options.timeout:g} seconds') from e
        except OSError as e:
            raise Failure(FAILED, f'connection lost: {e.strerror or e}') from e
        return data.decode()

    def call(self, method, params=None, verbose=False):
        self.connect()
        request = {'jsonrpc': '2.0', 'id': self.next_id, 'method': method}
        self.next_id += 1
        if params:
            request['params'] = params
        if verbose:
            print('request:', json.dumps(request, indent=2), sep='\n', file=sys.stderr)
        try:
            response = json.loads(self.exchange(request))
        except ValueError as e:
            raise Failure(FAILED, f'the answer is not JSON: {e}') from e
        if verbose:
            print('response:', json.dumps(response, indent=2), sep='\n', file=sys.stderr)
        if 'error' in response:
            raise RpcError(method, response['error'])
        return response['result']

    def schema(self, method):
        """What the appliance says of one method."""
        if method not in self.schemas:
            try:
                self.schemas[method] = self.call('weir_get_rpc_schema', {'method': method})[0]
            except RpcError:
                raise Failure(USAGE, self.unknown(method)) from None
        return self.schemas[method]

    def unknown(self, method):
        names = self.call('rpc_get_methods', {'include_aliases': True})
        close = difflib.get_close_matches(method, names)
        return f'Method not found: {method}' + (f'; there is {", ".join(close)}' if close else '')


def same(name):
    """The form of a name in which dashes and underscores are alike."""
    return name.replace('-', '_')


class Parser:
    """Makes the parameters of one call of its words, by the method's schema."""

    def __init__(self, schema):
        self.rows = schema['params']
        self.params = {}

    def parse(self, words):
        words = list(words)
        position = 0
        while words:
            word = words.pop(0)
            if word.startswith('--'):
                self.long(word[2:], words)
            elif len(word) > 1 and word.startswith('-'):
                self.short(word, words)
            else:
                position += 1
                self.positional(position, word)
        return self.params

    def long(self, word, words):
        key, equals, value = word.partition('=')
        for name, row in self.rows.items():
            if same(key) in map(same, [name] + row.get('aliases', [])):
                self.set(name, row, value if equals else self.value(name, row, words))
                return
        raise Failure(USAGE, f'Invalid parameters: {key}: unknown parameter')

    def short(self, word, words):
        for name, row in self.rows.items():
            if row.get('short') == word[1] and (row['type'] != 'bool' or len(word) == 2):
                self.set(name, row, word[2:] or self.value(name, row, words))
                return
        raise Failure(USAGE, f'Invalid parameters: {word}: unknown option')

    def positional(self, position, word):
        for name, row in self.rows.items():
            if row.get('position') == position:
                self.set(name, row, word)
                return
        raise Failure(USAGE, f'Invalid parameters: {word}: unexpected word')

    @staticmethod
    def value(name, row, words):
        if row['type'] == 'bool':
            return 'true'
        if not words:
            raise Failure(USAGE, f'Invalid parameters: {name}: needs a value')
        return words.pop(0)

    def set(self, name, row, text):
        if row['type'] == 'bool':
            if text not in ('true', 'false'):
                raise Failure(USAGE, f'Invalid parameters: {name}: must be true or false')
            value = text == 'true'
        elif row['type'] in ('uint32', 'uint64'):
            value = self.number(name, text)
        else:
            value = self.string(name, text)
        if self.params.setdefault(name, value) != value:
            raise Failure(USAGE, f'Invalid parameters: {name}: given twice')

    @staticmethod
    def string(name, text):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Failure(USAGE, f'Invalid parameters: {name}: must be UTF-8') from None
        return text

    @staticmethod
    def number(name, text):
        if re.fullmatch('0[xX][0-9a-fA-F]+', text):
            value = int(text, 16)
        elif re.fullmatch('[+-]?[0-9]+', text):
            value = int(text)
        else:
            value = None
        if value is None or not -1 << 63 <= value < 1 << 63:
            raise Failure(USAGE, f'Invalid parameters: {name}: must be an integer')
        return value


def split(line):
    """The words of a line."""
    words, word, quote = [], None, ''
    chars = iter(line)
    for c in chars:
        if not quote and c.isspace():
            if word is not None:
                words.append(word)
            word = None
        elif not quote and word is None and c == '#':
            return words
        elif not quote and c in '\'"':
            word, quote = word or '', c
        elif c == quote:
            quote = ''
        elif c == '\\' and quote != "'":
            escaped = next(chars, '')
            if not escaped and not quote:
                raise Failure(USAGE, 'nothing follows the backslash')
            if quote and escaped not in '"\\':
                word += '\\'
            word = (word or '') + escaped
        else:
            word = (word or '') + c
    if quote:
        raise Failure(USAGE, f'no closing {quote}')
    return words if word is None else words + [word]


def lines(stream):
    """The lines of a stream with their numbers, each joined with those that continue it."""
    start, text = 0, ''
    for number, line in enumerate(stream, 1):
        start = start or number
        end = line.endswith('\n')
        text += line[:-1] if end else line
        if end and (len(text) - len(text.rstrip('\\'))) % 2:
            text = text[:-1]
            continue
        yield start, text
        start, text = 0, ''
    if text:
        yield start, text


def show(result, as_json):
    if as_json:
        print(json.dumps(result, separators=(',', ':')))
    elif isinstance(result, str):
        print(result)
    else:
        print(json.dumps(result, indent=2))


def describe(row):
    """Type, range and default of a parameter in words."""
    text = [row['type']]
    if 'choices' in row:
        text = ['one of ' + ', '.join(row['choices'])]
    elif row['type'] in ('uint32', 'uint64'):
        text.append(f'{row["min"]}..{row["max"]}')
        if row.get('power_of_two'):
            text.append('a power of two')
    if row['required']:
        text.append('required')
    elif row.get('default') not in (None, '', False):
        text.append(f'default {json.dumps(row["default"])}')
    if not row['supported']:
        text.append('not supported by this version')
    return ', '.join(text)


def method_help(schema):
    usage, rows = [], []
    by_position = sorted(schema['params'].items(), key=lambda item: item[1].get('position', 99))
    for name, row in by_position:
        option = '--' + name.replace('_', '-')
        value = '' if row['type'] == 'bool' else ' ' + name.upper()
        word = name.upper() if 'position' in row else option + value
        usage.append(word if row['required'] else f'[{word}]')
        names = ([f'-{row["short"]}'] if 'short' in row else []) + [option]
        names += ['--' + alias.replace('_', '-') for alias in row.get('aliases', [])]
        rows.append('  ' + ', '.join(names) + value)
        help_text = row['help'] + ('; ' if row['help'] else '') + describe(row)
        rows.append(textwrap.fill(help_text, 95, initial_indent=' ' * 8,
                                  subsequent_indent=' ' * 8))
    head = f'usage: weir-rpc.py {schema["name"]} '
    text = textwrap.fill(head + ' '.join(usage), 95, subsequent_indent=' ' * 8,
                         break_on_hyphens=False)
    text += f'\n\n{schema["help"]}\n'
    if schema['aliases']:
        text += f'Other names: {", ".join(schema["aliases"])}\n'
    return text + ('\nparameters:\n' + '\n'.join(rows) + '\n' if rows else '')


def general_help(client):
    print(HELP)
    try:
        schemas = client.call('weir_get_rpc_schema')
    except (Failure, RpcError) as e:
        print(f'No list of methods: {e}')
        return
    print('methods:')
    for schema in schemas:
        print(f'  {schema["name"]}\n        {schema["help"]}')


def run(client, words, options):
    """Runs the call that words are."""
    method, words = words[0], words[1:]
    schema = client.schema(method)
    if '--help' in words or ('-h' in words and
                             all(row.get('short') != 'h' for row in schema['params'].values())):
        print(method_help(schema), end='')
        return
    params = Parser(schema).parse(words)
    show(client.call(method, params, options.verbose), options.json)


def run_stdin(client, options):
    sys.stdin.reconfigure(errors='surrogateescape')
    for number, line in lines(sys.stdin):
        try:
            words = split(line)
            if not words:
                continue
            line_options = Options()
            vars(line_options).update(vars(options))
            line_options.take(words)
            if not words:
                raise Failure(USAGE, 'the line has no method')
            if line_options.sock != options.sock:
                raise Failure(USAGE, '-s: stands on the command line only')
            client.options = line_options
            run(client, words, line_options)
            sys.stdout.flush()
        except Failure as e:
            if e.status == NO_CONNECTION:
                raise
            raise Failure(e.status, f'line {number}: {e}') from e
        except RpcError as e:
            e.method = f'line {number}: {e.method}'
            raise


def main(argv):
    options = Options()
    try:
        words = list(argv)
        options.take(words)
        client = Client(options)
        if options.help and not words:
            general_help(client)
        elif options.help:
            run(client, [words[0], '--help'], options)
        elif words:
            run(client, words, options)
        elif sys.stdin.isatty():
            raise Failure(USAGE, 'no method; --help tells more')
        else:
            run_stdin(client, options)
    except Failure as e:
        print(f'weir-rpc.py: {e}', file=sys.stderr)
        return e.status
    except RpcError as e:
        if options.json:
            print(json.dumps(e.error, separators=(',', ':')), file=sys.stderr)
        else:
            print(f'weir-rpc.py: {e.method}: {e} (code {e.error.get("code")})', file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever reads the output has enough of it; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return OK


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
