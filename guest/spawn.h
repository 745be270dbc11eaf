/* From a decoded execStart to a running program. */
#pragma once
#include <sys/types.h>

#include "cgroup.h"
#include "spawn_child.h"
#include "spawn_failure.h"

/* The agent's ends, all non-blocking; -1 for one that is missing. */
struct spawned {
    pid_t pid;
    int status_fd;
    int stdin_fd;
    int stdout_fd; /* the pseudo-terminal, if there is one; stdin_fd is a duplicate of it then */
    int stderr_fd;
};

/* Forks, and has the child go on with `run`. What can take long or depends on the guest's files happens there. */
bool spawn(const struct msg_exec_start *start, child_main *run, struct cgroup *cgroup, struct spawned *spawned,
           struct spawn_failure *failure);
