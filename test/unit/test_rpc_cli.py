#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors

"""test_rpc_cli.py SERVER TOOL: runs weir-rpc.py against a small RPC server."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

SERVER, TOOL = sys.argv[1:3]


class RpcCli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix='weir-test-')
        cls.sock = os.path.join(cls.dir.name, 'rpc.sock')
        cls.server = subprocess.Popen([SERVER, cls.sock], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert cls.server.stdout.readline() == b'ready\n'

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        status = cls.server.wait()
        cls.server.stdout.close()
        cls.dir.cleanup()
        assert status == 0

    def run_tool(self, *words, stdin='', sock=None):
        env = dict(os.environ, WEIR_RPC_SOCK=sock or self.sock)
        return subprocess.run([sys.executable, TOOL, *words], input=stdin, text=True, env=env,
                              capture_output=True, check=False)

    def assert_result(self, line, **expected):
        """The words of line succeed, and the server got these parameters among others."""
        done = self.run_tool(*line.split())
        self.assertEqual((done.returncode, done.stderr), (0, ''), line)
        got = json.loads(done.stdout)
        self.assertEqual({key: got[key] for key in expected}, expected, line)

    def assert_fails(self, status, message, *words, **kwargs):
        done = self.run_tool(*words, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (status, ''))
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1)

    def test_documented_lines_are_taken(self):
        self.assert_result('fsdev_aio_create aio0 /etc/virtiofs', name='aio0',
                           root_path='/etc/virtiofs')
        self.assert_result('fsdev_get_fsdevs -n aio0', name='aio0')
        self.assert_result('virtio_fs_device_create -m mlx5_0', manager='mlx5_0')
        self.assert_result('-t 120 virtio_fs_device_create -t DOCA', transport_name='DOCA')
        self.assert_result('virtio_fs_doca_device_hotplug --dev-name x --wait-for-done',
                           dev_name='x', wait_for_done=True)

    def test_names_may_be_spelled_in_other_ways(self):
        self.assert_result('virtio_fs_device_hotplug --dev_name=x --wait_for_done=false',
                           dev_name='x', wait_for_done=False)
        self.assert_result('fsdev_aio_create --root-path /x --name a --max-xfer-size=0x2000',
                           name='a', root_path='/x', max_write=8192)
        self.assert_result('fsdev_aio_create a /x --size 9223372036854775807', size=2**63 - 1)

    def test_plugin_and_verbose_are_accepted(self):
        done = self.run_tool('--plugin', 'rpc_virtio_fs_tgt', '-v', 'virtio_fs_device_create',
                             '-t', 'DOCA')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout)['transport_name'], 'DOCA')
        request, response = done.stderr.split('response:\n')
        self.assertEqual(json.loads(request.split('request:\n')[1])['method'],
                         'virtio_fs_device_create')
        self.assertEqual(json.loads(response)['result']['transport_name'], 'DOCA')

    def test_result_is_printed_like_rpc_py_does(self):
        self.assertEqual(self.run_tool('virtio_fs_doca_function_create').stdout,
                         'MT2333XZ0VJQVFSS0D0F2\n')
        self.assertEqual(self.run_tool('fsdev_get_fsdevs').stdout, '{\n  "name": ""\n}\n')

    def test_json_prints_one_line(self):
        self.assertEqual(self.run_tool('--json', 'virtio_fs_doca_function_create').stdout,
                         '"MT2333XZ0VJQVFSS0D0F2"\n')
        self.assertEqual(self.run_tool('--json', 'fsdev_get_fsdevs').stdout, '{"name":""}\n')
        self.assert_fails(1, '{"code":-19,"message":"No such device: x"}', '--json', 'fail')

    def test_failed_call_exits_1(self):
        self.assert_fails(1, 'fail: No such device: x (code -19)', 'fail')
        self.assert_fails(1, 'root_path: required', 'fsdev_aio_create', 'a')
        self.assert_fails(1, 'max_write: 1 is not in 4096..1048576', 'fsdev_aio_create', 'a', 'b',
                          '--max-write', '1')
        self.assert_fails(1, 'packed_vq: not supported', 'virtio_fs_device_create', '--packed-vq')
        self.assert_fails(1, 'no answer within 0.1 seconds', '-t', '0.1', 'never')

    def test_wrong_usage_exits_2(self):
        self.assert_fails(2, 'Method not found: fsdev_aio_crate; there is fsdev_aio_create',
                          'fsdev_aio_crate')
        self.assert_fails(2, 'tag: unknown parameter', 'virtio_fs_device_create', '--tag', 'x')
        self.assert_fails(2, 'c: unexpected word', 'fsdev_aio_create', 'a', 'b', 'c')
        self.assert_fails(2, 'dev_name: needs a value', 'virtio_fs_device_create', '--dev-name')
        self.assert_fails(2, 'must be an integer', 'fsdev_aio_create', '--size', '1.0')
        self.assert_fails(2, 'must be an integer', 'fsdev_aio_create', '--size', str(2**63))
        self.assert_fails(2, 'name: given twice', 'fsdev_aio_create', 'a', '--name', 'b')
        self.assert_fails(2, 'no such option', '-x', 'fail')
        self.assert_fails(2, 'must be a number of seconds', '-t', 'x', 'fail')

    def test_no_appliance_exits_3(self):
        nowhere = os.path.join(self.dir.name, 'none')
        self.assert_fails(3, f'cannot connect to {nowhere}: No such file', 'fail', sock=nowhere)
        self.assert_fails(3, f'cannot connect to {nowhere}: No such file', '-s', nowhere, 'fail')

    def test_stdin_runs_lines(self):
        done = self.run_tool(
            '--json', stdin='# bring-up\n\n'
            '--plugin rpc_virtio_fs_tgt -v fsdev_get_fsdevs -n "a b"\n'
            'fsdev_get_fsdevs \\\n  -n c#d # comment\n'
            "rpc.py -t 5 fsdev_get_fsdevs -n 'e\"f'")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, '{"name":"a b"}\n{"name":"c#d"}\n{"name":"e\\"f"}\n')
        self.assertEqual(done.stderr.count('request:'), 1)

    def test_stdin_stops_at_the_first_failure(self):
        done = self.run_tool(stdin='virtio_fs_doca_function_create\n\\\n\nfail\nfsdev_get_fsdevs\n')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, 'MT2333XZ0VJQVFSS0D0F2\n')
        self.assertIn('line 4: fail: No such device: x', done.stderr)
        self.assert_fails(2, "line 1: no closing '", stdin="fail '")
        self.assert_fails(2, 'line 1: nothing follows the backslash', stdin='fail a\\\\\\')
        self.assert_fails(2, 'line 1: the line has no method', stdin='-v\n')
        self.assert_fails(2, 'line 1: -s: stands on the command line only', stdin='-s x fail\n')

    def test_help_lists_methods(self):
        done = self.run_tool('--help')
        self.assertEqual(done.returncode, 0)
        self.assertIn('--plugin X', done.stdout)
        self.assertIn('  fsdev_aio_create\n        Serve a local folder\n', done.stdout)

    def test_help_without_appliance_explains_itself(self):
        done = self.run_tool('--help', sock=os.path.join(self.dir.name, 'none'))
        self.assertEqual(done.returncode, 0)
        self.assertIn('exit status', done.stdout)
        self.assertIn('No list of methods: cannot connect', done.stdout)

    def test_help_of_a_method_describes_its_parameters(self):
        for words in (['fsdev_aio_create', '--help'], ['-h', 'fsdev_aio_create']):
            done = self.run_tool(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            self.assertIn('usage: weir-rpc.py fsdev_aio_create NAME ROOT_PATH [--max-write '
                          'MAX_WRITE]', done.stdout)
            self.assertIn('  --max-write, --max-xfer-size MAX_WRITE\n'
                          '        uint32, 4096..1048576, default 131072\n', done.stdout)
            self.assertIn('        unique name; string, required\n', done.stdout)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
