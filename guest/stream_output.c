/* See stream_output.h. */
#include "stream_output.h"

#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stream_table.h"

void output_open(struct output *output, int fd, uint8_t channel) {
    *output = (struct output){.fd = fd, .channel = channel, .credit_bytes = STREAM_WINDOW_BYTES};
    output->is_settled = fd < 0;
}

void output_close(struct output *output) {
    if (output->fd >= 0) close(output->fd);
    output->fd = -1;
}

static void output_end(struct output *output) {
    output_close(output);
    output->is_end_due = true;
    output->is_settled = true;
}

bool output_wants_to_read(const struct session *session, const struct output *output) {
    return output->fd >= 0 && (output->credit_bytes > 0 || session->is_abandoned);
}

void output_mark_exit(struct output *output, bool is_tty) {
    if (output->fd < 0) return;
    output->is_exited = true;
    int size = 0;
    if (!is_tty && ioctl(output->fd, FIONREAD, &size) == 0) {
        output->settle_bytes = (uint32_t)size;
        output->is_settled = size == 0;
    }
    /* Of a terminal the kernel holds bytes back that only a read() makes it count: read until it is empty. */
    output->is_ready = true;
}

bool output_credit(struct output *output, uint32_t bytes) {
    if (bytes > STREAM_WINDOW_BYTES - output->credit_bytes) return false;
    output->credit_bytes += bytes;
    return true;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

bool output_has_room(const struct sessions *sessions, const struct session *session) {
    size_t least_bytes = SEND_RESERVE_BYTES + FRAME_HEADER_BYTES + session->kind->frame_bytes_min;
    return queue_room(sessions->queue) >= least_bytes;
}

/* How much of the channel may go into one frame now. */
static size_t frame_bytes(const struct sessions *sessions, const struct session *session,
                          const struct output *output) {
    if (!output_has_room(sessions, session)) return 0;
    size_t room = queue_room(sessions->queue) - SEND_RESERVE_BYTES - FRAME_HEADER_BYTES;
    size_t bytes = least(FRAME_PAYLOAD_BYTES_MAX, room);
    return session->is_abandoned ? bytes : least(bytes, output->credit_bytes);
}

static void count_taken(const struct session *session, struct output *output, uint32_t size) {
    if (!session->is_abandoned) output->credit_bytes -= size;
    if (!output->is_exited || output->is_settled || output->settle_bytes == 0) return;
    output->settle_bytes -= size < output->settle_bytes ? size : output->settle_bytes;
    output->is_settled = output->settle_bytes == 0;
}

static bool output_read(struct sessions *sessions, struct session *session, struct output *output) {
    if (!output->is_ready || !output_wants_to_read(session, output)) return false;
    size_t bytes_max = frame_bytes(sessions, session, output);
    if (bytes_max == 0) return false;
    struct frame frame = {.stream = session->stream, .type = output->channel, .flags = session_flags(session)};
    ssize_t size = queue_frame_from(sessions->queue, frame, output->fd, bytes_max);
    if (size > 0) {
        count_taken(session, output, (uint32_t)size);
        return true;
    }
    if (size < 0 && errno == EINTR) return true;
    if (size < 0 && errno == EAGAIN) {
        output->is_ready = false;
        if (output->is_exited) output->is_settled = true;
        return false;
    }
    if (size < 0) output->error = errno;
    output_end(output); /* a terminal says EIO when its last process is gone */
    return true;
}

bool outputs_read(struct sessions *sessions, struct session *session) {
    bool has_read = output_read(sessions, session, &session->outputs[0]);
    return output_read(sessions, session, &session->outputs[1]) || has_read;
}
