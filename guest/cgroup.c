/* Source: the kernel's Documentation/admin-guide/cgroup-v2.rst, and cgroup_namespaces(7). */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "log.h"

#define CGROUP_PATH "/sys/fs/cgroup"
/* Of <linux/sched.h>, which musl does not bring. */
#define CLONE_INTO_CGROUP_FLAG 0x200000000ULL

enum { CONTROL_FILE_BYTES_MAX = 4096 };

/* Arguments of clone3(2), as of Linux 5.7. */
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static bool write_file(int directory_fd, const char *name, const char *value) {
    int fd = openat(directory_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = (ssize_t)strlen(value);
    bool is_written = write(fd, value, (size_t)size) == size;
    int error = errno;
    close(fd);
    errno = error;
    return is_written;
}

/* Like fork(): the child has a copy of everything but the memory that it was given `flags` to share. */
static pid_t fork_into(int cgroup_fd, uint64_t flags) {
    struct clone_arguments arguments = {
        .flags = CLONE_INTO_CGROUP_FLAG | flags, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* ---- setting up */

static bool mount_group(void) {
    return mount("cgroup2", CGROUP_PATH, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

/* What the kernel can control it shall control for the programs' group too: containers in a sandbox need that. */
static void pass_controllers_on(int root_fd) {
    char *names = file_read(CGROUP_PATH "/cgroup.controllers", CONTROL_FILE_BYTES_MAX);
    char line[CONTROL_FILE_BYTES_MAX] = "";
    size_t size = 0;
    char *cursor = names;
    for (char *name = strsep(&cursor, " \n"); name != NULL; name = strsep(&cursor, " \n"))
        if (*name != '\0' && size + strlen(name) + 3 < sizeof line)
            size += (size_t)snprintf(line + size, sizeof line - size, "+%s ", name);
    free(names);
    if (size > 0 && !write_file(root_fd, "cgroup.subtree_control", line))
        log_line("cannot pass cgroup controllers on: %s", strerror(errno));
}

static int make_group(int parent_fd, const char *name) {
    if (mkdirat(parent_fd, name, 0755) != 0 && errno != EEXIST) return -1;
    return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Makes the group the root that this process and its children see. A namespace's root is the group of the process that
 * makes it. So a child is started in the group, makes the namespace, and leaves its descriptor in the table that it
 * shares with us. Moving there and back ourselves would cost two of the kernel's grace periods.
 */
static bool enter_namespace(int group_fd) {
    pid_t pid = fork_into(group_fd, CLONE_FILES);
    if (pid < 0) return false;
    if (pid == 0) {
        int made = unshare(CLONE_NEWCGROUP) == 0 ? open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC) : -1;
        _exit(made > 0 && made < 255 ? made : 255);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 255) return false;
    int namespace_fd = WEXITSTATUS(status);
    bool is_entered = setns(namespace_fd, CLONE_NEWCGROUP) == 0;
    close(namespace_fd);
    return is_entered;
}

void cgroup_prepare(struct cgroup *cgroup) {
    *cgroup = (struct cgroup){.fd = -1, .leaf_fd = -1};
    if (!directory_ensure(CGROUP_PATH, 0755) || !mount_group()) return; /* not in every kernel */
    int root_fd = open(CGROUP_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) return;
    pass_controllers_on(root_fd);
    int fd = make_group(root_fd, "sandbox");
    close(root_fd);
    if (fd < 0) return;
    if (!enter_namespace(fd)) {
        log_line("programs have no control group of their own: %s", strerror(errno));
        close(fd);
        return;
    }
    cgroup->fd = fd;
    if (umount2(CGROUP_PATH, MNT_DETACH) != 0 || !mount_group())
        log_line("cannot mount " CGROUP_PATH " again: %s", strerror(errno));
}

/* ---- programs */

pid_t cgroup_fork(struct cgroup *cgroup) {
    if (cgroup->fd < 0) return fork();
    pid_t pid = fork_into(cgroup->leaf_fd >= 0 ? cgroup->leaf_fd : cgroup->fd, 0);
    if (pid >= 0 || errno != EBUSY || cgroup->leaf_fd >= 0) return pid;
    /* A program has divided its group among groups below: a group that does so holds no processes itself. */
    cgroup->leaf_fd = make_group(cgroup->fd, "exec");
    return cgroup->leaf_fd < 0 ? -1 : fork_into(cgroup->leaf_fd, 0);
}

bool cgroup_can_freeze(const struct cgroup *cgroup) {
    return cgroup->fd >= 0 && faccessat(cgroup->fd, "cgroup.freeze", F_OK, 0) == 0;
}

bool cgroup_freeze(const struct cgroup *cgroup, bool on) {
    return write_file(cgroup->fd, "cgroup.freeze", on ? "1" : "0");
}

/* Whether the group's state holds the line `wanted`. */
static bool has_event(const struct cgroup *cgroup, const char *wanted) {
    char text[CONTROL_FILE_BYTES_MAX];
    int fd = openat(cgroup->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size < 0) return false;
    text[size] = '\0';
    return strstr(text, wanted) != NULL;
}

bool cgroup_is_frozen(const struct cgroup *cgroup) {
    return has_event(cgroup, "frozen 1");
}

bool cgroup_has_processes(const struct cgroup *cgroup) {
    return has_event(cgroup, "populated 1");
}

bool cgroup_kill(const struct cgroup *cgroup) {
    return cgroup->fd >= 0 && write_file(cgroup->fd, "cgroup.kill", "1");
}
