/* See stream_input.h. What the reader does not take yet waits in a ring. */
#include "stream_input.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "reply.h"
#include "stream_table.h"

void input_open(struct input *input, int fd, enum input_end end) {
    *input = (struct input){.fd = fd, .end = end, .is_broken = fd < 0, .window_bytes = STREAM_WINDOW_BYTES};
}

void input_close(struct input *input) {
    if (input->fd >= 0) close(input->fd);
    input->fd = -1;
    free(input->ring);
    input->ring = NULL;
    input->ring_size = 0;
}

/* The reader has gone: drops the input that waits, and gives its credit back. */
static void input_break(struct input *input, int error) {
    input->is_broken = true;
    input->error_due = error;
    input->credit_due_bytes += input->ring_size;
    input->ring_size = 0;
    if (input->end != INPUT_END_EOT) input_close(input); /* a terminal's end is needed for its size */
}

/* Writes without waiting. Returns how much was taken, which is all of it once the input is broken. */
static uint32_t input_write(struct input *input, const struct iovec *pieces, int count, uint32_t size) {
    ssize_t written = writev(input->fd, pieces, count);
    if (written < 0 && (errno == EAGAIN || errno == EINTR)) {
        input->is_ready = errno == EINTR;
        return 0;
    }
    if (written < 0) {
        input_break(input, errno);
        return size;
    }
    for (uint32_t last = (uint32_t)written, i = 0; last > 0; i++) {
        assert(i < (uint32_t)count);
        if (last <= pieces[i].iov_len) input->last_byte = ((const uint8_t *)pieces[i].iov_base)[last - 1];
        last -= last < pieces[i].iov_len ? last : (uint32_t)pieces[i].iov_len;
    }
    return (uint32_t)written;
}

static void ring_append(struct input *input, struct text data) {
    if (data.size == 0) return;
    if (input->ring == NULL) input->ring = malloc(STREAM_WINDOW_BYTES);
    if (input->ring == NULL) {
        input->error_due = ENOMEM;
        input->is_broken = true;
        input->credit_due_bytes += data.size;
        return;
    }
    assert(data.size <= STREAM_WINDOW_BYTES - input->ring_size); /* the window is no larger than the ring */
    uint32_t begin = (input->ring_begin + input->ring_size) % STREAM_WINDOW_BYTES;
    uint32_t first = data.size < STREAM_WINDOW_BYTES - begin ? data.size : STREAM_WINDOW_BYTES - begin;
    memcpy(input->ring + begin, data.bytes, first);
    memcpy(input->ring, data.bytes + first, data.size - first);
    input->ring_size += data.size;
}

bool input_receive(struct input *input, struct text data, bool is_end) {
    if (data.size > input->window_bytes) return false;
    input->window_bytes -= data.size;
    if (input->is_broken || input->is_end_due) {
        input->credit_due_bytes += data.size;
        return true;
    }
    input->is_end_due = is_end;
    if (input->ring_size == 0 && data.size > 0) { /* the usual case: straight from the frame into the pipe */
        struct iovec piece = {.iov_base = (void *)data.bytes, .iov_len = data.size};
        uint32_t written = input_write(input, &piece, 1, data.size);
        input->credit_due_bytes += written;
        data.bytes += written;
        data.size -= written;
    }
    ring_append(input, data);
    return true;
}

static void ring_flush(struct input *input) {
    if (input->ring_size == 0) return;
    uint32_t first = STREAM_WINDOW_BYTES - input->ring_begin;
    if (first > input->ring_size) first = input->ring_size;
    struct iovec pieces[2] = {
        {.iov_base = input->ring + input->ring_begin, .iov_len = first},
        {.iov_base = input->ring, .iov_len = input->ring_size - first},
    };
    uint32_t written = input_write(input, pieces, 2, input->ring_size);
    if (input->is_broken) return;
    input->ring_begin = (input->ring_begin + written) % STREAM_WINDOW_BYTES;
    input->ring_size -= written;
    input->credit_due_bytes += written;
}

/* A terminal has no end of file; its reader sees one when ^D comes at the start of a line. */
static void send_end_of_file(struct input *input) {
    struct termios settings;
    if (tcgetattr(input->fd, &settings) != 0) return;
    uint8_t marks[2] = {settings.c_cc[VEOF],
                        settings.c_cc[VEOF]}; /* in an open line the first only ends the line */
    bool is_line_open = (settings.c_lflag & ICANON) && input->last_byte != 0 && input->last_byte != '\n' &&
                        input->last_byte != '\r' && input->last_byte != settings.c_cc[VEOF];
    if (write(input->fd, marks, is_line_open ? 2 : 1) < 0) input_break(input, errno);
}

static void input_finish(struct input *input) {
    input->is_broken = true; /* more than this is dropped, and that is no error */
    if (input->end == INPUT_END_EOT) {
        send_end_of_file(input);
    } else {
        if (input->end == INPUT_END_SHUTDOWN) shutdown(input->fd, SHUT_WR);
        input_close(input);
    }
    input->error_due = 0;
}

bool input_wants_to_write(const struct input *input) {
    return input->fd >= 0 && input->ring_size > 0;
}

void input_step(struct sessions *sessions, struct session *session) {
    struct input *input = &session->input;
    if (input->is_ready) {
        input->is_ready = false;
        ring_flush(input);
    }
    if (input->is_end_due && !input->is_broken && input->ring_size == 0) input_finish(input);
    if (input->error_due != 0) {
        reply_stdin_error(sessions->queue, session->stream, session_flags(session), input->error_due);
        input->error_due = 0;
    }
    bool is_credit_due = input->credit_due_bytes > 0 && input->credit_due_bytes >= session->kind->credit_batch_bytes;
    if (is_credit_due && !session->is_abandoned) {
        input->window_bytes += input->credit_due_bytes;
        assert(input->window_bytes + input->ring_size <= STREAM_WINDOW_BYTES);
        reply_credit(sessions->queue, session->stream, MSG_STDIN, input->credit_due_bytes);
        input->credit_due_bytes = 0;
    }
}
