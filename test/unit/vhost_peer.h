/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef VHOST_PEER_H
#define VHOST_PEER_H

/**
 * @file
 * What stands around the vhost-user transport's messages, rings and connections in their tests: this
 * takes the places of librte_vhost, of the endpoint, of the workers, of the core, and of a front end.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_vhost.h>

#include "../../drivers/transport/vhost_user/vhost_user.h"

#define NB_QUEUES 3
#define MEM_SIZE  0x10000ULL
#define MEM_GPA   0x4000000ULL
#define MEM_USER  0x7f0000000000ULL

#define OK      RTE_VHOST_MSG_RESULT_OK
#define ERR     RTE_VHOST_MSG_RESULT_ERR
#define REPLY   RTE_VHOST_MSG_RESULT_REPLY
#define FORWARD RTE_VHOST_MSG_RESULT_NOT_HANDLED

/** The device, and the descriptors behind it; connections go by the library's number. */
extern struct weir_tdev peer_tdev;
extern int peer_listenfd, peer_memfd;
extern int peer_clients[4], peer_accepted[4];

/** What the core was told last, and where it says that a ring stood. */
extern char peer_heard[256];
extern struct weir_vq_start peer_last_start;
extern struct weir_memmap *peer_last_map;
extern uint16_t peer_stop_base; /* and 7 for used */

/** Fails unless the core has heard exactly this since the last call: "connected start0 memory ". */
void peer_assert_heard(const char *what);

/** Descriptors of this process. */
unsigned int peer_open_fds(void);

/** A front end connects; what the transport answers the library. */
int peer_connect_as(int vid);
void peer_close_as(int vid);

/** One message of connection 0, with copies of nb descriptors. @return what the library is told. */
int peer_send_msg(struct wire_msg *msg, const int *fds, int nb);
int peer_send_u64(uint32_t request, uint64_t value, int fd);
int peer_send_state(uint32_t request, uint32_t index, uint32_t num);
int peer_send_addr(uint32_t index, uint64_t base);
int peer_send_table(uint64_t gpa, uint64_t size);

int peer_new_eventfd(void);

/** Everything that a ring needs but its last piece, SET_VRING_ENABLE; and with it. */
void peer_set_up_ring(uint32_t index);
void peer_run_ring(uint32_t index);

/** Before and after each test: connection 0 is there, with features and memory. */
int peer_setup(void **state);
int peer_teardown(void **state);

#endif /* VHOST_PEER_H */
