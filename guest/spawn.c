#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool make_nonblocking(int fd) {
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

static bool open_pipe(int *reader, int *writer, bool is_output) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    *reader = ends[0];
    *writer = ends[1];
    if (is_output)
        fcntl(*reader, F_SETPIPE_SZ, PIPE_BYTES); /* refused beyond the user's allowance: then it stays small */
    return make_nonblocking(is_output ? *reader : *writer);
}

static bool open_terminal(const struct msg_exec_start *start, struct spawned *ours, struct child_files *theirs) {
    ours->stdout_fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (ours->stdout_fd < 0) return false;
    int unlock = 0;
    struct winsize size = {.ws_row = start->rows, .ws_col = start->columns};
    if (ioctl(ours->stdout_fd, TIOCSPTLCK, &unlock) != 0) return false;
    if (size.ws_row > 0 && size.ws_col > 0) ioctl(ours->stdout_fd, TIOCSWINSZ, &size);
    /* Not by name: /dev/pts may be hidden by what the user mounted. */
    theirs->stdin_fd = ioctl(ours->stdout_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ours->stdin_fd = fcntl(ours->stdout_fd, F_DUPFD_CLOEXEC, 0);
    return theirs->stdin_fd >= 0 && ours->stdin_fd >= 0;
}

static bool open_pipes(const struct msg_exec_start *start, struct spawned *ours, struct child_files *theirs) {
    if (start->flags & EXEC_FLAG_STDIN_PIPE) {
        if (!open_pipe(&theirs->stdin_fd, &ours->stdin_fd, false)) return false;
    } else {
        theirs->stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (theirs->stdin_fd < 0) return false;
    }
    return open_pipe(&ours->stdout_fd, &theirs->stdout_fd, true) &&
           open_pipe(&ours->stderr_fd, &theirs->stderr_fd, true);
}

static struct spawn_failure failure_of(int error, bool is_tty, const char *message) {
    struct spawn_failure failure = {.kind = EXEC_FAILURE_RESOURCE_LIMIT, .error = error};
    if (error == ENOMEM)
        failure.kind = EXEC_FAILURE_OUT_OF_MEMORY;
    else if (is_tty)
        failure.kind = EXEC_FAILURE_PTY_SETUP;
    snprintf(failure.message, sizeof failure.message, "%s: %s", message, strerror(error));
    return failure;
}

bool spawn(const struct msg_exec_start *start, child_main *run, struct cgroup *cgroup, struct spawned *spawned,
           struct spawn_failure *failure) {
    bool is_tty = start->flags & EXEC_FLAG_TTY;
    struct spawned ours = {.pid = -1, .status_fd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    struct child_files theirs = {.status_fd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    const char *step = "cannot open its pipes";

    bool is_open = is_tty ? open_terminal(start, &ours, &theirs) : open_pipes(start, &ours, &theirs);
    if (is_open && open_pipe(&ours.status_fd, &theirs.status_fd, false) && make_nonblocking(ours.status_fd)) {
        step = "cannot fork";
        is_tty = false;
        ours.pid = cgroup_fork(cgroup);
        if (ours.pid == 0) run(start, &theirs);
    }
    int error = errno;

    close_all((int[]){theirs.status_fd, theirs.stdin_fd, theirs.stdout_fd, theirs.stderr_fd}, 4);
    if (ours.pid > 0) {
        *spawned = ours;
        return true;
    }
    close_all((int[]){ours.status_fd, ours.stdin_fd, ours.stdout_fd, ours.stderr_fd}, 4);
    *failure = failure_of(error, is_tty, is_tty ? "cannot open a pseudo-terminal" : step);
    return false;
}
