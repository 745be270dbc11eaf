/* See exec_adopt.h. */
#include "exec_adopt.h"

#include <errno.h>

#include "exec.h"
#include "reply.h"
#include "stream_output.h"
#include "stream_table.h"

/* A program that was started, outlives its client, and still runs. */
static bool can_be_adopted(const struct session *session) {
    return session != NULL && session->kind == &EXEC && session->process.pid > 0 && session->process.is_detached &&
           !session->process.has_exited;
}

/* Whole windows for the new client, and again the ends that only the old one was told of. */
static void reset_outputs(struct session *session) {
    size_t count = session->process.is_tty ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        struct output *output = &session->outputs[i];
        output->credit_bytes = STREAM_WINDOW_BYTES;
        if (output->fd < 0) output->is_end_due = true;
    }
}

/* What the client may send: all but what still waits to be written. */
static uint32_t reset_window(struct input *input) {
    input->window_bytes += input->credit_due_bytes;
    input->credit_due_bytes = 0;
    return input->window_bytes;
}

void exec_adopt(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_exec_adopt adopt;
    if (!msg_exec_adopt_decode(&reader, &adopt)) {
        reply_malformed(sessions->queue, frame);
        return;
    }
    if (session_find(sessions, frame->stream) != NULL) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "the stream is in use");
        return;
    }
    struct session *session = session_find(sessions, adopt.source);
    if (!can_be_adopted(session)) {
        reply_exec_failed(sessions->queue, frame->stream, EXEC_FAILURE_NOT_FOUND, ESRCH, "the program has ended");
        reply_closed(sessions->queue, frame->stream);
        return;
    }
    bool has_client = !session->is_abandoned;
    struct input *input = &session->input;
    bool is_input_open = !input->is_broken && !input->is_end_due;
    session->stream = frame->stream;
    session->is_abandoned = false;
    reset_outputs(session);
    reply_adopted(sessions->queue, session->stream,
                  &(struct msg_adopted){
                      .pid = (uint32_t)session->process.pid,
                      .flags = (session->process.is_tty ? ADOPT_FLAG_TTY : 0) | (is_input_open ? ADOPT_FLAG_INPUT : 0),
                      .input_window = reset_window(input),
                  });
    if (has_client) reply_handed_over(sessions->queue, adopt.source);
    reply_closed(sessions->queue, adopt.source);
}
