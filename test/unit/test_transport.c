/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weir_transport.h"

static int
fake_start(const char *socket_dir)
{
	return 0;
}

static void
fake_stop(void)
{
}

static void
fake_dev_create(const struct weir_tdev_cfg *cfg,
		void (*ready)(void *dev, struct weir_tdev *tdev, int rc, const char *message))
{
}

static void
fake_dev_destroy(struct weir_tdev *tdev, void (*gone)(void *dev))
{
}

static json_t *
fake_dev_info(const struct weir_tdev *tdev)
{
	return json_object();
}

static void
fake_vq_call(struct weir_tdev *tdev, uint16_t index)
{
}

static const struct weir_transport_ops fake_ops = {
	.start = fake_start,
	.stop = fake_stop,
	.dev_create = fake_dev_create,
	.dev_destroy = fake_dev_destroy,
	.dev_info = fake_dev_info,
	.vq_call = fake_vq_call,
};

static struct weir_transport first = {
	.name = "FIRST_FAKE",
	.help = "the first",
	.ops = &fake_ops,
	.max_queues = 2,
};
WEIR_TRANSPORT_REGISTER(first)

static void
transport_registered_by_constructor_is_listed(void **state)
{
	assert_ptr_equal(weir_transport_next(NULL), &first);
	assert_null(weir_transport_next(&first));
}

static void
transport_find_ignores_case(void **state)
{
	assert_ptr_equal(weir_transport_find("FIRST_FAKE"), &first);
	assert_ptr_equal(weir_transport_find("first_Fake"), &first);
}

static void
transport_find_unknown_is_null(void **state)
{
	assert_null(weir_transport_find("FIRST"));
	assert_null(weir_transport_find("FIRST_FAKE2"));
	assert_null(weir_transport_find(""));
}

/* Last: it stays registered. */
static void
transport_second_is_listed_behind_first(void **state)
{
	static struct weir_transport second = {
		.name = "SECOND_FAKE",
		.help = "the second",
		.ops = &fake_ops,
		.max_queues = 256,
	};

	weir_transport_register(&second);
	assert_ptr_equal(weir_transport_next(NULL), &first);
	assert_ptr_equal(weir_transport_next(&first), &second);
	assert_null(weir_transport_next(&second));
	assert_ptr_equal(weir_transport_find("second_fake"), &second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transport_registered_by_constructor_is_listed),
		cmocka_unit_test(transport_find_ignores_case),
		cmocka_unit_test(transport_find_unknown_is_null),
		cmocka_unit_test(transport_second_is_listed_behind_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
