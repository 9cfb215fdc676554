#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The demonstration that weir-demo runs after the build: nothing it prints is made up, and it fails
if the guest saw another content than the host.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f'{ROOT}/test/guest', f'{ROOT}/test/functional']

import vm  # noqa: E402
import weirtest  # noqa: E402

GUEST_SECONDS = 150


def say(started, text):
    print(f'[{int(time.monotonic() - started):4}s] {text}', flush=True)


def rpc(weir, *words):
    """Calls weir-rpc.py as an operator would, and shows it."""
    print('       $ weir-rpc.py', *words, flush=True)
    run = subprocess.run([f'{ROOT}/usertools/weir-rpc.py', '-s', weir.rpc_path, *words],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stdout)


def checksum(folder):
    """The same sum of sums that the guest makes of a folder."""
    paths = []
    for at, _, names in os.walk(folder):
        paths += [os.path.relpath(os.path.join(at, n), folder) for n in names]
    lines = ''
    for path in sorted('./' + p for p in paths):
        with open(os.path.join(folder, path), 'rb') as f:
            lines += f'{hashlib.sha256(f.read()).hexdigest()}  {path}\n'
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def source_tree(path):
    """The sources of weir and the kernel's headers, as a tar archive."""
    with tarfile.open(path, 'w') as tar:
        for name in ('lib', 'drivers', 'app'):
            tar.add(f'{ROOT}/{name}', name)
        tar.add('/usr/include/linux', 'linux')


def follow(guest):
    """Prints the guest's lines as they come, until it ends; returns its exit status."""
    shown = 0
    end = time.monotonic() + GUEST_SECONDS
    while True:
        ended = guest.process.poll() is not None
        lines = (guest.read('console') or '').split('\n')
        # The last piece is a line only once the guest has ended it.
        for line in lines[shown:-1]:
            line = line.rstrip('\r')
            if line.startswith('@ '):
                print('       ' + line[2:], flush=True)
        shown = max(shown, len(lines) - 1)
        if ended:
            return guest.wait()
        guest.check()
        if time.monotonic() > end:
            raise vm.GuestError(f'no end after {GUEST_SECONDS} s\n{guest.tail()}')
        time.sleep(0.2)


def print_counts(weir):
    """What weir counted of the device and of its workers."""
    stat = weir.rpc('virtio_fs_device_get_stat', dev_name='demo')[0]['fuse']
    print(f'       {"operation":<12}{"count":>8}{"errors":>8}{"avg us":>10}{"p99 us":>10}')
    for name, op in sorted(stat['ops'].items(), key=lambda item: -item[1]['count']):
        latency = op['latency_us']
        print(f'       {name:<12}{op["count"]:>8}{op["errors"]:>8}'
              f'{latency["avg"]:>10.1f}{latency["p99"]:>10.1f}')
    print(f'       read by the guest {stat["bytes_read"] / 1e6:.1f} MB, '
          f'written {stat["bytes_written"] / 1e6:.1f} MB')
    for worker in weir.rpc('weir_get_workers'):
        print(f'       worker on lcore {worker["lcore"]}: {worker["busy_percent"]:.1f} % busy, '
              f'{worker["asleep_percent"]:.1f} % asleep')


def demonstrate(started, folder, out):
    share = os.path.join(folder, 'share')
    os.mkdir(share)
    source_tree(f'{out}/tree.tar')
    huge = weirtest.hugepages_free()
    with weirtest.Weir(memory=weirtest.HUGEPAGES if huge else weirtest.ORDINARY_PAGES) as weir:
        memory = 'hugepages' if huge else 'ordinary pages (no hugepages are free)'
        say(started, f'weir runs, on {memory}; its folder {share}')
        rpc(weir, 'virtio_fs_transport_create', '-t', 'DOCA')
        rpc(weir, 'virtio_fs_transport_start', '-t', 'DOCA')
        rpc(weir, 'fsdev_aio_create', 'share', share)
        rpc(weir, 'virtio_fs_device_create', '--transport-name', 'DOCA', '--dev-name', 'demo',
            '--tag', 'demo', '--fsdev', 'share', '--queue-size', '1024',
            '--num-request-queues', '1')
        rpc(weir, 'virtio_fs_device_start', '--dev-name', 'demo')
        say(started, 'a guest boots: QEMU without KVM, Debian\'s kernel as it is')
        with vm.Guest(out, [vm.Device('demo', weir.socket_of('demo'))]) as guest:
            with open(f'{ROOT}/usertools/demo/guest.sh', encoding='utf-8') as f:
                guest.start(f.read())
            if follow(guest) != 0:
                raise RuntimeError(f'the guest failed\n{guest.tail()}')
            seen = guest.read('checksum').strip()
        say(started, 'the host looks into the folder')
        here = checksum(f'{share}/tree')
        print(f'       checksum here   {here}')
        if here != seen:
            raise RuntimeError('the guest wrote something else than the folder holds')
        say(started, 'what weir counted')
        print_counts(weir)
        weir.stop()
        say(started, 'weir ended with exit status 0')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--since', type=int, default=0)
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    started = time.monotonic() - args.since
    # However it ends, weir and the guest end with it.
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix='weir-demo-', dir=weirtest.BUILD)
    out = tempfile.mkdtemp(prefix='weir-out-')
    try:
        demonstrate(started, folder, out)
        say(started, 'the demo succeeded')
        return 0
    except (RuntimeError, vm.GuestError, weirtest.RpcError, AssertionError, OSError) as e:
        say(started, f'the demo FAILED: {e}')
        return 1
    finally:
        if args.keep:
            print(f'       kept: {folder}/share, and the guest\'s console in {out}')
        else:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(out, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
