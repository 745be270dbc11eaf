/* What the child of a mount does: mounts, and moves requests and replies. */
#pragma once
#include <stdnoreturn.h>

#include "protocol.h"
#include "spawn_child.h"

enum {
    /* Signals that have the child unmount, the second also if the mount is in use. */
    FUSE_UNMOUNT_SIGNAL = 10, /* SIGUSR1 */
    FUSE_DETACH_SIGNAL = 12,  /* SIGUSR2 */
};

noreturn void fuse_run(const struct msg_exec_start *start, const struct child_files *files,
                       const struct msg_mount_open *open);
