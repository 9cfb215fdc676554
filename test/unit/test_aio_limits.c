/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The aio driver with next to no descriptors: 64 for everything. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define MAX_FDS  64
#define NB_FILES 200

static char names[NB_FILES][8];
static struct weir_node *nodes[NB_FILES];

static int
setup(void **state)
{
	unsigned int i;
	int fd;

	if (aio_folder_setup(state) < 0)
		return -1;
	for (i = 0; i < NB_FILES; i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		fd = open(host(names[i]), O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || ftruncate(fd, i) < 0) {
			aio_folder_failures++;
			return -1;
		}
		close(fd);
	}
	return 0;
}

/* Looks names up until one is refused. @return how many were not. */
static unsigned int
look_all(int *refusal)
{
	struct weir_entry entry;
	unsigned int i;

	*refusal = 0;
	for (i = 0; i < NB_FILES; i++) {
		*refusal = fsc_lookup(&fsc, root, names[i], &entry);
		if (*refusal < 0)
			break;
		nodes[i] = entry.node;
	}
	return i;
}

static void
limits_nodes_held_by_descriptor_run_out_and_come_back(void **state)
{
	struct weir_entry entry;
	struct weir_attr attr;
	unsigned int nb, i;
	int refusal;

	nb = look_all(&refusal);
	assert_int_equal(refusal, -ENFILE);
	assert_int_equal(nb, MAX_FDS - 1);
	/* What is held goes on. */
	for (i = 0; i < nb; i++) {
		assert_int_equal(fsc_getattr(&fsc, nodes[i], NULL, &attr), 0);
		assert_int_equal(attr.size, i);
	}
	for (i = 0; i < nb; i++)
		fsc_put(&fsc, nodes[i]);
	/* Forgotten nodes are let go when no worker can be looking at them. */
	while (fsc_lookup(&fsc, root, names[NB_FILES - 1], &entry) == -ENFILE)
		fsc_poll();
	assert_int_equal(entry.attr.size, NB_FILES - 1);
	fsc_put(&fsc, entry.node);
}

static void
limits_nodes_held_by_handle_need_no_descriptor(void **state)
{
	struct weir_attr attr;
	unsigned int i;
	int refusal;

	assert_int_equal(look_all(&refusal), NB_FILES);
	for (i = 0; i < NB_FILES; i++) {
		assert_int_equal(fsc_getattr(&fsc, nodes[i], NULL, &attr), 0);
		assert_int_equal(attr.size, i);
	}
	for (i = 0; i < NB_FILES; i++)
		fsc_put(&fsc, nodes[i]);
}

static void
limits_open_files_run_out_and_come_back(void **state)
{
	static struct weir_file *files[NB_FILES];
	struct weir_entry entry;
	unsigned int nb, i;
	int rc = 0;

	assert_int_equal(fsc_lookup(&fsc, root, names[9], &entry), 0);
	for (nb = 0; nb < NB_FILES && rc == 0; nb++)
		rc = fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &files[nb]);
	assert_int_equal(rc, -ENFILE);
	nb--;
	/* The root has one, and the node of the file where it is held by one. */
	assert_true(nb >= MAX_FDS - 2);
	assert_int_equal(fsc_create(&fsc, root, "more", O_RDWR, 0644, &entry, &files[nb]), -ENFILE);
	assert_int_equal(access(host("more"), F_OK), -1);
	for (i = 0; i < nb; i++) {
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, files[i], 0, 100, 0, 100),
				9);
		fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, files[i]);
	}
	while (fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &files[0]) == -ENFILE)
		fsc_poll();
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, files[0]);
	fsc_put(&fsc, entry.node);
}

#define NB_CALLS 32

/* A lookup, then a look at the node by way of the few descriptors, then the end of the node. */
struct errand {
	struct fsc_call call;
	struct weir_node *node;
	unsigned int number, left;
};

/* @return true while there is more to do. */
static bool
errand_step(struct errand *errand, unsigned int i)
{
	struct fsc_call *call = &errand->call;

	if (errand->node != NULL) {
		assert_int_equal(call->req.out.attr.attr.size, errand->number);
		fsc_put(&fsc, errand->node);
		errand->node = NULL;
		errand->left--;
	} else if (call->heard) {
		errand->node = call->req.out.entry.node;
	}
	if (errand->left == 0)
		return false;
	memset(&call->req, 0, sizeof(call->req));
	if (errand->node != NULL) {
		call->req.op = WEIR_FSOP_GETATTR;
		call->req.node = errand->node;
	} else {
		errand->number = (errand->left * 7 + i * 13) % NB_FILES;
		call->req.op = WEIR_FSOP_LOOKUP;
		call->req.node = root;
		call->req.name = names[errand->number];
	}
	fsc.worker = (errand->left + i) % weir_workers_count();
	fsc_submit(&fsc, call);
	return true;
}

static void
limits_two_workers_share_few_descriptors(void **state)
{
	static struct errand errands[NB_CALLS];
	unsigned int under_way = 0, i;

	memset(errands, 0, sizeof(errands));
	for (i = 0; i < NB_CALLS; i++) {
		errands[i].left = 60;
		under_way += errand_step(&errands[i], i);
	}
	for (i = 0; under_way > 0; i = (i + 1) % NB_CALLS) {
		if (errands[i].left == 0)
			continue;
		assert_int_equal(fsc_wait(&errands[i].call), 0);
		under_way -= !errand_step(&errands[i], i);
	}
	fsc.worker = 0;
}

static void
limits_claim_beyond_the_process_is_refused(void **state)
{
	char params[PATH_MAX + 128], message[512];

	snprintf(params, sizeof(params),
			"{\"name\": \"x\", \"root_path\": \"%s\", \"max_fds\": 1048576}", folder);
	assert_int_equal(fsc_rpc("fsdev_aio_create", params, message), -EMFILE);
}

static const struct CMUnitTest descriptor_tests[] = {
	cmocka_unit_test(limits_nodes_held_by_descriptor_run_out_and_come_back),
	cmocka_unit_test(limits_open_files_run_out_and_come_back),
	cmocka_unit_test(limits_claim_beyond_the_process_is_refused),
};

static const struct CMUnitTest handle_tests[] = {
	cmocka_unit_test(limits_nodes_held_by_handle_need_no_descriptor),
	cmocka_unit_test(limits_two_workers_share_few_descriptors),
	cmocka_unit_test(limits_open_files_run_out_and_come_back),
};

int
main(void)
{
	static const struct aio_variant descriptors = { "aio with few descriptors", "/dev/shm",
		", \"max_fds\": 64, \"inode_file_handles\": \"never\"" };
	static const struct aio_variant handles = { "aio with few descriptors and handles",
		"/dev/shm", ", \"max_fds\": 64" };
	int failed;

	if (fsc_start("0,1@0,2@0") < 0)
		return 77;
	aio_variant = &descriptors;
	failed = cmocka_run_group_tests_name(
			descriptors.name, descriptor_tests, setup, aio_folder_teardown);
	aio_variant = &handles;
	if (geteuid() == 0)
		failed += cmocka_run_group_tests_name(
				handles.name, handle_tests, setup, aio_folder_teardown);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
