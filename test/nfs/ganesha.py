#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""A private nfs-ganesha on loopback: no portmapper, no port below 1024, nothing outside a folder.

Exports /export, a folder on disk (VFS), and /mem, which lives in the server's memory and dies with
it. By hand: ganesha.py [--folder DIR], and it serves until it is interrupted.
"""

import argparse
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('WEIR_BUILD', os.path.join(ROOT, 'build'))
SHIM = os.path.join(BUILD, 'test', 'nfs', 'libnorpcbind.so')
SERVER = '/usr/bin/ganesha.nfsd'
PLUGINS = '/usr/lib/x86_64-linux-gnu/ganesha'
START_S = 30

CONFIG = '''
NFS_CORE_PARAM {{
    Protocols = 3;
    NFS_Port = {port};
    MNT_Port = {mount_port};
    Bind_addr = 127.0.0.1;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    mount_path_pseudo = true;
    Plugins_Dir = "{plugins}";
}}
NFSv4 {{
    Graceless = true;
    RecoveryBackend = "fs";
    RecoveryRoot = "{run}/recovery";
}}
NFS_KRB5 {{
    Active_krb5 = false;
}}
EXPORT_DEFAULTS {{
    Access_Type = RW;
    Squash = No_Root_Squash;
    SecType = sys;
    Transports = TCP;
}}
EXPORT {{
    Export_Id = 1;
    Path = "{folder}";
    Pseudo = /export;
    Attr_Expiration_Time = {attr_seconds};
    FSAL {{
        Name = VFS;
    }}
}}
MDCACHE {{
    Dir_Chunk = {dir_chunk};
    Use_Getattr_Directory_Invalidation = true;
}}
{mem}
LOG {{
    Default_Log_Level = EVENT;
}}
'''

# Inode_Size is how much data a file of it has room for; ganesha allows no more.
MEM_FILE_BYTES = 2 << 20
MEM_EXPORT = '''
MEM {{
    Inode_Size = {file_bytes};
}}
EXPORT {{
    Export_Id = 2;
    Path = /mem;
    Pseudo = /mem;
    FSAL {{
        Name = MEM;
    }}
}}
'''


def is_installed():
    return os.access(SERVER, os.X_OK) and os.access(SHIM, os.R_OK) and os.geteuid() == 0


class FileHandle(ctypes.Structure):
    """struct file_handle of name_to_handle_at(2)."""

    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('handle', ctypes.c_char * 128)]


def can_export(folder):
    """Whether FSAL_VFS can: files there have handles (on an overlay they may not) and we may open
    them by handle (which takes CAP_DAC_READ_SEARCH, and containers may lack).
    """
    if not is_installed():
        return False
    libc = ctypes.CDLL(None)
    handle, mount = FileHandle(bytes=128), ctypes.c_int()
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.name_to_handle_at(at, b'.', ctypes.byref(handle), ctypes.byref(mount), 0) != 0:
            return False
        fd = libc.open_by_handle_at(at, ctypes.byref(handle), os.O_RDONLY)
        if fd >= 0:
            os.close(fd)
        return fd >= 0
    finally:
        os.close(at)


def free_ports(count):
    """Ports nobody listens on, below the range that the kernel gives to outgoing connections."""
    with open('/proc/sys/net/ipv4/ip_local_port_range') as file:
        low = int(file.read().split()[0])
    socks, ports = [], []
    start = 10000 + os.getpid() * 37 % 10000
    for port in range(start, low):
        sock = socket.socket()
        try:
            sock.bind(('127.0.0.1', port))
        except OSError:
            sock.close()
            continue
        socks.append(sock)
        ports.append(port)
        if len(ports) == count:
            break
    for sock in socks:
        sock.close()
    return ports


class Ganesha:
    """A server with its configuration, state and log in a directory of its own."""

    def __init__(self, folder=None, mem=False, start=True, cache=True):
        """folder: what to export, made when None; mem: export /mem too.

        Without cache it sees at once what is changed in the folder behind its back.
        """
        self.dir = tempfile.mkdtemp(prefix='weir-ganesha-')
        # FSAL_VFS needs file handles, which an overlay has none of: rather serve from a tmpfs.
        self.own_folder = None if folder else tempfile.mkdtemp(prefix='weir-nfs-', dir='/dev/shm')
        self.folder = os.path.abspath(folder or self.own_folder)
        os.chmod(self.folder, 0o755)
        self.port, self.mount_port = free_ports(2)
        self.log_path = os.path.join(self.dir, 'log')
        self.config = os.path.join(self.dir, 'ganesha.conf')
        os.mkdir(os.path.join(self.dir, 'recovery'))
        mem_export = MEM_EXPORT.format(file_bytes=MEM_FILE_BYTES) if mem else ''
        with open(self.config, 'w') as file:
            file.write(CONFIG.format(port=self.port, mount_port=self.mount_port, plugins=PLUGINS,
                                     run=self.dir, folder=self.folder, mem=mem_export,
                                     attr_seconds=60 if cache else 0,
                                     dir_chunk=128 if cache else 0))
        self.proc = None
        self.started = 0
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.cleanup()

    @property
    def pid(self):
        return self.proc.pid

    @property
    def log(self):
        with open(self.log_path, errors='replace') as file:
            return file.read()

    def params(self, exportname='/export'):
        """What fsdev_nfs_create needs to reach it."""
        return {'server': '127.0.0.1', 'exportname': exportname,
                'port': self.port, 'mount_port': self.mount_port}

    def url(self, path='/export'):
        """For the tools of libnfs."""
        return f'nfs://127.0.0.1{path}?nfsport={self.port}&mountport={self.mount_port}'

    def start(self):
        """Starts it, also anew on the same ports, and waits until both answer."""
        # It tells its lives, and so its write verifiers, apart by the second they began in.
        while int(time.time()) <= self.started:
            time.sleep(0.01)
        env = {**os.environ, 'LD_PRELOAD': SHIM}
        command = [SERVER, '-F', '-f', self.config, '-L', self.log_path,
                   '-p', os.path.join(self.dir, 'pid'), '-N', 'NIV_EVENT']
        self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        for port in (self.port, self.mount_port):
            while not self._answers(port):
                if self.proc.poll() is not None:
                    raise RuntimeError(f'nfs-ganesha ended: {self.proc.returncode}\n{self.log}')
                if time.monotonic() > end:
                    raise RuntimeError(f'nfs-ganesha does not listen\n{self.log}')
                time.sleep(0.02)
        # On a busy machine its life may have begun well after it was launched.
        self.started = int(time.time())

    @staticmethod
    def _answers(port):
        """Its NULL procedure would tell more, but a socket that accepts is served."""
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self):
        """kill -9: what it had not synced may be lost, and connections break."""
        if self.proc is not None and self.proc.poll() is None:
            self.proc.kill()
        if self.proc is not None:
            self.proc.wait()

    def freeze(self):
        """From now on it is silent, and its connections stay."""
        self.proc.send_signal(signal.SIGSTOP)
        while not all(state == 'T' for state in self._thread_states()):
            time.sleep(0.001)

    def _thread_states(self):
        for tid in os.listdir(f'/proc/{self.pid}/task'):
            with open(f'/proc/{self.pid}/task/{tid}/stat') as file:
                yield file.read().rpartition(')')[2].split()[0]

    def thaw(self):
        self.proc.send_signal(signal.SIGCONT)

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL when that takes too long: ganesha may wait for its clients."""
        if self.proc is None or self.proc.poll() is not None:
            return
        self.proc.send_signal(signal.SIGCONT)
        self.proc.terminate()
        try:
            self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def cpu_seconds(self):
        """CPU time that it has used: user and system."""
        with open(f'/proc/{self.pid}/stat') as file:
            fields = file.read().rpartition(')')[2].split()
        tick = os.sysconf('SC_CLK_TCK')
        return int(fields[11]) / tick, int(fields[12]) / tick

    def cleanup(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.own_folder:
            shutil.rmtree(self.own_folder, ignore_errors=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0],
                                     epilog='WEIR_BUILD names the build directory.')
    parser.add_argument('--folder', help='export this folder (default: a new one)')
    parser.add_argument('--mem', action='store_true',
                        help='export /mem too, whose files have at most 2 MiB')
    return parser.parse_args()


def main():
    args = parse_args()
    if not is_installed():
        sys.exit(f'this needs root, {SERVER} and {SHIM}')
    with Ganesha(args.folder, args.mem) as server:
        p = server.params()
        print(f"pid {server.pid}\nfolder {server.folder}\nport {p['port']}\n"
              f"mount_port {p['mount_port']}\nlog {server.log_path}\nnfs-ls '{server.url()}'\n"
              f"weir-rpc.py fsdev_nfs_create name=nfs0 server=127.0.0.1 exportname=/export "
              f"port={p['port']} mount_port={p['mount_port']}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            server.proc.wait()
        except KeyboardInterrupt:
            pass


if __name__ == '__main__':
    main()
