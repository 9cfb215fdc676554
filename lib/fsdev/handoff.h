/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FSDEV_HANDOFF_H
#define FSDEV_HANDOFF_H

/* Between request.c, which knows what a request is, and handoff.c, which moves it. */

#include "weir_fsdev.h"

/* role.c */
int WEIR_ON_CONTROL roles_set(const struct weir_handoff_cfg *cfg);
void WEIR_ON_CONTROL roles_clear(void);

/* handoff.c */
/* On the submitter: to the worker of the request's channel, where fsreq_run() comes next. */
void WEIR_ON_WORKER handoff_submit(struct weir_fsreq *req);
/* On the channel's worker: back to the submitter, where fsreq_finish() comes next. */
void WEIR_ON_WORKER handoff_answer(struct weir_fsreq *req, int res);
/* On the submitter: detaches a request that was handed over. */
void WEIR_ON_WORKER handoff_detach(struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req));

/* request.c */
/* On the channel's worker: the verb, or -ECANCELED where the guest has gone already. */
void WEIR_ON_WORKER fsreq_run(struct weir_fsreq *req);
void WEIR_ON_WORKER fsreq_detach(struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req));
/* On the submitter: the end. */
void WEIR_ON_WORKER fsreq_finish(struct weir_fsreq *req, int res);

#endif /* FSDEV_HANDOFF_H */
