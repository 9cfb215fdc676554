/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Memory of very many nodes: what each of them takes while guests hold it, and that it comes back.
 * Without an argument the server is one of our own, which needs no files for its names; with
 * keeper.py it is nfs-ganesha, and there are fewer. WEIR_TEST_NODES: for whoever has time.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_loop.h"

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "liar_export.h"
#include "nfs_server.h"

#define NB_WORKERS 2
#define DEPTH      64 /* requests at a time, of each worker */
#define NB_DIRS    40
#define NB_NODES   300000
#define MIB        (INT64_C(1) << 20)
/* More than a node takes, and what it may leave behind: a generation, its part of the index. */
#define NODE_BYTES 256
#define LEFT_BYTES 20
/* The index and a reserve of free records do not depend on how many nodes there were. */
#define FIXED_BYTES (48 * MIB)
/* Between passes: what the allocator and a lagging control make of it. */
#define GROWTH_BYTES (8 * MIB)

struct looker {
	struct weir_fsreq req;
	struct weir_msg msg;
	uint32_t index;
	char name[16];
};

static struct {
	struct weir_fsdev *dev;
	struct weir_node *root, **nodes;
	uint32_t nb;
	_Atomic uint32_t next, nb_done, nb_errors;
	bool forget; /* at once */
	struct looker lookers[NB_WORKERS][DEPTH];
} all;

static uint32_t
nb_nodes(uint32_t usual)
{
	const char *nb = getenv("WEIR_TEST_NODES");

	return nb != NULL ? (uint32_t)strtoul(nb, NULL, 10) : usual;
}

/* What this process has of the machine's memory. */
static int64_t
rss(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	int64_t kib = 0;
	char line[256];

	assert_non_null(file);
	while (kib == 0 && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmRSS: %" SCNd64, &kib);
	fclose(file);
	return kib * 1024;
}

static void WEIR_ON_WORKER
look_next(struct looker *looker)
{
	looker->index = atomic_fetch_add(&all.next, 1);
	if (looker->index >= all.nb)
		return;
	snprintf(looker->name, sizeof(looker->name), "%" PRIu32, looker->index);
	looker->req.chan = weir_fsdev_channel(all.dev);
	weir_fsdev_submit(&looker->req);
}

static void
look_done(struct weir_fsreq *req, int res)
{
	struct looker *looker = container_of(req, struct looker, req);

	weir_role_assume_worker();
	if (res < 0)
		atomic_fetch_add(&all.nb_errors, 1);
	else if (all.forget)
		weir_node_put(all.dev, req->out.entry.node);
	else
		all.nodes[looker->index] = req->out.entry.node;
	atomic_fetch_add(&all.nb_done, 1);
	look_next(looker);
}

static void WEIR_ON_WORKER
look_begin(struct weir_msg *msg)
{
	look_next(container_of(msg, struct looker, msg));
}

static void
look_start(void)
{
	struct looker *looker;

	atomic_store(&all.next, 0);
	atomic_store(&all.nb_done, 0);
	for (unsigned int i = 0; i < NB_WORKERS * DEPTH; i++) {
		looker = &all.lookers[i % NB_WORKERS][i / NB_WORKERS];
		looker->req = (struct weir_fsreq){
			.op = WEIR_FSOP_LOOKUP,
			.node = all.root,
			.name = looker->name,
			.done = look_done,
		};
		looker->msg.fn = look_begin;
		weir_worker_send(weir_worker_at(i % NB_WORKERS), &looker->msg);
	}
}

static void
look_finish(void)
{
	while (atomic_load(&all.nb_done) < all.nb)
		fsc_poll();
	assert_int_equal(atomic_load(&all.nb_errors), 0);
	assert_int_equal(weir_fsdev_nodes(all.dev), all.nb + 1);
}

static void
forget_all(void)
{
	for (uint32_t i = 0; i < all.nb; i++)
		weir_node_put(all.dev, all.nodes[i]);
	assert_int_equal(weir_fsdev_nodes(all.dev), 1);
}

/* Control gives memory back by and by. @return how much is left when it gives no more. */
static int64_t
memory_left(int64_t base)
{
	int64_t now = rss(), least = now;
	unsigned int same = 0;

	while (same++ < 25) {
		fsc_poll();
		now = rss();
		if (now < least)
			same = 0;
		least = RTE_MIN(least, now);
	}
	return now - base;
}

static void
all_begin(struct weir_fsdev *dev, uint32_t nb)
{
	all.dev = dev;
	all.root = weir_fsdev_root(dev);
	all.nb = nb;
	/* Touched here, so that what is measured is not the test's. */
	all.nodes = malloc(nb * sizeof(*all.nodes));
	assert_non_null(all.nodes);
	memset(all.nodes, 0xff, nb * sizeof(*all.nodes));
}

/* @param begun  the first LOOKUPs are under way. */
static void
all_twice(int64_t base, bool begun)
{
	int64_t held, left, first_held = 0;
	uint64_t begin;

	for (unsigned int pass = 1; pass <= 2; pass++) {
		begin = weir_now_ns();
		if (pass > 1 || !begun)
			look_start();
		look_finish();
		held = rss() - base;
		print_message("pass %u: %" PRIu32 " nodes looked up in %.1f s, %" PRId64
			      " bytes each; ",
				pass, all.nb, (double)(weir_now_ns() - begin) / 1e9, held / all.nb);
		assert_true(held <= FIXED_BYTES + (int64_t)all.nb * NODE_BYTES);
		first_held = pass == 1 ? held : first_held;
		assert_true(held <= first_held + GROWTH_BYTES);
		forget_all();
		begin = weir_now_ns();
		left = memory_left(base);
		print_message("forgotten: %.1f MiB of %.1f MiB left after %.1f s\n",
				(double)left / MIB, (double)held / MIB,
				(double)(weir_now_ns() - begin) / 1e9);
		assert_true(left <= FIXED_BYTES + (int64_t)all.nb * LEFT_BYTES);
	}
	free(all.nodes);
}

struct lister {
	struct fsc_call call;
	unsigned int nb_entries, nb_nodes;
};

static int
list_emit(struct weir_fsreq *req, const struct weir_dirent *dirent)
{
	struct lister *lister = container_of(req, struct lister, call.req);

	lister->nb_entries++;
	if (dirent->entry != NULL && dirent->entry->node != NULL) {
		lister->nb_nodes++;
		weir_node_put(all.dev, dirent->entry->node);
	}
	return 0;
}

/* Those that found no room have been answered, and have asked again. */
static void
wait_for_second_tries(struct lister listers[NB_DIRS], unsigned int before)
{
	unsigned int nb_done = 0;

	while (nb_done < NB_DIRS && nfs_liar_calls(NFSPROC3_READDIRPLUS) < before + 2 * NB_DIRS) {
		usleep(1000);
		nb_done = 0;
		for (unsigned int i = 0; i < NB_DIRS; i++)
			nb_done += atomic_load(&listers[i].call.done);
	}
}

/* While there is no room for nodes, directories are listed: with nodes, as soon as there is. */
static void
list_all(struct weir_entry dirs[NB_DIRS], struct weir_file *files[NB_DIRS])
{
	const unsigned int before = nfs_liar_calls(NFSPROC3_READDIRPLUS);
	static struct lister listers[NB_DIRS];

	for (unsigned int i = 0; i < NB_DIRS; i++) {
		listers[i] = (struct lister){
			.call.req = { .op = WEIR_FSOP_READDIR,
					.node = dirs[i].node,
					.file = files[i],
					.flags = WEIR_FSREQ_PLUS,
					.emit = list_emit },
		};
		listers[i].call.req.in.io.len = 32768;
		nfsc.worker = i % NB_WORKERS;
		fsc_submit(&nfsc, &listers[i].call);
	}
	wait_for_second_tries(listers, before);
	for (unsigned int i = 0; i < NB_DIRS; i++) {
		assert_int_equal(fsc_wait(&listers[i].call), 0);
		assert_int_not_equal(listers[i].nb_entries, 0);
		assert_int_equal(listers[i].nb_nodes, listers[i].nb_entries);
	}
}

static void
dirs_open(struct weir_entry dirs[NB_DIRS], struct weir_file *files[NB_DIRS])
{
	char name[16];

	for (unsigned int i = 0; i < NB_DIRS; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(fsc_lookup(&nfsc, all.root, name, &dirs[i]), 0);
		assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPENDIR, dirs[i].node, O_DIRECTORY,
						 &files[i]),
				0);
	}
}

static void
dirs_close(struct weir_entry dirs[NB_DIRS], struct weir_file *files[NB_DIRS])
{
	for (unsigned int i = 0; i < NB_DIRS; i++) {
		fsc_release(&nfsc, WEIR_FSOP_RELEASEDIR, dirs[i].node, files[i]);
		fsc_put(&nfsc, dirs[i].node);
	}
}

/* Until the workers have used all the room that control has made: it is busy elsewhere. */
static void
wait_for_a_full_table(void)
{
	uint32_t seen = 0, now;

	while ((now = atomic_load(&all.nb_done)) != seen || now == 0) {
		seen = now;
		usleep(200000);
	}
	assert_true(seen < all.nb);
}

static void
nodes_by_the_million_leave_nothing_behind(void **state)
{
	struct weir_file *files[NB_DIRS];
	struct weir_entry dirs[NB_DIRS];
	int64_t base;

	all_begin(nfsc.dev, nb_nodes(NB_NODES));
	dirs_open(dirs, files);
	base = rss();
	look_start();
	wait_for_a_full_table();
	list_all(dirs, files);
	dirs_close(dirs, files);
	all_twice(base, true);
}

/*
 * A guest that walks through a tree larger than its memory. Control looks after it as seldom as can be,
 * or as it gets a CPU: what came since it last looked may be there.
 */
static void
nodes_that_come_and_go_do_not_pile_up(void **state)
{
	int64_t base, most = 0;
	uint64_t due = 0, begin = weir_now_ns();
	uint32_t done, seen = 0, unseen = 0;
	bool more = false;

	weir_role_assume_control();
	all_begin(nfsc.dev, nb_nodes(2 * NB_NODES));
	base = rss();
	all.forget = true;
	look_start();
	while (atomic_load(&all.nb_done) < all.nb) {
		weir_loop_poll(1);
		if (!more && weir_now_ns() < due)
			continue;
		done = atomic_load(&all.nb_done);
		unseen = RTE_MAX(unseen, done - seen);
		seen = done;
		more = weir_fsdevs_maintain();
		due = weir_now_ns() + UINT64_C(100000000);
		most = RTE_MAX(most, rss() - base);
	}
	all.forget = false;
	print_message("%" PRIu32 " nodes came and went in %.1f s, up to %" PRIu32
		      " unseen by control, in %.1f MiB\n",
			all.nb, (double)(weir_now_ns() - begin) / 1e9, unseen, (double)most / MIB);
	/* And as many again, which wait for workers to come by. */
	assert_true(most <= FIXED_BYTES + (int64_t)all.nb * LEFT_BYTES +
					(int64_t)unseen * 2 * NODE_BYTES);
	free(all.nodes);
}

static void
nodes_of_a_real_server_leave_nothing_behind(void **state)
{
	char name[16];

	all_begin(nfsc.dev, nb_nodes(10000));
	for (uint32_t i = 0; i < all.nb; i++) {
		snprintf(name, sizeof(name), "%" PRIu32, i);
		nfs_host_write(name, "", 0);
	}
	all_twice(rss(), false);
	for (uint32_t i = 0; i < all.nb; i++) {
		snprintf(name, sizeof(name), "%" PRIu32, i);
		unlink(nfs_host(name));
	}
}

static int
liar_setup(void **state)
{
	liar_up(&nfsc, "");
	return 0;
}

static int
liar_teardown(void **state)
{
	liar_down(&nfsc);
	return 0;
}

static int
run_liar(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_by_the_million_leave_nothing_behind,
				liar_setup, liar_teardown),
		cmocka_unit_test_setup_teardown(
				nodes_that_come_and_go_do_not_pile_up, liar_setup, liar_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int
run_ganesha(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_of_a_real_server_leave_nothing_behind,
				nfs_setup, nfs_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(int argc, char *argv[])
{
	return argc < 2 ? liar_main("0@0,1@0-1,2@0-1", run_liar) :
			  nfs_server_main(argv + 1, run_ganesha);
}
