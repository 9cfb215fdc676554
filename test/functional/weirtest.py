# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What the functional tests share: the appliance as a process, its RPCs, the test front end."""

import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('WEIR_BUILD', os.path.join(ROOT, 'build'))
WEIR = os.path.join(BUILD, 'app', 'weir', 'weir')
FE = os.path.join(BUILD, 'test', 'fe', 'weir-fe')
PERF = os.path.join(BUILD, 'app', 'weir-perf', 'weir-perf')
RPC_TOOL = os.path.join(ROOT, 'usertools', 'weir-rpc.py')

# Sanitizers make everything slower, limits of time are stretched; and they keep freed memory.
SANITIZED = 'asan' in os.path.basename(BUILD.rstrip('/'))
SLOW = 4 if SANITIZED else 1
START_S = 20 * SLOW
STOP_S = 20 * SLOW


def wait_until(condition, seconds, what):
    """Polls until condition() is true; fails with what otherwise."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'waited {seconds} s for {what}'
        time.sleep(0.005)


class RpcError(Exception):
    """An error that the appliance answered with."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error['code']
        self.message = error['message']


class RpcClient:
    """One connection to an RPC socket."""

    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout * SLOW)
        self.sock.connect(path)
        self.rest = b''
        self.next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        """One answer as it came, with its newline; b'' when the connection was closed."""
        while b'\n' not in self.rest:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b''
            if not more:
                return b''
            self.rest += more
        line, _, self.rest = self.rest.partition(b'\n')
        return line + b'\n'

    def exchange(self, text):
        """Sends text, returns the next answer, parsed."""
        self.send(text if isinstance(text, bytes) else text.encode())
        line = self.line()
        assert line, 'the connection was closed'
        return json.loads(line)

    def call(self, method, **params):
        request = {'jsonrpc': '2.0', 'id': self.next_id, 'method': method}
        if params:
            request['params'] = params
        self.next_id += 1
        answer = self.exchange(json.dumps(request))
        assert answer['id'] == request['id']
        if 'error' in answer:
            raise RpcError(answer['error'])
        return answer['result']


class Fe:
    """A running weir-fe."""

    def __init__(self, *args, stdin=subprocess.DEVNULL):
        # Output goes to files: nobody has to read a pipe for it to go on.
        # A file system may name things with any bytes, and say so.
        self.out_file = tempfile.TemporaryFile('w+', errors='backslashreplace')
        self.err_file = tempfile.TemporaryFile('w+', errors='backslashreplace')
        # Reading moves the place where the other side would write, were it not always the end.
        for file in (self.out_file, self.err_file):
            fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
        self.args = [str(a) for a in args]
        self.proc = subprocess.Popen([FE, *self.args], stdin=stdin, stdout=self.out_file,
                                     stderr=self.err_file)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.out_file.close()
        self.err_file.close()

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        if self.proc.stdin is not None:
            self.proc.stdin.close()
        self.proc.wait()

    @staticmethod
    def _text(file):
        file.seek(0)
        return file.read()

    @property
    def out(self):
        return self._text(self.out_file)

    @property
    def err(self):
        return self._text(self.err_file)

    def wait(self, seconds=60, code=0):
        """Waits for its end; returns its standard output. Any other exit code than code fails."""
        got = self.proc.wait(seconds * SLOW)
        assert code is None or got == code, \
            f'weir-fe {" ".join(self.args)}: exit code {got}\n{self.out}{self.err}'
        return self.out


def fe(*args, seconds=60, code=0):
    """Runs weir-fe to its end; returns its standard output."""
    with Fe(*args) as run:
        return run.wait(seconds, code)


def holding_fe(sock, *args):
    """A front end that has mounted the device and stays until it is killed."""
    run = Fe('hold', '-s', sock, *args, stdin=subprocess.PIPE)
    wait_until(lambda: 'holding' in run.out or run.proc.poll() is not None, 20, 'a mount')
    if run.proc.poll() is not None:
        message = run.err
        run.kill()
        raise AssertionError(f'the front end could not mount: {message}')
    return run


def lcores():
    """Main lcore and two workers, on as many CPUs as there are."""
    cpus = sorted(os.sched_getaffinity(0))
    return f'0@{cpus[0]},1@{cpus[0]},2@{cpus[-1]}'


ORDINARY_PAGES = ('--no-huge', '--no-shconf', '-m', '256')
HUGEPAGES = ('--in-memory', '-m', '256')

# A system call that weir's filter forgot is an error that a test might not see: here it is the end.
# WEIR_OPTIONS holds more of weir's options, for a run of all tests with them.
STRICT = ('--seccomp', 'kill', *os.environ.get('WEIR_OPTIONS', '').split())


def hugepages_free():
    """Whether there are enough hugepages of 2 MiB for one appliance."""
    try:
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as file:
            return int(file.read()) >= 128
    except OSError:
        return False


class Weir:
    """A running appliance in a directory of its own."""

    count = 0

    def __init__(self, *args, env=None, wait=True, memory=ORDINARY_PAGES, strict=True):
        Weir.count += 1
        # Paths of UNIX sockets are at most 107 bytes: pytest's own directories are too deep.
        self.dir = tempfile.mkdtemp(prefix='weir-test-')
        self.sockets = os.path.join(self.dir, 'dev')
        self.rpc_path = os.path.join(self.dir, 'rpc.sock')
        self.log_path = os.path.join(self.dir, 'log')
        self.prefix = f'weir-test-{os.getpid()}-{Weir.count}'
        self.rpc_client = None
        self.command = [*self.command_line(self.rpc_path, self.sockets, self.prefix, memory),
                        *(STRICT if strict else ()), *args]
        with open(self.log_path, 'w') as log:
            self.proc = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, env={**os.environ, **(env or {})})
        if wait:
            self.wait_for_rpc()

    @staticmethod
    def command_line(rpc_path, sockets, prefix, memory=ORDINARY_PAGES):
        return [WEIR, *memory, '--no-pci', '--iova-mode=va', '--file-prefix', prefix,
                '--lcores', lcores(), '--', '-r', rpc_path, '--socket-dir', sockets]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.cleanup()

    @property
    def pid(self):
        return self.proc.pid

    @property
    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def wait_for_rpc(self):
        end = time.monotonic() + START_S
        while True:
            assert self.proc.poll() is None, f'weir ended with {self.proc.returncode}\n{self.log}'
            try:
                self.rpc_client = RpcClient(self.rpc_path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < end, f'no RPC socket\n{self.log}'
                time.sleep(0.01)
        self.rpc('spdk_get_version')

    def rpc(self, method, **params):
        return self.rpc_client.call(method, **params)

    def rpc_fails(self, code, words, method, **params):
        """The call must fail with this code and a text that contains all of words."""
        try:
            result = self.rpc(method, **params)
        except RpcError as error:
            text = error.message.lower()
            missing = [w for w in words.split('|') if w.lower() not in text]
            assert error.code == code, f'{method} {params}: {error}'
            assert not missing, f'{method} {params}: {error} lacks {missing}'
            assert '\n' not in error.message
            return error
        raise AssertionError(f'{method} {params} succeeded: {result}')

    def start_transport(self, name='DOCA'):
        self.rpc('virtio_fs_transport_create', transport_name=name)
        self.rpc('virtio_fs_transport_start', transport_name=name)

    def socket_of(self, device):
        return os.path.join(self.sockets, device + '.sock')

    def add_device(self, name, fsdev, tag=None, queues=4, queue_size=256,
                   packed=False, **params):
        """Creates and starts a device; returns its socket, which is there."""
        self.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name,
                 tag=tag or name, fsdev=fsdev, num_request_queues=queues, queue_size=queue_size,
                 packed_vq=packed, **params)
        self.rpc('virtio_fs_device_start', dev_name=name)
        path = self.socket_of(name)
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        return path

    def remove_device(self, name):
        self.rpc('virtio_fs_device_stop', dev_name=name)
        self.rpc('virtio_fs_device_destroy', dev_name=name)

    def device(self, name):
        return self.rpc('virtio_fs_get_devices', dev_name=name)[0]

    def state(self):
        """All that RPCs report of the configuration, to see that a refused call changed nothing."""
        devices = self.rpc('virtio_fs_get_devices')
        return {
            'transports': self.rpc('virtio_fs_get_transports'),
            'managers': self.rpc('virtio_fs_doca_get_managers'),
            'functions': self.rpc('virtio_fs_doca_get_functions'),
            'fsdevs': self.rpc('fsdev_get_fsdevs'),
            'devices': devices,
        }

    def telemetry(self, command):
        path = f'/var/run/dpdk/{self.prefix}/dpdk_telemetry.v2'
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10 * SLOW)
            sock.connect(path)
            sock.recv(16384)
            sock.sendall(command.encode())
            return json.loads(sock.recv(65536))

    def cpu_seconds(self):
        """CPU time of the whole process so far."""
        total = 0
        for tid in os.listdir(f'/proc/{self.pid}/task'):
            with open(f'/proc/{self.pid}/task/{tid}/schedstat') as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def rss_kib(self):
        with open(f'/proc/{self.pid}/statm') as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024

    def nb_fds(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def is_alive(self):
        return self.proc.poll() is None

    def is_over(self):
        """True when it has ended, be it that the kernel still keeps a thread of it."""
        with open(f'/proc/{self.pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] in 'ZX'

    def terminate(self, sig=signal.SIGTERM, seconds=STOP_S):
        """Signals it and returns its exit code."""
        if self.rpc_client is not None:
            self.rpc_client.sock.close()
            self.rpc_client = None
        self.proc.send_signal(sig)
        return self.proc.wait(seconds)

    def stop(self, code=0):
        """SIGTERM; checks the exit code and that no socket is left."""
        got = self.terminate()
        assert got == code, f'weir ended with {got}\n{self.log}'
        assert not os.path.exists(self.rpc_path)
        left = os.listdir(self.sockets) if os.path.isdir(self.sockets) else []
        assert left == [], left
        assert 'AddressSanitizer' not in self.log and 'runtime error' not in self.log, self.log

    def cleanup(self):
        """Whatever happened: no process and no file stays."""
        if self.is_alive():
            self.proc.kill()
            self.proc.wait()
        if self.rpc_client is not None:
            self.rpc_client.sock.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(f'/var/run/dpdk/{self.prefix}', ignore_errors=True)


def rpc_tool(weir, *words, code=0, stdin=None):
    """Runs usertools/weir-rpc.py; returns its standard output."""
    run = subprocess.run(['/usr/bin/python3', RPC_TOOL, '-s', weir.rpc_path, *words], input=stdin,
                         capture_output=True, text=True, timeout=60 * SLOW)
    assert run.returncode == code, f'{words}: {run.returncode}\n{run.stdout}{run.stderr}'
    return run.stdout if code == 0 else run.stdout + run.stderr
