#include "root_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console_port.h"
#include "fuse_child.h"

/*
 * Like fork(), but the child sends no signal when it ends, so that wait(2) does not see it. It lives as long as the machine:
 * code that waits for programs must not wait for it.
 */
static pid_t fork_unseen(void) {
    return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

int root_directory_mount(const char *port, const char *path) {
    int port_fd = port_open(port);
    if (port_fd < 0) return ENXIO;
    int fuse_fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int error = fuse_fd < 0 ? errno : 0;
    if (error == 0) error = fuse_mount(fuse_fd, path, MS_RDONLY, S_IFDIR);
    if (error == 0) {
        pid_t pid = fork_unseen();
        if (pid == 0) fuse_serve_port(fuse_fd, port_fd);
        if (pid < 0) error = errno;
    }
    close(port_fd);
    if (fuse_fd >= 0) close(fuse_fd);
    return error;
}
