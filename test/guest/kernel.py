#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""A stock Debian kernel for guests: downloaded once, unpacked, never installed.

    kernel.py [PACKAGE...]    prepares what the tests boot, or the packages named

The cache ($XDG_CACHE_HOME/weir or /var/cache/weir) keeps, for each meta package, vmlinuz, the
modules that a guest loads at boot, the initial file system made of them, the modules that a guest
can load later (lib/modules), and the programs of Debian's NFS server (sbin), whose own installation
would start one on this machine.
"""

import argparse
import contextlib
import fcntl
import glob
import lzma
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# Debian 12's own kernel: one request queue is used. 6.12: one per CPU.
STOCK = 'linux-image-amd64'
MULTI_QUEUE = 'linux-image-6.12-amd64'

# In load order; what they depend on is found by modprobe.
MODULES = ('virtio_pci', 'virtio_rng', '9pnet_virtio', '9p', 'overlay', 'virtiofs')
# For modprobe in a running guest.
ON_REQUEST = ('virtio_net', 'veth', 'dummy', 'tcp_diag', 'nfsd', 'nfs', 'nfsv3', 'ext4', 'loop')
# Package and what of it is wanted.
PROGRAMS = ('nfs-kernel-server', ('exportfs', 'rpc.mountd', 'rpc.nfsd'))
# A folder of the cache that says otherwise was made by another version, and is made anew.
CONTENTS = f'{MODULES} {ON_REQUEST} {PROGRAMS}'


def cache_dir():
    return os.path.join(os.environ.get('XDG_CACHE_HOME') or '/var/cache', 'weir')


def run(*argv, **kwargs):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **kwargs).stdout


def real_package(meta):
    """The package that a meta package stands for today, or None if apt knows of none."""
    for attempt in range(2):
        out = subprocess.run(['apt-cache', 'depends', meta], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True).stdout
        for row in out.splitlines():
            name = row.split()[-1]
            if 'Depends:' in row and name.startswith('linux-image-'):
                return name
        if attempt == 0 and os.geteuid() == 0 and not glob.glob('/var/lib/apt/lists/*_Packages*'):
            subprocess.run(['apt-get', '-qq', 'update'], check=False)
    return None


def download(package, into):
    """Downloads the package and unpacks it into a folder."""
    with tempfile.TemporaryDirectory() as work:
        run('apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', package, cwd=work)
        run('dpkg-deb', '-x', glob.glob(f'{work}/*.deb')[0], into)


def module_paths(root, version, modules):
    """The files of the modules and of all they need, in load order."""
    paths = []
    for module in modules:
        for row in run('modprobe', '-d', root, '-S', version, '-D', module).splitlines():
            if row.startswith('insmod ') and row.split()[1] not in paths:
                paths.append(row.split()[1])
    return paths


def copy_module(path, into):
    """Copies a module, unpacked, to a file whose name ends in .ko."""
    if path.endswith('.xz'):
        with lzma.open(path) as src, open(into, 'wb') as dst:
            shutil.copyfileobj(src, dst)
    else:
        shutil.copy(path, into)


def copy_modules(root, version, kernel):
    """MODULES, numbered in load order; and with them what modprobe finds in the guest."""
    os.mkdir(f'{kernel}/modules')
    for n, path in enumerate(module_paths(root, version, MODULES)):
        name = os.path.basename(path).removesuffix('.xz')
        copy_module(path, f'{kernel}/modules/{n:02}-{name}')
    folder = f'{kernel}/lib/modules/{version}'
    os.makedirs(folder)
    for path in module_paths(root, version, MODULES + ON_REQUEST):
        copy_module(path, f'{folder}/{os.path.basename(path).removesuffix(".xz")}')
    for name in ('modules.order', 'modules.builtin', 'modules.builtin.modinfo'):
        shutil.copy(f'{root}/lib/modules/{version}/{name}', folder)
    run('depmod', '-b', kernel, version)


def copy_programs(kernel):
    package, names = PROGRAMS
    os.mkdir(f'{kernel}/sbin')
    with tempfile.TemporaryDirectory() as root:
        download(package, root)
        for name in names:
            shutil.copy(f'{root}/usr/sbin/{name}', f'{kernel}/sbin')


def make_initrd(kernel):
    """Packs init, busybox and the modules; again whenever init is newer than the pack."""
    initrd = f'{kernel}/initrd.gz'
    init = f'{HERE}/init'
    if os.path.exists(initrd) and os.path.getmtime(initrd) > os.path.getmtime(init):
        return
    with tempfile.TemporaryDirectory() as root:
        for folder in ('bin', 'dev', 'proc', 'sys', 'host', 'upper', 'new'):
            os.mkdir(f'{root}/{folder}')
        shutil.copy(shutil.which('busybox', path='/usr/bin:/bin'), f'{root}/bin/busybox')
        shutil.copytree(f'{kernel}/modules', f'{root}/modules')
        shutil.copy(init, f'{root}/init')
        os.chmod(f'{root}/init', 0o755)
        new = f'{initrd}.new'
        run('sh', '-c', f'find . | cpio -o -H newc --quiet | gzip -1 > {new}', cwd=root)
    os.rename(new, initrd)


def is_current(kernel):
    try:
        with open(f'{kernel}/contents', encoding='utf-8') as f:
            return f.read() == CONTENTS
    except FileNotFoundError:
        return False


def make(package, kernel, work):
    """Makes the folder of a kernel in work, and puts it in its place when it is complete."""
    os.mkdir(f'{work}/kernel')
    download(package, f'{work}/root')
    version = os.listdir(f'{work}/root/lib/modules')[0]
    # The package has no modules.dep: its installation would make it.
    run('depmod', '-b', f'{work}/root', version)
    copy_modules(f'{work}/root', version, f'{work}/kernel')
    copy_programs(f'{work}/kernel')
    shutil.copy(f'{work}/root/boot/vmlinuz-{version}', f'{work}/kernel/vmlinuz')
    with open(f'{work}/kernel/contents', 'w', encoding='utf-8') as f:
        f.write(CONTENTS)
    if os.path.exists(kernel):
        os.rename(kernel, f'{work}/old')
    os.rename(f'{work}/kernel', kernel)


@contextlib.contextmanager
def alone():
    """Keeps other threads and processes from making the same."""
    os.makedirs(cache_dir(), exist_ok=True)
    with open(f'{cache_dir()}/lock', 'w', encoding='utf-8') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def prepare(meta=STOCK):
    """Returns the folder that holds vmlinuz and initrd.gz, or None if there is no such package."""
    with alone():
        return prepare_alone(meta)


def prepare_alone(meta):
    kernel = os.path.join(cache_dir(), meta)
    if not is_current(kernel):
        package = real_package(meta)
        if package is None:
            return None
        print(f'fetching {package}', flush=True)
        with tempfile.TemporaryDirectory(dir=cache_dir()) as work:
            make(package, kernel, work)
    make_initrd(kernel)
    return kernel


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog='exit status: 0, or 1 if apt offers no such package')
    parser.add_argument('packages', nargs='*', metavar='PACKAGE', default=(STOCK, MULTI_QUEUE),
                        help='meta packages of kernels; default: %(default)s')
    packages = parser.parse_args().packages
    missing = [meta for meta in packages if prepare(meta) is None]
    for meta in missing:
        print(f'kernel.py: apt offers no {meta}', file=sys.stderr)
    # Tests of the other one are skipped where apt does not have it.
    return 1 if set(missing) - {MULTI_QUEUE} else 0


if __name__ == '__main__':
    sys.exit(main())
