# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The RPC socket as real clients use it: framing, envelope, limits."""

import json
import os
import socket
import stat
import threading

import pytest

from weirtest import RpcClient, Weir, wait_until

VERSION = '{"jsonrpc":"2.0","id":7,"method":"spdk_get_version"}'


@pytest.fixture(scope='module')
def shared():
    weir = Weir()
    yield weir
    try:
        weir.stop()
    finally:
        weir.cleanup()


@pytest.fixture
def client(shared):
    with RpcClient(shared.rpc_path) as conn:
        yield conn


def test_request_in_any_pieces_gets_the_same_answer(client):
    want = client.exchange(VERSION)
    assert set(want) == {'jsonrpc', 'id', 'result'}

    for byte in VERSION:
        client.send(byte.encode())
    assert json.loads(client.line()) == want
    client.send((VERSION + '\n' + VERSION).encode())
    assert json.loads(client.line()) == want
    assert json.loads(client.line()) == want
    client.send((VERSION + VERSION + VERSION).encode())
    for _ in range(3):
        assert json.loads(client.line()) == want
    assert client.exchange(json.dumps(json.loads(VERSION), indent=2)) == want
    assert client.exchange(' \n\t ' + VERSION + '\n') == want


def test_answer_is_one_line(client):
    client.send(b'{"jsonrpc":"2.0","id":1,"method":"rpc_get_methods"}')
    line = client.line()
    assert line.endswith(b'\n') and line.count(b'\n') == 1
    answer = json.loads(line)
    assert 'error' not in answer and answer['jsonrpc'] == '2.0'
    assert all(isinstance(name, str) for name in answer['result'])
    assert 'virtio_fs_device_create' in answer['result']
    assert client.rest == b''


@pytest.mark.parametrize('text', ['1', '-1', '0', '9007199254740993', '18446744073709551616',
                                  '1.5', '"x"', '""', '"\\u00e9\\n"'])
def test_id_comes_back_as_it_was_sent(client, text):
    client.send(('{"jsonrpc":"2.0","id":%s,"method":"spdk_get_version"}' % text).encode())
    line = client.line().decode()
    answer = json.loads(line)
    assert repr(answer['id']) == repr(json.loads(text))
    assert 'result' in answer


@pytest.mark.parametrize('member', ['', '"id":null,'])
def test_request_without_id_runs_unanswered(client, member):
    client.send(('{"jsonrpc":"2.0",%s"method":"spdk_get_version"}' % member).encode())
    assert client.exchange(VERSION)['id'] == 7
    answer = client.exchange('{"jsonrpc":"2.0",%s"method":"no_such"}' % member)
    assert answer['id'] is None and answer['error']['code'] == -32601


@pytest.mark.parametrize('params', [',"params":null', ',"params":{}', ''])
def test_absent_params_are_no_params(client, params):
    answer = client.exchange('{"jsonrpc":"2.0","id":1,"method":"spdk_get_version"%s}' % params)
    assert 'version' in answer['result'] and 'fields' in answer['result']


def test_jsonrpc_member_may_be_missing(client):
    assert 'result' in client.exchange('{"id":1,"method":"spdk_get_version"}')


@pytest.mark.parametrize('text, code', [
    ('{"jsonrpc":"2.0","id":1,"method":"no_such"}', -32601),
    ('{"jsonrpc":"1.0","id":1,"method":"spdk_get_version"}', -32600),
    ('{"jsonrpc":"2.0","id":1}', -32600),
    ('{"jsonrpc":"2.0","id":1,"method":5}', -32600),
    ('{"jsonrpc":"2.0","id":1,"method":"spdk_get_version","params":5}', -32600),
    ('{"jsonrpc":"2.0","id":1,"method":"spdk_get_version","params":{"x":1}}', -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"virtio_fs_device_start","params":{"dev_name":1}}', -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"virtio_fs_device_start"}', -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"virtio_fs_device_start","params":{"dev_name":"x"}}', -19),
    ('{"jsonrpc":"2.0","id":1,"method":"virtio_fs_device_start",'
     '"params":{"dev_name":"x","dev_name":"y"}}', -32602),
    ('[]', -32600),
])
def test_error_has_its_code(client, text, code):
    answer = client.exchange(text)
    assert 'result' not in answer
    assert answer['error']['code'] == code
    assert isinstance(answer['error']['message'], str) and answer['error']['message']
    assert client.exchange(VERSION)['id'] == 7


def test_batch_is_answered_whole(client):
    answers = client.exchange('[%s,{"jsonrpc":"2.0","id":8,"method":"no_such"}]' % VERSION)
    by_id = {a['id']: a for a in answers}
    assert set(by_id) == {7, 8}
    assert 'result' in by_id[7] and by_id[8]['error']['code'] == -32601


@pytest.mark.parametrize('garbage', [b'{"id":1,]', b'}', b'\x00\x01\x02', b'{"id": tru}',
                                     b'\xff\xfe{}'])
def test_parse_error_closes_its_own_connection_only(shared, garbage):
    with RpcClient(shared.rpc_path) as good, RpcClient(shared.rpc_path) as bad:
        bad.send(garbage)
        answer = json.loads(bad.line())
        assert answer['id'] is None and answer['error']['code'] == -32700
        assert bad.line() == b''
        assert good.exchange(VERSION)['id'] == 7


def test_large_request_is_taken(client):
    name = 'x' * ((1 << 20) - 200)
    request = {'jsonrpc': '2.0', 'id': 1, 'method': 'virtio_fs_device_start',
               'params': {'dev_name': name}}
    answer = client.exchange(json.dumps(request))
    assert answer['error']['code'] == -32602 and len(answer['error']['message']) < 1000
    assert client.exchange(' ' * (1 << 20) + VERSION)['id'] == 7


def closes_or_refuses(shared, data):
    """Whatever becomes of the connection, the appliance answers others and does not grow."""
    with RpcClient(shared.rpc_path) as conn:
        try:
            conn.send(data)
            conn.sock.shutdown(socket.SHUT_WR)
            line = conn.line()
        except (BrokenPipeError, ConnectionResetError):
            line = b''
    if line:
        assert json.loads(line)['error']['code'] in (-32700, -32600)
    with RpcClient(shared.rpc_path) as other:
        assert other.exchange(VERSION)['id'] == 7


def test_endless_garbage_is_bounded(shared):
    before = shared.rss_kib()
    closes_or_refuses(shared, b'[' * 10000)
    closes_or_refuses(shared, b'{"a":' * 10000)
    closes_or_refuses(shared, os.urandom(1 << 20))
    closes_or_refuses(shared, b'{"id":1,"method":"' + b'x' * (64 << 20))
    assert shared.rss_kib() - before < 32 << 10


def test_client_that_does_not_read_stops_nobody(shared):
    with RpcClient(shared.rpc_path) as deaf, RpcClient(shared.rpc_path) as other:
        deaf.sock.settimeout(0.2)
        request = b'{"jsonrpc":"2.0","id":1,"method":"weir_get_rpc_schema"}' * 100
        try:
            for _ in range(100):
                deaf.send(request)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        assert other.exchange(VERSION)['id'] == 7


def test_many_clients_at_once(shared):
    errors = []

    def poll():
        try:
            for _ in range(10):
                with RpcClient(shared.rpc_path) as conn:
                    assert conn.call('fsdev_get_fsdevs') == []
        except (AssertionError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=poll) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_client_that_leaves_early_harms_nobody(shared):
    before = shared.nb_fds()
    for _ in range(50):
        conn = RpcClient(shared.rpc_path)
        conn.send(VERSION.encode()[:20])
        conn.sock.close()
        conn = RpcClient(shared.rpc_path)
        conn.send(VERSION.encode() * 10)
        conn.sock.close()
    with RpcClient(shared.rpc_path) as conn:
        assert conn.exchange(VERSION)['id'] == 7
    wait_until(lambda: shared.nb_fds() <= before + 1, 10, 'connections to be closed')


def test_socket_is_the_owners(shared):
    assert stat.S_IMODE(os.stat(shared.rpc_path).st_mode) == 0o600


def test_second_appliance_on_the_socket_is_refused(shared, weir_factory):
    second = weir_factory('-r', shared.rpc_path, wait=False)
    assert second.proc.wait(30) == 1
    with RpcClient(shared.rpc_path) as conn:
        assert conn.exchange(VERSION)['id'] == 7


def test_stale_socket_is_replaced(weir_factory):
    first = weir_factory()
    first.proc.kill()
    first.proc.wait()
    assert stat.S_ISSOCK(os.stat(first.rpc_path).st_mode)
    second = weir_factory('-r', first.rpc_path, wait=False)
    second.rpc_path = first.rpc_path
    second.wait_for_rpc()
    second.stop()
