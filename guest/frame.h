/*
 * Frames: cutting received bytes into them, and the queue of those to send.
 *
 * Both ends of the wire are non-blocking. The queue is a ring into which process output is read directly, behind
 * room left for its header, so that the agent itself never copies it.
 */
#pragma once
#include <sys/types.h>

#include "limits.h"

struct frame {
    uint32_t stream;
    uint8_t type;
    uint8_t flags;
    struct text payload; /* in the receiver's buffer: gone with the next receiver_fill() */
};

struct receiver {
    size_t begin;
    size_t end;
    uint8_t bytes[RECEIVE_BUFFER_BYTES];
};

enum receive_result {
    RECEIVE_MORE,   /* everything there was, or as much as fits */
    RECEIVE_CLOSED, /* end of file: on a port, its host end is closed */
    RECEIVE_FAILED, /* errno says why */
};

enum frame_result {
    FRAME_NONE, /* not whole yet */
    FRAME_READY,
    FRAME_BROKEN, /* a header that cannot be right: where the next frame begins is not known any more */
};

/* Whether receiver_fill() can take no more before receiver_next() has given some. */
static inline bool receiver_is_full(const struct receiver *receiver) {
    return receiver->end - receiver->begin == RECEIVE_BUFFER_BYTES;
}

enum receive_result receiver_fill(struct receiver *receiver, int fd);
enum frame_result receiver_next(struct receiver *receiver, struct frame *frame);

struct send_queue {
    uint64_t head; /* bytes ever queued; the place in the ring is this modulo its size */
    uint64_t tail; /* bytes ever sent */
    uint8_t bytes[SEND_QUEUE_BYTES];
};

static inline size_t queue_size(const struct send_queue *queue) {
    return (size_t)(queue->head - queue->tail);
}
static inline size_t queue_room(const struct send_queue *queue) {
    return SEND_QUEUE_BYTES - queue_size(queue);
}

/* Queues a frame. The caller has made sure of the room. `frame->payload` is copied. */
void queue_frame(struct send_queue *queue, const struct frame *frame);
/* Reads up to `bytes_max` from `fd` into a new frame. Like read(): 0 and -1 queue nothing. */
ssize_t queue_frame_from(struct send_queue *queue, struct frame frame, int fd, size_t bytes_max);
/* Sends what `fd` takes now. False on an error other than "not now". */
bool queue_send(struct send_queue *queue, int fd);
