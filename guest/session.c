#include "session_internal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reply.h"
#include "tcp.h"
#include "udp.h"

struct session *session_find(struct sessions *sessions, uint32_t stream) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE && session->stream == stream) return session;
    }
    return NULL;
}

struct session *session_claim(struct sessions *sessions, uint32_t stream) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE) continue;
        *session = (struct session){.stage = SESSION_COLLECTING, .stream = stream, .pid = -1, .status_fd = -1};
        input_open(&session->input, -1);
        output_open(&session->outputs[0], -1, MSG_STDOUT);
        output_open(&session->outputs[1], -1, MSG_STDERR);
        return session;
    }
    return NULL;
}

static bool has_process(const struct session *session) {
    return session->pid > 0 && !session->has_exited;
}

/* Only while the process is not reaped: after that its number may be somebody else's. */
static void signal_group(const struct session *session, int number) {
    if (!has_process(session)) return;
    /* A child that has not come to its setsid() yet is no group. */
    if (kill(-session->pid, number) != 0 && errno == ESRCH) kill(session->pid, number);
}

void session_kill(const struct session *session) {
    signal_group(session, SIGKILL);
}

void session_release(struct sessions *sessions, struct session *session) {
    session_forget_start(sessions, session);
    input_close(&session->input);
    output_close(&session->outputs[0]);
    output_close(&session->outputs[1]);
    if (session->status_fd >= 0) close(session->status_fd);
    *session = (struct session){.stage = SESSION_FREE};
}

/* ---- abandoning */

static bool is_lingering(const struct session *session) {
    return session->stage == SESSION_RUNNING && session->is_abandoned && session->has_exited;
}

/* Keeps what lingers within its bound: the oldest loses its pipes, and ends like any other. */
static void limit_lingering(struct sessions *sessions) {
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

static void abandon(struct sessions *sessions, struct session *session) {
    if (session->is_abandoned) return;
    session->is_abandoned = true;
    session->abandoned_order = sessions->abandoned_count++;
    if (!session->is_tty)
        session->input.is_end_due = true; /* once what was sent is written; ^D might end a shell */
    limit_lingering(sessions);
}

/* The client wants no more of it. */
static void close_session(struct sessions *sessions, struct session *session) {
    if (session->stage == SESSION_COLLECTING) {
        reply_closed(sessions->queue, session->stream);
        session_release(sessions, session);
        return;
    }
    if (!session->is_detached) session_kill(session);
    abandon(sessions, session);
}

void sessions_client_gone(struct sessions *sessions, uint32_t first_stream, uint32_t last_stream) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage == SESSION_FREE) continue;
        if (session->stream < first_stream || session->stream > last_stream) continue;
        if (session->stage == SESSION_COLLECTING)
            session_release(sessions, session); /* nobody is left to be told */
        else
            close_session(sessions, session);
    }
}

/* ---- frames */

static void malformed(struct sessions *sessions, const struct frame *frame) {
    reply_error(sessions->queue, frame->stream, WIRE_ERROR_MALFORMED, frame->type, "the payload cannot be decoded");
}

static void handle_stdin(struct sessions *sessions, struct session *session, const struct frame *frame) {
    bool is_end = frame->flags & FRAME_FLAG_END;
    if (session->stage == SESSION_CONNECTING) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "not connected yet");
        return;
    }
    if (input_receive(&session->input, session->is_tty, frame->payload, is_end)) return;
    reply_error(sessions->queue, frame->stream, WIRE_ERROR_WINDOW_EXCEEDED, frame->type,
                "more than the window allows");
    session_kill(session);
    session->input.is_end_due = true;
}

static void handle_credit(struct sessions *sessions, struct session *session, const struct frame *frame,
                          const struct msg_credit *message) {
    for (size_t i = 0; i < 2; i++) {
        struct output *output = &session->outputs[i];
        if (output->channel != message->channel) continue;
        if (!output_credit(output, message->bytes))
            reply_error(sessions->queue, frame->stream, WIRE_ERROR_WINDOW_EXCEEDED, frame->type,
                        "more than a whole window");
        return;
    }
    malformed(sessions, frame);
}

static void handle_signal(struct sessions *sessions, const struct session *session, const struct frame *frame,
                          const struct msg_signal *message) {
    if (message->signal == 0 || message->signal >= NSIG || message->scope > 1)
        malformed(sessions, frame);
    else if (message->scope == 0)
        signal_group(session, message->signal);
    else if (has_process(session))
        kill(session->pid, message->signal);
}

static void handle_resize(const struct session *session, const struct msg_resize *message) {
    struct winsize size = {.ws_row = message->rows, .ws_col = message->columns};
    if (session->is_tty && session->input.fd >= 0) ioctl(session->input.fd, TIOCSWINSZ, &size);
}

void sessions_handle(struct sessions *sessions, const struct frame *frame) {
    if (frame->type == MSG_EXEC_START) {
        session_exec_start(sessions, frame);
        return;
    }
    if (frame->type == MSG_TCP_CONNECT) {
        tcp_connect(sessions, frame);
        return;
    }
    if (frame->type == MSG_UDP_OPEN) {
        udp_open(sessions, frame);
        return;
    }
    struct session *session = session_find(sessions, frame->stream);
    if (session == NULL) return; /* it has just ended, and the client does not know yet */
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_credit credit;
    struct msg_signal signal;
    struct msg_resize resize;
    switch (frame->type) {
        case MSG_STDIN: handle_stdin(sessions, session, frame); break;
        case MSG_CREDIT:
            if (msg_credit_decode(&reader, &credit))
                handle_credit(sessions, session, frame, &credit);
            else
                malformed(sessions, frame);
            break;
        case MSG_SIGNAL:
            if (msg_signal_decode(&reader, &signal))
                handle_signal(sessions, session, frame, &signal);
            else
                malformed(sessions, frame);
            break;
        case MSG_RESIZE:
            if (msg_resize_decode(&reader, &resize))
                handle_resize(session, &resize);
            else
                malformed(sessions, frame);
            break;
        case MSG_DATAGRAM:
            if (session->is_udp) udp_send(session, frame->payload);
            break;
        case MSG_CLOSE: close_session(sessions, session); break;
    }
}

/* ---- the end of a process */

void sessions_reaped(struct sessions *sessions, pid_t pid, int wait_status) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage == SESSION_FREE || session->has_exited || session->pid != pid) continue;
        session->has_exited = true;
        session->wait_status = wait_status;
        output_mark_exit(&session->outputs[0], session->is_tty);
        output_mark_exit(&session->outputs[1], session->is_tty);
        limit_lingering(sessions);
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
    if (!session->is_exit_sent) return;
    bool is_settled = session->outputs[0].is_settled && session->outputs[1].is_settled;
    if (is_settled && !session->is_settled_sent) {
        reply_settled(sessions->queue, session->stream, flags);
        session->is_settled_sent = true;
    }
    if (!has_ended) return;
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

static void step(struct sessions *sessions, struct session *session) {
    if (session->is_tcp) {
        tcp_step(sessions, session);
        return;
    }
    if (session->is_udp) {
        udp_step(sessions, session);
        return;
    }
    if (session->stage == SESSION_STARTING) session_step_start(sessions, session);
    if (session->stage != SESSION_RUNNING) return;
    if (session->has_exited && !session->is_exit_sent) {
        int status = session->wait_status;
        reply_exited(sessions->queue, session->stream, session_flags(session),
                     WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        session->is_exit_sent = true;
    }
    input_step(sessions, session);
    step_end(sessions, session);
}

void sessions_step(struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (queue_room(sessions->queue) < SESSION_STEP_BYTES_MAX) return; /* again when some of it is sent */
        if (sessions->table[i].stage != SESSION_FREE) step(sessions, &sessions->table[i]);
    }
}

bool sessions_read_outputs(struct sessions *sessions) {
    bool has_read = false;
    size_t first = sessions->first;
    sessions->first = (first + 1) % SESSIONS_MAX; /* so that a full queue does not always favour the same */
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[(first + i) % SESSIONS_MAX];
        if (session->stage != SESSION_RUNNING) continue;
        if (session->is_udp) {
            if (udp_read(sessions, session)) has_read = true;
            continue;
        }
        if (output_read(sessions, session, &session->outputs[0])) has_read = true;
        if (output_read(sessions, session, &session->outputs[1])) has_read = true;
    }
    return has_read;
}

/* ---- waiting */

void interest_add(struct interest *interest, int fd, short events, bool *ready) {
    assert(interest->count < POLL_ENTRIES_MAX);
    interest->entries[interest->count] = (struct pollfd){.fd = fd, .events = events};
    interest->ready[interest->count++] = ready;
}

void sessions_interest(struct sessions *sessions, struct interest *interest) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        static bool ignored;
        if (session->stage == SESSION_STARTING) interest_add(interest, session->status_fd, POLLIN, &ignored);
        if (session->stage == SESSION_CONNECTING)
            interest_add(interest, session->status_fd, POLLOUT, &session->tcp.is_ready);
        if (session->stage != SESSION_RUNNING) continue;
        struct input *input = &session->input;
        if (input_wants_to_write(input)) interest_add(interest, input->fd, POLLOUT, &input->is_ready);
        for (size_t j = 0; j < 2; j++) {
            struct output *output = &session->outputs[j];
            /* Left out where nothing could be done: poll() reports a hang-up whether asked or not, and would spin.
             */
            if (output_has_room(sessions, session) && output_wants_to_read(session, output))
                interest_add(interest, output->fd, POLLIN, &output->is_ready);
        }
    }
}

int sessions_timeout_ms(const struct sessions *sessions) {
    return tcp_timeout_ms(sessions);
}

/* ---- shutdown */

void sessions_signal(const struct sessions *sessions, int signal) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) signal_group(&sessions->table[i], signal);
}

void sessions_hang_up(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sessions->table[i].is_tty) signal_group(&sessions->table[i], SIGHUP);
}

void sessions_abandon(struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sessions->table[i].stage != SESSION_FREE) abandon(sessions, &sessions->table[i]);
}

bool sessions_empty(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sessions->table[i].stage != SESSION_FREE) return false;
    return true;
}
