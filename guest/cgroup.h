/* The control group that holds every program, and nothing of the agent's own. Only as PID 1. */
#pragma once
#include <sys/types.h>

#include "limits.h"

struct cgroup {
    int fd;      /* directory of the programs' group; -1 without one: then all of this does nothing */
    int leaf_fd; /* of the group below it that new programs start in once it takes none itself; -1 until then */
};

/*
 * Mounts /sys/fs/cgroup, with the programs' group for its root: what they do there stays below it, and the agent is
 * out of their reach.
 */
void cgroup_prepare(struct cgroup *cgroup);
/* fork(), with the child in the programs' group from its first moment on. */
pid_t cgroup_fork(struct cgroup *cgroup);
/* Whether programs can be stopped. */
bool cgroup_can_freeze(const struct cgroup *cgroup);
/* Has the kernel stop all programs, or let them go on. False with errno. Stopping takes a moment: cgroup_is_frozen(). */
bool cgroup_freeze(const struct cgroup *cgroup, bool on);
bool cgroup_is_frozen(const struct cgroup *cgroup);
/* Whether any program lives, wherever it was left. */
bool cgroup_has_processes(const struct cgroup *cgroup);
/* Kills every program at once. False where the kernel has no groups, or cannot do it (before 5.14). */
bool cgroup_kill(const struct cgroup *cgroup);
