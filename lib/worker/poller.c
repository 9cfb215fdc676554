/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What is idle costs nothing: a round polls the active pollers, and no more than POLLERS_KEPT of
 * those stay active without work. The others are parked, which is armed and off the list:
 *
 *            add                 found nothing for park_cycles, and arm() agrees
 *   (none) ------> ACTIVE ------------------------------------------------------> PARKED, TIMED
 *                     ^                                                             |
 *                     '--- event of a descriptor, wake_tsc, weir_poller_wake() -----'
 *
 * An event names its poller, so finding it costs nothing that grows with the parked ones either.
 * The order of arm() is what loses nothing: first it asks for events, then it looks once more. Work
 * that came before is seen by the look; work that comes after makes an event, and events are
 * edges: none is swallowed, for each is turned into "this poller is active and looks at everything"
 * at once, be it active already.
 */

#include <rte_branch_prediction.h>

#include "worker.h"

static void WEIR_ON_WORKER
poller_activate(struct weir_worker *w, struct weir_poller *poller)
{
	poller->state = WEIR_POLLER_ACTIVE;
	poller->work_tsc = w->last_tsc;
	TAILQ_INSERT_TAIL(&w->active, poller, next);
	weir_counter_add(&w->nb_active, 1);
}

/* Takes a parked poller off whatever knows of it. */
static void WEIR_ON_WORKER
poller_unpark(struct weir_worker *w, struct weir_poller *poller)
{
	if (poller->state == WEIR_POLLER_TIMED)
		TAILQ_REMOVE(&w->timed, poller, next);
	weir_counter_add(&w->nb_parked, (uint64_t)-1);
	poller->state = WEIR_POLLER_NONE;
	if (poller->disarm != NULL)
		poller->disarm(poller);
}

static void WEIR_ON_WORKER
poller_deactivate(struct weir_worker *w, struct weir_poller *poller)
{
	if (w->cursor == poller)
		w->cursor = TAILQ_NEXT(poller, next);
	TAILQ_REMOVE(&w->active, poller, next);
	weir_counter_add(&w->nb_active, (uint64_t)-1);
	poller->state = WEIR_POLLER_NONE;
}

void WEIR_ON_WORKER
poller_park(struct weir_worker *w, struct weir_poller *poller)
{
	poller_deactivate(w, poller);
	poller->state = WEIR_POLLER_PARKED;
	if (poller->wake_tsc != 0) {
		poller->state = WEIR_POLLER_TIMED;
		TAILQ_INSERT_TAIL(&w->timed, poller, next);
		w->due_tsc = RTE_MIN(w->due_tsc, poller->wake_tsc);
	}
	weir_counter_add(&w->nb_parked, 1);
	weir_counter_add(&w->parks, 1);
}

/*
 * Who became active last comes last, so that of those that may be parked the first goes; one that
 * has work now and then comes back behind those that have none.
 */
void WEIR_ON_WORKER
poller_rest(struct weir_worker *w, struct weir_poller *poller)
{
	if (!poller->parks || w->last_tsc - poller->work_tsc <= w->park_cycles)
		return;
	if (likely(!poller->arm(poller))) {
		poller_park(w, poller);
		return;
	}
	/* There is work, or it cannot be armed: the next attempt comes as late as this one did. */
	if (poller->disarm != NULL)
		poller->disarm(poller);
	poller->work_tsc = w->last_tsc;
}

void WEIR_ON_WORKER
pollers_ready(struct weir_worker *w, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		struct weir_poller *poller = ev[i].data.ptr;

		/* The mailbox, or a descriptor of one that is not polled for now. */
		if (poller == NULL || poller->state == WEIR_POLLER_NONE)
			continue;
		if (poller->state != WEIR_POLLER_ACTIVE)
			weir_poller_unpark(poller);
		else if (poller->disarm != NULL)
			poller->disarm(poller);
	}
	/* The batch was full: the rest is worth no wait. */
	if (n == WORKER_EVENTS)
		w->look_tsc = 0;
}

/*
 * due_tsc may be that of a poller that is not parked any more: then this is one walk in vain. Only
 * what has a time-out under way is in the list, so it does not grow with what is idle.
 */
void WEIR_ON_WORKER
pollers_due(struct weir_worker *w)
{
	struct weir_poller *poller, *next;
	uint64_t due_tsc = UINT64_MAX;

	if (w->last_tsc < w->due_tsc)
		return;
	for (poller = TAILQ_FIRST(&w->timed); poller != NULL; poller = next) {
		next = TAILQ_NEXT(poller, next);
		if (poller->wake_tsc <= w->last_tsc)
			weir_poller_unpark(poller);
		else
			due_tsc = RTE_MIN(due_tsc, poller->wake_tsc);
	}
	w->due_tsc = due_tsc;
}

void WEIR_ON_WORKER
pollers_look(struct weir_worker *w)
{
	struct epoll_event ev[WORKER_EVENTS];

	w->look_tsc = w->last_tsc + w->look_cycles;
	pollers_ready(w, ev, epoll_wait(w->epfd, ev, RTE_DIM(ev), 0));
	pollers_due(w);
}

void
weir_poller_add(struct weir_poller *poller)
{
	RTE_ASSERT(poller->state == WEIR_POLLER_NONE && (!poller->parks || poller->arm != NULL));
	poller_activate(weir_worker_self(), poller);
}

void
weir_poller_del(struct weir_poller *poller)
{
	struct weir_worker *w = weir_worker_self();

	if (poller->state == WEIR_POLLER_ACTIVE)
		poller_deactivate(w, poller);
	else
		poller_unpark(w, poller);
}

void
weir_poller_unpark(struct weir_poller *poller)
{
	struct weir_worker *w = weir_worker_self();

	poller_unpark(w, poller);
	poller_activate(w, poller);
}
