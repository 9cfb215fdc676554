# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir-perf: every workload on every kind of file system, and what it says of servers that fail."""

import glob
import json
import os
import signal
import subprocess
import tempfile

import pytest

from weirtest import PERF, SLOW, Weir, wait_until

WORKLOADS = ('randread', 'randwrite', 'seqread', 'seqwrite', 'getattr', 'lookup', 'readdirplus',
             'create-unlink', 'open-close')
MIX = '--mix=' + ','.join(f'{name}={i + 1}' for i, name in enumerate(WORKLOADS))
SMALL = ('--file-size', '1m', '--files', '30', '--depth', '8')


def perf(*args, code=0, seconds=60):
    """Runs weir-perf to its end; returns its standard output and standard error."""
    run = subprocess.run([PERF, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=seconds * SLOW, check=False)
    assert run.returncode == code, f'{args}: exit code {run.returncode}\n{run.stdout}{run.stderr}'
    return run.stdout, run.stderr


def perf_json(*args, code=0):
    return json.loads(perf(*args, '--json', code=code)[0])


@pytest.fixture(scope='module')
def devices():
    """One appliance with a device on each kind of file system; sockets by the kind's name."""
    with Weir() as weir, tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        weir.folder = folder
        weir.start_transport()
        weir.rpc('fsdev_null_create', name='null')
        weir.rpc('fsdev_mem_create', name='mem')
        weir.rpc('fsdev_aio_create', name='aio', root_path=folder)
        weir.socks = {name: weir.add_device(f'd-{name}', name, packed=name == 'aio')
                      for name in ('null', 'mem', 'aio')}
        yield weir
        weir.stop()


@pytest.mark.parametrize('fsdev', ['null', 'mem', 'aio'])
def test_every_workload_runs_and_cleans_up(devices, fsdev):
    for name in WORKLOADS:
        got = perf_json('-s', devices.socks[fsdev], *SMALL, '--ops', 300, name)
        assert (got['ops'], got['errors']) == (300, 0), name
        assert list(got['workloads']) == [name]
        assert got['workloads'][name]['ops'] == 300
        assert 0 < got['p50_us'] <= got['p99_us'] <= got['max_us'], name
        assert (got['bytes_per_s'] > 0) == (name in WORKLOADS[:4]), name
    assert os.listdir(devices.folder) == []


@pytest.mark.parametrize('driver', [
    ('--queues', '2'), ('--event',), ('--no-indirect',), ('--no-event-idx', '--event'),
    ('--ring-size', '64', '--bs', '32k'), ('--packed', '--event'), ('--packed', '--no-indirect')],
    ids=' '.join)
def test_a_mix_is_verified_with_any_driver(devices, driver):
    args = ('-s', devices.socks['aio'], *SMALL, '--ops', 1000, '--verify', *driver, MIX)
    got = perf_json(*args)
    assert (got['ops'], got['errors']) == (1000, 0)
    assert sum(w['ops'] for w in got['workloads'].values()) == 1000
    assert got['workloads']['open-close']['ops'] > got['workloads']['randread']['ops'] > 0
    again = perf_json(*args)
    if '--queues' not in driver:
        assert {k: w['ops'] for k, w in again['workloads'].items()} == \
            {k: w['ops'] for k, w in got['workloads'].items()}, 'a seed gives one sequence'
    assert os.listdir(devices.folder) == []


def test_each_queue_may_have_a_file_of_its_own(devices, tmp_path):
    trace = tmp_path / 'trace'
    args = ('-s', devices.socks['aio'], *SMALL, '--ops', 600, '--queues', 3, '--verify',
            '--mix=randread=1,randwrite=1')
    for option, nb in ((), 1), (('--file-each',), 3):
        got = perf_json(*args, '--record', trace, *option)
        assert (got['ops'], got['errors']) == (600, 0)
        # Streams are numbered through the queues.
        queue = {}
        for words in (line.split() for line in trace.read_text().splitlines()[1:]):
            queue.setdefault(words[2], set()).add(int(words[0]) // 8)
        if nb == 1:
            assert queue == {'data0': {0, 1, 2}}
        else:
            assert queue == {'data0': {0}, 'data1': {1}, 'data2': {2}}
    assert os.listdir(devices.folder) == []


def test_packed_rings_have_to_be_offered(devices):
    _, err = perf('-s', devices.socks['mem'], *SMALL, '--ops', 1, '--packed', 'getattr', code=3)
    assert 'not supported' in err


def test_time_and_cpu_are_measured(devices):
    args = ('-s', devices.socks['mem'], *SMALL, '--rpc', devices.rpc_path, 'randread')
    got = perf_json(*args, '--seconds', '0.3', '--ramp', '0.1', '--cpus', '0')
    assert got['seconds'] > 0.1
    assert got['ops_per_s'] > 0
    got = perf_json(*args, '--ops', 2000)
    assert got['server']['cpu_us_per_op'] > 0
    assert got['server']['busy_us_per_op'] > 0
    others = sum(thread['cpu_us_per_op'] for thread in got['server']['threads']
                 if not thread['name'].startswith('rte-worker-'))
    cost = got['server']['cost_us_per_op']
    assert abs(cost - got['server']['busy_us_per_op'] - others) < 0.001 * cost
    assert any('worker' in thread['name'] for thread in got['server']['threads'])
    assert got['generator']['cpu_us_per_op'] > 0
    assert 0 < got['generator']['working'] <= 1


def test_text_and_progress_are_for_people(devices):
    out, err = perf('-s', devices.socks['null'], '--seconds', '1.5', '--ramp', '0', '--progress',
                    '--mix', 'getattr=1,lookup=2')
    for word in ('getattr', 'lookup', 'all', 'p99', 'generator', 'server'):
        assert word in out
    assert 'ops/s' in err


def test_data_changed_behind_its_back_is_wrong(devices):
    with subprocess.Popen([PERF, '-s', devices.socks['aio'], '--file-size', '1m', '--verify',
                           '--seconds', '60', 'randread'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        path = os.path.join(devices.folder, f'weir-perf-{run.pid}.data0')
        wait_until(lambda: os.path.exists(path) and os.path.getsize(path) == 1 << 20, 20,
                   'the file')

        def spoil():
            if os.path.exists(path):
                with open(path, 'r+b') as file:
                    file.write(bytes(1 << 20))
            return run.poll() is not None

        wait_until(spoil, 20, 'the end of weir-perf')
        err = run.stderr.read()
        assert run.returncode == 5, err
        assert 'wrong data: offset' in err
    assert os.listdir(devices.folder) == []


def test_a_file_system_that_loses_writes_is_wrong(devices):
    _, err = perf('-s', devices.socks['null'], *SMALL, '--verify', '--ops', 1000, 'seqread', code=5)
    assert 'wrong data: offset' in err


def test_failed_operations_are_counted_and_explained(devices):
    with subprocess.Popen([PERF, '-s', devices.socks['aio'], '--seconds', '60', '--ramp', '0',
                           '--progress', 'lookup'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert 'ops/s' in run.stderr.readline()
        for path in glob.glob(f'{devices.folder}/weir-perf-{run.pid}.set/f*'):
            os.unlink(path)
        assert 'ops/s' in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20 * SLOW)
    assert run.returncode == 1, err
    assert ' errors' in out
    assert 'operations failed, the first: lookup: LOOKUP: No such file or directory' in err
    assert os.listdir(devices.folder) == []


def test_a_server_that_dies_ends_the_run(weir_factory):
    weir = weir_factory()
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem')
    sock = weir.add_device('d', 'mem')
    with subprocess.Popen([PERF, '-s', sock, *SMALL, '--seconds', '60', '--ramp', '0',
                           '--progress', 'randread'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert 'ops/s' in run.stderr.readline()
        weir.terminate(9)
        assert run.wait(20 * SLOW) == 4, run.stderr.read()


def weir_command(folder, fsdev):
    """A command for --server: an appliance with one device, from the file of its configuration."""
    conf = os.path.join(folder, 'conf')
    with open(conf, 'w', encoding='ascii') as file:
        file.write('virtio_fs_transport_create -t DOCA\nvirtio_fs_transport_start -t DOCA\n'
                   f'fsdev_{fsdev}_create fs\n'
                   'virtio_fs_device_create -t DOCA --dev-name perf --tag perf --fsdev fs\n'
                   'virtio_fs_device_start --dev-name perf\n')
    weir = Weir.command_line('{rpc}', '{dir}', f'weir-test-perf-{os.getpid()}')
    return ' '.join(weir) + f' --init-conf {conf}'


def test_a_server_is_started_and_stopped(tmp_path, folder, monkeypatch):
    monkeypatch.setenv('TMPDIR', folder)
    got = perf_json('--server', weir_command(tmp_path, 'mem'), *SMALL, '--ops', 500, 'randwrite')
    assert (got['ops'], got['errors']) == (500, 0)
    assert got['server']['busy_us_per_op'] > 0, 'it asks the server that it started'
    assert os.listdir(folder) == []


def replayed(out):
    return {name: work['ops'] for name, work in out['workloads'].items()}


@pytest.mark.parametrize('fsdev', ['mem', 'aio'])
def test_what_was_recorded_is_replayed(devices, tmp_path, fsdev):
    trace = tmp_path / 'trace'
    perf('-s', devices.socks[fsdev], *SMALL, '--queues', 2, '--ops', 400, '--record', trace, MIX)
    lines = trace.read_text().splitlines()
    assert lines[0] == 'weir-trace 1'
    ops = [line.split()[1] for line in lines[1:]]
    for queues in (1, 2):
        got = perf_json('-s', devices.socks[fsdev], '--queues', queues, '--depth', 8,
                        '--replay', trace)
        assert got['errors'] == 0
        assert replayed(got) == {name: ops.count(name) for name in set(ops)}
    assert os.listdir(devices.folder) == []


def test_a_trace_may_be_written_by_hand(devices, tmp_path):
    there = os.path.join(devices.folder, 'there')
    with open(there, 'wb') as file:
        file.write(b'kept' * 1000)
    trace = tmp_path / 'trace'
    trace.write_text("""weir-trace 1
# Two streams; "there" exists, "absent/file" is made first and removed again.
1 lookup there
1 read there 0 4000
2 mkdir dir
2 create dir/new
2 write dir/new 4096 100   # a hole before it
2 fsync dir/new
2 truncate dir/new 50
2 close dir/new

1 open absent/file
1 read absent/file 8192 4096
1 close absent/file
2 readdirplus dir
2 getattr dir/new
2 unlink dir/new
2 rmdir dir
2 create left
2 readdirplus .
""")
    got = perf_json('-s', devices.socks['aio'], '--replay', trace)
    assert got['errors'] == 0
    assert replayed(got) == {
        'lookup': 1, 'getattr': 1, 'open': 1, 'close': 2, 'create': 2, 'read': 2, 'write': 1,
        'truncate': 1, 'fsync': 1, 'unlink': 1, 'mkdir': 1, 'rmdir': 1, 'readdirplus': 2}
    assert os.listdir(devices.folder) == ['there']
    with open(there, 'rb') as file:
        assert file.read() == b'kept' * 1000
    os.unlink(there)


def test_a_trace_that_fails_says_where(devices, tmp_path):
    trace = tmp_path / 'trace'
    trace.write_text('weir-trace 1\n1 mkdir d\n1 create d/f\n1 rmdir d\n1 getattr d/f\n')
    _, err = perf('-s', devices.socks['aio'], '--replay', trace, code=1)
    assert '1 operations failed, the first: rmdir: RMDIR: Directory not empty' in err
    assert os.listdir(devices.folder) == []


@pytest.mark.parametrize('text, words', [
    ('', ':1: the first line is not "weir-trace 1"'),
    ('weir-trace 1\n', 'has no operation'),
    ('weir-trace 1\n1 lookup\n', ':2: wants STREAM OPERATION PATH'),
    ('weir-trace 1\n\nx lookup a\n', ':3: the stream is not a number'),
    ('weir-trace 1\n65536 lookup a\n', ':2: the stream is not a number'),
    ('weir-trace 1\n1 walk a\n', ':2: no such operation'),
    ('weir-trace 1\n1 lookup ../a\n', ':2: the path must be relative'),
    ('weir-trace 1\n1 lookup /a\n', ':2: the path must be relative'),
    ('weir-trace 1\n1 lookup a/\n', ':2: the path must be relative'),
    ('weir-trace 1\n1 read a 0\n', ':2: has too many or too few numbers'),
    ('weir-trace 1\n1 lookup a 0\n', ':2: has too many or too few numbers'),
    ('weir-trace 1\n1 read a 0 x\n', ':2: not a number'),
    ('weir-trace 1\n1 read a 0 0\n', ':2: reads and writes have'),
    ('weir-trace 1\n1 read a 0 2000000\n', ':2: reads and writes have'),
])
def test_a_bad_trace_is_refused_by_line(tmp_path, text, words):
    trace = tmp_path / 'trace'
    trace.write_text(text)
    _, err = perf('-s', 'x', '--replay', trace, code=2)
    assert err.startswith(f'weir-perf: {trace}')
    assert words in err


FLOOR = f'exec {PERF} --serve {{socket}}'


def test_the_floor_answers_every_workload():
    for name in WORKLOADS:
        got = perf_json('--server', FLOOR, *SMALL, '--ops', 300, name)
        assert (got['ops'], got['errors']) == (300, 0), name


@pytest.mark.parametrize('driver', [
    ('--queues', '2'), ('--event',), ('--no-indirect',), ('--no-event-idx', '--event'),
    ('--packed',), ('--packed', '--event'), ('--packed', '--no-indirect', '--ring-size', '128'),
    ('--packed', '--no-event-idx', '--event')], ids=' '.join)
def test_the_floor_serves_any_driver(driver):
    got = perf_json('--server', FLOOR, *SMALL, '--ops', 1000, *driver, MIX)
    assert (got['ops'], got['errors']) == (1000, 0)
    assert (got['interrupts_per_op'] > 0) == ('--event' in driver)


def test_two_servers_are_compared_in_turn(tmp_path):
    args = ('--server', weir_command(tmp_path, 'null'), '--versus', FLOOR, '--rounds', 2, *SMALL,
            '--ops', 300, 'randread')
    got = perf_json(*args)
    assert got['rounds'] == 2
    for side in ('server', 'versus', 'ratio'):
        assert got[side]['ops_per_s']['min'] > 0
        for metric in ('ops_per_s', 'p50_us', 'p99_us', 'cpu_us_per_op', 'cost_us_per_op'):
            value = got[side][metric]
            assert 0 <= value['min'] <= value['max'], (side, metric)
            if side != 'ratio':
                assert value['min'] <= value['median'] <= value['max'], (side, metric)
    ratio = got['server']['ops_per_s']['median'] / got['versus']['ops_per_s']['median']
    assert abs(got['ratio']['ops_per_s']['median'] - ratio) < 0.001 * ratio


def test_a_comparison_ends_where_one_side_fails():
    _, err = perf('--server', FLOOR, '--versus', 'exit 1', *SMALL, '--ops', 10, 'lookup', code=3)
    assert 'that was versus in round 1' in err


def test_a_comparison_is_printed_for_people():
    out, _ = perf('--server', FLOOR, '--versus', FLOOR, '--rounds', 1, *SMALL, '--ops', 100,
                  'getattr')
    assert 'server / versus' in out
    assert 'operations per second' in out


def test_a_server_that_does_not_serve_is_shown():
    _, err = perf('--server', 'echo no such thing >&2; exit 3', 'lookup', code=3)
    assert 'ended without a socket' in err
    assert 'no such thing' in err


@pytest.mark.parametrize('args, words', [
    ((), 'workload is missing'),
    (('lookup',), '--socket or --server is missing'),
    (('-s', 'x', 'walk'), 'walk: no such workload'),
    (('-s', 'x', 'lookup', 'getattr'), 'one workload'),
    (('-s', 'x', '--mix', 'lookup=1', 'getattr'), 'exclude'),
    (('-s', 'x', '--mix', 'lookup'), 'wants NAME=N'),
    (('-s', 'x', '--mix', 'lookup=0'), 'weight'),
    (('-s', 'x', '--mix', 'lookup=1,lookup=2'), 'twice'),
    (('-s', 'x', '--depth', '0', 'lookup'), 'must be from 1 to'),
    (('-s', 'x', '--depth', 'many', 'lookup'), 'not a number'),
    (('-s', 'x', '--bs', '4x', 'randread'), 'not a number'),
    (('-s', 'x', '--bs', '99999999g', 'randread'), 'must be from'),
    (('-s', 'x', '--bs', '9999999999999g', 'randread'), 'too large'),
    (('-s', 'x', '--seconds', 'soon', 'lookup'), 'seconds'),
    (('-s', 'x', '--cpus', '1-', 'lookup'), 'list of CPUs'),
    (('-s', 'x', '--ring-size', '100', 'lookup'), 'power of two'),
    (('-s', 'x', '--verify', 'lookup'), 'needs a workload that reads or writes'),
    (('-s', 'x', '--verify', '--file-size', '64k', 'randread'), 'two blocks'),
    (('-s', 'x', '--server', 'y', 'lookup'), '--server excludes --socket'),
    (('-s', 'x', '--replay', 'y', 'lookup'), '--replay excludes'),
    (('-s', 'x', '--replay', 'y', '--record', 'z'), '--replay excludes'),
    (('-s', 'x', '--replay', '/nonexistent'), 'No such file'),
    (('-s', 'x', '--record', 'y', '--queues', '3', '--depth', '32768', 'lookup'), '65536 streams'),
    (('--serve', 'x', 'lookup'), '--serve takes no workload'),
    (('-s', 'x', '--nonsense', 'lookup'), 'nonsense'),
], ids=lambda value: ' '.join(value) if isinstance(value, tuple) else '')
def test_bad_usage_gets_one_clear_line(args, words):
    _, err = perf(*args, code=2)
    assert words in err
    assert len(err.splitlines()) <= 2


def test_what_cannot_be_mounted_is_named(devices, tmp_path):
    _, err = perf('-s', tmp_path / 'absent', '--timeout', 1, 'lookup', code=3)
    assert err == f'weir-perf: cannot mount {tmp_path}/absent: No such file or directory\n'
    _, err = perf('-s', devices.socks['mem'], '--dir', '/nowhere', 'lookup', code=3)
    assert '/nowhere: No such file or directory' in err
    _, err = perf('-s', devices.socks['mem'], '--ring-size', 128, '--bs', '1m', 'randread', code=3)
    assert 'take at most' in err


def test_help_tells_every_workload():
    out, _ = perf('--help')
    for name in WORKLOADS:
        assert name in out
    assert 'exit status' in out
