/* All streams together: hands out frames, takes turns between streams. Knows kinds only as rows (session.h). */
#pragma once
#include "session.h"

/* ---- what comes in; each may queue up to REPLY_BYTES_MAX */

/* Whether frames of this type belong to streams. */
bool sessions_know(uint8_t type);
void sessions_handle(struct sessions *sessions, const struct frame *frame);
/* Handles a frame of an open stream. */
void session_deliver(struct sessions *sessions, struct session *session, const struct frame *frame);
void sessions_client_gone(struct sessions *sessions, uint32_t first_stream, uint32_t last_stream);

/* ---- what goes out; all of these stop where the queue has no room */

void sessions_interest(struct sessions *sessions, struct interest *interest);
/* Milliseconds until sessions_step() has something to do that poll() does not tell of, or -1. */
int sessions_timeout_ms(const struct sessions *sessions);
/* Sends whatever is due: starts, exits, ends, credit; writes input. */
void sessions_step(struct sessions *sessions);
/* Reads at most one frame's worth from each ready channel. False if nothing was there or nothing could be taken. */
bool sessions_read_outputs(struct sessions *sessions);

/* ---- shutdown */

/* From now on output needs no credit. */
void sessions_abandon(struct sessions *sessions);
bool sessions_empty(const struct sessions *sessions);
