/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What servers say when an export is mounted, and what the nfs driver makes of it. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "liar_export.h"

#define AUTH_FLAVOR_SYS 1
#define AUTH_FLAVOR_GSS 390003 /* krb5, RFC 2623, section 2.7 */

#define STALE 70 /* RFC 1813, section 2.6 */

static char message[512];

static int
teardown(void **state)
{
	nfs_liar_refuse(0, 0, 0);
	nfs_liar_offer(AUTH_FLAVOR_SYS, 4096);
	return 0;
}

static void
root_that_is_not_ready_is_waited_for(void **state)
{
	nfs_liar_refuse(NFSPROC3_GETATTR, NFS3STAT_JUKEBOX, 1);
	nfs_liar_refuse_then(NFSPROC3_FSINFO, NFS3STAT_JUKEBOX, 2);
	if (liar_create("", message) != 0)
		fail_msg("%s", message);
	liar_delete();
}

static void
root_that_cannot_be_had_is_an_error(void **state)
{
	nfs_liar_refuse(NFSPROC3_FSINFO, STALE, 1);
	assert_int_not_equal(liar_create("", message), 0);
	assert_non_null(strstr(message, "the root of /x: FSINFO says STALE"));
}

static void
export_that_wants_kerberos_is_refused(void **state)
{
	nfs_liar_offer(AUTH_FLAVOR_GSS, 4096);
	assert_int_not_equal(liar_create("", message), 0);
	assert_non_null(strstr(message, "wants another security flavor than sys"));
}

static void
transfers_are_multiples_of_what_the_server_suggests(void **state)
{
	struct fs_client fsc = { 0 };
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int before;

	/* It takes 65536 bytes at once. */
	nfs_liar_offer(AUTH_FLAVOR_SYS, 24000);
	if (liar_create("", message) != 0)
		fail_msg("%s", message);
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("liar"));
	assert_int_equal(fsc_lookup(&fsc, weir_fsdev_root(fsc.dev), "f", &entry), 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), 0);

	before = nfs_liar_calls(NFSPROC3_READ);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 48000, 0, 4096), 48000);
	assert_int_equal(nfs_liar_calls(NFSPROC3_READ) - before, 1);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 48001, 0, 4096), 48001);
	assert_int_equal(nfs_liar_calls(NFSPROC3_READ) - before, 3);

	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
	fsc_close_session(&fsc);
	liar_delete();
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(root_that_is_not_ready_is_waited_for),
		TEST(root_that_cannot_be_had_is_an_error),
		TEST(export_that_wants_kerberos_is_refused),
		TEST(transfers_are_multiples_of_what_the_server_suggests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return liar_main("0@0,1@0-1", run);
}
