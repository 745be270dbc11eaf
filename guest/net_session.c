/* See net_session.h. To the stream table it is a program: its channels and its exit are those of exec.c. */
#include "net_session.h"

#include <errno.h>
#include <signal.h>

#include "exec.h"
#include "exec_start.h"
#include "net_child.h"
#include "reply.h"
#include "stream_output.h"
#include "stream_table.h"

/* The request of the child that is being forked. */
static struct msg_network_open opening;

/* A child_main, which runs instead of an exec. */
static noreturn void carry_flows(const struct msg_exec_start *start, const struct child_files *files) {
    net_run(start, files, &opening);
}

static bool is_open(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE && session->kind == &NETWORK && !session->process.has_exited) return true;
    }
    return false;
}

static void network_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    bool is_decoded = msg_network_open_decode(&reader, &opening);
    if (is_decoded && is_open(sessions) && session_find(sessions, frame->stream) == NULL) {
        exec_refuse(sessions, frame->stream, EXEC_FAILURE_OTHER, EBUSY, "the guest has its network already");
        return;
    }
    struct session *session = exec_claim(sessions, &NETWORK, frame, is_decoded, true);
    if (session == NULL) return;
    struct msg_exec_start start = {.flags = EXEC_FLAG_STDIN_PIPE};
    /* Outside of the programs' group, as with mounts: a pause must not stop it, and programs' limits must not apply to it. */
    struct cgroup none = {.fd = -1, .leaf_fd = -1};
    exec_begin_in(sessions, session, &start, carry_flows, &none);
}

/* Without a client that decides, nothing leaves the guest: its interface ends with the child. */
static void network_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    exec_stop(session);
    exec_drop(sessions, session);
}

void network_end(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE && session->kind == &NETWORK) exec_stop(session);
    }
}

const struct stream_kind NETWORK = {
    .open_type = MSG_NETWORK_OPEN,
    .types = (const uint8_t[]){0},
    .is_process = true,
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .credit_batch_bytes = STREAM_WINDOW_BYTES / 4, /* as with a mount: most of its frames are small */
    .open = network_open,
    .close = network_close,
    .stop = exec_stop,
    .step = exec_step,
    .read = outputs_read,
    .interest = exec_interest,
    .release = exec_release,
};
