/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Users and groups that are others on the host than in the guest. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse_guest.h"

static uint32_t
in(const char *map, uint32_t id)
{
	struct fuse_idmaps *maps;
	bool allowed;

	weir_role_assume_control();
	assert_int_equal(fuse_idmaps_create(map, NULL, &maps), 0);
	allowed = fuse_idmap_uid_in(maps, &id);
	fuse_idmaps_destroy(maps);
	return allowed ? id : UINT32_MAX;
}

static uint32_t
out(const char *map, uint32_t id)
{
	struct fuse_idmaps *maps;
	uint32_t gid = id;

	weir_role_assume_control();
	assert_int_equal(fuse_idmaps_create(map, map, &maps), 0);
	fuse_idmap_out(maps, &id, &gid);
	assert_int_equal(id, gid);
	fuse_idmaps_destroy(maps);
	return id;
}

static void
forms_map_in_their_directions(void **state)
{
	assert_int_equal(in("map:1000:5000:10", 1000), 5000);
	assert_int_equal(in("map:1000:5000:10", 1009), 5009);
	assert_int_equal(in("map:1000:5000:10", 1010), 1010);
	assert_int_equal(in("map:1000:5000:10", 999), 999);
	assert_int_equal(out("map:1000:5000:10", 5009), 1009);
	assert_int_equal(out("map:1000:5000:10", 1000), 1000);
	assert_int_equal(in("guest:0:7:2", 1), 8);
	assert_int_equal(out("guest:0:7:2", 8), 8);
	assert_int_equal(in("host:7:0:2", 7), 7);
	assert_int_equal(out("host:7:0:2", 8), 1);
	assert_int_equal(in("squash-guest:0:1000:4294967295", 4294967294), 1000);
	assert_int_equal(out("squash-guest:0:1000:4294967295", 5), 5);
	assert_int_equal(in("squash-host:5:0:3", 5), 5);
	assert_int_equal(out("squash-host:5:0:3", 7), 0);
	assert_int_equal(out("squash-host:5:0:3", 8), 8);
	assert_int_equal(in("forbid-guest:0:1000", 999), UINT32_MAX);
	assert_int_equal(in("forbid-guest:0:1000", 1000), 1000);
	assert_int_equal(out("forbid-guest:0:1000", 0), 0);
}

static void
rules_stand_side_by_side(void **state)
{
	static const char map[] = "forbid-guest:0:1000,map:1000:1000:1,forbid-guest:1001:999,"
				  "squash-guest:2000:65534:4294965295,squash-host:0:65534:1000";

	assert_null(weir_fuse_idmap_refused(map));
	assert_int_equal(in(map, 0), UINT32_MAX);
	assert_int_equal(in(map, 1000), 1000);
	assert_int_equal(in(map, 1500), UINT32_MAX);
	assert_int_equal(in(map, 2000), 65534);
	assert_int_equal(out(map, 0), 65534);
	assert_int_equal(out(map, 1000), 1000);
}

static void
what_is_no_map_is_refused(void **state)
{
	static const char *const bad[] = { ",", "map", "map:", "map:1", "map:1:2",
		"map:1:2:", "map:1:2:3:4", "map:1:2:3,", "map:1:2:3 ", " map:1:2:3", "Map:1:2:3",
		"map:-1:2:3", "map:+1:2:3", "map:0x1:2:3", "map:1:2:0", "map:4294967295:0:1",
		"map:0:4294967295:1", "map:4294967294:0:2", "map:0:4294967294:2",
		"map:4294967296:0:1", "map:99999999999999999999:0:1", "squash-guest:0:4294967295:1",
		"forbid-guest:1", "forbid-guest:1:2:3", "forbid-guest:1:0", "forbid-host:1:2",
		"squash-guest:0:1:4294967296", "map:0:0:10,guest:9:100:1",
		"map:0:0:10,host:9:100:1", "host:1:1:1,squash-host:1:2:1",
		"forbid-guest:5:1,map:0:100:6" };
	char many[65 * 24] = "";

	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		if (weir_fuse_idmap_refused(bad[i]) == NULL)
			fail_msg("%s was taken", bad[i]);
	for (unsigned int i = 0; i < 65; i++) {
		if (i == 64)
			assert_null(weir_fuse_idmap_refused(many));
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%smap:%u:%u:1",
				i > 0 ? "," : "", i, i);
	}
	assert_string_equal(weir_fuse_idmap_refused(many), "more than 64 rules of one direction");
	assert_null(weir_fuse_idmap_refused(""));
	assert_null(weir_fuse_idmap_refused("map:4294967294:0:1"));
}

static int
mapped_setup(void **state)
{
	if (guest_setup(state) < 0)
		return -1;
	weir_role_assume_control();
	/* The guest is 1000:100, and the files of the fake are 8:9. */
	return fuse_idmaps_create("map:1000:5000:1,host:8:3000:1,forbid-guest:66:1",
			"map:100:600:50,squash-host:9:4000:1,forbid-guest:77:1", &guest_sess->maps);
}

static void
assert_owner(const struct fuse_attr *attr)
{
	assert_int_equal(attr->uid, 3000);
	assert_int_equal(attr->gid, 4000);
}

static void
callers_and_owners_are_mapped_in_all_requests(void **state)
{
	const struct fuse_mkdir_in mkdir = { .mode = 0755 };
	const struct fuse_getattr_in getattr = { 0 };
	const struct fuse_statx_in statx = { 0 };
	struct fuse_setattr_in set = {
		.valid = FUSE_FATTR_UID | FUSE_FATTR_GID,
		.uid = 1000,
		.gid = 149,
	};
	struct fuse_read_in list = { .size = 4096 };
	const struct plus {
		struct fuse_entry_out entry;
		struct fuse_dirent dirent;
	} * plus;
	uint64_t entries[512];
	size_t n;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_statx_out stx;

	fake.nb_entries = 8;
	list.fh = guest_opendir(1);

	assert_int_equal(guest_call_names(FUSE_MKDIR, 1, &mkdir, sizeof(mkdir), "d", NULL, &entry,
					 sizeof(entry)),
			sizeof(entry));
	assert_owner(&entry.attr);
	assert_int_equal(fake.last.cred.uid, 5000);
	assert_int_equal(fake.last.cred.gid, 600);
	assert_int_equal(
			guest_call(FUSE_GETATTR, 1, &getattr, sizeof(getattr), &attr, sizeof(attr)),
			sizeof(attr));
	assert_owner(&attr.attr);
	assert_int_equal(guest_call(FUSE_SETATTR, 1, &set, sizeof(set), &attr, sizeof(attr)),
			sizeof(attr));
	assert_owner(&attr.attr);
	assert_int_equal(fake.last.setattr.uid, 5000);
	assert_int_equal(fake.last.setattr.gid, 649);
	set.valid = FUSE_FATTR_MODE;
	set.uid = 66;
	assert_int_equal(guest_call(FUSE_SETATTR, 1, &set, sizeof(set), &attr, sizeof(attr)),
			sizeof(attr));
	if (guest_call(FUSE_STATX, 1, &statx, sizeof(statx), &stx, sizeof(stx)) > 0) {
		assert_int_equal(stx.stat.uid, 3000);
		assert_int_equal(stx.stat.gid, 4000);
	}
	assert_true(guest_call(FUSE_READDIRPLUS, 1, &list, sizeof(list), entries, sizeof(entries)) >
			0);
	plus = (const void *)entries;
	for (; plus->entry.nodeid == 0; plus = (const void *)((const uint8_t *)plus + n))
		n = sizeof(*plus) + RTE_ALIGN_CEIL(plus->dirent.namelen, 8u);
	assert_owner(&plus->entry.attr);
	guest_release(FUSE_RELEASEDIR, 1, list.fh);
}

static int
mkdir_as(uint32_t uid, uint32_t gid)
{
	const uint32_t groups[] = { 16, FUSE_EXT_GROUPS, 1, 149 };
	struct {
		struct fuse_mkdir_in in;
		char name[4];
		uint32_t groups[4];
	} arg = { .in.mode = 0755, .name = "new" };
	struct guest_req *r = calloc(1, sizeof(*r));
	int rc;

	memcpy(arg.groups, groups, sizeof(groups));
	guest_prepare(r, 0, FUSE_MKDIR, FUSE_NODEID_ROOT, &arg, sizeof(arg), GUEST_ROOM);
	guest_head(r)->uid = uid;
	guest_head(r)->gid = gid;
	guest_head(r)->total_extlen = 2;
	assert_int_equal(guest_submit(r), 0);
	rc = guest_answer(r, NULL);
	free(r);
	return rc;
}

static void
forbidden_ids_make_nothing_and_own_nothing(void **state)
{
	struct fuse_setattr_in set = { .valid = FUSE_FATTR_UID, .uid = 66 };
	unsigned int made = fake.calls[WEIR_FSOP_MKDIR];

	assert_int_equal(mkdir_as(66, 100), -EPERM);
	assert_int_equal(mkdir_as(1000, 77), -EPERM);
	assert_int_equal(fake.calls[WEIR_FSOP_MKDIR], made);
	assert_true(mkdir_as(77, 66) > 0);
	assert_int_equal(fake.last.cred.uid, 77);
	assert_true(fake.last.cred.has_group);
	assert_int_equal(fake.last.cred.group, 649);
	assert_int_equal(guest_call(FUSE_SETATTR, 1, &set, sizeof(set), NULL, 0), -EPERM);
	set = (struct fuse_setattr_in){ .valid = FUSE_FATTR_GID, .gid = 77 };
	assert_int_equal(guest_call(FUSE_SETATTR, 1, &set, sizeof(set), NULL, 0), -EPERM);
	/* It may look all the same, as nobody. */
	assert_true(guest_lookup(1, "file") > 0);
}

/* In groups of the guest's, which are others on the host. */
static void
setgid_is_nobodys_judgement_where_ids_are_mapped(void **state)
{
	const struct fuse_mknod_in in = { .mode = S_IFREG | 02755 };
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_MKNOD, 1, &in, sizeof(in), "a", NULL, &out,
					 sizeof(out)),
			sizeof(out));
	assert_int_equal(fake.last.mode, S_IFREG | 02755);
	assert_int_equal(fake.last.flags & WEIR_FSREQ_SETGID, 0);
}

static void
acls_are_not_passed_where_their_ids_would_be_wrong(void **state)
{
	const struct fuse_getxattr_in get = { .size = 64 };

	assert_int_equal(guest_call_names(FUSE_GETXATTR, 1, &get, sizeof(get),
					 "system.posix_acl_access", NULL, NULL, 0),
			-EOPNOTSUPP);
	assert_int_equal(guest_call_names(FUSE_REMOVEXATTR, 1, NULL, 0, "system.posix_acl_default",
					 NULL, NULL, 0),
			-EOPNOTSUPP);
	assert_int_not_equal(
			guest_call_names(FUSE_REMOVEXATTR, 1, NULL, 0, "user.x", NULL, NULL, 0),
			-EOPNOTSUPP);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(forms_map_in_their_directions),
	cmocka_unit_test(rules_stand_side_by_side),
	cmocka_unit_test(what_is_no_map_is_refused),
	cmocka_unit_test_setup_teardown(callers_and_owners_are_mapped_in_all_requests, mapped_setup,
			guest_teardown),
	cmocka_unit_test_setup_teardown(
			forbidden_ids_make_nothing_and_own_nothing, mapped_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(setgid_is_nobodys_judgement_where_ids_are_mapped,
			mapped_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(acls_are_not_passed_where_their_ids_would_be_wrong,
			mapped_setup, guest_teardown),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
