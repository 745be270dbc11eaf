/*
 * TCP streams: a connection from the guest, mostly to a server in it, joined to a stream of the wire. A stream is a
 * session without a process: `stdin` frames go into the connection, what comes out of it leaves as `stdout`.
 */
#pragma once
#include "session_internal.h"

void tcp_connect(struct sessions *sessions, const struct frame *frame);
/* Looks whether the connection is made, moves bytes, ends it. May release the session. */
void tcp_step(struct sessions *sessions, struct session *session);
/* No more is to be written: the peer sees the end of its input. */
void tcp_end_input(const struct session *session);
/* Milliseconds until a connection attempt is over, or -1. */
int tcp_timeout_ms(const struct sessions *sessions);
