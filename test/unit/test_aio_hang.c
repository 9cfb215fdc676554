/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The aio driver on a folder whose server does not answer: a FUSE mount that this test serves
 * itself. It has two files: "file", 64 KiB in memory, and "hang", whose reads wait for the test.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define FILE_BYTES 65536
#define HUNG_MAX   16
/* The test takes less than one where nobody waits. */
#define STUCK_SECONDS 60

enum {
	INO_FILE = 2,
	INO_HANG,
};

static struct {
	int fd;
	char dir[32];
	pthread_t thread;
	uint8_t data[FILE_BYTES];
	/* Shared with the test, under lock. */
	pthread_mutex_t lock;
	uint64_t hung[HUNG_MAX];
	unsigned int nb_hung;
	bool hangs; /* whatever it is asked */
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic bool is_stuck;

static void
answer(uint64_t unique, int error, const void *data, size_t n)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + n), .error = error, .unique = unique
	};
	struct iovec vec[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)data, n } };

	(void)!writev(server.fd, vec, 2);
}

static struct fuse_attr
attr_of(uint64_t ino)
{
	return (struct fuse_attr){
		.ino = ino,
		.size = ino == FUSE_ROOT_ID ? 0 : FILE_BYTES,
		.mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644,
		.nlink = 1,
		.blksize = 4096,
	};
}

static void
serve_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .entry_valid = 1000, .attr_valid = 1000 };

	if (strcmp(name, "file") == 0)
		out.nodeid = INO_FILE;
	else if (strcmp(name, "hang") == 0)
		out.nodeid = INO_HANG;
	out.attr = attr_of(out.nodeid);
	answer(in->unique, out.nodeid == 0 ? -ENOENT : 0, &out, out.nodeid == 0 ? 0 : sizeof(out));
}

static void
serve_read(const struct fuse_in_header *in, const struct fuse_read_in *arg)
{
	const size_t off = RTE_MIN(arg->offset, (uint64_t)FILE_BYTES);

	if (in->nodeid == INO_HANG) {
		pthread_mutex_lock(&server.lock);
		server.hung[server.nb_hung++ % HUNG_MAX] = in->unique;
		pthread_mutex_unlock(&server.lock);
		return;
	}
	answer(in->unique, 0, server.data + off, RTE_MIN(arg->size, FILE_BYTES - off));
}

static void
serve_one(const struct fuse_in_header *in)
{
	const void *arg = in + 1;
	const struct fuse_write_in *write_in = arg;
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_write = 65536,
		.max_background = 16,
		.congestion_threshold = 12 };
	const struct fuse_attr_out attr = { .attr_valid = 1000, .attr = attr_of(in->nodeid) };
	/* Direct: nothing is read ahead, so that each read is the test's own. */
	const struct fuse_open_out open_out = { .open_flags = FOPEN_DIRECT_IO };
	const struct fuse_statfs_out statfs_out = { .st.namelen = 255, .st.bsize = 4096 };
	struct fuse_write_out write_out = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		serve_lookup(in, arg);
		break;
	case FUSE_GETATTR:
		answer(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(in->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_READ:
		serve_read(in, arg);
		break;
	case FUSE_WRITE:
		memcpy(server.data + write_in->offset, write_in + 1, write_in->size);
		write_out.size = write_in->size;
		answer(in->unique, 0, &write_out, sizeof(write_out));
		break;
	case FUSE_STATFS:
		answer(in->unique, 0, &statfs_out, sizeof(statfs_out));
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		answer(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(in->unique, -ENOSYS, NULL, 0);
		break;
	}
}

/* Keeps a request for later; false: it is to be answered now. */
static bool
keep(const struct fuse_in_header *in)
{
	bool hangs;

	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
			in->opcode == FUSE_INTERRUPT)
		return false;
	pthread_mutex_lock(&server.lock);
	hangs = server.hangs;
	if (hangs)
		server.hung[server.nb_hung++ % HUNG_MAX] = in->unique;
	pthread_mutex_unlock(&server.lock);
	return hangs;
}

static void *
serve(void *arg)
{
	static uint64_t buf[(FILE_BYTES + 65536) / 8];
	ssize_t n;

	do {
		n = read(server.fd, buf, sizeof(buf));
		if (n >= (ssize_t)sizeof(struct fuse_in_header) &&
				!keep((const struct fuse_in_header *)buf))
			serve_one((const struct fuse_in_header *)buf);
	} while (n > 0 || errno == EINTR || errno == ENOENT || errno == EAGAIN);
	return NULL;
}

static unsigned int
hung_reads(void)
{
	unsigned int nb;

	pthread_mutex_lock(&server.lock);
	nb = server.nb_hung;
	pthread_mutex_unlock(&server.lock);
	return nb;
}

/* Answers what hangs with bytes that nobody may see. */
static void
answer_hung(void)
{
	uint8_t bytes[4096];
	unsigned int i;

	memset(bytes, 0xee, sizeof(bytes));
	pthread_mutex_lock(&server.lock);
	for (i = 0; i < server.nb_hung; i++)
		answer(server.hung[i], 0, bytes, sizeof(bytes));
	server.nb_hung = 0;
	pthread_mutex_unlock(&server.lock);
}

static void
set_hanging(bool hangs)
{
	pthread_mutex_lock(&server.lock);
	server.hangs = hangs;
	pthread_mutex_unlock(&server.lock);
}

/* All that hangs fails, and nothing hangs any more. */
static void
fail_hung(void)
{
	unsigned int i;

	pthread_mutex_lock(&server.lock);
	server.hangs = false;
	for (i = 0; i < server.nb_hung; i++)
		answer(server.hung[i], -EIO, NULL, 0);
	server.nb_hung = 0;
	pthread_mutex_unlock(&server.lock);
}

static bool
server_start(void)
{
	char options[128];

	snprintf(server.dir, sizeof(server.dir), "/dev/shm/test_aio_hang.XXXXXX");
	if (mkdtemp(server.dir) == NULL)
		return false;
	server.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (server.fd < 0)
		return false;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0", server.fd);
	if (mount("test", server.dir, "fuse.test", MS_NOSUID | MS_NODEV, options) < 0)
		return false;
	return pthread_create(&server.thread, NULL, serve, NULL) == 0;
}

static void
server_stop(void)
{
	umount2(server.dir, MNT_DETACH);
	close(server.fd);
	pthread_join(server.thread, NULL);
	rmdir(server.dir);
}

/* A second file system, to see that it goes on. */
static struct fs_client other;

static int
setup(void **state)
{
	char params[PATH_MAX], message[512];

	weir_role_assume_control();
	if (aio_folder_setup(state) < 0)
		return -1;
	other = fsc;
	snprintf(params, sizeof(params),
			"{\"name\": \"hang0\", \"root_path\": \"%s\", \"nb_helpers\": 2}",
			server.dir);
	if (fsc_rpc("fsdev_aio_create", params, message) != 0) {
		fprintf(stderr, "%s\n", message);
		aio_folder_failures++;
		return -1;
	}
	fsc_open_session(&fsc, weir_fsdev_find("hang0"));
	root = weir_fsdev_root(fsc.dev);
	return 0;
}

static int
teardown(void **state)
{
	char message[512];
	bool at_rest;
	int rc;

	if (fsc.dev != other.dev)
		fsc_close_session(&fsc);
	at_rest = aio_folder_is_at_rest("hang0");
	rc = fsc_rpc("fsdev_aio_delete", "{\"name\": \"hang0\"}", message);
	fsc = other;
	aio_folder_failures += rc != 0 || !at_rest;
	return aio_folder_teardown(state);
}

static void
hang_data_passes_through_buffers_of_our_own(void **state)
{
	struct weir_node *node = look_node("file");
	struct weir_file *file;
	unsigned int i;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_RDWR, &file), 0);
	for (i = 0; i < 50000; i++)
		fsc.mem[i] = (uint8_t)(i * 7);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, node, file, 1000, 50000, 0, 777), 50000);
	assert_int_equal(
			fsc_io(&fsc, WEIR_FSOP_READ, node, file, 1000, 50000, 100000, 4096), 50000);
	assert_memory_equal(fsc.mem, fsc.mem + 100000, 50000);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, node, file, 65000, 4096, 0, 4096), 536);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	fsc_put(&fsc, node);
}

static void
hang_detach_frees_guest_memory_at_once(void **state)
{
	enum {
		NB = 5
	};
	static struct fsc_call calls[NB];
	static struct weir_seg segs[NB];
	struct weir_node *node = look_node("hang");
	struct weir_file *file;
	char message[512];
	unsigned int i;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_RDONLY, &file), 0);
	memset(fsc.mem, 0x11, NB * 4096);
	for (i = 0; i < NB; i++) {
		segs[i] = (struct weir_seg){ .off = i * 4096, .len = 4096 };
		calls[i] = (struct fsc_call){
			.req = { .op = WEIR_FSOP_READ, .node = node, .file = file },
		};
		calls[i].req.in.io.len = 4096;
		weir_iov_init(&calls[i].req.iov, fsc.map, &segs[i], 1);
		fsc_submit(&fsc, &calls[i]);
	}
	/* Two helpers, so two reads get to the server; the others wait for a buffer. */
	while (hung_reads() < 2)
		fsc_poll();
	for (i = 0; i < NB; i++) {
		fsc_detach(&calls[i]);
		assert_true(atomic_load(&calls[i].fenced));
	}
	assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"hang0\"}", message), -EBUSY);
	answer_hung();
	for (i = 0; i < NB; i++)
		fsc_wait(&calls[i]);
	for (i = 0; i < NB * 4096; i++)
		assert_int_equal(fsc.mem[i], 0x11);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	fsc_put(&fsc, node);
}

static void
hang_holds_up_no_other_file_system(void **state)
{
	struct fsc_call calls[2];
	struct weir_node *node = look_node("hang");
	struct weir_entry entry;
	struct weir_file *file, *other_file;
	struct weir_attr attr;
	unsigned int i;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_RDONLY, &file), 0);
	for (i = 0; i < 2; i++) {
		calls[i] = (struct fsc_call){
			.req = { .op = WEIR_FSOP_READ, .node = node, .file = file },
		};
		calls[i].req.in.io.len = 4096;
		fsc_iov(&fsc, &calls[i].req.iov, 0, 4096, 4096, 4096);
		fsc_submit(&fsc, &calls[i]);
	}
	while (hung_reads() < 2)
		fsc_poll();
	/* Same worker, other folder. */
	assert_int_equal(fsc_create(&other, weir_fsdev_root(other.dev), "x", O_RDWR, 0644, &entry,
					 &other_file),
			0);
	memcpy(other.mem, "data", 4);
	assert_int_equal(fsc_io(&other, WEIR_FSOP_WRITE, entry.node, other_file, 0, 4, 0, 4), 4);
	assert_int_equal(fsc_getattr(&other, entry.node, NULL, &attr), 0);
	assert_int_equal(attr.size, 4);
	fsc_release(&other, WEIR_FSOP_RELEASE, entry.node, other_file);
	fsc_put(&other, entry.node);
	answer_hung();
	for (i = 0; i < 2; i++)
		assert_int_equal(fsc_wait(&calls[i]), 4096);
	assert_int_equal(fsc.mem[0], 0xee);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	fsc_put(&fsc, node);
}

/* The worker waits: what it waits for fails, so that the test can end. */
static void
give_up(int signo)
{
	atomic_store(&is_stuck, true);
	(void)umount2(server.dir, MNT_FORCE);
}

/* The local file system on the same worker answers. A worker that waits does not. */
static void
other_answers(void)
{
	struct weir_entry entry;
	struct weir_file *file;

	assert_int_equal(fsc_create(&other, weir_fsdev_root(other.dev), "y", O_RDWR, 0644, &entry,
					 &file),
			0);
	assert_int_equal(fsc_io(&other, WEIR_FSOP_WRITE, entry.node, file, 0, 4096, 0, 4096), 4096);
	fsc_release(&other, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&other, entry.node);
	assert_int_equal(fsc_remove(&other, WEIR_FSOP_UNLINK, weir_fsdev_root(other.dev), "y"), 0);
	assert_false(atomic_load(&is_stuck));
}

static int
no_entry(struct weir_fsreq *req, const struct weir_dirent *dirent)
{
	return -ENOSPC;
}

static bool
is_of_directory(enum weir_fsop op)
{
	return op <= WEIR_FSOP_LINK ? op != WEIR_FSOP_GETATTR && op != WEIR_FSOP_SETATTR &&
					op != WEIR_FSOP_READLINK :
				      op == WEIR_FSOP_CREATE || op == WEIR_FSOP_TMPFILE ||
					op == WEIR_FSOP_OPENDIR;
}

/* A request of any verb, as a guest might make it, on names that nobody has asked for. */
static void
any_call(struct fsc_call *call, enum weir_fsop op, struct weir_node *node, struct weir_file *file)
{
	static char name[32];

	snprintf(name, sizeof(name), "new%d", op);
	*call = (struct fsc_call){ .req = {
						   .op = op,
						   .node = is_of_directory(op) ? root : node,
						   .newnode = op == WEIR_FSOP_RENAME ? root : node,
						   .file = file,
						   .newfile = file,
						   .name = op >= WEIR_FSOP_GETXATTR &&
										   op <= WEIR_FSOP_REMOVEXATTR ?
								   "user.x" :
								   name,
						   .newname = "newer",
						   .emit = no_entry,
				   } };
	switch (op) {
	case WEIR_FSOP_SETATTR:
		call->req.in.setattr.valid = WEIR_SET_MODE;
		break;
	case WEIR_FSOP_CREATE:
	case WEIR_FSOP_MKNOD:
	case WEIR_FSOP_TMPFILE:
		call->req.in.create.mode = S_IFREG | 0644;
		break;
	case WEIR_FSOP_MKDIR:
		call->req.in.create.mode = S_IFDIR | 0755;
		break;
	case WEIR_FSOP_ACCESS:
		call->req.in.access.mask = R_OK;
		break;
	case WEIR_FSOP_FALLOCATE:
		call->req.in.fallocate.len = 4096;
		break;
	case WEIR_FSOP_LSEEK:
		call->req.in.lseek.whence = SEEK_DATA;
		break;
	case WEIR_FSOP_STATX:
		call->req.in.statx.mask = STATX_BASIC_STATS;
		break;
	case WEIR_FSOP_IOCTL:
		call->req.in.ioctl.cmd = WEIR_IOCTL_GETFLAGS;
		break;
	case WEIR_FSOP_GETLK:
	case WEIR_FSOP_SETLK:
	case WEIR_FSOP_FLUSH:
		call->req.in.lock.end = INT64_MAX;
		call->req.in.lock.type = op == WEIR_FSOP_FLUSH ? F_UNLCK : F_RDLCK;
		break;
	default:
		call->req.in.io.len = 4096;
		fsc_iov(&fsc, &call->req.iov, 0, 4096, 4096, 4096);
		break;
	}
}

/* Those that open have a record of their own to fill; those that end have been asked for theirs. */
static struct weir_file *
file_of(enum weir_fsop op, struct weir_node *node, struct weir_file *file)
{
	struct weir_file *own;

	if (op != WEIR_FSOP_OPEN && op != WEIR_FSOP_CREATE && op != WEIR_FSOP_TMPFILE &&
			op != WEIR_FSOP_OPENDIR)
		return file;
	own = calloc(1, weir_fsdev_file_size(fsc.dev));
	assert_non_null(own);
	own->node = weir_node_id(fsc.dev, node);
	own->flags = O_RDWR;
	return own;
}

static void
hang_of_any_verb_holds_up_no_other_file_system(void **state)
{
	struct weir_node *node = look_node("file");
	struct weir_file *file, *own;
	unsigned int nb_hung = 0;
	struct fsc_call call;
	int op, rc;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_RDWR, &file), 0);
	signal(SIGALRM, give_up);
	alarm(STUCK_SECONDS);
	for (op = 0; op < WEIR_NB_FSOPS; op++) {
		/* What opens or ends is given back below. */
		if (!weir_fsdev_has(fsc.dev, op) || op == WEIR_FSOP_RELEASE ||
				op == WEIR_FSOP_RELEASEDIR || op == WEIR_FSOP_ENDWAIT)
			continue;
		own = file_of(op, node, file);
		any_call(&call, op, node, own);
		set_hanging(true);
		fsc_submit(&fsc, &call);
		while (hung_reads() == 0 && !atomic_load(&call.done))
			fsc_poll();
		print_message("%s: %s\n", weir_fsop_name(op),
				hung_reads() > 0 ? "hangs" : "answered");
		nb_hung += hung_reads() > 0;
		other_answers();
		fail_hung();
		rc = fsc_wait(&call);
		if (own != file && rc == 0 && op != WEIR_FSOP_CREATE && op != WEIR_FSOP_TMPFILE)
			fsc_release(&fsc, WEIR_FSOP_RELEASE, node, own);
		else if (own != file)
			free(own);
	}
	alarm(0);
	/* Most do ask the server: otherwise this test has seen nothing. */
	print_message("%u verbs hung\n", nb_hung);
	assert_true(nb_hung >= 15);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	fsc_put(&fsc, node);
}

/* Whoever is faster than the guest can have it open what somebody has mounted on a file. */
static void
hang_of_a_file_that_is_mounted_in_memory_holds_up_nobody(void **state)
{
	struct weir_node *dir = weir_fsdev_root(other.dev);
	struct weir_entry entry;
	struct weir_file *file;
	char path[64];
	int fd;

	fd = open(host("mounted"), O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/file", server.dir);
	assert_int_equal(mount(path, host("mounted"), NULL, MS_BIND, NULL), 0);
	assert_int_equal(fsc_create(&other, dir, "mounted", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(entry.attr.size, FILE_BYTES);
	signal(SIGALRM, give_up);
	alarm(STUCK_SECONDS);
	/* Closing it asks the server. */
	set_hanging(true);
	fsc_release(&other, WEIR_FSOP_RELEASE, entry.node, file);
	while (hung_reads() == 0)
		fsc_poll();
	other_answers();
	alarm(0);
	fail_hung();
	fsc_put(&other, entry.node);
	assert_int_equal(umount2(host("mounted"), MNT_DETACH), 0);
	assert_int_equal(unlink(host("mounted")), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(hang_of_a_file_that_is_mounted_in_memory_holds_up_nobody),
	cmocka_unit_test(hang_data_passes_through_buffers_of_our_own),
	cmocka_unit_test(hang_detach_frees_guest_memory_at_once),
	cmocka_unit_test(hang_holds_up_no_other_file_system),
	cmocka_unit_test(hang_of_any_verb_holds_up_no_other_file_system),
};

int
main(void)
{
	static const struct aio_variant variants[] = {
		{ "aio beside a hanging folder", "/dev/shm", "" },
		{ "descriptors beside a hanging folder", "/dev/shm",
				", \"inode_file_handles\": \"never\"" },
	};
	int failed = 0;

	if (!aio_folder_may_mount() || !server_start())
		return 77;
	if (fsc_start("0,1@0") < 0) {
		server_stop();
		return 77;
	}
	for (unsigned int i = 0; i < RTE_DIM(variants); i++) {
		aio_variant = &variants[i];
		failed += cmocka_run_group_tests_name(aio_variant->name, tests, setup, teardown);
	}
	fsc_stop();
	server_stop();
	return failed > 0 || aio_folder_failures > 0;
}
