/* See file_session.h. To the stream table a file session is a program: its channels, exit and limits are those of exec.c. */
#include "file_session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "exec.h"
#include "exec_start.h"
#include "fs_path.h"
#include "fs_server.h"
#include "reply.h"
#include "spawn_child.h"
#include "stream_output.h"
#include "stream_table.h"

/* ---- the child */

/* A deep tree needs a descriptor for each level. This process runs no program that a large number could break. */
static void raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* with the old one, only the deepest trees cannot be walked */
}

/* Instead of an exec: a child_main. */
static noreturn void serve_files(const struct msg_exec_start *start, const struct child_files *files) {
    static struct identity identity;
    child_prepare(start, files, &identity);
    raise_open_files();
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns for a large file; refused beyond the user's allowance */
    const char *directory = child_string(start->cwd, "the working directory");
    /* A directory that is not there yet may be what this session is about to make. */
    if (chdir(*directory == '\0' ? identity.home : directory) != 0) {
        path_refuse_relative(errno);
        if (chdir("/") != 0) _exit(1);
    }
    child_started();
    server_run();
}

/* ---- the stream */

static void files_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_files_open message;
    bool is_decoded = msg_files_open_decode(&reader, &message);
    struct session *session = exec_claim(sessions, &FILES, frame, is_decoded, false);
    if (session == NULL) return;
    struct msg_exec_start start = {.flags = EXEC_FLAG_STDIN_PIPE, .user = message.user, .cwd = message.cwd};
    exec_begin(sessions, session, &start, serve_files);
}

/* What the child has not sent yet is dropped. Only the output of programs is kept, for the log. */
static void files_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    exec_stop(session);
    exec_drop(sessions, session);
}

/* While the sandbox is paused its children stand still: rather than let the client wait, the session ends with the reason. */
static void files_step(struct sessions *sessions, struct session *session) {
    if (sessions->pausing->stage == PAUSE_OFF || session->process.has_exited) {
        exec_step(sessions, session);
        return;
    }
    exec_refuse(sessions, session->stream, EXEC_FAILURE_PAUSED, 0, "the sandbox is paused");
    exec_stop(session);
    session_release(sessions, session); /* the child is reaped as an orphan */
}

const struct stream_kind FILES = {
    .open_type = MSG_FILES_OPEN,
    .types = (const uint8_t[]){0},
    .is_process = true,
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .open = files_open,
    .close = files_close,
    .stop = exec_stop,
    .step = files_step,
    .read = outputs_read,
    .interest = exec_interest,
    .release = exec_release,
};
