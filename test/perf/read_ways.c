/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What one 4 KiB read that the page cache answers costs a thread that has 32 of them to do: by a
 * system call each, by io_uring in batches, with the file and the buffers registered and without,
 * and by a copy out of a mapping. The ways take short turns, hundreds of times, and what is printed
 * are medians and deciles of those turns, since whatever else runs disturbs some and spares others.
 *
 * CPU time is the thread's own: a way that leaves work to threads of the kernel looks cheaper than
 * it is, which the column of wall time gives away.
 *
 * weir-read-ways FILE [TURNS]: FILE is made, 64 MiB, and removed.
 */

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>

#define BLOCK      4096u
#define NB_BLOCKS  16384u
#define FILE_BYTES ((size_t)BLOCK * NB_BLOCKS)
#define BATCH      32u
#define TURN_READS 3200u
#define TURNS_MAX  10000u

enum {
	FIXED_FILE = 1,
	FIXED_BUFFER = 2,
	NB_RINGS = 4
};

static struct {
	int fd;
	uint32_t random;
	uint8_t *buf, *map;
	struct io_uring rings[NB_RINGS];
} bench;

static off_t
next_off(void)
{
	bench.random = bench.random * 1103515245u + 12345u;
	return (off_t)(bench.random >> 8) % NB_BLOCKS * BLOCK;
}

static int
read_call(unsigned int how, unsigned int nb)
{
	struct iovec vec = { .iov_len = BLOCK };
	unsigned int i;

	for (i = 0; i < nb; i++) {
		vec.iov_base = bench.buf + i * BLOCK;
		if (preadv2(bench.fd, &vec, 1, next_off(), (int)how) != BLOCK)
			return -errno;
	}
	return 0;
}

static int
read_ring(unsigned int how, unsigned int nb)
{
	struct io_uring *ring = &bench.rings[how];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int fd = how & FIXED_FILE ? 0 : bench.fd, rc = 0;
	unsigned int i, head, seen = 0;

	for (i = 0; i < nb; i++) {
		sqe = io_uring_get_sqe(ring);
		if (how & FIXED_BUFFER)
			io_uring_prep_read_fixed(sqe, fd, bench.buf + i * BLOCK, BLOCK,
					(uint64_t)next_off(), 0);
		else
			io_uring_prep_read(sqe, fd, bench.buf + i * BLOCK, BLOCK,
					(uint64_t)next_off());
		if (how & FIXED_FILE)
			sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_submit_and_wait(ring, nb);
	io_uring_for_each_cqe(ring, head, cqe)
	{
		if (cqe->res != BLOCK)
			rc = cqe->res < 0 ? cqe->res : -EIO;
		seen++;
	}
	io_uring_cq_advance(ring, seen);
	return seen == nb ? rc : -EIO;
}

static int
read_map(unsigned int how, unsigned int nb)
{
	unsigned int i;

	(void)how;
	for (i = 0; i < nb; i++)
		memcpy(bench.buf + i * BLOCK, bench.map + next_off(), BLOCK);
	return 0;
}

static struct way {
	const char *name;
	int (*reads)(unsigned int how, unsigned int nb);
	unsigned int how, batch;
	int err;
	double cpu[TURNS_MAX], wall[TURNS_MAX]; /* us for each read */
} ways[] = {
	{ "preadv", read_call, 0, BATCH },
	{ "preadv2, RWF_NOWAIT", read_call, RWF_NOWAIT, BATCH },
	{ "io_uring, one by one", read_ring, 0, 1 },
	{ "io_uring", read_ring, 0, BATCH },
	{ "io_uring, file registered", read_ring, FIXED_FILE, BATCH },
	{ "io_uring, buffers registered", read_ring, FIXED_BUFFER, BATCH },
	{ "io_uring, both registered", read_ring, FIXED_FILE | FIXED_BUFFER, BATCH },
	{ "copy from a mapping", read_map, 0, BATCH },
};

static double
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
way_turn(struct way *way, unsigned int turn)
{
	double cpu = clock_us(CLOCK_THREAD_CPUTIME_ID), wall = clock_us(CLOCK_MONOTONIC);
	unsigned int done;

	for (done = 0; done < TURN_READS && way->err == 0; done += way->batch)
		way->err = way->reads(way->how, way->batch);
	way->wall[turn] = (clock_us(CLOCK_MONOTONIC) - wall) / TURN_READS;
	way->cpu[turn] = (clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu) / TURN_READS;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int
bench_open(const char *path)
{
	size_t off;

	bench.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (bench.fd < 0)
		return -errno;
	unlink(path);
	bench.buf = mmap(NULL, BATCH * BLOCK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bench.buf == MAP_FAILED)
		return -errno;
	for (off = 0; off < FILE_BYTES; off += BATCH * BLOCK) {
		if (pwrite(bench.fd, bench.buf, BATCH * BLOCK, (off_t)off) != BATCH * BLOCK)
			return -errno;
	}
	/* Pages that still have to be written are locked now and then. */
	if (fsync(bench.fd) < 0)
		return -errno;
	bench.map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, bench.fd, 0);
	return bench.map == MAP_FAILED ? -errno : 0;
}

static int
bench_rings(void)
{
	const struct iovec all = { .iov_base = bench.buf, .iov_len = BATCH * BLOCK };
	unsigned int i;
	int rc = 0;

	for (i = 0; i < NB_RINGS && rc == 0; i++) {
		rc = io_uring_queue_init(BATCH, &bench.rings[i],
				IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
		if (rc == 0 && (i & FIXED_FILE))
			rc = io_uring_register_files(&bench.rings[i], &bench.fd, 1);
		if (rc == 0 && (i & FIXED_BUFFER))
			rc = io_uring_register_buffers(&bench.rings[i], &all, 1);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	const unsigned long nb_turns = argc > 2 ? strtoul(argv[2], NULL, 10) : 301;
	unsigned int turn, i;
	struct way *way;
	int rc;

	if (argc < 2 || argc > 3 || nb_turns == 0 || nb_turns > TURNS_MAX || argv[1][0] == '-') {
		fprintf(stderr, "usage: weir-read-ways FILE [TURNS]; FILE is made and removed\n");
		return 2;
	}
	rc = bench_open(argv[1]);
	if (rc == 0)
		rc = bench_rings();
	if (rc < 0) {
		fprintf(stderr, "weir-read-ways: %s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	for (turn = 0; turn < nb_turns; turn++) {
		for (i = 0; i < RTE_DIM(ways); i++)
			way_turn(&ways[i], turn);
	}
	printf("%-29s %s\n", "us for each 4 KiB read", "CPU (lowest, highest tenth)   wall");
	for (i = 0; i < RTE_DIM(ways); i++) {
		way = &ways[i];
		if (way->err < 0) {
			printf("%-29s %s\n", way->name, strerror(-way->err));
			continue;
		}
		qsort(way->cpu, nb_turns, sizeof(way->cpu[0]), by_value);
		qsort(way->wall, nb_turns, sizeof(way->wall[0]), by_value);
		printf("%-29s %.3f (%.3f, %.3f)   %.3f\n", way->name, way->cpu[nb_turns / 2],
				way->cpu[nb_turns / 10], way->cpu[nb_turns * 9 / 10],
				way->wall[nb_turns / 2]);
	}
	return 0;
}
