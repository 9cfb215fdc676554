#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""In a guest, as root: weir in a network namespace, Linux's NFS server outside, and what goes wrong
between them while weir-fe storms. Writes what it has seen to the file named, as JSON.

    cut.py SEED INTERRUPTIONS RESTARTS FILE

Beside it lies weirtest.py, WEIR_BUILD names a build, knfsd.sh has brought up the server.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

import weirtest

EXPORT = '/mnt/export'
PORT, MOUNT_PORT = 2049, 20048
SERVER = '10.9.8.1'
NETNS = 'weir'

# linux/sched.h, sockios.h, if.h, netlink.h, sock_diag.h, net/tcp_states.h
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NETLINK_SOCK_DIAG, NLM_F_REQUEST, NLM_F_ACK, SOCK_DESTROY = 4, 1, 4, 21
ESTABLISHED, LISTEN = '01', '0A'

TIMEO_MS = 500
QUEUES = 8
# What the server's duplicate request cache keeps: the procedures that must not be done twice.
KEPT = ('SETATTR', 'WRITE', 'CREATE', 'MKDIR', 'SYMLINK', 'MKNOD', 'REMOVE', 'RMDIR', 'RENAME',
        'LINK')


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def ip(*args):
    run('/bin/ip', *args)


def make_network():
    ip('netns', 'add', NETNS)
    ip('link', 'add', 'server', 'type', 'veth', 'peer', 'name', 'weir', 'netns', NETNS)
    ip('addr', 'add', f'{SERVER}/24', 'dev', 'server')
    ip('-n', NETNS, 'addr', 'add', '10.9.8.2/24', 'dev', 'weir')
    ip('link', 'set', 'server', 'up')
    ip('-n', NETNS, 'link', 'set', 'weir', 'up')


@contextlib.contextmanager
def in_netns():
    """Programs started meanwhile live in the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open('/proc/self/ns/net') as before, open(f'/run/netns/{NETNS}') as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        yield
        assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


class Connection:
    """A line of /proc/net/tcp; addresses and ports as they are on the wire."""

    def __init__(self, line):
        _, local, remote, self.state = line.split()[:4]
        self.local, self.remote = self.end(local), self.end(remote)

    @staticmethod
    def end(text):
        address, port = text.split(':')
        return struct.pack('=L', int(address, 16)), int(port, 16)


def connections(pid):
    """The connections between the two, as seen by a process."""
    with open(f'/proc/{pid}/net/tcp') as file:
        every = [Connection(line) for line in list(file)[1:]]
    return [c for c in every if PORT in (c.local[1], c.remote[1]) and c.state != LISTEN]


class End:
    """One end of the link: an interface, and the sockets of its namespace."""

    def __init__(self, interface, pid):
        self.interface = interface.encode()
        self.pid = pid
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)

    def set_up(self, up):
        """As ip-link(8) does it, without the time that starting a program takes."""
        request = fcntl.ioctl(self.control, SIOCGIFFLAGS, struct.pack('16sH14x', self.interface, 0))
        flags = struct.unpack('16sH14x', request)[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(self.control, SIOCSIFFLAGS, struct.pack('16sH14x', self.interface, flags))

    def reset(self):
        """Breaks its connections as ss(8) -K does: both ends get a reset, if they can."""
        for c in connections(self.pid):
            ends = struct.pack('!HH4s12x4s12x', c.local[1], c.remote[1], c.local[0], c.remote[0])
            body = struct.pack('=BBBxL', socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff)
            body += ends + struct.pack('=LLL', 0, 0xffffffff, 0xffffffff)
            self.diag.send(struct.pack('=LHHLL', 16 + len(body), SOCK_DESTROY, NLM_F_REQUEST |
                                       NLM_F_ACK, 0, 0) + body)
            error = -struct.unpack_from('=l', self.diag.recv(4096), 16)[0]
            # It may have ended by itself.
            assert error in (0, errno.ENOENT), os.strerror(error)


class Interrupter:
    """Ways to come between the two, each as often as chance has it."""

    def __init__(self, seed, weir_pid):
        self.random = random.Random(seed)
        self.server = End('server', os.getpid())
        with in_netns():
            self.weir = End('weir', weir_pid)
        self.kinds = (self.cut_at_server, self.cut_at_weir, self.reset_by_weir,
                      self.reset_by_server, self.reset_unheard)
        self.counts = {}

    def some_time(self):
        """Mostly short; some longer than weir's patience."""
        time.sleep(self.random.choice((0.01, 0.03, 0.1, 0.8)) * self.random.random())

    def once(self):
        kind = self.random.choice(self.kinds)
        kind()
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    def cut_at_server(self):
        self.server.set_up(False)
        self.some_time()
        self.server.set_up(True)

    def cut_at_weir(self):
        self.weir.set_up(False)
        self.some_time()
        self.weir.set_up(True)

    def reset_by_weir(self):
        self.weir.reset()

    def reset_by_server(self):
        self.server.reset()

    def reset_unheard(self):
        """The server's sockets break while the link is cut: weir finds out later."""
        self.server.set_up(False)
        self.server.reset()
        self.some_time()
        self.server.set_up(True)


def cache():
    """Hits and misses of the server's duplicate request cache."""
    with open('/proc/net/rpc/nfsd') as file:
        words = file.readline().split()
    assert words[0] == 'rc'
    return int(words[1]), int(words[2])


class Appliance:
    """weir in the namespace, with one device on the server's export."""

    def __init__(self):
        with in_netns():
            self.weir = weirtest.Weir()
        self.weir.start_transport()
        self.weir.rpc('fsdev_nfs_create', name='nfs', server=SERVER, exportname=EXPORT,
                      port=PORT, mount_port=MOUNT_PORT, timeo_ms=TIMEO_MS,
                      write_mode='file_sync')
        self.socket = self.weir.add_device('d0', 'nfs', queues=QUEUES)

    def stats(self):
        return self.weir.rpc('fsdev_get_fsdevs', name='nfs')['module_specific']

    def kept_calls(self):
        """Calls of KEPT so far, each counted once however often it was sent."""
        return sum(p['calls'] for p in self.stats()['procedures'] if p['name'] in KEPT)

    def calls(self):
        return sum(p['calls'] for p in self.stats()['procedures'])

    def ports(self):
        """Local ports of its connections to the server, whatever their state."""
        return {c.local[1] for c in connections(self.weir.pid)}

    def is_connected(self):
        return any(c.state == ESTABLISHED for c in connections(self.weir.pid))


@contextlib.contextmanager
def storm(appliance, seed, said):
    """weir-fe storms; its verdict goes into said."""
    with weirtest.Fe('storm', '-s', appliance.socket, '--queues', QUEUES, '--depth', 4,
                     '--max-io', '64k', '--timeout', 60, '--seed', seed,
                     stdin=subprocess.PIPE) as fe:
        weirtest.wait_until(lambda: 'storming' in fe.out or fe.proc.poll() is not None, 30,
                            'the storm')
        yield fe
        fe.proc.stdin.close()
        said['code'] = fe.proc.wait(90)
        said['out'], said['err'] = fe.out, fe.err


def interrupt(appliance, seed, count):
    """A storm with interruptions at random moments."""
    seen = {'ports': sorted(appliance.ports())}
    ports = set()
    between = Interrupter(seed, appliance.weir.pid)
    hits, misses = cache()
    calls = appliance.kept_calls()
    start = time.monotonic()
    with storm(appliance, seed, seen) as fe:
        for n in range(count):
            weirtest.wait_until(appliance.is_connected, 30, 'a connection')
            between.some_time()
            ports |= appliance.ports()
            between.once()
            if n % 20 == 19:
                print(f'{time.monotonic() - start:6.1f} s: {n + 1} interruptions, '
                      f'{appliance.calls()} calls, ports {sorted(ports)}', flush=True)
            if fe.err:
                break
    seen['seconds'] = round(time.monotonic() - start, 1)
    hits_now, misses_now = cache()
    stats = appliance.stats()
    return {**seen, 'interruptions': between.counts, 'ports_used': sorted(ports),
            'hits': hits_now - hits, 'done': misses_now - misses,
            'asked': appliance.kept_calls() - calls, 'reconnects': stats['reconnects'],
            'port_changes': stats['port_changes'],
            'retransmissions': stats['retransmissions'], 'errors': stats['errors']}


def restart(appliance, seed, count):
    """A storm while the server's threads end and new ones start, which know nothing of before."""
    seen = {}
    chance = random.Random(seed)
    start = time.monotonic()
    with storm(appliance, seed, seen) as fe:
        for n in range(count):
            calls = appliance.calls()
            weirtest.wait_until(lambda: appliance.calls() > calls + 20 or fe.err, 30, 'calls')
            time.sleep(chance.random() * 0.3)
            run('rpc.nfsd', '0')
            time.sleep(chance.random())
            run('rpc.nfsd', '--no-nfs-version', '4', '--nfs-version', '3', '--no-udp', '--tcp',
                '--port', str(PORT), '4')
            print(f'{time.monotonic() - start:6.1f} s: {n + 1} restarts, '
                  f'{appliance.calls()} calls', flush=True)
    seen['seconds'] = round(time.monotonic() - start, 1)
    return {**seen, 'errors': appliance.stats()['errors'],
            'lost_writes': appliance.stats()['lost_writes']}


def main():
    seed, interruptions, restarts = (int(word) for word in sys.argv[1:4])
    make_network()
    appliance = Appliance()
    seen = {}
    try:
        seen['cut'] = interrupt(appliance, seed, interruptions)
        seen['restart'] = restart(appliance, seed + 1, restarts)
        seen['left'] = os.listdir(EXPORT)
        appliance.weir.remove_device('d0')
        appliance.weir.stop()
    finally:
        print(appliance.weir.log, json.dumps(seen, indent=1))
        with open(sys.argv[4], 'w') as file:
            json.dump(seen, file)


if __name__ == '__main__':
    main()
