#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* Offsets within the header. */
enum { AT_SIZE = 0, AT_STREAM = 4, AT_TYPE = 8, AT_FLAGS = 9, AT_ZERO = 10 };
_Static_assert(AT_ZERO + 2 == FRAME_HEADER_BYTES, "the header's fields fill it");

enum receive_result receiver_fill(struct receiver *receiver, int fd) {
    /* A partial frame stays in place as long as its rest fits after it. */
    if (receiver->begin == receiver->end) receiver->begin = receiver->end = 0;
    if (receiver->begin > 0 && RECEIVE_BUFFER_BYTES - receiver->end < FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX) {
        memmove(receiver->bytes, receiver->bytes + receiver->begin, receiver->end - receiver->begin);
        receiver->end -= receiver->begin;
        receiver->begin = 0;
    }
    /* A port hands out one small buffer a read(): go on until it has no more. */
    while (receiver->end < RECEIVE_BUFFER_BYTES) {
        ssize_t size = read(fd, receiver->bytes + receiver->end, RECEIVE_BUFFER_BYTES - receiver->end);
        if (size == 0) return RECEIVE_CLOSED;
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN ? RECEIVE_MORE : RECEIVE_FAILED;
        receiver->end += (size_t)size;
    }
    return RECEIVE_MORE;
}

enum frame_result receiver_next(struct receiver *receiver, struct frame *frame) {
    const uint8_t *header = receiver->bytes + receiver->begin;
    size_t available = receiver->end - receiver->begin;
    if (available < FRAME_HEADER_BYTES) return FRAME_NONE;
    uint32_t size = (uint32_t)load_little_endian(header + AT_SIZE, 4);
    /* Checked before the payload is there: garbage is refused, not waited for. */
    if (size > FRAME_PAYLOAD_BYTES_MAX || load_little_endian(header + AT_ZERO, 2) != 0) return FRAME_BROKEN;
    if (available < FRAME_HEADER_BYTES + size) return FRAME_NONE;
    *frame = (struct frame){
        .stream = (uint32_t)load_little_endian(header + AT_STREAM, 4),
        .type = header[AT_TYPE],
        .flags = header[AT_FLAGS],
        .payload = {.bytes = (const char *)header + FRAME_HEADER_BYTES, .size = size},
    };
    receiver->begin += FRAME_HEADER_BYTES + size;
    assert(receiver->begin <= receiver->end);
    return FRAME_READY;
}

/* The `size` bytes of the ring from `position` on, as one or two pieces. Returns how many. */
static int ring_pieces(struct send_queue *queue, uint64_t position, size_t size, struct iovec pieces[2]) {
    size_t begin = (size_t)(position & (SEND_QUEUE_BYTES - 1));
    size_t first = size < SEND_QUEUE_BYTES - begin ? size : SEND_QUEUE_BYTES - begin;
    pieces[0] = (struct iovec){.iov_base = queue->bytes + begin, .iov_len = first};
    pieces[1] = (struct iovec){.iov_base = queue->bytes, .iov_len = size - first};
    return first < size ? 2 : 1;
}

static void ring_put(struct send_queue *queue, uint64_t position, const void *bytes, size_t size) {
    struct iovec pieces[2];
    ring_pieces(queue, position, size, pieces);
    if (size == 0) return;
    memcpy(pieces[0].iov_base, bytes, pieces[0].iov_len);
    memcpy(pieces[1].iov_base, (const uint8_t *)bytes + pieces[0].iov_len, pieces[1].iov_len);
}

static void put_header(struct send_queue *queue, const struct frame *frame, uint32_t payload_bytes) {
    uint8_t header[FRAME_HEADER_BYTES] = {[AT_TYPE] = frame->type, [AT_FLAGS] = frame->flags};
    store_little_endian(header + AT_SIZE, 4, payload_bytes);
    store_little_endian(header + AT_STREAM, 4, frame->stream);
    ring_put(queue, queue->head, header, sizeof header);
}

void queue_frame(struct send_queue *queue, const struct frame *frame) {
    assert(frame->payload.size <= FRAME_PAYLOAD_BYTES_MAX);
    assert(FRAME_HEADER_BYTES + frame->payload.size <= queue_room(queue));
    put_header(queue, frame, frame->payload.size);
    ring_put(queue, queue->head + FRAME_HEADER_BYTES, frame->payload.bytes, frame->payload.size);
    queue->head += FRAME_HEADER_BYTES + frame->payload.size;
}

ssize_t queue_frame_from(struct send_queue *queue, struct frame frame, int fd, size_t bytes_max) {
    assert(bytes_max > 0 && bytes_max <= FRAME_PAYLOAD_BYTES_MAX);
    assert(FRAME_HEADER_BYTES + bytes_max <= queue_room(queue));
    struct iovec pieces[2];
    int count = ring_pieces(queue, queue->head + FRAME_HEADER_BYTES, bytes_max, pieces);
    ssize_t size = readv(fd, pieces, count);
    if (size <= 0) return size;
    put_header(queue, &frame, (uint32_t)size);
    queue->head += FRAME_HEADER_BYTES + (size_t)size;
    return size;
}

bool queue_send(struct send_queue *queue, int fd) {
    while (queue_size(queue) > 0) {
        struct iovec pieces[2];
        int count = ring_pieces(queue, queue->tail, queue_size(queue), pieces);
        ssize_t size = writev(fd, pieces, count);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN;
        queue->tail += (size_t)size;
    }
    return true;
}
