/* Why a program could not be started, told by the agent itself or by the forked child. */
#pragma once
#include "limits.h"

/* What the child writes to its status pipe if it cannot exec; a pipe that just closes means that it could. */
struct spawn_failure {
    int32_t kind; /* EXEC_FAILURE_… */
    int32_t error;
    char message[FAILURE_TEXT_BYTES];
};

_Static_assert(sizeof(struct spawn_failure) <= 4096, "PIPE_BUF: a failure is written whole or not at all");
