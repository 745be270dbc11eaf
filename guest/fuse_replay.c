/*
 * See fuse_replay.h. It uses a private mount without a path. So it never enters what the guest mounts on top or inside, can write
 * where the guest's mount is read-only, and does not keep the guest from unmounting.
 */
#include "fuse_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"

enum {
    /* System call numbers, the same on all architectures. Older C libraries lack them. */
    CALL_OPEN_TREE = 428,
    CALL_OPENAT2 = 437,
    CALL_MOUNT_SETATTR = 442,
    OPEN_TREE_COPY = 1,
    MOUNT_ATTRIBUTE_READONLY = 1,
    RESOLVE_WITHIN = 0x01 | 0x02 | 0x04 | 0x08, /* stay in this mount and below its root, follow no links */
    NOTICE_HEAD_BYTES = 16,
    CREATE_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
    /* It starts again after an unmount that failed because the mount was busy, or if something killed it. */
    STARTS_MAX = 100,
};

static pid_t pid;
static int channel = -1;
static int tree = -1;   /* the replayer's own mount */
static int device = -1; /* /dev/fuse */

/* ---- in the replayer */

/* Opens the parent of `path` and splits off the last name. On an error a name has gone, which another notice reports. */
static int open_parent(char *path, const char **name) {
    struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_WITHIN};
    char *slash = strrchr(path, '/');
    if (slash == NULL) return -1;
    *slash = '\0';
    *name = slash + 1;
    return (int)syscall(CALL_OPENAT2, tree, slash == path ? "." : path + 1, &how, sizeof how);
}

/* Truncates a file to its own size: even if the server did it, nothing would be lost. */
static void modify(int fd) {
    struct stat status;
    if (fd < 0) return;
    if (fstat(fd, &status) == 0) {
        int result = ftruncate(fd, status.st_size);
        (void)result;
    }
    close(fd);
}

/* The root has no name, so it is changed through its descriptor. */
static void replay_root(uint8_t kind) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", tree);
    if (kind == MOUNT_NOTICE_MODIFIED)
        modify(open(self, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    else if (kind == MOUNT_NOTICE_ATTRIBUTES)
        utimensat(AT_FDCWD, self, NULL, 0);
}

/* A call that fails causes no event, and none is needed: the kernel knows already, or the file has gone. */
static void replay_at(uint8_t kind, int parent, const char *name, char *second) {
    static const struct timespec modified[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    const char *new_name;
    int result = 0;
    int fd = -1;
    switch (kind) {
        case MOUNT_NOTICE_CREATED_FILE:
            fd = openat(parent, name, CREATE_FLAGS, 0600);
            break;
        case MOUNT_NOTICE_CREATED_WRITTEN:
            modify(openat(parent, name, CREATE_FLAGS, 0600));
            break;
        case MOUNT_NOTICE_CREATED_PROGRAM:
            result = mknodat(parent, name, S_IFREG | 0600, 0);
            break;
        case MOUNT_NOTICE_MODIFIED_PROGRAM:
            /* If only the modification time is set, inotify reports IN_MODIFY. */
            result = utimensat(parent, name, modified, AT_SYMLINK_NOFOLLOW);
            break;
        case MOUNT_NOTICE_CREATED_DIRECTORY:
            result = mkdirat(parent, name, 0700);
            break;
        case MOUNT_NOTICE_CREATED_SYMLINK:
            result = symlinkat("-", parent, name);
            break;
        case MOUNT_NOTICE_CREATED_FIFO:
            result = mknodat(parent, name, S_IFIFO | 0600, 0);
            break;
        case MOUNT_NOTICE_CREATED_SOCKET:
            result = mknodat(parent, name, S_IFSOCK | 0600, 0);
            break;
        case MOUNT_NOTICE_REMOVED_FILE:
            result = unlinkat(parent, name, 0);
            break;
        case MOUNT_NOTICE_REMOVED_DIRECTORY:
            result = unlinkat(parent, name, AT_REMOVEDIR);
            break;
        case MOUNT_NOTICE_RENAMED:
            fd = open_parent(second, &new_name);
            if (fd >= 0) result = renameat(parent, name, fd, new_name);
            break;
        case MOUNT_NOTICE_MODIFIED:
            modify(openat(parent, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
            break;
        case MOUNT_NOTICE_ATTRIBUTES:
            result = utimensat(parent, name, NULL, AT_SYMLINK_NOFOLLOW);
            break;
        default:
            break;
    }
    (void)result;
    if (fd >= 0) close(fd);
}

/* `body` is the kind and a path, and for a rename a second path. Each path ends with a zero byte. */
static void replay(uint8_t *body, size_t size) {
    char *path = (char *)body + 1;
    const char *name;
    if (size < 2 || body[size - 1] != '\0') return;
    char *second = path + strlen(path) + 1;
    if ((uint8_t *)second >= body + size) second = NULL;
    if (strcmp(path, "/") == 0) {
        replay_root(body[0]);
        return;
    }
    if (body[0] == MOUNT_NOTICE_RENAMED && second == NULL) return;
    int parent = open_parent(path, &name);
    if (parent < 0) return;
    replay_at(body[0], parent, name, second);
    close(parent);
}

static void handle_batch(uint8_t *batch, size_t size) {
    for (size_t offset = 0; size - offset >= NOTICE_HEAD_BYTES;) {
        uint8_t *notice = batch + offset;
        size_t bytes = (size_t)load_little_endian(notice, 4);
        if (bytes < NOTICE_HEAD_BYTES || bytes > size - offset) return;
        if (load_little_endian(notice + 4, 4) == MOUNT_NOTICE_CODE_REPLAY) {
            replay(notice + NOTICE_HEAD_BYTES, bytes - NOTICE_HEAD_BYTES);
        } else {
            ssize_t written = write(device, notice, bytes); /* ENOENT: the kernel does not know it */
            (void)written;
        }
        offset += bytes;
    }
}

static noreturn void run(const char *target) {
    static uint8_t batch[MOUNT_NOTICE_BYTES_MAX];
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } writable = {.clear = MOUNT_ATTRIBUTE_READONLY};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Only the parent may use the stream. */
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++) dup2(nowhere, fd);
    tree = (int)syscall(CALL_OPEN_TREE, AT_FDCWD, target, OPEN_TREE_COPY | O_CLOEXEC);
    if (tree < 0 || syscall(CALL_MOUNT_SETATTR, tree, "", AT_EMPTY_PATH, &writable, sizeof writable) != 0) _exit(1);
    umask(0);
    for (;;) {
        uint8_t done = 0;
        if (send(channel, &done, 1, MSG_NOSIGNAL) != 1) _exit(0); /* the first one reports that it has started */
        ssize_t size = recv(channel, batch, sizeof batch, 0);
        if (size <= 0) _exit(0);
        handle_batch(batch, (size_t)size);
    }
}

/* ---- in its parent */

pid_t replayer_pid(void) {
    return pid;
}

void replayer_start(const char *target, int fuse_fd) {
    static unsigned starts;
    int ends[2];
    if (starts >= STARTS_MAX) return;
    starts++;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
    pid_t child = fork();
    if (child == 0) {
        channel = ends[1];
        device = fuse_fd;
        close(ends[0]);
        run(target);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return;
    }
    pid = child;
    channel = ends[0];
}

int replayer_fd(void) {
    return channel;
}

void replayer_give(const uint8_t *batch, size_t size) {
    if (channel >= 0 && size <= MOUNT_NOTICE_BYTES_MAX && send(channel, batch, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        replayer_stop();
}

bool replayer_take(void) {
    uint8_t done;
    if (recv(channel, &done, 1, MSG_DONTWAIT) == 1) return true;
    if (errno != EAGAIN && errno != EINTR) replayer_stop();
    return false;
}

void replayer_stop(void) {
    if (channel >= 0) close(channel);
    channel = -1;
    if (pid > 0) kill(pid, SIGKILL);
}

bool replayer_reap(void) {
    if (pid == 0 || waitpid(pid, NULL, WNOHANG) != pid) return false;
    pid = 0;
    replayer_stop();
    return true;
}
