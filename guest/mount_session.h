/* Mounts: a child of the agent for each, which carries FUSE requests and replies between the kernel and the stream. */
#pragma once
#include "session.h"

extern const struct stream_kind MOUNT;

/* Has every mount end, with what was written to it brought home. Their children exit then. */
void mounts_end(const struct sessions *sessions);
