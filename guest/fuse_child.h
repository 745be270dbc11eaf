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

/* Mounts the FUSE connection `fd`. Returns 0 or an errno. */
int fuse_mount(int fd, const char *path, unsigned long bits, unsigned root_mode);
/* Carries requests and replies between the kernel and a port to the host, as long as the machine runs. */
noreturn void fuse_serve_port(int device_fd, int port_fd);

noreturn void fuse_run(const struct msg_exec_start *start, const struct child_files *files,
                       const struct msg_mount_open *open);
