/*
 * Connections: from the guest, mostly to a server in it. `stdin` frames go into the connection; what comes out of it
 * leaves as `stdout`.
 */
#pragma once
#include "session.h"

extern const struct stream_kind TCP;

/* Fills a session outside of any table with an existing connection: its socket, and a second descriptor of it. */
void session_open_connected(struct session *session, uint32_t stream, int fd, int read_fd);
