/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Rules for names of attributes: what they say, and what a folder looks like through them. */

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "../../drivers/fsdev/aio/aio.h"
#include "aio_folder.h"

#define CAP        "security.capability"
#define ACL_ACCESS "system.posix_acl_access"
#define A16        "aaaaaaaaaaaaaaaa"
#define A256       A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define ALL_AWAY   ":map::user.virtiofs.:"
#define TRUSTED                                                                                    \
	"/prefix/all/trusted./user.virtiofs./ /bad/server//trusted./\\n"                           \
	"/bad/client/user.virtiofs.// /ok/all///"

static struct aio_xattrmap *
parsed(const char *text)
{
	struct aio_xattrmap *map;
	char error[256] = "";

	if (aio_xattrmap_parse(text, error, sizeof(error), &map) < 0)
		fail_msg("%s: %s", text, error);
	return map;
}

static void
text_that_is_wrong_is_refused_with_its_rule(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ " \t\n", "xattrmap: there is no rule in it" },
		{ ":", "xattrmap: rule 1: no ':' after its type" },
		{ ":ok", "xattrmap: rule 1: no ':' after its type" },
		{ ":ok:", "xattrmap: rule 1: no ':' after its scope" },
		{ ":ok:all", "xattrmap: rule 1: no ':' after its scope" },
		{ ":ok:all:", "xattrmap: rule 1: no ':' after its key" },
		{ ":ok:all::", "xattrmap: rule 1: no ':' after its prepend" },
		{ ":ok:all:::/ok/all//:", "xattrmap: rule 2: no '/' after its prepend" },
		{ ":ok:all::: :good:all:::",
				"xattrmap: rule 2: its type is none of prefix, ok, bad, "
				"unsupported, map" },
		{ "::all:::",
				"xattrmap: rule 1: its type is none of prefix, ok, bad, "
				"unsupported, map" },
		{ ":OK:all:::",
				"xattrmap: rule 1: its type is none of prefix, ok, bad, "
				"unsupported, map" },
		{ ":ok:both:::", "xattrmap: rule 1: its scope is none of client, server, all" },
		{ ":ok::::", "xattrmap: rule 1: its scope is none of client, server, all" },
		{ ":ok:clients:::", "xattrmap: rule 1: its scope is none of client, server, all" },
		{ ":map:a", "xattrmap: rule 1: no ':' after its key" },
		{ ":map:a:b", "xattrmap: rule 1: no ':' after its prepend" },
		{ ":map:a:b: :ok:all:::", "xattrmap: rule 1: nothing may follow a map" },
		{ ":map:a:b::map:c:d:", "xattrmap: rule 1: nothing may follow a map" },
		{ ":ok:all:" A256 "::", "xattrmap: rule 1: its key is longer than 255 bytes" },
		{ ":bad:all::" A256 ":", "xattrmap: rule 1: its prepend is longer than 255 bytes" },
		{ ":" A256 ":all:::", "xattrmap: rule 1: its type is longer than 255 bytes" },
		{ "\xc2\xa7ok\xc2\xa7",
				"xattrmap: rule 1: what stands between its fields must be "
				"printable ASCII" },
		{ "\001ok\001all\001\001\001",
				"xattrmap: rule 1: what stands between its fields must be "
				"printable ASCII" },
	};
	struct aio_xattrmap *map = NULL;
	char error[256];
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		error[0] = '\0';
		assert_int_equal(aio_xattrmap_parse(cases[i].text, error, sizeof(error), &map),
				-EINVAL);
		assert_string_equal(error, cases[i].error);
		assert_null(map);
	}
}

/* So many simple rules, and then last. */
static const char *
rules(unsigned int nb, const char *last)
{
	static char text[AIO_XATTRMAP_MAX];
	unsigned int i, n = 0;

	for (i = 0; i < nb; i++)
		n += (unsigned int)snprintf(text + n, sizeof(text) - n, ":ok:all:::");
	snprintf(text + n, sizeof(text) - n, "%s", last);
	return text;
}

static void
rules_are_64_at_most(void **state)
{
	struct aio_xattrmap *map = NULL;
	char error[256];

	free(parsed(rules(64, "")));
	assert_int_equal(aio_xattrmap_parse(rules(65, ""), error, sizeof(error), &map), -EINVAL);
	assert_string_equal(error, "xattrmap: rule 65: there are more than 64");
	/* A map is four of them. */
	free(parsed(rules(60, ":map:a:b:")));
	assert_int_equal(aio_xattrmap_parse(rules(61, ":map:a:b:"), error, sizeof(error), &map),
			-EINVAL);
	assert_string_equal(error, "xattrmap: rule 62: there are more than 64");
	assert_null(map);
}

/* What a name of one side is on the other; NULL: nothing, and rc says why. */
struct naming {
	const char *text, *from, *to;
	int rc;
};

#define CLASSIC                                                                                    \
	":prefix:client:trusted.:user.virtiofs.::prefix:client:security.:user.virtiofs.:"          \
	":prefix:server::user.virtiofs.::bad:all:::"
#define MAP_TRUSTED "/map/trusted./user.virtiofs./"

static void
names_from_the_guest_are_mapped(void **state)
{
	static const struct naming cases[] = {
		{ CLASSIC, "trusted.x", "user.virtiofs.trusted.x", 0 },
		{ CLASSIC, "trusted.", "user.virtiofs.trusted.", 0 },
		{ CLASSIC, "trusted", NULL, -EPERM },
		{ CLASSIC, "security.selinux", "user.virtiofs.security.selinux", 0 },
		{ CLASSIC, "user.a", NULL, -EPERM },
		{ CLASSIC, "user.virtiofs.trusted.x", NULL, -EPERM },
		{ CLASSIC, "", NULL, -EPERM },
		{ MAP_TRUSTED, "trusted.x", "user.virtiofs.trusted.x", 0 },
		{ MAP_TRUSTED, "user.virtiofs.trusted.x", NULL, -EPERM },
		{ MAP_TRUSTED, "user.virtiofs.", NULL, -EPERM },
		{ MAP_TRUSTED, "user.virtiofs", "user.virtiofs", 0 },
		{ MAP_TRUSTED, CAP, CAP, 0 },
		{ ALL_AWAY, "user.a", "user.virtiofs.user.a", 0 },
		{ ALL_AWAY, "user.virtiofs.a", "user.virtiofs.user.virtiofs.a", 0 },
		{ ":unsupported:all:security.selinux:security.selinux::ok:all:::",
				"security.selinux", NULL, -EOPNOTSUPP },
		{ ":unsupported:all:security.selinux:security.selinux::ok:all:::", "security.seli",
				"security.seli", 0 },
		{ ":bad:client:user.::", "trusted.a", NULL, -EPERM },
		{ ":ok:server::: :bad:client:::", "user.a", NULL, -EPERM },
		{ " :ok:client:user.a::\t\n|bad|client|user.||\n;ok;all;;; ", "user.ab", "user.ab",
				0 },
		{ " :ok:client:user.a::\t\n|bad|client|user.||\n;ok;all;;; ", "user.b", NULL,
				-EPERM },
		{ " :ok:client:user.a::\t\n|bad|client|user.||\n;ok;all;;; ", "trusted.b",
				"trusted.b", 0 },
		{ ":prefix:client:user.:a%s%n:", "user.%s", "a%s%nuser.%s", 0 },
		{ ":ok:all:::", A256, NULL, -ERANGE },
	};
	char host[XATTR_NAME_MAX + 1];
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		struct aio_xattrmap *map = parsed(cases[i].text);

		memset(host, '?', sizeof(host));
		assert_int_equal(aio_xattrmap_in(map, cases[i].from, host), cases[i].rc);
		if (cases[i].rc == 0)
			assert_string_equal(host, cases[i].to);
		else
			assert_int_equal(host[0], '?');
		free(map);
	}
}

static void
names_of_the_host_are_mapped(void **state)
{
	static const struct naming cases[] = {
		{ CLASSIC, "user.virtiofs.trusted.x", "trusted.x", 0 },
		{ CLASSIC, "user.virtiofs.", NULL, 0 },
		{ CLASSIC, "user.virtiofs", NULL, 0 },
		{ CLASSIC, "trusted.x", NULL, 0 },
		{ MAP_TRUSTED, "user.virtiofs.trusted.x", "trusted.x", 0 },
		{ MAP_TRUSTED, "trusted.x", NULL, 0 },
		{ MAP_TRUSTED, "user.x", "user.x", 0 },
		{ ALL_AWAY, "user.virtiofs.user.virtiofs.a", "user.virtiofs.a", 0 },
		{ ALL_AWAY, "user.a", NULL, 0 },
		{ ":unsupported:server::user.: :ok:all:::", "user.a", NULL, 0 },
		{ ":unsupported:client:user.:: :ok:all:::", "user.a", "user.a", 0 },
		{ ":ok:server::user.:", "trusted.a", NULL, 0 },
		{ ":ok:all:::", "", NULL, 0 },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		struct aio_xattrmap *map = parsed(cases[i].text);
		const char *name = aio_xattrmap_out(map, cases[i].from);

		if (cases[i].to != NULL)
			assert_string_equal(name, cases[i].to);
		else
			assert_null(name);
		free(map);
	}
}

static void
names_of_255_bytes_are_the_longest(void **state)
{
	struct aio_xattrmap *map = parsed(ALL_AWAY);
	char name[256] = "user.", host[256];

	memset(name + 5, 'a', 255 - 14 - 5);
	assert_int_equal(aio_xattrmap_in(map, name, host), 0);
	assert_int_equal(strlen(host), 255);
	assert_string_equal(aio_xattrmap_out(map, host), name);
	strcat(name, "a");
	assert_int_equal(aio_xattrmap_in(map, name, host), -ERANGE);
	free(map);
}

static void
names_that_stay_and_names_that_move(void **state)
{
	struct aio_xattrmap *map = parsed(ALL_AWAY);

	assert_true(aio_xattrmap_moves(map, CAP));
	assert_false(aio_xattrmap_leaves(map, ACL_ACCESS));
	free(map);
	map = parsed(MAP_TRUSTED);
	assert_false(aio_xattrmap_moves(map, CAP));
	assert_true(aio_xattrmap_leaves(map, ACL_ACCESS));
	free(map);
	map = parsed(":bad:client:::");
	assert_false(aio_xattrmap_moves(map, CAP));
	assert_false(aio_xattrmap_leaves(map, CAP));
	free(map);
}

static void
acl_that_a_guest_cannot_have_has_no_other_name(void **state)
{
	static struct aio_fs fs;
	char name[256];

	fs.xattrmap = parsed(":prefix:client:acl_:system.posix_: :ok:all:::");
	assert_int_equal(aio_xattr_name_in(&fs, "acl_access", name), -EOPNOTSUPP);
	assert_int_equal(aio_xattr_name_in(&fs, "user.acl_access", name), 0);
	fs.posix_acl = true;
	assert_int_equal(aio_xattr_name_in(&fs, "acl_access", name), 0);
	assert_string_equal(name, ACL_ACCESS);
	free(fs.xattrmap);
}

static const struct CMUnitTest map_tests[] = {
	cmocka_unit_test(text_that_is_wrong_is_refused_with_its_rule),
	cmocka_unit_test(rules_are_64_at_most),
	cmocka_unit_test(names_from_the_guest_are_mapped),
	cmocka_unit_test(names_of_the_host_are_mapped),
	cmocka_unit_test(names_of_255_bytes_are_the_longest),
	cmocka_unit_test(names_that_stay_and_names_that_move),
	cmocka_unit_test(acl_that_a_guest_cannot_have_has_no_other_name),
};

/* Of the file in the folder. Answers and values are at the start of guest memory. */
static int
guest_calls(enum weir_fsop op, const char *name, const char *value)
{
	struct fsc_call call = { .req = { .op = op, .name = name } };
	struct weir_entry entry;
	int rc;

	assert_int_equal(fsc_lookup(&fsc, root, "f", &entry), 0);
	call.req.node = entry.node;
	call.req.in.io.len = value != NULL ? (uint32_t)strlen(value) : 1000;
	memset(fsc.mem, 0, 1000);
	if (value != NULL)
		memcpy(fsc.mem, value, strlen(value));
	fsc_iov(&fsc, &call.req.iov, 0, call.req.in.io.len, 3, 1000);
	rc = fsc_run(&fsc, &call);
	fsc_put(&fsc, entry.node);
	return rc;
}

static int
guest_gets(const char *name)
{
	return guest_calls(WEIR_FSOP_GETXATTR, name, NULL);
}

static int
guest_sets(const char *name)
{
	return guest_calls(WEIR_FSOP_SETXATTR, name, "guest");
}

/* The names that the guest is told, each with a blank behind it. */
static const char *
guest_lists(uint32_t uid)
{
	const uint32_t was = fsc.cred.uid;
	int n, i;

	fsc.cred.uid = uid;
	n = guest_calls(WEIR_FSOP_LISTXATTR, NULL, NULL);
	fsc.cred.uid = was;
	assert_true(n >= 0);
	for (i = 0; i < n; i++)
		fsc.mem[i] = fsc.mem[i] == '\0' ? ' ' : fsc.mem[i];
	return (const char *)fsc.mem;
}

static void
host_sets(const char *name)
{
	assert_int_equal(setxattr(host("f"), name, "host", 4, 0), 0);
}

static void
host_has(const char *name)
{
	char value[8];

	assert_int_equal(getxattr(host("f"), name, value, sizeof(value)), 5);
	assert_memory_equal(value, "guest", 5);
}

static int
file_made(void **state)
{
	int fd = open(host("f"), O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int
file_gone(void **state)
{
	return unlink(host("f"));
}

static void
trusted_is_kept_as_the_users(void **state)
{
	assert_int_equal(guest_gets("trusted.x"), -ENODATA);
	assert_int_equal(guest_sets("trusted.x"), 0);
	host_has("user.virtiofs.trusted.x");
	assert_int_equal(guest_gets("trusted.x"), 5);
	assert_memory_equal(fsc.mem, "guest", 5);
	assert_string_equal(guest_lists(0), "trusted.x ");
	assert_string_equal(guest_lists(1000), "");
	assert_int_equal(guest_calls(WEIR_FSOP_REMOVEXATTR, "trusted.x", NULL), 0);
	assert_int_equal(guest_calls(WEIR_FSOP_REMOVEXATTR, "trusted.x", NULL), -ENODATA);
	assert_int_equal(getxattr(host("f"), "user.virtiofs.trusted.x", NULL, 0), -1);
	assert_string_equal(guest_lists(0), "");
}

/* The other side of the map, which any user of the guest could write. */
static void
host_names_are_out_of_reach(void **state)
{
	host_sets("user.virtiofs.trusted.x");
	assert_int_equal(guest_gets("user.virtiofs.trusted.x"), -ENODATA);
	assert_int_equal(guest_sets("user.virtiofs.trusted.x"), -EPERM);
	assert_int_equal(guest_calls(WEIR_FSOP_REMOVEXATTR, "user.virtiofs.trusted.x", NULL),
			-EPERM);
	assert_int_equal(guest_gets("trusted.x"), 4);
	if (geteuid() == 0)
		host_sets("trusted.host");
	host_sets("user.own");
	assert_non_null(strstr(guest_lists(0), "trusted.x "));
	assert_non_null(strstr(guest_lists(0), "user.own "));
	assert_int_equal(strlen(guest_lists(0)), strlen("trusted.x user.own "));
	assert_string_equal(guest_lists(1000), "user.own ");
}

static void
capabilities_stay_with_the_host(void **state)
{
	assert_true(weir_fsdev_limits(fsc.dev)->handle_killpriv_v2);
}

static const struct CMUnitTest trusted_tests[] = {
	cmocka_unit_test_setup_teardown(trusted_is_kept_as_the_users, file_made, file_gone),
	cmocka_unit_test_setup_teardown(host_names_are_out_of_reach, file_made, file_gone),
	cmocka_unit_test(capabilities_stay_with_the_host),
};

static void
all_names_are_kept_aside(void **state)
{
	char name[256] = "user.";

	host_sets("user.own");
	host_sets("user.virtiofs.");
	assert_int_equal(guest_sets("user.own"), 0);
	host_has("user.virtiofs.user.own");
	assert_string_equal(guest_lists(0), "user.own ");
	assert_int_equal(guest_sets(CAP), 0);
	host_has("user.virtiofs." CAP);
	memset(name + 5, 'a', 250);
	assert_int_equal(guest_sets(name), -ERANGE);
	assert_int_equal(guest_gets(name), -ERANGE);
	name[255 - 14] = '\0';
	assert_int_equal(guest_sets(name), 0);
	assert_int_equal(guest_gets(name), 5);
}

/* The host would neither obey ACLs by other names nor take capabilities by other names away. */
static void
acls_are_off_and_the_guest_drops_capabilities(void **state)
{
	assert_false(weir_fsdev_limits(fsc.dev)->handle_killpriv_v2);
	assert_false(weir_fsdev_limits(fsc.dev)->posix_acl);
	assert_int_equal(guest_sets(ACL_ACCESS), -EOPNOTSUPP);
	assert_int_equal(guest_gets(ACL_ACCESS), -EOPNOTSUPP);
	host_sets("user.virtiofs." ACL_ACCESS);
	assert_string_equal(guest_lists(0), "");
}

static void
label_of_a_new_file_is_kept_aside(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_MKDIR, .node = root, .name = "d" } };
	char value[8];

	call.req.cred = fsc.cred;
	call.req.in.create.mode = 0755;
	call.req.in.create.label_name = AIO_LABEL_NAME;
	call.req.in.create.label = "guest";
	call.req.in.create.label_len = 5;
	assert_int_equal(fsc_run(&fsc, &call), 0);
	assert_int_equal(getxattr(host("d"), "user.virtiofs." AIO_LABEL_NAME, value, sizeof(value)),
			5);
	assert_memory_equal(value, "guest", 5);
	fsc_put(&fsc, call.req.out.entry.node);
	assert_int_equal(rmdir(host("d")), 0);
}

static const struct CMUnitTest away_tests[] = {
	cmocka_unit_test_setup_teardown(all_names_are_kept_aside, file_made, file_gone),
	cmocka_unit_test_setup_teardown(
			acls_are_off_and_the_guest_drops_capabilities, file_made, file_gone),
	cmocka_unit_test(label_of_a_new_file_is_kept_aside),
};

static void
unsupported_is_said(void **state)
{
	assert_int_equal(guest_sets("security.selinux"), -EOPNOTSUPP);
	assert_int_equal(guest_gets("security.selinux"), -EOPNOTSUPP);
	assert_int_equal(guest_sets("user.a"), 0);
	assert_int_equal(guest_sets("trusted.a"), -EPERM);
	assert_int_equal(guest_gets("trusted.a"), -ENODATA);
	host_sets("user.b");
	assert_string_equal(guest_lists(0), "user.a ");
}

static const struct CMUnitTest unsupported_tests[] = {
	cmocka_unit_test_setup_teardown(unsupported_is_said, file_made, file_gone),
};

static void
refuse(const char *options, const char *error)
{
	char params[512], message[512];

	snprintf(params, sizeof(params), "{\"name\": \"x\", \"root_path\": \"/dev/shm\", %s}",
			options);
	weir_role_assume_control();
	assert_int_equal(fsc_rpc("fsdev_aio_create", params, message), -EINVAL);
	assert_string_equal(message, error);
	assert_null(weir_fsdev_find("x"));
}

static void
maps_that_make_no_sense_are_refused(void **state)
{
	refuse("\"xattrmap\": \":ok:all::\"", "xattrmap: rule 1: no ':' after its prepend");
	refuse("\"xattrmap\": \":ok:all:::\", \"enable_xattr\": false",
			"xattrmap is nothing without enable_xattr");
	refuse("\"xattrmap\": \"" ALL_AWAY "\", \"posix_acl\": \"on\"",
			"posix_acl=on wants an xattrmap that leaves the names of ACLs alone");
	refuse("\"xattrmap\": \":bad:all:security.:: :ok:all:::\", \"security_label\": true",
			"security_label wants an xattrmap that lets the guest have security.selinux");
}

static const struct CMUnitTest refused_tests[] = {
	cmocka_unit_test(maps_that_make_no_sense_are_refused),
};

static int
run_one(const struct aio_variant *variant, const struct CMUnitTest *tests, size_t nb)
{
	aio_variant = variant;
	return _cmocka_run_group_tests(
			variant->name, tests, nb, aio_folder_setup, aio_folder_teardown);
}

int
main(void)
{
	static const struct aio_variant trusted = { "aio, trusted names mapped", ".",
		", \"xattrmap\": \"" TRUSTED "\"", 0 };
	static const struct aio_variant away = { "aio, all names mapped", ".",
		", \"security_label\": true, \"xattrmap\": \"" ALL_AWAY "\"", 0 };
	static const struct aio_variant unsupported = { "aio, no labels", ".",
		", \"xattrmap\": \":unsupported:all:security.selinux:security.selinux:"
		":ok:client:user.:: :ok:server::user.a:\"",
		0 };
	int failed = 0;

	if (fsc_start("0,1@0") < 0)
		return 77;
	failed += cmocka_run_group_tests(map_tests, NULL, NULL);
	failed += run_one(&trusted, trusted_tests, RTE_DIM(trusted_tests));
	failed += run_one(&away, away_tests, RTE_DIM(away_tests));
	failed += run_one(&unsupported, unsupported_tests, RTE_DIM(unsupported_tests));
	failed += cmocka_run_group_tests(refused_tests, NULL, NULL);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
