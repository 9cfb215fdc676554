#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Functions that run on a worker call nothing that allocates, blocks, logs or takes a lock.

A function is a worker's if its definition carries WEIR_ON_WORKER, or if a declaration of it in any
header does. Only plain calls are judged: ops->read() or a field named open is none. A call that is
right for a reason the script cannot see carries the word `worker-may:` and that reason in a comment
on its line.
"""

import re
import sys

import csource

# The C library and the kernel: heap, sleep, files, sockets, output, process.
LIBC = '''
    malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf aligned_alloc
    posix_memalign memalign
    sleep usleep nanosleep clock_nanosleep poll ppoll select pselect sched_yield
    pause wait waitpid sem_wait
    open openat openat2 creat close fopen fdopen fclose fread fwrite fgets fflush
    opendir fdopendir readdir closedir stat lstat access mkdir mkdirat unlink unlinkat rename
    renameat renameat2 link linkat symlink symlinkat mknod mknodat chmod fchmod fchmodat chown
    fchown fchownat truncate ftruncate fsync fdatasync sync syncfs fallocate
    mmap munmap mremap mprotect
    socket connect accept accept4 bind listen getaddrinfo gethostbyname
    printf fprintf vprintf vfprintf dprintf puts fputs putchar perror syslog vsyslog
    fork execve execv execvp system popen exit abort
'''.split()

# DPDK and pthreads: heap, logs, locks that sleep or spin without bound.
OTHER = '''
    rte_malloc rte_zmalloc rte_calloc rte_realloc rte_free rte_malloc_socket rte_zmalloc_socket
    rte_calloc_socket rte_realloc_socket rte_mempool_create rte_mempool_free rte_ring_create
    rte_ring_free rte_log rte_vlog RTE_LOG WEIR_LOG rte_exit rte_panic
    rte_delay_us rte_delay_ms rte_delay_us_sleep rte_delay_us_block rte_eal_mp_wait_lcore
    rte_eal_wait_lcore rte_eal_remote_launch
    rte_spinlock_lock rte_ticketlock_lock rte_mcslock_lock rte_rwlock_read_lock
    rte_rwlock_write_lock rte_seqlock_write_lock rte_vhost_vring_call
    pthread_mutex_lock pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_spin_lock
    pthread_cond_wait pthread_cond_timedwait pthread_join pthread_create
    json_object json_array json_string json_integer json_pack json_decref json_dumps
'''.split()

# Log macros of the libraries: WEIR_FOO_ERR(...), FUSE_LOG(...), weir_log_err(...) and the like.
LOG = r'[A-Z][A-Z0-9_]*_LOG|[A-Z][A-Z0-9_]*_LOG_[A-Z]+|weir_log_\w+|LOG_(?:ERR|WARNING|NOTICE|INFO)'

BANNED = re.compile(r'(?<![\w.>])(' + '|'.join(LIBC + OTHER + [LOG]) + r')\s*\(')
# A name with its annotation before it, in a declaration or a definition.
ANNOTATED = re.compile(r'\bWEIR_ON_WORKER\s+(?:[\w*]+\s+)*?\**(\w+)\s*\(')
ANNOTATED_AFTER = re.compile(r'\b(\w+)\s*\([^;{}()]*(?:\([^()]*\)[^;{}()]*)*\)\s*WEIR_ON_WORKER')
# Level is a word of its own: debug logs of the data path cost nothing unless compiled in.
DATAPATH_LEVEL = re.compile(r'\bDP\b|RTE_LOG_DP')


def worker_names(paths):
    """Names declared in headers with the annotation on either side of the parameter list."""
    names = set()
    for path in paths:
        text = csource.read_code(path)
        names.update(ANNOTATED.findall(text))
        names.update(ANNOTATED_AFTER.findall(text))
    return names


def is_worker(lines, first, name, declared):
    """The definition's own head: from the end of what stands before it to its name."""
    head = []
    for i in range(first - 1, max(first - 5, 0) - 1, -1):
        if i < first - 1 and re.search(r'[;{}]|^\s*#|^\s*$', lines[i]):
            break
        head.insert(0, lines[i])
    return 'WEIR_ON_WORKER' in ' '.join(head) or name in declared


def main():
    sources = csource.tracked('*.c', '*.h')
    sources = [p for p in sources if not p.startswith('test/')]
    declared = worker_names([p for p in sources if p.endswith('.h')])
    faults = workers = 0
    for path, name, first, last in csource.functions(sources):
        with open(path, encoding='utf-8') as f:
            raw = f.read().splitlines()
        lines = csource.code_only('\n'.join(raw)).splitlines()
        if not is_worker(lines, first, name, declared):
            continue
        workers += 1
        for n in range(first, min(last, len(lines))):
            if 'worker-may:' in raw[n] or DATAPATH_LEVEL.search(lines[n]):
                continue
            for call in BANNED.findall(lines[n]):
                print(f'{path}:{n + 1}: {name}() runs on a worker and calls {call}()',
                      file=sys.stderr)
                faults += 1
    print(f'check-worker: {workers} worker functions, {faults} faults')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
