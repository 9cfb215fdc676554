/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Descriptors as slots of a table. A slot is named by generation and index, so whoever holds a name
 * that is too old finds nothing, and whoever holds a reference keeps the descriptor open. Closing
 * can block (an unlinked file is freed then), so a slot whose last reference goes on a worker waits
 * in a list for a helper, unless it is known to be quick.
 *
 *   free --take--> references 1..n --last put--> closing --helper--> free, generation + 1
 *                                         '-----------quick-----------^
 */

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

/* Descriptors that file systems leave to everything else: guests' rings, sockets, memory files. */
#define FD_RESERVE 1024
/* A file system that does not say gets at most so many, and at most half of what is left. */
#define FD_DEFAULT 131072
#define FD_LEAST   64

static uint32_t
fd_index(uint64_t slot)
{
	return (uint32_t)slot;
}

static uint32_t
fd_refs(uint64_t state)
{
	return (uint32_t)state;
}

static uint64_t
fd_generation(uint64_t state)
{
	return state & ~UINT64_C(0xffffffff);
}

static struct aio_fd *
fd_at(struct aio_fdtable *table, uint64_t slot)
{
	return &table->slots[fd_index(slot)];
}

static void
fd_free_push(struct aio_fdtable *table, uint32_t index)
{
	uint64_t head = atomic_load(&table->free);
	uint64_t next;

	do {
		atomic_store(&table->slots[index].next, (uint32_t)head);
		next = (fd_generation(head) + (UINT64_C(1) << 32)) | (index + 1);
	} while (!atomic_compare_exchange_weak(&table->free, &head, next));
	atomic_fetch_sub(&table->used, 1);
}

/* The tag in the head's upper half changes with every push and pop: no ABA. */
static bool
fd_free_pop(struct aio_fdtable *table, uint32_t *index)
{
	uint64_t head = atomic_load(&table->free);
	uint64_t next;

	do {
		if ((uint32_t)head == 0)
			return false;
		*index = (uint32_t)head - 1;
		next = (fd_generation(head) + (UINT64_C(1) << 32)) |
				atomic_load(&table->slots[*index].next);
	} while (!atomic_compare_exchange_weak(&table->free, &head, next));
	return true;
}

static bool
fd_fresh(struct aio_fdtable *table, uint32_t *index)
{
	uint32_t top = atomic_load(&table->top);

	do {
		if (top == table->max)
			return false;
	} while (!atomic_compare_exchange_weak(&table->top, &top, top + 1));
	*index = top;
	atomic_store(&table->slots[top].state, UINT64_C(1) << 32);
	return true;
}

int
aio_fd_take(struct aio_fdtable *table, uint64_t *slot)
{
	struct aio_fd *entry;
	uint64_t generation;
	uint32_t index;

	if (!fd_free_pop(table, &index) && !fd_fresh(table, &index))
		return -ENFILE;
	atomic_fetch_add(&table->used, 1);
	entry = &table->slots[index];
	generation = fd_generation(atomic_load(&entry->state));
	atomic_store(&entry->fd, -1);
	atomic_store_explicit(&entry->in_memory, false, memory_order_relaxed);
	atomic_store(&entry->state, generation | 1);
	*slot = generation | index;
	return 0;
}

void
aio_fd_set(struct aio_fdtable *table, uint64_t slot, int fd)
{
	atomic_store(&fd_at(table, slot)->fd, fd);
}

void
aio_fd_set_in_memory(struct aio_fdtable *table, uint64_t slot, int fd)
{
	atomic_store_explicit(&fd_at(table, slot)->in_memory, true, memory_order_relaxed);
	aio_fd_set(table, slot, fd);
}

int
aio_fd_get(struct aio_fdtable *table, uint64_t slot)
{
	struct aio_fd *entry;
	uint64_t state;

	if (slot == 0 || fd_index(slot) >= table->max)
		return -EBADF;
	entry = fd_at(table, slot);
	state = atomic_load(&entry->state);
	do {
		if (fd_generation(state) != fd_generation(slot) || fd_refs(state) == 0)
			return -EBADF;
	} while (!atomic_compare_exchange_weak(&entry->state, &state, state + 1));
	return atomic_load(&entry->fd);
}

bool
aio_fd_is_open(struct aio_fdtable *table, uint64_t slot)
{
	uint64_t state;

	if (slot == 0 || fd_index(slot) >= table->max)
		return false;
	state = atomic_load(&fd_at(table, slot)->state);
	return fd_generation(state) == fd_generation(slot) && fd_refs(state) > 0;
}

void
aio_fd_ref(struct aio_fdtable *table, uint64_t slot)
{
	atomic_fetch_add(&fd_at(table, slot)->state, 1);
}

/* The last reference is gone: nobody else reaches the slot. */
static void
fd_retire(struct aio_fdtable *table, uint32_t index)
{
	struct aio_fd *entry = &table->slots[index];
	int fd = atomic_exchange(&entry->fd, -1);
	uint64_t generation = fd_generation(atomic_load(&entry->state)) + (UINT64_C(1) << 32);

	if (fd >= 0)
		close(fd);
	/* Generation 0 would make the name of slot 0 the name of none. */
	atomic_store(&entry->state, generation != 0 ? generation : UINT64_C(1) << 32);
	fd_free_push(table, index);
}

static void
fd_reaper_wake(struct aio_fdtable *table)
{
	if (atomic_exchange(&table->reaping, true))
		return;
	atomic_fetch_add(&table->busy, 1);
	weir_helper_submit(table->helpers, &table->reaper);
}

static void WEIR_ON_HELPER
fd_reaper_run(struct weir_job *job)
{
	struct aio_fdtable *table = container_of(job, struct aio_fdtable, reaper);
	uint32_t link = atomic_exchange(&table->closing, 0);
	uint32_t next;

	for (; link != 0; link = next) {
		next = atomic_load(&table->slots[link - 1].next);
		fd_retire(table, link - 1);
	}
}

static void
fd_reaper_done(struct weir_job *job)
{
	struct aio_fdtable *table = container_of(job, struct aio_fdtable, reaper);

	/* What was put while the job was under way found it so, and did not wake it. */
	atomic_store(&table->reaping, false);
	if (atomic_load(&table->closing) != 0)
		fd_reaper_wake(table);
	/* The last touch: control may free the table now. */
	atomic_fetch_sub(&table->busy, 1);
}

static bool
fd_unref(struct aio_fdtable *table, uint64_t slot)
{
	return fd_refs(atomic_fetch_sub(&fd_at(table, slot)->state, 1)) == 1;
}

/* There is nothing to close; or it is in memory, and stays there or is small. */
static bool
fd_is_quick(const struct aio_fd *entry)
{
	const int fd = atomic_load_explicit(&entry->fd, memory_order_relaxed);
	struct stat st;

	if (fd < 0)
		return true;
	if (!atomic_load_explicit(&entry->in_memory, memory_order_relaxed) ||
			syscall(SYS_fstat, fd, &st) < 0)
		return false;
	return st.st_nlink > 0 || st.st_blocks <= AIO_QUICK_BLOCKS;
}

void
aio_fd_put(struct aio_fdtable *table, uint64_t slot)
{
	uint32_t index = fd_index(slot);
	uint32_t head;

	if (slot == 0 || !fd_unref(table, slot))
		return;
	if (fd_is_quick(&table->slots[index])) {
		fd_retire(table, index);
		return;
	}
	head = atomic_load(&table->closing);
	do
		atomic_store(&table->slots[index].next, head);
	while (!atomic_compare_exchange_weak(&table->closing, &head, index + 1));
	fd_reaper_wake(table);
}

void
aio_fd_put_beside(struct aio_fdtable *table, uint64_t slot, uint64_t beside)
{
	if (fd_unref(table, slot))
		fd_retire(table, fd_index(slot));
	aio_fd_put(table, beside);
}

void WEIR_ON_HELPER
aio_fd_put_now(struct aio_fdtable *table, uint64_t slot)
{
	if (!aio_may_wait())
		aio_fd_put(table, slot);
	else if (slot != 0 && fd_unref(table, slot))
		fd_retire(table, fd_index(slot));
}

int
aio_fdtable_init(struct aio_fdtable *table, uint32_t max)
{
	/* Pages come as slots are used. */
	void *slots = mmap(NULL, max * sizeof(*table->slots), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		return -errno;
	table->slots = slots;
	table->max = max;
	table->reaper.run = fd_reaper_run;
	table->reaper.done = fd_reaper_done;
	return 0;
}

void WEIR_ON_HELPER
aio_fdtable_close_all(struct aio_fdtable *table)
{
	uint32_t i;
	int fd;

	for (i = 0; i < atomic_load(&table->top); i++) {
		fd = atomic_exchange(&table->slots[i].fd, -1);
		if (fd >= 0)
			close(fd);
	}
}

void
aio_fdtable_fini(struct aio_fdtable *table)
{
	munmap(table->slots, table->max * sizeof(*table->slots));
}

/* What the process may open for all file systems together; raised once to what is allowed. */
static uint32_t
fd_budget(void)
{
	static uint32_t budget;
	struct rlimit limit;

	if (budget != 0)
		return budget;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max = RTE_MAX(limit.rlim_max, (rlim_t)1 << 20);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = RTE_MIN(limit.rlim_cur, (rlim_t)1 << 20);
	budget = limit.rlim_cur > FD_RESERVE ? (uint32_t)limit.rlim_cur - FD_RESERVE : 0;
	return budget;
}

static uint32_t fd_claimed;

uint32_t WEIR_ON_CONTROL
aio_fd_claim(uint32_t wanted)
{
	const uint32_t budget = fd_budget();
	const uint32_t left = budget - RTE_MIN(fd_claimed, budget);

	if (wanted == 0) {
		wanted = RTE_MIN(left / 2, (uint32_t)FD_DEFAULT);
		wanted = RTE_MAX(wanted, (uint32_t)FD_LEAST);
	}
	if (wanted > left)
		return 0;
	fd_claimed += wanted;
	return wanted;
}

void WEIR_ON_CONTROL
aio_fd_unclaim(uint32_t nb)
{
	fd_claimed -= nb;
}
