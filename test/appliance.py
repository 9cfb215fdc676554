# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The appliance as tests and the demo run it: start, remote calls, stop, and what it holds."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_serial = itertools.count()


class RpcError(Exception):
    """The appliance refused a call."""

    def __init__(self, method, error):
        super().__init__(f'{method}: {error["message"]} ({error["code"]})')
        self.code = error['code']
        self.message = error['message']


def build_dir():
    return os.environ.get('WEIR_BUILD') or os.path.join(ROOT, 'build')


def free_hugepages():
    """Whether 256 MiB of 2 MiB pages are free on the first node that has any."""
    try:
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
            return int(f.read()) >= 128
    except (OSError, ValueError):
        return False


def lcores():
    """The main lcore and one worker, on two CPUs where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return f'0@{cpus[0]},1@{cpus[min(1, len(cpus) - 1)]}'


def memory_args():
    if free_hugepages():
        return ['--in-memory', '-m', '256']
    return ['--no-huge', '--no-shconf', '-m', '256']


class Appliance:
    """One weir process with a folder of its own for its sockets; use it with `with`."""

    def __init__(self, eal=(), args=(), binary=None):
        self.dir = tempfile.mkdtemp(prefix='weir-')
        self.prefix = f'weir-{os.getpid()}-{next(_serial)}'
        self.log = os.path.join(self.dir, 'log')
        self.rpc_socket = os.path.join(self.dir, 'rpc.sock')
        self.argv = [binary or os.path.join(build_dir(), 'app/weir/weir'),
                     '--lcores', lcores(), *memory_args(), '--no-pci', '--iova-mode=va',
                     f'--file-prefix={self.prefix}', *eal,
                     '--', '-r', self.rpc_socket, '--socket-dir', self.dir, *args]
        self.process = None

    def start(self, timeout=30):
        """Starts the process; returns once it answers."""
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        end = time.monotonic() + timeout
        while True:
            try:
                self.rpc('spdk_get_version')
                return self
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.read_log()
                self.close()
                raise RuntimeError(f'weir did not start\n{text}')
            time.sleep(0.02)

    def rpc(self, method, timeout=60, **params):
        """One call over a connection of its own; returns the result or raises RpcError."""
        request = {'jsonrpc': '2.0', 'id': 1, 'method': method}
        if params:
            request['params'] = params
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            sock.connect(self.rpc_socket)
            sock.sendall(json.dumps(request).encode() + b'\n')
            with sock.makefile('rb') as answers:
                answer = json.loads(answers.readline())
        if 'error' in answer:
            raise RpcError(method, answer['error'])
        return answer['result']

    def add_transport(self):
        self.rpc('virtio_fs_transport_create', transport_name='DOCA')
        self.rpc('virtio_fs_transport_start', transport_name='DOCA')

    def add_device(self, name, tag, fsdev, queues=1, **more):
        """Creates and starts a device; returns the path of its socket."""
        self.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name, tag=tag,
                 fsdev=fsdev, num_request_queues=queues, queue_size=1024, **more)
        self.rpc('virtio_fs_device_start', dev_name=name)
        return self.socket(name)

    def remove_device(self, name):
        self.rpc('virtio_fs_device_stop', dev_name=name)
        self.rpc('virtio_fs_device_destroy', dev_name=name)

    def socket(self, name):
        return os.path.join(self.dir, name + '.sock')

    def telemetry(self, command):
        """One telemetry command; returns its value."""
        base = os.environ.get('RUNTIME_DIRECTORY') or '/var/run'
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10)
            sock.connect(f'{base}/dpdk/{self.prefix}/dpdk_telemetry.v2')
            sock.recv(1024)
            sock.send(command.encode())
            answer = json.loads(sock.recv(65536))
        return answer[command.split(',')[0]]

    def rss_kb(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return next(int(row.split()[1]) for row in f if row.startswith('VmRSS:'))

    def nb_fds(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def alive(self):
        return self.process.poll() is None

    def read_log(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def stop(self, timeout=30):
        """SIGTERM; returns the exit status. One that does not end in time is killed: -9."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def close(self):
        """Ends the process if it runs and removes its folder."""
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(f'/var/run/dpdk/{self.prefix}', ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()
