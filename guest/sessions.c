/* See sessions.h. */
#include "sessions.h"

#include "disk_mount.h"
#include "exec.h"
#include "file_session.h"
#include "mount_session.h"
#include "net_session.h"
#include "reply.h"
#include "stream_input.h"
#include "stream_output.h"
#include "stream_table.h"
#include "tcp.h"
#include "udp.h"

static const struct stream_kind *const KINDS[] = {&EXEC, &FILES, &MOUNT, &DISK_MOUNT, &NETWORK, &TCP, &UDP};
enum { KINDS_COUNT = sizeof KINDS / sizeof *KINDS };

static bool takes(const struct stream_kind *kind, uint8_t type) {
    for (const uint8_t *own = kind->types; *own != 0; own++)
        if (*own == type) return true;
    return false;
}

static bool adopts(const struct stream_kind *kind, uint8_t type) {
    return kind->adopt != NULL && kind->adopt_type == type;
}

bool sessions_know(uint8_t type) {
    if (type == MSG_STDIN || type == MSG_CREDIT || type == MSG_CLOSE) return true;
    for (size_t i = 0; i < KINDS_COUNT; i++)
        if (KINDS[i]->open_type == type || adopts(KINDS[i], type) || takes(KINDS[i], type)) return true;
    return false;
}

/* ---- frames */

static void handle_stdin(struct sessions *sessions, struct session *session, const struct frame *frame) {
    bool is_end = frame->flags & FRAME_FLAG_END;
    if (session->input.is_absent) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type,
                    "the stream takes no input now");
        return;
    }
    if (input_receive(&session->input, frame->payload, is_end)) return;
    reply_error(sessions->queue, frame->stream, WIRE_ERROR_WINDOW_EXCEEDED, frame->type,
                "more than the window allows");
    if (session->kind->stop != NULL) session->kind->stop(session);
    session->input.is_end_due = true;
}

static void handle_credit(struct sessions *sessions, struct session *session, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_credit message;
    bool is_decoded = msg_credit_decode(&reader, &message);
    for (size_t i = 0; is_decoded && i < 2; i++) {
        struct output *output = &session->outputs[i];
        if (output->channel != message.channel) continue;
        if (!output_credit(output, message.bytes))
            reply_error(sessions->queue, frame->stream, WIRE_ERROR_WINDOW_EXCEEDED, frame->type,
                        "more than a whole window");
        return;
    }
    reply_malformed(sessions->queue, frame);
}

void sessions_handle(struct sessions *sessions, const struct frame *frame) {
    for (size_t i = 0; i < KINDS_COUNT; i++) {
        const struct stream_kind *kind = KINDS[i];
        bool is_adoption = adopts(kind, frame->type);
        if (!is_adoption && kind->open_type != frame->type) continue;
        if (is_adoption)
            kind->adopt(sessions, frame);
        else
            kind->open(sessions, frame);
        return;
    }
    struct session *session = session_find(sessions, frame->stream);
    if (session != NULL) session_deliver(sessions, session, frame); /* else it has just ended, and the client does not know yet */
}

void session_deliver(struct sessions *sessions, struct session *session, const struct frame *frame) {
    switch (frame->type) {
        case MSG_STDIN: handle_stdin(sessions, session, frame); break;
        case MSG_CREDIT: handle_credit(sessions, session, frame); break;
        case MSG_CLOSE: session->kind->close(sessions, session, false); break;
        default:
            if (takes(session->kind, frame->type))
                session->kind->handle(sessions, session, frame);
            else
                reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type,
                            "not for a stream of this kind");
    }
}

void sessions_client_gone(struct sessions *sessions, uint32_t first_stream, uint32_t last_stream) {
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage == SESSION_FREE) continue;
        if (session->stream < first_stream || session->stream > last_stream) continue;
        session->kind->close(sessions, session, true);
    }
}

/* ---- turns */

void sessions_step(struct sessions *sessions) {
    for (size_t i = 0; i < sessions->end; i++) {
        if (queue_room(sessions->queue) < SESSION_STEP_BYTES_MAX) return; /* again when some of it is sent */
        struct session *session = &sessions->table[i];
        if (session->stage != SESSION_FREE) session->kind->step(sessions, session);
    }
}

bool sessions_read_outputs(struct sessions *sessions) {
    bool has_read = false;
    if (sessions->end == 0) return false;
    size_t first = sessions->first % sessions->end;
    sessions->first = first + 1; /* so that a full queue does not always favour the same */
    for (size_t i = 0; i < sessions->end; i++) {
        struct session *session = &sessions->table[(first + i) % sessions->end];
        if (session->stage == SESSION_RUNNING && session->kind->read(sessions, session)) has_read = true;
    }
    return has_read;
}

/* ---- waiting */

static void channels_interest(struct sessions *sessions, struct session *session, struct interest *interest) {
    struct input *input = &session->input;
    if (input_wants_to_write(input)) interest_add(interest, input->fd, POLLOUT, &input->is_ready);
    for (size_t i = 0; i < 2; i++) {
        struct output *output = &session->outputs[i];
        /* Left out where nothing could be done: poll() reports a hang-up whether asked or not, and would spin. */
        if (output_has_room(sessions, session) && output_wants_to_read(session, output))
            interest_add(interest, output->fd, POLLIN, &output->is_ready);
    }
}

void sessions_interest(struct sessions *sessions, struct interest *interest) {
    for (size_t i = 0; i < sessions->end; i++) {
        struct session *session = &sessions->table[i];
        if (session->stage == SESSION_FREE) continue;
        if (session->kind->interest != NULL) session->kind->interest(session, interest);
        if (session->stage == SESSION_RUNNING) channels_interest(sessions, session, interest);
    }
}

int sessions_timeout_ms(const struct sessions *sessions) {
    int least_ms = -1;
    for (size_t i = 0; i < sessions->end; i++) {
        const struct session *session = &sessions->table[i];
        if (session->stage == SESSION_FREE || session->kind->timeout_ms == NULL) continue;
        int wait_ms = session->kind->timeout_ms(session);
        if (wait_ms >= 0 && (least_ms < 0 || wait_ms < least_ms)) least_ms = wait_ms;
    }
    return least_ms;
}

/* ---- shutdown */

void sessions_abandon(struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sessions->table[i].stage != SESSION_FREE) session_abandon(sessions, &sessions->table[i]);
}

bool sessions_empty(const struct sessions *sessions) {
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (sessions->table[i].stage != SESSION_FREE) return false;
    return true;
}
