/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include <rte_random.h>
#include <rte_vect.h>

#include "weir_handoff.h"
#include "weir_loop.h"
#include "weir_worker.h"

#include "../unit/eal.h"
#include "../unit/fs_client.h"
#include "insn_meter.h"

/* Rounds of control's loop in a rest: what they leave to be done is asked for by name. */
#define REST_ROUNDS 4
#define SEED        1
#define IDLE_US     20

/* Clang's version says its name. */
#ifdef __clang__
#define COMPILER ""
#else
#define COMPILER "gcc "
#endif

static struct {
	sem_t wake; /* control, at a rest or the end */
	_Atomic bool resting;
	_Atomic bool ended;

	/* The worker's while a load runs. */
	struct weir_poller poller;
	struct meter_load *load;
	bool counts; /* the load does */
	bool on; /* callgrind collects */
} meter;

void
meter_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "instructions: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	_exit(1);
}

/* Only this thread's events are switched. */
static inline void
meter_switch(bool on)
{
	if (meter.on == on)
		return;
	meter.on = on;
	CALLGRIND_TOGGLE_COLLECT;
}

/* Says that there was no work: a round is busy only if somebody else's poller makes it so. */
static int
meter_poll(struct weir_poller *poller)
{
	meter_switch(false);
	weir_role_assume_worker();
	if (meter.load == NULL || atomic_load(&meter.resting)) {
		/* Control has the same CPU. */
		usleep(IDLE_US);
		return 0;
	}
	switch (meter.load->next(meter.load)) {
	case METER_ROUND:
		meter_switch(meter.counts);
		if (meter.load->go != NULL)
			meter.load->go(meter.load);
		break;
	case METER_REST:
		atomic_store(&meter.resting, true);
		sem_post(&meter.wake);
		break;
	case METER_END:
		meter.load = NULL;
		atomic_store(&meter.ended, true);
		sem_post(&meter.wake);
		break;
	}
	return 0;
}

static void
meter_watch(void *arg)
{
	weir_role_assume_worker();
	meter.poller = (struct weir_poller){ .name = "meter", .poll = meter_poll };
	weir_poller_add(&meter.poller);
}

static void
meter_unwatch(void *arg)
{
	weir_role_assume_worker();
	weir_poller_del(&meter.poller);
}

static unsigned int
first_cpu(void)
{
	cpu_set_t cpus;
	unsigned int cpu;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		meter_die("no CPU");
	for (cpu = 0; !CPU_ISSET(cpu, &cpus); cpu++)
		;
	return cpu;
}

void
meter_start(void)
{
	const struct weir_workers_cfg workers = { .idle = WEIR_IDLE_POLL };
	const struct weir_handoff_cfg roles = { .frontend = { true }, .backend = { true } };
	unsigned int cpu = first_cpu();
	char lcores[64];

	weir_role_assume_control();
	sem_init(&meter.wake, 0, 0);
	snprintf(lcores, sizeof(lcores), "0@%u,1@%u", cpu, cpu);
	if (test_eal_init(lcores) < 0)
		meter_die("EAL does not start");
	/* Whatever the CPU has; and tables hash alike in each run. */
	rte_vect_set_max_simd_bitwidth(RTE_VECT_SIMD_DISABLED);
	rte_srand(SEED);
	if (weir_loop_init() < 0 || weir_memmap_guard_install() < 0 ||
			weir_workers_start(&workers) < 0 || weir_handoff_start(&roles) < 0)
		meter_die("no worker");
	weir_worker_sync(weir_worker_at(0), meter_watch, NULL);
	printf("{\"compiler\": \"" COMPILER __VERSION__ "\"}\n");
}

void
meter_stop(void)
{
	weir_role_assume_control();
	weir_worker_sync(weir_worker_at(0), meter_unwatch, NULL);
	weir_handoff_stop();
	weir_workers_stop();
	weir_loop_fini();
	test_eal_fini();
}

static void
meter_begin(void *arg)
{
	meter.load = arg;
}

static void WEIR_ON_CONTROL
meter_rest(struct meter_load *load)
{
	bool more = true;

	for (int i = 0; i < REST_ROUNDS || more; i++) {
		if (load->rest != NULL)
			load->rest(load);
		weir_loop_poll(0);
		more = weir_fsdevs_maintain();
	}
	atomic_store(&meter.resting, false);
}

static void WEIR_ON_CONTROL
meter_go(struct meter_load *load, bool counts)
{
	meter.counts = counts;
	atomic_store(&meter.ended, false);
	weir_worker_sync(weir_worker_at(0), meter_begin, load);
	while (!atomic_load(&meter.ended)) {
		while (sem_wait(&meter.wake) < 0)
			;
		if (atomic_load(&meter.resting))
			meter_rest(load);
	}
}

void
meter_warm(struct meter_load *load)
{
	weir_role_assume_control();
	meter_go(load, false);
}

void
meter_run(struct meter_load *load, const char *name, unsigned long nb_ops)
{
	weir_role_assume_control();
	CALLGRIND_START_INSTRUMENTATION;
	CALLGRIND_ZERO_STATS;
	meter_go(load, true);
	CALLGRIND_DUMP_STATS_AT(name);
	CALLGRIND_STOP_INSTRUMENTATION;
	printf("{\"name\": \"%s\", \"ops\": %lu}\n", name, nb_ops);
	fflush(stdout);
}

struct beside {
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool over;
};

static void *
beside_run(void *arg)
{
	struct beside *beside = arg;

	beside->fn(beside->arg);
	atomic_store(&beside->over, true);
	return NULL;
}

void
meter_beside(void (*fn)(void *arg), void *arg)
{
	struct beside beside = { .fn = fn, .arg = arg };
	pthread_t thread;

	if (pthread_create(&thread, NULL, beside_run, &beside) != 0)
		meter_die("no thread");
	while (!atomic_load(&beside.over))
		fsc_poll();
	pthread_join(thread, NULL);
}

void
meter_rpc(const char *method, const char *fmt, ...)
{
	char params[1024], message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(params, sizeof(params), fmt, ap);
	va_end(ap);
	if (fsc_rpc(method, params, message) != 0)
		meter_die("%s: %s", method, message);
}
