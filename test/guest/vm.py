#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Boots a guest under QEMU with virtio-fs devices of any vhost-user server; runs a script in it.

    vm.py [--device TAG=SOCKET[,QUEUES]]... [--forward HOST:GUEST]... [--keep DIR] [--timeout S]
          SCRIPT

No KVM, no privileges beyond reading the host's files. No network, unless ports of the guest are
forwarded to the host's loopback; then the guest has an interface, and reaches nobody by it. The
script runs as root in the guest, where the host's root is visible (writes stay in the guest's
memory) and /out is one folder shared with the host. Exit status: the script's, or 99 if the guest
crashed or ran out of time.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import kernel

# Without the string instructions and AVX, which emulation runs slowly, a guest is twice as fast.
CPU = 'max,-erms,-fsrm,-avx,-avx2,-la57'
CMDLINE = ('console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr '
           'clearcpuid=rep_good cryptomgr.notests random.trust_cpu=on tsc=reliable '
           # On a host that is busy the timer may be late, which is no reason to panic.
           'no_timer_check')
CRASHED = 99
TROUBLE = re.compile(r'Kernel panic|Oops:|BUG:|Call Trace:|blocked for more than|init: no |'
                     r'is not a head|segfault')


class GuestError(Exception):
    """The guest crashed, hung or was lost."""


class Device:
    """A virtio-fs device of the guest: its tag and the socket of the server behind it."""

    def __init__(self, tag, path, queues=1, ring=1024, packed=False):
        self.tag, self.path, self.queues, self.ring = tag, path, queues, ring
        self.packed = 'on' if packed else 'off'

    def args(self, n):
        return ['-chardev', f'socket,id=fs{n},path={self.path}',
                '-device', f'vhost-user-fs-pci,chardev=fs{n},tag={self.tag},'
                           f'queue-size={self.ring},num-request-queues={self.queues},'
                           f'packed={self.packed}']


class HostLoopback:
    """An interface, up after forward_up (lib.sh), by which a guest reaches the host's loopback."""

    ADDRESS = '10.0.2.2'

    def args(self, n):
        return ['-netdev', f'user,id=net{n}',
                '-device', f'virtio-net-pci,netdev=net{n},romfile=']


class Guest:
    """One QEMU. `out` is the folder shared with the guest; `run` in it is what the guest runs.

    forward: pairs of a TCP port of 127.0.0.1 and the port of the guest that answers there, once the
    guest has called forward_up (lib.sh).
    nodes: the CPUs of each NUMA node, as "0-1"; the memory is divided evenly.
    append: more of the kernel's command line.
    """

    def __init__(self, out, devices, meta=kernel.STOCK, cpus=1, mem_mb=768, forward=(), nodes=(),
                 append=''):
        self.out = out
        self.devices = devices
        self.cpus = cpus
        self.mem_mb = mem_mb
        self.forward = forward
        self.nodes = nodes
        self.append = append
        self.boot = kernel.prepare(meta)
        if self.boot is None:
            raise GuestError(f'there is no {meta}')
        self.console = os.path.join(out, 'console')
        self.process = None
        self.monitor = None

    def memory(self):
        """Shared with the servers of devices."""
        if not self.nodes:
            return ['-machine', 'memory-backend=mem',
                    '-object', f'memory-backend-memfd,id=mem,size={self.mem_mb}M,share=on']
        argv = []
        for n, cpus in enumerate(self.nodes):
            argv += ['-object', f'memory-backend-memfd,id=mem{n},share=on,'
                                f'size={self.mem_mb // len(self.nodes)}M',
                     '-numa', f'node,nodeid={n},memdev=mem{n},cpus={cpus}']
        return argv

    def start(self, script, files=()):
        """Copies the files and the script to /out and boots. The script is text for sh."""
        for path in files:
            shutil.copy(path, self.out)
        self.write('run', script)
        # Where there can never be two CPUs, QEMU's translator leaves out the guest's barriers,
        # though weir is another: the guest would ask for an interrupt, and not see what came just
        # before.
        argv = [
            'qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none',
            '-machine', 'q35,accel=tcg,usb=off', '-cpu', CPU,
            '-smp', f'{self.cpus},maxcpus={max(self.cpus, 2)}',
            '-m', f'{self.mem_mb}M', *self.memory(),
            '-kernel', f'{self.boot}/vmlinuz', '-initrd', f'{self.boot}/initrd.gz',
            '-append', f'{CMDLINE} {self.append} weir_kernel={self.boot}',
            '-serial', f'file:{self.console}',
            '-qmp', f'unix:{self.out}/qmp,server=on,wait=off', '-device', 'virtio-rng-pci',
            '-fsdev', 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap',
            '-device', 'virtio-9p-pci,fsdev=host,mount_tag=host',
            '-fsdev', f'local,id=out,path={self.out},security_model=none',
            '-device', 'virtio-9p-pci,fsdev=out,mount_tag=out']
        for n, device in enumerate(self.devices):
            argv += device.args(n)
        if self.forward:
            ports = ''.join(f',hostfwd=tcp:127.0.0.1:{host}-:{guest}'
                            for host, guest in self.forward)
            argv += ['-netdev', f'user,id=net,restrict=on{ports}',
                     '-device', 'virtio-net-pci,netdev=net,romfile=']
        with open(os.path.join(self.out, 'qemu.log'), 'wb') as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def write(self, name, text=''):
        """Puts a file into /out at once: a guest that waits for it never sees half of it."""
        path = os.path.join(self.out, name)
        with open(path + '.new', 'w', encoding='utf-8') as f:
            f.write(text)
        os.rename(path + '.new', path)

    def read(self, name):
        """A file of /out, or None."""
        try:
            with open(os.path.join(self.out, name), encoding='utf-8', errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return None

    def check(self):
        """Raises GuestError if the kernel has complained or QEMU has died before its time."""
        console = self.read('console') or ''
        trouble = TROUBLE.search(console)
        if trouble:
            raise GuestError(f'guest: {trouble.group()}\n{console[-4000:]}')
        if self.is_over() and self.read('status') is None:
            raise GuestError(f'QEMU ended early\n{self.read("qemu.log")}\n{console[-2000:]}')

    def is_over(self):
        """True when it has been started and QEMU has ended."""
        return self.process is not None and self.process.poll() is not None

    def tail(self):
        """The end of what the guest's console said."""
        return (self.read('console') or '')[-3000:]

    def wait_for(self, name, timeout=60):
        """Waits until the guest has written /out/NAME; returns its text."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            text = self.read(name)
            if text is not None:
                return text
            self.check()
            time.sleep(0.05)
        raise GuestError(f'the guest never wrote {name}\n{self.tail()}')

    def wait(self, timeout=240):
        """Waits for the guest to power off; returns the script's exit status."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise GuestError(f'no end after {timeout} s\n{self.tail()}')
            self.check()
            time.sleep(0.1)
        self.check()
        return int(self.read('status'))

    def kill(self):
        """Ends QEMU without warning, as a crash would."""
        if self.monitor is not None:
            self.monitor.close()
            self.monitor = None
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def qmp(self, command, **arguments):
        """One command to QEMU's monitor; returns its result."""
        if self.monitor is None:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(20)
            sock.connect(os.path.join(self.out, 'qmp'))
            self.monitor = sock.makefile('rw', encoding='utf-8')
            sock.close()
            self.monitor.readline()
            self.qmp('qmp_capabilities')
        self.monitor.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if 'error' in answer:
                raise GuestError(f'{command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()


def device_arg(text):
    tag, _, path = text.partition('=')
    path, _, queues = path.partition(',')
    return Device(tag, path, int(queues or 1))


def forward_arg(text):
    host, _, guest = text.partition(':')
    return int(host), int(guest)


def main():
    parser = argparse.ArgumentParser(description='run a script in a guest with virtio-fs devices')
    parser.add_argument('--device', action='append', default=[], type=device_arg,
                        metavar='TAG=SOCKET[,QUEUES]')
    parser.add_argument('--forward', action='append', default=[], type=forward_arg,
                        metavar='HOST:GUEST', help='TCP ports')
    parser.add_argument('--kernel', default=kernel.STOCK, metavar='PACKAGE')
    parser.add_argument('--cpus', type=int, default=1)
    parser.add_argument('--timeout', type=int, default=240, metavar='SECONDS')
    parser.add_argument('--keep', metavar='DIR', help='use DIR as /out and keep it')
    parser.add_argument('script')
    args = parser.parse_args()
    with open(args.script, encoding='utf-8') as f:
        script = f.read()
    out = args.keep or tempfile.mkdtemp(prefix='weir-guest-')
    os.makedirs(out, exist_ok=True)
    try:
        with Guest(out, args.device, args.kernel, args.cpus, forward=args.forward) as guest:
            guest.start(script)
            status = guest.wait(args.timeout)
            print(guest.read('console'), end='')
            return status
    except GuestError as e:
        print(e, file=sys.stderr)
        return CRASHED
    finally:
        if not args.keep:
            shutil.rmtree(out, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
