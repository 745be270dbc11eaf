/*
 * libFuzzer target: any bytes through the frame parser and every decoder. What is decoded is encoded again and must
 * be the same bytes; texts must lie within the payload. See run.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../frame.h"

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "broken at line %d: %s\n", __LINE__, #condition); \
            abort();                                                          \
        }                                                                     \
    } while (0)

static void check_text(const struct frame *frame, struct text text) {
    if (text.size == 0) return;
    CHECK(text.bytes >= frame->payload.bytes);
    CHECK(text.bytes + text.size <= frame->payload.bytes + frame->payload.size);
}

static void check_texts(const struct frame *frame, struct texts texts) {
    uint32_t count = texts.count, found = 0;
    struct text text;
    for (; texts_next(&texts, &text); found++) check_text(frame, text);
    CHECK(found == count);
    CHECK(texts.size == 0);
}

static uint8_t again[FRAME_PAYLOAD_BYTES_MAX];

/* Decodes as `name`, runs `checks`, encodes, compares. */
#define ROUND_TRIP(TYPE, name, checks)                       \
    case TYPE: {                                             \
        struct msg_##name message;                           \
        if (!msg_##name##_decode(&reader, &message)) return; \
        checks;                                              \
        msg_##name##_encode(&writer, &message);              \
        break;                                               \
    }

static void check_frame(const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct writer writer = {.bytes = again, .capacity = sizeof again};
    switch (frame->type) {
        ROUND_TRIP(MSG_HELLO, hello, check_text(frame, message.agent_version))
        ROUND_TRIP(MSG_BOOT, boot, check_text(frame, message.image_device); check_text(frame, message.resolv_conf))
        ROUND_TRIP(MSG_READY, ready, check_text(frame, message.kernel_release))
        ROUND_TRIP(MSG_BOOT_FAILED, boot_failed, check_text(frame, message.message))
        ROUND_TRIP(MSG_PING, ping, )
        ROUND_TRIP(MSG_PONG, pong, )
        ROUND_TRIP(MSG_CLOCK, clock, )
        ROUND_TRIP(MSG_PAUSE, pause, )
        ROUND_TRIP(MSG_PAUSED, paused, )
        ROUND_TRIP(MSG_FREEZE, freeze, )
        ROUND_TRIP(MSG_FROZEN, frozen, )
        ROUND_TRIP(MSG_METRICS, metrics, )
        ROUND_TRIP(MSG_USAGE, usage, )
        ROUND_TRIP(MSG_PROCESSES, processes, check_texts(frame, message.processes))
        ROUND_TRIP(MSG_SHUTDOWN, shutdown, )
        ROUND_TRIP(MSG_FLUSHED, flushed, )
        ROUND_TRIP(MSG_ERROR, error, check_text(frame, message.message))
        ROUND_TRIP(MSG_CLIENT_GONE, client_gone, )
        ROUND_TRIP(MSG_EXEC_START, exec_start, check_text(frame, message.cwd); check_text(frame, message.user);
                   check_texts(frame, message.argv); check_texts(frame, message.env);
                   check_texts(frame, message.rlimits))
        ROUND_TRIP(MSG_EXEC_STARTED, exec_started, )
        ROUND_TRIP(MSG_EXEC_FAILED, exec_failed, check_text(frame, message.message))
        ROUND_TRIP(MSG_STDIN, stdin, check_text(frame, message.data))
        ROUND_TRIP(MSG_CREDIT, credit, )
        ROUND_TRIP(MSG_EXITED, exited, )
        ROUND_TRIP(MSG_SIGNAL, signal, )
        ROUND_TRIP(MSG_RESIZE, resize, )
        default: return;
    }
    CHECK(!writer.failed);
    CHECK(writer.size == frame->payload.size);
    CHECK(memcmp(again, frame->payload.bytes, writer.size) == 0);
}

/* The first byte says in how large pieces the rest arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct receiver receiver;
    receiver.begin = receiver.end = 0;
    if (size == 0) return 0;
    size_t piece_bytes = (size_t)data[0] * 16 + 1;
    for (size_t offset = 1; offset < size; offset += piece_bytes) {
        size_t piece = size - offset < piece_bytes ? size - offset : piece_bytes;
        /* As receiver_fill() would, without the cost of a descriptor. */
        CHECK(receiver.end + piece <= RECEIVE_BUFFER_BYTES);
        memcpy(receiver.bytes + receiver.end, data + offset, piece);
        receiver.end += piece;
        struct frame frame;
        enum frame_result result;
        while ((result = receiver_next(&receiver, &frame)) == FRAME_READY) check_frame(&frame);
        if (result == FRAME_BROKEN) return 0;
    }
    return 0;
}
