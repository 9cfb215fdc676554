#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The demonstration that weir-demo runs after the build: nothing it prints is made up, and it fails
if the guest saw another content than the host.
"""

import argparse
import contextlib
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
sys.path[:0] = [f'{ROOT}/test/guest', f'{ROOT}/test/functional', f'{ROOT}/test/nfs']

import ganesha  # noqa: E402
import vm  # noqa: E402
import weirtest  # noqa: E402

GUEST_SECONDS = 240
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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


def print_operations(weir, tags):
    """What guests asked of each device, beside each other: times are from queue to queue."""
    stats = {tag: weir.rpc('virtio_fs_device_get_stat', dev_name=tag)[0]['fuse'] for tag in tags}
    print('       ' + ' ' * 12 + ''.join(f'{tag:>32}' for tag in tags))
    head = f'{"count":>12}{"avg us":>10}{"p99 us":>10}'
    print(f'       {"operation":<12}' + head * len(tags))
    counts = {}
    for stat in stats.values():
        for name, op in stat['ops'].items():
            counts[name] = counts.get(name, 0) + op['count']
    for name in sorted(counts, key=counts.get, reverse=True):
        line = f'{name:<12}'
        for stat in stats.values():
            op = stat['ops'].get(name)
            if op is None:
                line += ' ' * 32
                continue
            latency = op['latency_us']
            line += f'{op["count"]:>12}{latency["avg"]:>10.1f}{latency["p99"]:>10.1f}'
        print('       ' + line.rstrip())
    for tag, stat in stats.items():
        print(f'       {tag}: read by the guest {stat["bytes_read"] / 1e6:.1f} MB, '
              f'written {stat["bytes_written"] / 1e6:.1f} MB')


def print_nfs_calls(weir):
    """What it took weir to answer: remote calls, with the server's time in them."""
    nfs = weir.rpc('fsdev_get_fsdevs', name='remote')['module_specific']
    print(f'       {"NFS call":<12}{"count":>12}{"avg us":>10}{"p99 us":>10}{"errors":>8}'
          f'{"MB sent":>10}{"MB recvd":>10}')
    for proc in sorted(nfs['procedures'], key=lambda p: -p['calls']):
        rtt = proc['rtt_us']
        print(f'       {proc["name"]:<12}{proc["calls"]:>12}{rtt["avg"]:>10.1f}{rtt["p99"]:>10.1f}'
              f'{proc["errors"]:>8}{proc["bytes_sent"] / 1e6:>10.1f}'
              f'{proc["bytes_received"] / 1e6:>10.1f}')
    print(f'       {nfs["state"]}, {nfs["reconnects"]} reconnects, '
          f'{nfs["lost_writes"]} lost writes, {nfs["objects"]} objects held')


def print_workers(weir):
    for worker in weir.rpc('weir_get_workers'):
        print(f'       worker on lcore {worker["lcore"]}: {worker["busy_percent"]:.1f} % busy, '
              f'{worker["asleep_percent"]:.1f} % asleep')


def nfs_folder(folder):
    """Where a server can find what it exports: beside the local folder, else in memory."""
    for parent in (folder, '/dev/shm'):
        if ganesha.can_export(parent):
            return tempfile.mkdtemp(prefix='weir-demo-nfs-', dir=parent)
    return None


def serve(weir, tag, *create):
    """A file system and a device on it."""
    rpc(weir, *create)
    rpc(weir, 'virtio_fs_device_create', '--transport-name', 'DOCA', '--dev-name', tag,
        '--tag', tag, '--fsdev', create[1], '--queue-size', '1024', '--num-request-queues', '1')
    rpc(weir, 'virtio_fs_device_start', '--dev-name', tag)


def boot_and_work(weir, folders, out):
    """The guest does its work on each tag; what it wrote must be what the folders hold."""
    devices = [vm.Device(tag, weir.socket_of(tag)) for tag in folders]
    with vm.Guest(out, devices) as guest:
        with open(f'{ROOT}/usertools/demo/guest.sh', encoding='utf-8') as f:
            guest.start(f'tags="{" ".join(folders)}"\n' + f.read())
        if follow(guest) != 0:
            raise RuntimeError(f'the guest failed\n{guest.tail()}')
        seen = guest.read('checksum').strip()
    for tag, folder in folders.items():
        here = checksum(f'{folder}/tree')
        print(f'       checksum of {tag}, on the host {here}')
        if here != seen:
            raise RuntimeError(f'the guest wrote something else than {folder} holds')


def show_weir(started, weir, local, server, out):
    folders = {'local': local}
    rpc(weir, 'virtio_fs_transport_create', '-t', 'DOCA')
    rpc(weir, 'virtio_fs_transport_start', '-t', 'DOCA')
    serve(weir, 'local', 'fsdev_aio_create', 'folder', local)
    if server is not None:
        folders['nfs'] = server.folder
        serve(weir, 'nfs', 'fsdev_nfs_create', 'remote', '127.0.0.1', '/export',
              '--port', str(server.port), '--mount-port', str(server.mount_port))
    say(started, 'a guest boots: QEMU without KVM, Debian\'s kernel as it is')
    boot_and_work(weir, folders, out)
    say(started, 'what weir counted')
    print_operations(weir, list(folders))
    if server is not None:
        print_nfs_calls(weir)
    print_workers(weir)


def demonstrate(started, folder, exported, out):
    local = os.path.join(folder, 'local')
    os.mkdir(local)
    source_tree(f'{out}/tree.tar')
    with contextlib.ExitStack() as stack:
        server = None
        if exported is not None:
            server = stack.enter_context(ganesha.Ganesha(exported, start=False))
            server.start()
            say(started, f'nfs-ganesha runs; it exports {exported} on port {server.port}')
        else:
            say(started, f'WITHOUT NFS: it takes root, {ganesha.SERVER}, and a folder with handles')
        huge = weirtest.hugepages_free()
        memory = weirtest.HUGEPAGES if huge else weirtest.ORDINARY_PAGES
        weir = stack.enter_context(weirtest.Weir(memory=memory, wait=False))
        weir.wait_for_rpc()
        what = 'hugepages' if huge else 'ordinary pages (no hugepages are free)'
        say(started, f'weir runs, on {what}; its local folder {local}')
        show_weir(started, weir, local, server, out)
        weir.stop()
        say(started, 'weir ended with exit status 0')


def interrupted(signum, _):
    """However it ends, weir, the server and the guest end with it, once."""
    for sig in ENDS:
        signal.signal(sig, signal.SIG_IGN)
    sys.exit(128 + signum)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--since', type=int, default=0)
    parser.add_argument('--keep', action='store_true')
    args = parser.parse_args()
    started = time.monotonic() - args.since
    for sig in ENDS:
        signal.signal(sig, interrupted)
    folder = tempfile.mkdtemp(prefix='weir-demo-', dir=weirtest.BUILD)
    out = tempfile.mkdtemp(prefix='weir-out-')
    exported = nfs_folder(folder)
    try:
        demonstrate(started, folder, exported, out)
        say(started, 'the demo succeeded')
        return 0
    except (RuntimeError, vm.GuestError, weirtest.RpcError, AssertionError, OSError) as e:
        say(started, f'the demo FAILED: {e}')
        return 1
    finally:
        if args.keep:
            print(f'       kept: {folder}, {exported}, and the guest\'s console in {out}')
        else:
            for path in (folder, exported or folder, out):
                shutil.rmtree(path, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
