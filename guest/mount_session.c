/* See mount_session.h. To the stream table a mount is a program: its channels and its exit are those of exec.c. */
#include "mount_session.h"

#include <errno.h>
#include <signal.h>

#include "exec.h"
#include "exec_start.h"
#include "fuse_child.h"
#include "reply.h"
#include "stream_output.h"
#include "stream_table.h"

/* What the child that is being forked is for. */
static struct msg_mount_open opening;

/* Instead of an exec: a child_main. */
static noreturn void serve_mount(const struct msg_exec_start *start, const struct child_files *files) {
    fuse_run(start, files, &opening);
}

static void mount_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    bool is_decoded = msg_mount_open_decode(&reader, &opening);
    struct session *session = exec_claim(sessions, &MOUNT, frame, is_decoded, true);
    if (session == NULL) return;
    struct msg_exec_start start = {.flags = EXEC_FLAG_STDIN_PIPE};
    /* Outside of the programs' group: a pause must not stop what serves their files, and their end must not end it. */
    struct cgroup none = {.fd = -1, .leaf_fd = -1};
    exec_begin_in(sessions, session, &start, serve_mount, &none);
}

static void mount_handle(struct sessions *sessions, struct session *session, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_unmount message;
    if (!msg_unmount_decode(&reader, &message)) {
        reply_malformed(sessions->queue, frame);
        return;
    }
    if (!session->process.has_exited)
        kill(session->process.pid, message.lazily ? FUSE_DETACH_SIGNAL : FUSE_UNMOUNT_SIGNAL);
}

/*
 * The client that served the mount is gone. The child stays, and answers every request with an error. Otherwise programs would
 * find the directory below the mount, and write into it.
 */
static void mount_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    exec_drop(sessions, session); /* closes the child's stdin */
}

void mounts_end(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE && session->kind == &MOUNT && !session->process.has_exited)
            kill(session->process.pid, FUSE_UNMOUNT_SIGNAL);
    }
}

const struct stream_kind MOUNT = {
    .open_type = MSG_MOUNT_OPEN,
    .types = (const uint8_t[]){MSG_UNMOUNT, 0},
    .is_process = true,
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .credit_batch_bytes = STREAM_WINDOW_BYTES / 4, /* credit for each small reply would double the messages */
    .open = mount_open,
    .handle = mount_handle,
    .close = mount_close,
    .stop = exec_stop,
    .step = exec_step,
    .read = outputs_read,
    .interest = exec_interest,
    .release = exec_release,
};
