# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What the measurements of this folder have in common: how they are asked, and how they answer."""

import argparse
import json
import os
import sys

CPUS = sorted(os.sched_getaffinity(0))
BUILD = 'WEIR_BUILD names the build directory.'
EXITS = 'Exit status: 0 everything was measured; 1 it could not be; 2 wrong usage.'


def parser(doc, *more, exits=EXITS):
    """Of the options: --help tells all of doc, what more there is to say, and how it ends."""
    return argparse.ArgumentParser(description=doc, epilog='\n'.join((BUILD, *more, exits)),
                                   formatter_class=argparse.RawDescriptionHelpFormatter)


def add_json(options):
    options.add_argument('--json', action='store_true', help='print JSON instead of tables')


def need_two_cpus():
    if len(CPUS) < 2:
        sys.exit('this needs two CPUs')


def show(rows, args, print_table):
    """Prints the result as --json says."""
    if args.json:
        print(json.dumps(rows))
    else:
        print_table(rows)
