/* See exec_start.h. */
#include "exec_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "reply.h"
#include "exec.h"
#include "spawn.h"
#include "stream_input.h"
#include "stream_output.h"
#include "stream_table.h"

void exec_refuse(struct sessions *sessions, uint32_t stream, uint8_t kind, int error, const char *message) {
    reply_exec_failed(sessions->queue, stream, kind, error, message);
    reply_closed(sessions->queue, stream);
}

void exec_forget_start(struct sessions *sessions, struct session *session) {
    sessions->start_bytes_total -= session->process.start_size;
    free(session->process.start_bytes);
    session->process.start_bytes = NULL;
    session->process.start_size = 0;
}

/* Adds a part. NULL, or why it cannot be kept, with the failure's kind. */
static const char *append_part(struct sessions *sessions, struct session *session, struct text part,
                               uint8_t *kind) {
    *kind = EXEC_FAILURE_BAD_ARGUMENTS;
    if (part.size > EXEC_START_BYTES_MAX - session->process.start_size) return "argv and environment are too large";
    *kind = EXEC_FAILURE_RESOURCE_LIMIT;
    if (part.size > EXEC_START_PENDING_BYTES_MAX - sessions->start_bytes_total)
        return "too many starts in parts at once";
    *kind = EXEC_FAILURE_OUT_OF_MEMORY;
    uint8_t *bytes = realloc(session->process.start_bytes, session->process.start_size + part.size + 1);
    if (bytes == NULL) return "no memory for argv and environment";
    memcpy(bytes + session->process.start_size, part.bytes, part.size);
    session->process.start_bytes = bytes;
    session->process.start_size += part.size;
    sessions->start_bytes_total += part.size;
    return NULL;
}

void exec_begin_in(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                   child_main *run, struct cgroup *cgroup) {
    struct spawned spawned;
    struct spawn_failure failure;
    if (!spawn(start, run, cgroup, &spawned, &failure)) {
        exec_refuse(sessions, session->stream, (uint8_t)failure.kind, failure.error, failure.message);
        session_release(sessions, session);
        return;
    }
    session->process.pid = spawned.pid;
    session->process.status_fd = spawned.status_fd;
    session->process.is_tty = start->flags & EXEC_FLAG_TTY;
    session->process.is_detached = start->flags & EXEC_FLAG_DETACHED;
    input_open(&session->input, spawned.stdin_fd,
               session->process.is_tty ? INPUT_END_EOT : INPUT_END_CLOSE);
    session->input.is_kept = start->flags & EXEC_FLAG_KEEP_INPUT;
    output_open(&session->outputs[0], spawned.stdout_fd, session->process.is_tty ? MSG_OUTPUT : MSG_STDOUT);
    output_open(&session->outputs[1], spawned.stderr_fd, MSG_STDERR);
}

void exec_begin(struct sessions *sessions, struct session *session, const struct msg_exec_start *start,
                child_main *run) {
    exec_begin_in(sessions, session, start, run, &sessions->pausing->cgroup);
}

static void decode_and_start(struct sessions *sessions, struct session *session, struct reader reader) {
    struct msg_exec_start start;
    if (msg_exec_start_decode(&reader, &start)) {
        exec_begin(sessions, session, &start, child_run);
        exec_forget_start(sessions, session);
        return;
    }
    uint32_t stream = session->stream;
    reply_error(sessions->queue, stream, WIRE_ERROR_MALFORMED, MSG_EXEC_START, "execStart cannot be decoded");
    reply_closed(sessions->queue, stream);
    session_release(sessions, session);
}

static void collect(struct sessions *sessions, struct session *session, struct text part, bool is_last) {
    uint8_t kind;
    const char *problem = session->process.is_start_refused ? NULL : append_part(sessions, session, part, &kind);
    if (problem != NULL) {
        reply_exec_failed(sessions->queue, session->stream, kind, 0, problem);
        exec_forget_start(sessions, session);
        session->process.is_start_refused = true;
    }
    if (!is_last) return;
    if (!session->process.is_start_refused) {
        decode_and_start(sessions, session,
                         (struct reader){.bytes = session->process.start_bytes, .size = session->process.start_size});
        return;
    }
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

/* Whether new processes are refused now, which is told. */
static bool is_closed(struct sessions *sessions, uint32_t stream, bool runs_paused) {
    if (sessions->refuses_new)
        exec_refuse(sessions, stream, EXEC_FAILURE_SHUTTING_DOWN, 0, "the sandbox is shutting down");
    else if (sessions->pausing->stage != PAUSE_OFF && !runs_paused)
        exec_refuse(sessions, stream, EXEC_FAILURE_PAUSED, 0, "the sandbox is paused");
    else
        return false;
    return true;
}

struct session *exec_claim(struct sessions *sessions, const struct stream_kind *kind, const struct frame *frame,
                           bool is_decoded, bool runs_paused) {
    if (session_find(sessions, frame->stream) != NULL) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "the stream is in use");
        return NULL;
    }
    if (!is_decoded) {
        reply_malformed(sessions->queue, frame);
        reply_closed(sessions->queue, frame->stream);
        return NULL;
    }
    if (is_closed(sessions, frame->stream, runs_paused)) return NULL;
    struct session *session = session_claim(sessions, kind, frame->stream);
    if (session == NULL)
        exec_refuse(sessions, frame->stream, EXEC_FAILURE_TOO_MANY_SESSIONS, 0, "too many programs run at once");
    else
        session->process.status_fd = -1;
    return session;
}

void exec_open(struct sessions *sessions, const struct frame *frame) {
    struct session *session = session_find(sessions, frame->stream);
    bool is_first = session == NULL;
    bool is_collecting = !is_first && session->kind == &EXEC && session->process.pid == 0;
    if (!is_first && !is_collecting) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "the stream is in use");
        return;
    }
    if (is_closed(sessions, frame->stream, false)) {
        if (!is_first) session_release(sessions, session);
        return;
    }
    if (is_first) session = session_claim(sessions, &EXEC, frame->stream);
    if (session == NULL) {
        exec_refuse(sessions, frame->stream, EXEC_FAILURE_TOO_MANY_SESSIONS, 0, "too many programs run at once");
        return;
    }
    if (is_first) session->process.status_fd = -1;
    bool is_last = !(frame->flags & FRAME_FLAG_MORE);
    struct text payload = frame->payload;
    if (!is_first || !is_last)
        collect(sessions, session, payload, is_last);
    else
        decode_and_start(sessions, session,
                         (struct reader){.bytes = (const uint8_t *)payload.bytes, .size = payload.size});
}

void exec_step_start(struct sessions *sessions, struct session *session) {
    struct spawn_failure failure;
    ssize_t size = read(session->process.status_fd, &failure, sizeof failure);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size == (ssize_t)sizeof failure) { /* the child is reaped as an orphan */
        exec_refuse(sessions, session->stream, (uint8_t)failure.kind, failure.error, failure.message);
        session_release(sessions, session);
        return;
    }
    /* The pipe closed by itself: on the exec, or because the child was killed just before, which `exited` will say.
     */
    close(session->process.status_fd);
    session->process.status_fd = -1;
    session->stage = SESSION_RUNNING;
    reply_exec_started(sessions->queue, session->stream, session_flags(session), (uint32_t)session->process.pid);
}
