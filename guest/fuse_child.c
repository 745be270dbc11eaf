/*
 * See fuse_child.h. The kernel gives one request for each read of /dev/fuse, and takes one reply for each write. Both begin with
 * their size, so that they travel as they are, one after the other. Nothing here waits for the stream: a reply is taken while a
 * request waits to be sent.
 */
#include "fuse_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse_replay.h"
#include "mount_target.h"
#include "read_ahead.h"

enum {
    /* As the kernel wants it: the largest write, and what comes before it. */
    MESSAGE_BYTES_MAX = 1024 * 1024 + 64 * 1024,
    REQUEST_HEAD_BYTES = 40,
    REPLY_HEAD_BYTES = 16,
    OPCODE_FORGET = 2,
    OPCODE_INTERRUPT = 36,
    OPCODE_BATCH_FORGET = 42,
    REQUEST_PID_OFFSET = 32,
    /* Requests that are sent and not answered; past it no more are read. */
    OUTSTANDING_MAX = 4096,
    /* Descriptors below this may be open in the agent while it boots. */
    SERVED_FDS_MAX = 64,
};

static uint8_t request[MESSAGE_BYTES_MAX];
static size_t request_size, request_sent;
static uint8_t outstanding[OUTSTANDING_MAX][8]; /* their numbers */
static size_t outstanding_count;
static uint8_t reply[MESSAGE_BYTES_MAX];
static size_t reply_size;
static int fuse_fd = -1;
static bool is_lost; /* the server is gone: every request fails */
static struct path target;
static pid_t unmounting; /* process id of the child that unmounts, or 0 */
static bool is_watched; /* repeat the host's changes in the guest */
static bool is_replayer_ready; /* tell the server */

/* ---- mounting */

static int mount_memory(const struct msg_mount_open *open) {
    char options[64];
    snprintf(options, sizeof options, "mode=1777,size=%llu", (unsigned long long)open->size_bytes);
    return mount("tmpfs", target.bytes, "tmpfs", mount_target_bits(open->flags), options) == 0 ? 0 : errno;
}

int fuse_mount(int fd, const char *path, unsigned long bits, unsigned root_mode) {
    char options[160];
    snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d",
             fd, root_mode, 1024 * 1024);
    return mount("microsandbox", path, "fuse.microsandbox", bits, options) == 0 ? 0 : errno;
}

static int mount_target(uint8_t flags) {
    fuse_fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fuse_fd < 0) return errno;
    unsigned root_mode = flags & MOUNT_FLAG_FILE_ROOT ? S_IFREG : S_IFDIR;
    unsigned long bits = mount_target_bits(flags);
    is_watched = flags & MOUNT_FLAG_WATCH;
    /* The replayer needs a writable file system, though it writes nothing. */
    unsigned long first = is_watched ? bits & ~(unsigned long)MS_RDONLY : bits;
    int error = fuse_mount(fuse_fd, target.bytes, first, root_mode);
    if (error != 0 || first == bits) return error;
    if (mount(NULL, target.bytes, NULL, MS_REMOUNT | MS_BIND | bits, NULL) == 0) return 0;
    error = errno;
    umount2(target.bytes, UMOUNT_NOFOLLOW | MNT_DETACH);
    return error;
}

/* ---- unmounting */

static volatile sig_atomic_t unmount_wanted, detach_wanted;

static void want_unmount(int number) {
    if (number == FUSE_DETACH_SIGNAL)
        detach_wanted = 1;
    else
        unmount_wanted = 1;
}

/* Reports how the unmounting ended. */
static void answer_unmount(int error) {
    uint8_t answer[4];
    store_little_endian(answer, 4, (uint64_t)error);
    ssize_t written = write(STDERR_FILENO, answer, sizeof answer); /* a full pipe: earlier answers were not read either */
    (void)written;
    if (error == 0) _exit(0);
}

/* Unmounts in another process: it may wait for requests that are answered here. */
static void begin_unmount(bool lazily) {
    if (unmounting != 0) return;
    pid_t child = fork();
    if (child < 0) {
        answer_unmount(errno);
    } else if (child == 0) {
        close(fuse_fd); /* or the connection would outlive the mount */
        int result = umount2(target.bytes, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0));
        _exit(result == 0 ? 0 : errno);
    } else {
        unmounting = child;
    }
}

static void finish_unmount(void) {
    int status;
    if (unmounting == 0 || waitpid(unmounting, &status, WNOHANG) != unmounting) return;
    unmounting = 0;
    answer_unmount(WIFEXITED(status) ? WEXITSTATUS(status) : EIO);
}

/* Continues an unmount that a signal asked for. The replayer has to end first: it keeps the file system alive. */
static void attend_unmount(void) {
    finish_unmount();
    bool is_wanted = unmount_wanted || detach_wanted;
    if (is_watched) replayer_reap();
    if (is_wanted && replayer_pid() != 0) {
        replayer_stop();
    } else if (is_wanted) {
        begin_unmount(detach_wanted);
        unmount_wanted = detach_wanted = 0;
    } else if (is_watched && replayer_pid() == 0 && unmounting == 0 && !is_lost) {
        replayer_start(target.bytes, fuse_fd); /* it ended, or unmounting failed */
    }
}

/* ---- requests and replies */

static void refuse(const uint8_t *unique) {
    uint8_t answer[REPLY_HEAD_BYTES];
    store_little_endian(answer, 4, sizeof answer);
    store_little_endian(answer + 4, 4, (uint32_t)-EIO);
    memcpy(answer + 8, unique, 8);
    ssize_t written = write(fuse_fd, answer, sizeof answer); /* ENOENT: the request was given up */
    (void)written;
}

/* An interrupt is answered by the request that it is about. */
static bool wants_reply(void) {
    uint32_t opcode = (uint32_t)load_little_endian(request + 4, 4);
    return opcode != MOUNT_NOTICE_CODE_REPLAY && opcode != OPCODE_FORGET && opcode != OPCODE_INTERRUPT && opcode != OPCODE_BATCH_FORGET;
}

static void refuse_request(void) {
    request_size = 0;
    if (wants_reply()) refuse(request + 8);
}

static void note_answer(const uint8_t *unique) {
    for (size_t i = outstanding_count; i > 0; i--) {
        if (memcmp(outstanding[i - 1], unique, 8) != 0) continue;
        memcpy(outstanding[i - 1], outstanding[--outstanding_count], 8);
        return;
    }
}

static void read_request(void) {
    ssize_t size = read(fuse_fd, request, sizeof request);
    if (size < 0 && errno == ENODEV) _exit(0); /* unmounted */
    if (size < REQUEST_HEAD_BYTES) return;     /* EAGAIN; ENOENT: the request was given up */
    request_size = (size_t)size;
    request_sent = 0;
    if (is_lost) refuse_request();
}

/* A message beside the kernel's requests: the replayer's process id, and that it is ready for changes. */
static void announce_replayer(void) {
    is_replayer_ready = false;
    memset(request, 0, REQUEST_HEAD_BYTES);
    store_little_endian(request, 4, REQUEST_HEAD_BYTES);
    store_little_endian(request + 4, 4, MOUNT_NOTICE_CODE_REPLAY);
    store_little_endian(request + REQUEST_PID_OFFSET, 4, (uint64_t)replayer_pid());
    request_size = REQUEST_HEAD_BYTES;
    request_sent = 0;
    if (is_lost) refuse_request();
}

static void lose(void) {
    is_lost = true;
    while (outstanding_count > 0) refuse(outstanding[--outstanding_count]);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0) dup2(fd, STDIN_FILENO);
    if (request_size > 0) refuse_request();
}

static void send_request(void) {
    ssize_t size = write(STDOUT_FILENO, request + request_sent, request_size - request_sent);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size < 0) {
        lose();
        return;
    }
    request_sent += (size_t)size;
    if (request_sent < request_size) return;
    request_size = 0;
    if (wants_reply()) memcpy(outstanding[outstanding_count++], request + 8, 8);
}

/* A reply without a request is a batch of notices. */
static void deliver_reply(const uint8_t *bytes, size_t size) {
    if (load_little_endian(bytes + 8, 8) == 0) {
        replayer_give(bytes + REPLY_HEAD_BYTES, size - REPLY_HEAD_BYTES);
        return;
    }
    ssize_t written = write(fuse_fd, bytes, size); /* ENOENT: the request was given up */
    (void)written;
    note_answer(bytes + 8);
}

/* Gives the kernel every reply that is complete. */
static void deliver_replies(void) {
    size_t begin = 0;
    while (reply_size - begin >= 4) {
        size_t size = (size_t)load_little_endian(reply + begin, 4);
        if (size < REPLY_HEAD_BYTES || size > sizeof reply) {
            lose(); /* out of step: nothing that follows means anything */
            return;
        }
        if (reply_size - begin < size) break;
        deliver_reply(reply + begin, size);
        begin += size;
    }
    memmove(reply, reply + begin, reply_size - begin);
    reply_size -= begin;
}

static void read_replies(void) {
    ssize_t size = read(STDIN_FILENO, reply + reply_size, sizeof reply - reply_size);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
        lose();
        return;
    }
    reply_size += (size_t)size;
    deliver_replies();
}

static noreturn void serve(void) {
    for (;;) {
        struct pollfd entries[4] = {
            {.fd = request_size == 0 && outstanding_count < OUTSTANDING_MAX ? fuse_fd : -1, .events = POLLIN},
            {.fd = request_size > 0 ? STDOUT_FILENO : -1, .events = POLLOUT},
            {.fd = is_lost ? -1 : STDIN_FILENO, .events = POLLIN},
            {.fd = replayer_fd(), .events = POLLIN},
        };
        /* Signals come only here. */
        sigset_t none;
        sigemptyset(&none);
        int found = ppoll(entries, 4, NULL, &none);
        if (found > 0 && entries[3].revents != 0 && replayer_take()) is_replayer_ready = true;
        attend_unmount();
        if (found > 0) {
            if (entries[0].revents & POLLERR) _exit(0); /* unmounted */
            if (entries[2].revents != 0) read_replies();
            if (entries[1].revents != 0 && request_size > 0) send_request();
            if (entries[0].revents & POLLIN) read_request();
            if (entries[0].revents & POLLIN && request_size > 0) send_request(); /* most often there is room at once */
        }
        if (is_replayer_ready && request_size == 0) announce_replayer();
    }
}

static void ignore(int number) {
    (void)number;
}

static void take_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGTERM, SIG_IGN); /* what ends programs does not end what serves their files */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = want_unmount};
    sigaction(FUSE_UNMOUNT_SIGNAL, &action, NULL);
    sigaction(FUSE_DETACH_SIGNAL, &action, NULL);
    action.sa_handler = ignore; /* wakes the poll */
    sigaction(SIGCHLD, &action, NULL);
}

noreturn void fuse_run(const struct msg_exec_start *start, const struct child_files *files,
                       const struct msg_mount_open *open) {
    static struct identity identity;
    /* Before the agent's files are given up: the request is in its memory still. */
    int error = mount_target_take(open->target, &target);
    child_prepare(start, files, &identity);
    take_signals();
    const char *step = "cannot use the target of the mount";
    if (error == 0) error = mount_target_make(&target, open->flags);
    bool is_memory = open->flags & MOUNT_FLAG_MEMORY;
    if (error == 0) {
        step = "cannot mount";
        error = is_memory ? mount_memory(open) : mount_target(open->flags);
    }
    if (error != 0) child_fail(EXEC_FAILURE_OTHER, error, step);
    read_ahead_raise(target.bytes);
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* fewer wakeups for a large reply; the kernel may refuse it */
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    child_started();
    if (is_memory) _exit(0);
    if (is_watched) replayer_start(target.bytes, fuse_fd);
    serve();
}

noreturn void fuse_serve_port(int device_fd, int port_fd) {
    /* No exec follows that would close descriptors, so close them here. */
    fuse_fd = fcntl(device_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    dup2(port_fd, STDIN_FILENO);
    dup2(port_fd, STDOUT_FILENO);
    for (int fd = STDERR_FILENO + 1; fd < SERVED_FDS_MAX; fd++)
        if (fd != fuse_fd) close(fd);
    take_signals();
    signal(SIGCHLD, SIG_DFL);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    serve();
}
