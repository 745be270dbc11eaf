/* See exec.h. A lingering stream is abandoned, its process has ended, and something in the background holds its pipes. */
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_adopt.h"
#include "exec_start.h"
#include "reply.h"
#include "stream_input.h"
#include "stream_output.h"
#include "stream_table.h"

static bool is_exec(const struct session *session) {
    return session->stage != SESSION_FREE && session->kind->is_process;
}

static bool has_process(const struct session *session) {
    return session->process.pid > 0 && !session->process.has_exited;
}

/* Only while the process is not reaped: after that its number may be somebody else's. */
static void signal_group(const struct session *session, int number) {
    if (!has_process(session)) return;
    /* A child that has not come to its setsid() yet is no group. */
    if (kill(-session->process.pid, number) != 0 && errno == ESRCH) kill(session->process.pid, number);
}

void exec_stop(const struct session *session) {
    signal_group(session, SIGKILL);
}

/* ---- abandoning */

static bool is_lingering(const struct session *session) {
    return is_exec(session) && session->stage == SESSION_RUNNING && session->is_abandoned &&
           session->process.has_exited;
}

/* Keeps what lingers within its bound: the oldest loses its pipes, and ends like any other. */
void exec_limit_lingering(struct sessions *sessions) {
    struct session *oldest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (!is_lingering(session)) continue;
        count++;
        if (oldest == NULL || session->abandoned_order < oldest->abandoned_order) oldest = session;
    }
    if (count <= SESSIONS_LINGERING_MAX) return;
    for (size_t i = 0; i < 2; i++) {
        struct output *output = &oldest->outputs[i];
        output->is_end_due = output->is_end_due || output->fd >= 0;
        output->is_settled = true;
        output_close(output);
    }
}

static void exec_close(struct sessions *sessions, struct session *session, bool is_gone) {
    if (session->stage == SESSION_OPENING && session->process.pid == 0) {
        if (!is_gone) reply_closed(sessions->queue, session->stream);
        session_release(sessions, session);
        return;
    }
    if (!session->process.is_detached) exec_stop(session);
    session_abandon(sessions, session);
    exec_limit_lingering(sessions);
}

/* ---- frames */

static void handle_signal(struct sessions *sessions, const struct session *session, const struct frame *frame,
                          const struct msg_signal *message) {
    if (message->signal == 0 || message->signal >= NSIG || message->scope > 1)
        reply_malformed(sessions->queue, frame);
    else if (message->scope == 0)
        signal_group(session, message->signal);
    else if (has_process(session))
        kill(session->process.pid, message->signal);
}

static void handle_resize(const struct session *session, const struct msg_resize *message) {
    struct winsize size = {.ws_row = message->rows, .ws_col = message->columns};
    if (session->process.is_tty && session->input.fd >= 0) ioctl(session->input.fd, TIOCSWINSZ, &size);
}

static void exec_handle(struct sessions *sessions, struct session *session, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_signal signal;
    struct msg_resize resize;
    if (frame->type == MSG_SIGNAL && msg_signal_decode(&reader, &signal))
        handle_signal(sessions, session, frame, &signal);
    else if (frame->type == MSG_RESIZE && msg_resize_decode(&reader, &resize))
        handle_resize(session, &resize);
    else
        reply_malformed(sessions->queue, frame);
}

/* ---- the end of a process */

void exec_reaped(struct sessions *sessions, pid_t pid, int wait_status) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (!is_exec(session) || session->process.has_exited || session->process.pid != pid) continue;
        session->process.has_exited = true;
        session->process.wait_status = wait_status;
        output_mark_exit(&session->outputs[0], session->process.is_tty);
        output_mark_exit(&session->outputs[1], session->process.is_tty);
        exec_limit_lingering(sessions);
        return;
    }
}

static void step_end(struct sessions *sessions, struct session *session) {
    uint8_t flags = session_flags(session);
    bool has_ended = true;
    for (size_t i = 0; i < 2; i++) {
        struct output *output = &session->outputs[i];
        if (output->is_end_due) reply_output_end(sessions->queue, session->stream, flags, output->channel);
        output->is_end_due = false;
        has_ended = has_ended && output->fd < 0;
    }
    if (!session->process.is_exit_sent) return;
    bool is_settled = session->outputs[0].is_settled && session->outputs[1].is_settled;
    if (is_settled && !session->process.is_settled_sent) {
        reply_settled(sessions->queue, session->stream, flags);
        session->process.is_settled_sent = true;
    }
    if (!has_ended) return;
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

void exec_step(struct sessions *sessions, struct session *session) {
    struct process *process = &session->process;
    if (session->process.status_fd >= 0) exec_step_start(sessions, session);
    if (session->stage != SESSION_RUNNING) return;
    if (process->has_exited && !process->is_exit_sent) {
        int status = process->wait_status;
        reply_exited(sessions->queue, session->stream, session_flags(session),
                     WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        process->is_exit_sent = true;
    }
    input_step(sessions, session);
    step_end(sessions, session);
}

void exec_release(struct sessions *sessions, struct session *session) {
    exec_forget_start(sessions, session);
    if (session->process.status_fd >= 0) close(session->process.status_fd);
}

void exec_drop(struct sessions *sessions, struct session *session) {
    for (size_t i = 0; i < 2; i++) {
        output_close(&session->outputs[i]);
        session->outputs[i].is_settled = true;
    }
    session_abandon(sessions, session);
}

void exec_interest(struct session *session, struct interest *interest) {
    static bool ignored;
    int status_fd = session->process.status_fd;
    if (status_fd >= 0) interest_add(interest, status_fd, POLLIN, &ignored);
}

/* ---- shutdown */

void exec_signal_all(const struct sessions *sessions, int signal) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (is_exec(&sessions->table[i])) signal_group(&sessions->table[i], signal);
}

void exec_hang_up_all(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        const struct session *session = &sessions->table[i];
        if (is_exec(session) && session->process.is_tty) signal_group(session, SIGHUP);
    }
}

const struct stream_kind EXEC = {
    .open_type = MSG_EXEC_START,
    .types = (const uint8_t[]){MSG_SIGNAL, MSG_RESIZE, 0},
    .is_process = true,
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .open = exec_open,
    .adopt_type = MSG_EXEC_ADOPT,
    .adopt = exec_adopt,
    .handle = exec_handle,
    .close = exec_close,
    .stop = exec_stop,
    .step = exec_step,
    .read = outputs_read,
    .interest = exec_interest,
    .release = exec_release,
};
