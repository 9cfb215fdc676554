# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir-perf's engine in the machine's own fio: job files against devices, and what it refuses."""

import errno
import json
import os
import signal
import subprocess
import tempfile
import time

import pytest

from weirtest import BUILD, SANITIZED, SLOW, Weir, wait_until

ENGINE = os.path.join(BUILD, 'app', 'weir-perf', 'fio', 'weir-fio.so')
VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
WHY_NOT = os.environ.get('WEIR_FIO_WHY') or 'built without -Dfio_source, see doc/performance.md'

pytestmark = pytest.mark.skipif(not os.path.exists(ENGINE), reason=f'no weir-fio.so: {WHY_NOT}')

HEAD = f'''
[global]
ioengine=external:{ENGINE}
verify_state_save=0
'''
VERIFIED = 'verify=crc32c\nverify_fatal=1\n'


def fio_env():
    """A sanitizer in a module has to be there before fio, which keeps what it never frees."""
    env = dict(os.environ)
    if SANITIZED:
        env['LD_PRELOAD'] = subprocess.run(['gcc', '-print-file-name=libasan.so'], check=True,
                                           capture_output=True, text=True).stdout.strip()
        env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
    return env


class Fio:
    """A running fio, in a folder of its own, where nothing of its files may appear."""

    def __init__(self, job):
        self.dir = tempfile.TemporaryDirectory(prefix='weir-fio-')
        self.path = self.dir.name
        with open(self.file('job.fio'), 'w') as file:
            file.write(job)
        with open(self.file('err'), 'w') as err:
            self.proc = subprocess.Popen(
                ['fio', '--output-format=json', '--output=out.json', 'job.fio'], cwd=self.path,
                stdin=subprocess.DEVNULL, stdout=err, stderr=err, env=fio_env())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.dir.cleanup()

    def file(self, name):
        return os.path.join(self.path, name)

    def end(self, seconds=60):
        """Exit code and what it said."""
        code = self.proc.wait(seconds * SLOW)
        with open(self.file('err')) as file:
            return code, file.read()

    def jobs(self):
        with open(self.file('out.json')) as file:
            text = file.read()
        # What fio has to say to the user comes first.
        return json.loads(text[text.index('{\n'):])['jobs']


def fio(job):
    """Runs a job file, which must succeed; returns the jobs of its JSON output by name."""
    with Fio(job) as run:
        code, err = run.end()
        assert (code, err) == (0, ''), err
        jobs = run.jobs()
        assert [j['error'] for j in jobs] == [0] * len(jobs)
        assert sorted(os.listdir(run.path)) == ['err', 'job.fio', 'out.json'], 'files in the tag'
        return {j['jobname']: j for j in jobs}


def fails(job, *words):
    """Runs a job file that must fail with these words, each said once; returns what it said."""
    with Fio(job) as run:
        code, err = run.end()
    assert code != 0, err
    for word in words:
        assert err.count(word) == 1, f'{word!r} is not there once:\n{err}'
    return err


@pytest.fixture(scope='module')
def devices():
    """One appliance with devices of four queues on two kinds of file system."""
    with Weir() as weir, tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        weir.folder = folder
        weir.start_transport()
        weir.rpc('fsdev_mem_create', name='mem')
        weir.rpc('fsdev_aio_create', name='aio', root_path=folder)
        weir.socks = {name: weir.add_device(f'd-{name}', name, packed=True)
                      for name in ('mem', 'aio')}
        yield weir
        weir.stop()


def ops_of(weir, name):
    return weir.rpc('virtio_fs_device_get_stat', dev_name=f'd-{name}')[0]['fuse']['ops']


@pytest.mark.parametrize('driver', [
    'iodepth=1\n', 'iodepth=32\n', 'iodepth=1\nevent=1\npacked=1\n', 'iodepth=32\npacked=1\n',
    'iodepth=32\nevent=1\nno_event_idx=1\n', 'iodepth=16\nno_indirect=1\nring_size=64\n',
    'iodepth=32\niodepth_batch=8\niodepth_batch_complete_min=1\niodepth_batch_complete_max=8\n'],
    ids=lambda d: d.replace('\n', ' ').strip())
def test_random_reads_and_writes_are_verified(devices, driver):
    """Both devices by one process, with a connection to each."""
    jobs = fio(f'{HEAD}{VERIFIED}{driver}size=1m\nunlink=1\nrw=randrw\nbs=4k\n'
               f'[mem]\nsocket={devices.socks["mem"]}\n[aio]\nsocket={devices.socks["aio"]}\n')
    assert sorted(jobs) == ['aio', 'mem']
    for mix in jobs.values():
        assert mix['read']['io_bytes'] + mix['write']['io_bytes'] > 1 << 20, 'verified'
        assert mix['write']['io_bytes'] > 0
        for way in ('read', 'write'):
            assert mix[way]['clat_ns']['N'] == mix[way]['total_ios'] > 0
            assert mix[way]['clat_ns']['min'] > 0
    assert os.listdir(devices.folder) == [], 'unlink=1'


@pytest.mark.parametrize('fsdev', ['mem', 'aio'])
def test_what_is_written_is_there_for_others(devices, fsdev):
    """One job at a time, later ones in other processes."""
    head = (f'{HEAD}socket={devices.socks[fsdev]}\n{VERIFIED}size=2m\nbs=4k\ndo_verify=0\n'
            'stonewall\n')
    jobs = fio(f'{head}rw=randwrite\n[one]\niodepth=1\nfilename=sub/1\n'
               '[many]\niodepth=32\nfilename=sub/dir/2\n'
               '[big]\nrw=write\nbs=1m\nsize=8m\niodepth=8\nend_fsync=1\nfilename=big\n'
               '[odd]\nrw=write\nbs=17k\nsize=2244k\niodepth=8\nfilename=odd\n')
    sizes = {'one': 2 << 20, 'many': 2 << 20, 'big': 8 << 20, 'odd': 2244 << 10}
    assert {name: job['write']['io_bytes'] for name, job in jobs.items()} == sizes
    assert {job['read']['io_bytes'] for job in jobs.values()} == {0}
    files = {'one': 'sub/1', 'many': 'sub/dir/2', 'big': 'big', 'odd': 'odd'}
    blocks = {'one': '4k', 'many': '4k', 'big': '1m', 'odd': '17k'}
    read = ''.join(f'[{n}]\nrw=read\nbs={blocks[n]}\nsize={sizes[n]}\nfilename={files[n]}\n'
                   for n in files)
    if fsdev == 'aio':
        for name, path in files.items():
            assert os.path.getsize(f'{devices.folder}/{path}') == sizes[name]
        jobs = fio(f'[global]\nioengine=psync\nverify_state_save=0\n{VERIFIED}' +
                   read.replace('filename=', f'filename={devices.folder}/'))
        assert {name: job['read']['io_bytes'] for name, job in jobs.items()} == sizes
    jobs = fio(f'{head}iodepth=8\nunlink=1\n{read}')
    assert {name: job['read']['io_bytes'] for name, job in jobs.items()} == sizes
    assert not any(os.path.exists(f'{devices.folder}/{path}') for path in files.values())


def test_files_are_laid_out_before_they_are_read(devices):
    head = f'{HEAD}socket={devices.socks["aio"]}\nsize=1m\nbs=4k\n'
    fio(f'{head}buffer_pattern=0xabcd\n[read]\nrw=randread\nnrfiles=4\nopenfiles=2\niodepth=8\n'
        'filename_format=set/$jobname.$filenum\n')
    assert sorted(os.listdir(f'{devices.folder}/set')) == [f'read.{i}' for i in range(4)]
    for name in os.listdir(f'{devices.folder}/set'):
        with open(f'{devices.folder}/set/{name}', 'rb') as file:
            assert file.read() == b'\xab\xcd' * (1 << 17)
        os.unlink(f'{devices.folder}/set/{name}')
    # Files of the host are read as they are.
    with open(f'{devices.folder}/ours', 'wb') as file:
        file.write(bytes(64 << 10))
    jobs = fio(f'{HEAD}socket={devices.socks["aio"]}\n[read]\nrw=read\nbs=4k\nfilename=/ours\n')
    assert jobs['read']['read']['io_bytes'] == 64 << 10
    os.unlink(f'{devices.folder}/ours')


def test_syncs_reach_the_device(devices):
    before = ops_of(devices, 'aio').get('FSYNC', {}).get('count', 0)
    jobs = fio(f'{HEAD}socket={devices.socks["aio"]}\nsize=256k\nbs=4k\nunlink=1\niodepth=4\n'
               '[sync]\nrw=write\nfsync=8\n[data]\nrw=write\nfdatasync=16\n')
    syncs = jobs['sync']['sync']['total_ios'] + jobs['data']['sync']['total_ios']
    assert syncs >= 64 // 8 - 1 + 64 // 16 - 1
    assert ops_of(devices, 'aio')['FSYNC']['count'] - before >= syncs


def test_jobs_share_a_device_with_a_queue_each(devices):
    """Jobs that do not run at a time need no queues of their own."""
    head = f'{HEAD}socket={devices.socks["aio"]}\n{VERIFIED}size=512k\nbs=4k\nrw=randwrite\n'
    with Fio(f'{head}unlink=1\n[twin]\nnumjobs=2\niodepth=4\n[alone]\nstonewall\niodepth=16\n'
             '[threads]\nstonewall\nnumjobs=4\nthread=1\n') as run:
        assert run.end() == (0, '')
        assert [j['jobname'] for j in run.jobs()] == ['twin'] * 2 + ['alone'] + ['threads'] * 4
        assert {j['write']['io_bytes'] for j in run.jobs()} == {512 << 10}
    # All in one file, each in a quarter of it.
    fio(f'{head}filename=shared\n[quarters]\nnumjobs=4\noffset_increment=512k\niodepth=8\n')
    assert os.path.getsize(f'{devices.folder}/shared') == 2 << 20
    fio(f'[host]\nioengine=psync\n{VERIFIED}rw=read\nbs=4k\n'
        f'filename={devices.folder}/shared\nverify_state_save=0\n')
    os.unlink(f'{devices.folder}/shared')


def test_other_servers_are_loaded_too(tmpfs_folder):
    if not os.path.exists(VIRTIOFSD):
        pytest.skip('no virtiofsd of QEMU')
    share = os.path.join(tmpfs_folder, 'share')
    sock = os.path.join(tmpfs_folder, 'sock')
    os.mkdir(share)
    with subprocess.Popen([VIRTIOFSD, f'--socket-path={sock}', '-o', f'source={share}', '-o',
                           'cache=none', '-o', 'sandbox=chroot'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: os.path.exists(sock), 20, 'virtiofsd')
            jobs = fio(f'{HEAD}socket={sock}\n{VERIFIED}[mix]\nrw=randrw\nbs=4k\nsize=512k\n'
                       'iodepth=16\nevent=1\n')
            assert jobs['mix']['write']['io_bytes'] > 0
            assert os.listdir(share) == ['mix.0.0']
        finally:
            server.kill()


def test_a_log_is_replayed(devices):
    with tempfile.TemporaryDirectory() as folder:
        head = f'{HEAD}socket={devices.socks["aio"]}\nsize=256k\nbs=4k\n'
        first = fio(f'{head}[first]\nrw=randrw\nwrite_iolog={folder}/log\nfilename=logged\n')
        again = fio(f'{head}[again]\nread_iolog={folder}/log\nunlink=1\n')
    for way in ('read', 'write'):
        assert again['again'][way]['io_bytes'] == first['first'][way]['io_bytes'] > 0
    assert 'logged' not in os.listdir(devices.folder)


def test_wrong_data_is_found(devices):
    head = f'{HEAD}socket={devices.socks["aio"]}\n{VERIFIED}size=256k\nbs=4k\nfilename=spoilt\n'
    fio(f'{head}[write]\nrw=write\ndo_verify=0\n')
    with open(f'{devices.folder}/spoilt', 'r+b') as file:
        file.seek(5 * 4096 + 2000)
        file.write(b'x')
    fails(f'{head}[read]\nrw=read\niodepth=8\nunlink=1\n', 'verify failed at file spoilt')


def test_errors_and_short_answers_are_told(devices):
    """Writes to a full file system end the job, reads at a file's end are short."""
    devices.rpc('fsdev_mem_create', name='small', size=1 << 20)
    sock = devices.add_device('d-small', 'small')
    with Fio(f'{HEAD}socket={sock}\nbs=64k\nsize=4m\niodepth=4\n[full]\nrw=write\n') as run:
        code, err = run.end()
        full, = run.jobs()
    assert code != 0
    assert full['error'] == errno.ENOSPC, err
    assert 0 < full['write']['io_bytes'] <= 1 << 20
    devices.remove_device('d-small')

    head = f'{HEAD}socket={devices.socks["aio"]}\nbs=4k\nfilename=short\n'
    fio(f'{head}size=64k\n[write]\nrw=write\n')
    os.truncate(f'{devices.folder}/short', 30 << 10)
    log = ''.join(f'short read {4096 * i} 4096\n' for i in (0, 6, 7, 8))
    with tempfile.NamedTemporaryFile('w', suffix='.log') as file:
        file.write(f'fio version 2 iolog\nshort add\nshort open\n{log}short close\n')
        file.flush()
        job = fio(f'{HEAD}socket={devices.socks["aio"]}\n[short]\nread_iolog={file.name}\n')
    # fio asks again for what is missing, gets nothing, and counts whole answers, as with libaio.
    assert (job['short']['read']['io_bytes'], job['short']['read']['short_ios']) == (2 * 4096, 1)
    os.unlink(f'{devices.folder}/short')


@pytest.mark.parametrize('lines,words', [
    ('rw=read\nmem=mmap\n', "option 'mem/iomem' conflicts"),
    ('rw=read\ncreate_serialize=0\n', 'create_serialize=0 needs thread=1'),
    ('rw=read\nring_size=128\nbs=1m\nsize=1m\n', 'carry at most 507904 bytes'),
    ('rw=read\nring_size=100\n', 'must be a power-of-2'),
    ('rw=read\nnumjobs=5\n', 'the device has 4 request queues, and 5 jobs run at a time'),
    ('rw=read\nqueues=5\n', 'the device has 4 request queues, not 5'),
    ('rw=read\nqueues=1\nnumjobs=2\n', 'all 1 request queues are taken'),
    ('rw=read\n[other]\nrw=read\nevent=1\n', 'differ in their options'),
    ('rw=read\nbs=1m\nsize=64m\niodepth=2048\n', 'buffers of'),
    ('rw=read\nallow_file_create=0\nfilename=none\n', 'cannot lay out none: No such file'),
    ('rw=read\nfilename=/\n', 'cannot find /: Is a directory'),
], ids=lambda v: v.replace('\n', ' ').strip())
def test_what_cannot_be_is_refused_once(devices, lines, words):
    fails(f'{HEAD}socket={devices.socks["aio"]}\nsize=64k\nbs=4k\nunlink=1\n[job]\n{lines}', words)


def test_what_fuse_lacks_is_refused_by_each_job(devices):
    jobs = {'rw=trim': 'does not trim', 'sync_file_range=write:8': 'no sync_file_range',
            'fsync_on_close=1': 'no fsync_on_close', 'fill_device=1': 'no fill_device',
            'fallocate=posix': 'fallocate is native, none or truncate',
            'rw=read\npre_read=1': 'no pre_read'}
    fails(f'{HEAD}socket={devices.socks["aio"]}\nsize=64k\nrw=write\n' +
          ''.join(f'[{i}]\n{job}\n' for i, job in enumerate(jobs)),
          *(f'weir-fio: {i}: ' for i in range(len(jobs))), *jobs.values())


def test_a_socket_without_a_server_is_said_once(devices):
    fails(f'{HEAD}size=64k\n[a]\nrw=read\n', 'socket= is missing')
    fails(f'{HEAD}socket={devices.dir}/none.sock\nsize=64k\n[a]\nrw=read\nnumjobs=3\n',
          'cannot mount')


@pytest.mark.parametrize('how', ['poll', 'event'])
@pytest.mark.parametrize('sig,words', [
    (signal.SIGKILL, 'the server went away'),
    (signal.SIGSTOP, 'no answer within 2 s')], ids=['dies', 'hangs'])
def test_a_dead_device_is_an_error_and_no_hang(weir_factory, tmpfs_folder, how, sig, words):
    weir = weir_factory()
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio', root_path=tmpfs_folder)
    sock = weir.add_device('d0', 'aio')
    job = (f'{HEAD}socket={sock}\nevent={how == "event":d}\nanswer_timeout=2\nsize=1m\nbs=4k\n'
           '[load]\nrw=randwrite\niodepth=8\nnumjobs=2\ntime_based\nruntime=600\n')
    with Fio(job) as run:
        wait_until(lambda: all(os.path.exists(f'{tmpfs_folder}/load.{i}.0') and
                               os.path.getsize(f'{tmpfs_folder}/load.{i}.0') for i in (0, 1)),
                   20, 'both jobs')
        weir.proc.send_signal(sig)
        start = time.monotonic()
        code, err = run.end()
        assert time.monotonic() - start < 20 * SLOW
        assert code != 0
        assert err.count(words) == 1, err
        assert {j['error'] != 0 for j in run.jobs()} == {True}
    if sig == signal.SIGSTOP:
        weir.proc.send_signal(signal.SIGCONT)
    else:
        weir.proc.wait()
