/* The table of streams. It knows no kinds. */
#pragma once
#include "session.h"

/* Flags of a frame of this stream. */
static inline uint8_t session_flags(const struct session *session) {
    return session->is_abandoned ? FRAME_FLAG_LOG_ONLY : 0;
}

struct session *session_find(struct sessions *sessions, uint32_t stream);
/* Claims a free place for a stream, OPENING and without channels; NULL if all places are taken. */
struct session *session_claim(struct sessions *sessions, const struct stream_kind *kind, uint32_t stream);
/* Frees the place; the stream's last frame has been queued. */
void session_release(struct sessions *sessions, struct session *session);
/*
 * From now on its output needs no credit and is for the log only. Its input ends once what was sent is written, unless
 * it is kept.
 */
void session_abandon(struct sessions *sessions, struct session *session);

void interest_add(struct interest *interest, int fd, short events, bool *ready);
