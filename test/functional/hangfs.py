# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""A mounted folder that stops to answer when it is told to: a FUSE server in a few lines.

The server is a process of its own: whoever touches the folder hangs, so it must not be the test.
"""

import ctypes
import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36
LOOKUP, GETATTR, STATFS, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS = 1, 3, 17, 26, 27, 28, 29, 34
POSIX_LOCKS = 1 << 1
DIR_MODE, FILE_MODE = 0o40755, 0o100644


def attr(ino, mode):
    """struct fuse_attr"""
    return struct.pack('<6Q10I', ino, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


class Server:
    """Answers for a folder with the one file "hello"; after a SIGUSR1 for nothing any more."""

    def __init__(self, fd, marker):
        self.fd = fd
        self.marker = marker
        self.hanging = False

    def serve(self):
        signal.signal(signal.SIGUSR1, self.hang)
        while True:
            try:
                request = os.read(self.fd, 1 << 18)
            except InterruptedError:
                continue
            except OSError:
                return
            length, opcode, unique, nodeid = struct.unpack_from('<IIQQ', request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            if self.hanging:
                with open(self.marker, 'w'):
                    continue
            error, body = self.answer(opcode, nodeid, request[40:length])
            os.write(self.fd, struct.pack('<IiQ', 16 + len(body), -error, unique) + body)

    def hang(self, *_):
        self.hanging = True

    @staticmethod
    def answer(opcode, nodeid, args):
        mode = DIR_MODE if nodeid == 1 else FILE_MODE
        if opcode == INIT:
            return 0, struct.pack('<4I2HI10I', 7, 31, 131072, POSIX_LOCKS, 16, 12, 131072,
                                  *[0] * 10)
        if opcode == LOOKUP:
            if args.rstrip(b'\0') != b'hello':
                return errno.ENOENT, b''
            return 0, struct.pack('<4Q2I', 2, 1, 0, 0, 0, 0) + attr(2, FILE_MODE)
        if opcode == GETATTR:
            return 0, struct.pack('<Q2I', 0, 0, 0) + attr(nodeid, mode)
        if opcode == OPENDIR:
            return 0, struct.pack('<Q2I', 0, 0, 0)
        if opcode == STATFS:
            return 0, struct.pack('<5Q10I', 1, 0, 0, 1, 0, 4096, 255, 4096, *[0] * 7)
        if opcode in (READDIR, RELEASEDIR, ACCESS):
            return 0, b''
        return errno.ENOSYS, b''


def mount(path):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'
    if libc.mount(b'hangfs', path.encode(), b'fuse', 6, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f'mount of {path}')
    return fd


class HangFs:
    """The mount, from the test's side."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='weir-hang-')
        self.path = os.path.join(self.dir, 'mount')
        self.marker = os.path.join(self.dir, 'asked')
        os.mkdir(self.path)
        self.proc = subprocess.Popen([sys.executable, __file__, self.path, self.marker],
                                     stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b'mounted\n'
        return self

    def __exit__(self, *exc):
        self.release()
        self.proc.stdout.close()
        subprocess.run(['umount', '-l', self.path], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def hang(self):
        self.proc.send_signal(signal.SIGUSR1)
        time.sleep(0.05)

    def is_asked(self):
        return os.path.exists(self.marker)

    def release(self):
        """Ends the server: all that hangs fails with ENOTCONN."""
        self.proc.kill()
        self.proc.wait()


if __name__ == '__main__':
    device = mount(sys.argv[1])
    print('mounted', flush=True)
    Server(device, sys.argv[2]).serve()
