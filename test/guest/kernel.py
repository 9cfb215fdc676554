#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""A stock Debian kernel for guests: downloaded once, unpacked, never installed.

    kernel.py [PACKAGE...]    prepares what the tests boot, or the packages named

The cache ($XDG_CACHE_HOME/weir or /var/cache/weir) keeps, for each meta package, vmlinuz, the
modules that a guest loads at boot, and the initial file system made of them.
"""

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


def unpack(package, into):
    """Downloads the package and unpacks it into a folder; returns the kernel's version."""
    with tempfile.TemporaryDirectory() as work:
        run('apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', package, cwd=work)
        run('dpkg-deb', '-x', glob.glob(f'{work}/*.deb')[0], into)
    version = os.listdir(f'{into}/lib/modules')[0]
    # The package has no modules.dep: its installation would make it.
    run('depmod', '-b', into, version)
    return version


def copy_modules(root, version, into):
    """Copies the modules of MODULES and all they need, numbered in load order."""
    paths = []
    for module in MODULES:
        for row in run('modprobe', '-d', root, '-S', version, '-D', module).splitlines():
            if row.startswith('insmod '):
                path = row.split()[1]
                if path not in paths:
                    paths.append(path)
    os.mkdir(into)
    for n, path in enumerate(paths):
        name = f'{into}/{n:02}-{os.path.basename(path)}'
        if path.endswith('.xz'):
            with lzma.open(path) as src, open(name[:-3], 'wb') as dst:
                shutil.copyfileobj(src, dst)
        else:
            shutil.copy(path, name)


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
        new = f'{initrd}.{os.getpid()}'
        run('sh', '-c', f'find . | cpio -o -H newc --quiet | gzip -1 > {new}', cwd=root)
    os.rename(new, initrd)


def prepare(meta=STOCK):
    """Returns the folder that holds vmlinuz and initrd.gz, or None if there is no such package."""
    kernel = os.path.join(cache_dir(), meta)
    if not os.path.exists(f'{kernel}/vmlinuz'):
        package = real_package(meta)
        if package is None:
            return None
        print(f'fetching {package}', flush=True)
        os.makedirs(cache_dir(), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir()) as work:
            os.mkdir(f'{work}/kernel')
            version = unpack(package, f'{work}/root')
            copy_modules(f'{work}/root', version, f'{work}/kernel/modules')
            shutil.copy(f'{work}/root/boot/vmlinuz-{version}', f'{work}/kernel/vmlinuz')
            shutil.rmtree(kernel, ignore_errors=True)
            os.rename(f'{work}/kernel', kernel)
    make_initrd(kernel)
    return kernel


def main():
    missing = [meta for meta in sys.argv[1:] or (STOCK, MULTI_QUEUE) if prepare(meta) is None]
    for meta in missing:
        print(f'kernel.py: apt offers no {meta}', file=sys.stderr)
    # Only the stock kernel is needed; tests of another one are skipped where apt does not have it.
    return 1 if STOCK in missing else 0


if __name__ == '__main__':
    sys.exit(main())
