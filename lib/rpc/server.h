/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "weir_role.h"

#define RPC_CONNS_MAX 1024

/* Serves one client on fd, which it closes in the end. @return 0 or -errno; then fd is closed too. */
int WEIR_ON_CONTROL rpc_conn_create(int fd);
/* Drops all clients; their open calls end unheard. */
void WEIR_ON_CONTROL rpc_conn_destroy_all(void);
/* How many clients there are. */
unsigned int rpc_conn_count(void);

/* A client has gone, so another one may be let in. */
void WEIR_ON_CONTROL rpc_server_resume(void);

#endif /* RPC_SERVER_H */
