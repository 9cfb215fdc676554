/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "device.h"

static void
node_comes_before_load(void **state)
{
	const struct device_place of[] = {
		{ .node = 0, .weight = 0, .busy = 0 },
		{ .node = 1, .weight = 64, .busy = 900 },
		{ .node = 1, .weight = 65, .busy = 100 },
	};

	assert_int_equal(device_place_best(of, RTE_DIM(of), 1), 1);
	assert_int_equal(device_place_best(of, RTE_DIM(of), 0), 0);
}

static void
queues_come_before_busy_time(void **state)
{
	const struct device_place of[] = {
		{ .node = 0, .weight = 32, .busy = 0 },
		{ .node = 0, .weight = 16, .busy = 1000 },
		{ .node = 0, .weight = 16, .busy = 999 },
		{ .node = 0, .weight = 17, .busy = 0 },
	};

	assert_int_equal(device_place_best(of, RTE_DIM(of), 0), 2);
}

static void
node_without_a_worker_is_no_preference(void **state)
{
	const struct device_place of[] = {
		{ .node = 1, .weight = 16, .busy = 0 },
		{ .node = 0, .weight = 1, .busy = 0 },
	};

	assert_int_equal(device_place_best(of, RTE_DIM(of), 2), 1);
	assert_int_equal(device_place_best(of, RTE_DIM(of), DEVICE_NO_NODE), 1);
	assert_int_equal(device_place_best(of, 1, DEVICE_NO_NODE), 0);
}

static void
memory_is_on_a_node(void **state)
{
	const struct weir_memmap_src src = {
		.gpa = 0x100000,
		.size = 0x4000,
		.fd = memfd_create("guest", MFD_CLOEXEC),
	};
	struct weir_memmap *map;

	assert_return_code(ftruncate(src.fd, 0x4000), 0);
	assert_return_code(weir_memmap_create(&src, 1, &map), 0);
	assert_in_range(device_memory_node(map, 0x101000), 0, RTE_MAX_NUMA_NODES - 1);
	assert_int_equal(device_memory_node(map, 0x104000), DEVICE_NO_NODE);
	/* The front end takes its memory away: no signal, no node. */
	assert_return_code(ftruncate(src.fd, 0x2000), 0);
	assert_int_equal(device_memory_node(map, 0x103000), DEVICE_NO_NODE);
	weir_memmap_put(map);
	close(src.fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_comes_before_load),
		cmocka_unit_test(queues_come_before_busy_time),
		cmocka_unit_test(node_without_a_worker_is_no_preference),
		cmocka_unit_test(memory_is_on_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
