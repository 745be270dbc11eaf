/*
 * The child that serves a file session: it reads requests from its stdin and writes answers to its stdout, one after the other,
 * as the user that it was given. It is an ordinary process: what it waits for (a FIFO, a dead mount) holds up this session
 * alone, and killing it is how a session ends.
 */
#pragma once
#include <stdnoreturn.h>
#include <time.h>

#include "file_protocol.h"

/* Serves until the client is gone. */
noreturn void server_run(void);
/* Ends the session: a request could not be decoded, and what follows it means nothing. */
noreturn void server_refuse(void);

/* EINVAL if there are flags besides `allowed`. */
int flags_check(uint32_t flags, uint32_t allowed);
struct timespec time_of(int64_t nanoseconds);
