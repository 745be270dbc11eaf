#include "reply.h"

#include <assert.h>
#include <sys/utsname.h>

#define AGENT_VERSION "0.1.0"

static void send_message(struct send_queue *queue, uint8_t type, uint32_t stream, uint8_t flags,
                         const struct writer *payload) {
    assert(!payload->failed);
    queue_frame(queue, &(struct frame){
                           .stream = stream,
                           .type = type,
                           .flags = flags,
                           .payload = {.bytes = (const char *)payload->bytes, .size = (uint32_t)payload->size},
                       });
}

/* A writer on a buffer that lasts as long as the calling function. */
#define PAYLOAD_WRITER(name)               \
    uint8_t name##_bytes[REPLY_BYTES_MAX]; \
    struct writer name = {.bytes = name##_bytes, .capacity = sizeof name##_bytes - FRAME_HEADER_BYTES}

/* At most as much of a text as any reply can carry. */
static struct text clipped(const char *message) {
    struct text text = text_of(message);
    if (text.size > FAILURE_TEXT_BYTES) text.size = FAILURE_TEXT_BYTES;
    return text;
}

void reply_hello(struct send_queue *queue) {
    PAYLOAD_WRITER(payload);
    msg_hello_encode(&payload, &(struct msg_hello){
                                   .version = PROTOCOL_VERSION,
                                   .agent_version = text_of(AGENT_VERSION),
                               });
    send_message(queue, MSG_HELLO, 0, 0, &payload);
}

void reply_ready(struct send_queue *queue, uint64_t start_micros, uint64_t boot_micros, uint64_t ready_micros) {
    struct utsname system = {0};
    uname(&system);
    PAYLOAD_WRITER(payload);
    msg_ready_encode(&payload, &(struct msg_ready){
                                   .agent_start_micros = start_micros,
                                   .boot_message_micros = boot_micros,
                                   .ready_micros = ready_micros,
                                   .kernel_release = clipped(system.release),
                               });
    send_message(queue, MSG_READY, 0, 0, &payload);
}

void reply_boot_failed(struct send_queue *queue, uint8_t stage, int error, const char *message) {
    PAYLOAD_WRITER(payload);
    msg_boot_failed_encode(&payload,
                           &(struct msg_boot_failed){.stage = stage, .error_number = error, .message = clipped(message)});
    send_message(queue, MSG_BOOT_FAILED, 0, 0, &payload);
}

void reply_pong(struct send_queue *queue, uint32_t stream, uint32_t token) {
    PAYLOAD_WRITER(payload);
    msg_pong_encode(&payload, &(struct msg_pong){.token = token});
    send_message(queue, MSG_PONG, stream, 0, &payload);
}

void reply_paused(struct send_queue *queue, uint32_t token, bool on, int error) {
    PAYLOAD_WRITER(payload);
    msg_paused_encode(&payload, &(struct msg_paused){.token = token, .on = on, .error_number = error});
    send_message(queue, MSG_PAUSED, 0, 0, &payload);
}

void reply_frozen(struct send_queue *queue, uint32_t token, bool on, int error) {
    PAYLOAD_WRITER(payload);
    msg_frozen_encode(&payload, &(struct msg_frozen){.token = token, .on = on, .error_number = error});
    send_message(queue, MSG_FROZEN, 0, 0, &payload);
}

void reply_usage(struct send_queue *queue, const struct msg_usage *usage) {
    PAYLOAD_WRITER(payload);
    msg_usage_encode(&payload, usage);
    send_message(queue, MSG_USAGE, 0, 0, &payload);
}

void reply_processes(struct send_queue *queue, const struct msg_processes *processes) {
    static uint8_t bytes[PROCESSES_BYTES_MAX];
    struct writer payload = {.bytes = bytes, .capacity = sizeof bytes};
    msg_processes_encode(&payload, processes);
    send_message(queue, MSG_PROCESSES, 0, 0, &payload);
}

void reply_flushed(struct send_queue *queue, bool clean) {
    PAYLOAD_WRITER(payload);
    msg_flushed_encode(&payload, &(struct msg_flushed){.clean = clean});
    send_message(queue, MSG_FLUSHED, 0, 0, &payload);
}

void reply_error(struct send_queue *queue, uint32_t stream, uint16_t code, uint8_t type, const char *message) {
    PAYLOAD_WRITER(payload);
    msg_error_encode(&payload,
                     &(struct msg_error){.code = code, .offending_type = type, .message = clipped(message)});
    send_message(queue, MSG_ERROR, stream, 0, &payload);
}

void reply_malformed(struct send_queue *queue, const struct frame *frame) {
    reply_error(queue, frame->stream, WIRE_ERROR_MALFORMED, frame->type, "the payload cannot be decoded");
}

void reply_exec_started(struct send_queue *queue, uint32_t stream, uint8_t flags, uint32_t pid) {
    PAYLOAD_WRITER(payload);
    msg_exec_started_encode(&payload, &(struct msg_exec_started){.pid = pid});
    send_message(queue, MSG_EXEC_STARTED, stream, flags, &payload);
}

void reply_exec_failed(struct send_queue *queue, uint32_t stream, uint8_t kind, int error, const char *message) {
    PAYLOAD_WRITER(payload);
    msg_exec_failed_encode(&payload,
                           &(struct msg_exec_failed){.kind = kind, .error_number = error, .message = clipped(message)});
    send_message(queue, MSG_EXEC_FAILED, stream, 0, &payload);
}

void reply_stdin_error(struct send_queue *queue, uint32_t stream, uint8_t flags, int error) {
    PAYLOAD_WRITER(payload);
    msg_stdin_error_encode(&payload, &(struct msg_stdin_error){.error_number = error});
    send_message(queue, MSG_STDIN_ERROR, stream, flags, &payload);
}

void reply_credit(struct send_queue *queue, uint32_t stream, uint8_t channel, uint32_t bytes) {
    PAYLOAD_WRITER(payload);
    msg_credit_encode(&payload, &(struct msg_credit){.channel = channel, .bytes = bytes});
    send_message(queue, MSG_CREDIT, stream, 0, &payload);
}

void reply_output_end(struct send_queue *queue, uint32_t stream, uint8_t flags, uint8_t channel) {
    queue_frame(queue, &(struct frame){.stream = stream, .type = channel, .flags = flags | FRAME_FLAG_END});
}

void reply_exited(struct send_queue *queue, uint32_t stream, uint8_t flags, int code, int signal) {
    PAYLOAD_WRITER(payload);
    msg_exited_encode(&payload, &(struct msg_exited){.code = code, .signal = (uint8_t)signal});
    send_message(queue, MSG_EXITED, stream, flags, &payload);
}

void reply_settled(struct send_queue *queue, uint32_t stream, uint8_t flags) {
    queue_frame(queue, &(struct frame){.stream = stream, .type = MSG_SETTLED, .flags = flags});
}

void reply_adopted(struct send_queue *queue, uint32_t stream, const struct msg_adopted *adopted) {
    PAYLOAD_WRITER(payload);
    msg_adopted_encode(&payload, adopted);
    send_message(queue, MSG_ADOPTED, stream, 0, &payload);
}

void reply_handed_over(struct send_queue *queue, uint32_t stream) {
    queue_frame(queue, &(struct frame){.stream = stream, .type = MSG_HANDED_OVER});
}

void reply_netif_done(struct send_queue *queue, int error, const char *message) {
    PAYLOAD_WRITER(payload);
    msg_netif_done_encode(&payload, &(struct msg_netif_done){.error_number = error, .message = clipped(message)});
    send_message(queue, MSG_NETIF_DONE, 0, 0, &payload);
}

void reply_network_ready(struct send_queue *queue, uint8_t features) {
    PAYLOAD_WRITER(payload);
    msg_network_ready_encode(&payload, &(struct msg_network_ready){.features = features});
    send_message(queue, MSG_NETWORK_READY, 0, 0, &payload);
}

void reply_flow_request(struct send_queue *queue, uint32_t flow, const struct msg_flow_request *request) {
    PAYLOAD_WRITER(payload);
    msg_flow_request_encode(&payload, request);
    send_message(queue, MSG_FLOW_REQUEST, flow, 0, &payload);
}

void reply_tcp_connected(struct send_queue *queue, uint32_t stream) {
    queue_frame(queue, &(struct frame){.stream = stream, .type = MSG_TCP_CONNECTED});
}

void reply_tcp_failed(struct send_queue *queue, uint32_t stream, int error, const char *message) {
    PAYLOAD_WRITER(payload);
    msg_tcp_failed_encode(&payload, &(struct msg_tcp_failed){.error_number = error, .message = clipped(message)});
    send_message(queue, MSG_TCP_FAILED, stream, 0, &payload);
}

void reply_closed(struct send_queue *queue, uint32_t stream) {
    queue_frame(queue, &(struct frame){.stream = stream, .type = MSG_CLOSED});
}
