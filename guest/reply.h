/*
 * Frames that the agent sends, one function for each message. They do not check for room: the caller has made sure that
 * REPLY_BYTES_MAX are free for each.
 */
#pragma once
#include "frame.h"

void reply_hello(struct send_queue *queue);
void reply_ready(struct send_queue *queue, uint64_t start_micros, uint64_t boot_micros, uint64_t ready_micros);
void reply_boot_failed(struct send_queue *queue, uint8_t stage, int error, const char *message);
void reply_pong(struct send_queue *queue, uint32_t stream, uint32_t token);
void reply_paused(struct send_queue *queue, uint32_t token, bool on, int error);
void reply_frozen(struct send_queue *queue, uint32_t token, bool on, int error);
void reply_usage(struct send_queue *queue, const struct msg_usage *usage);
/* Takes up to PROCESSES_BYTES_MAX and a header. */
void reply_processes(struct send_queue *queue, const struct msg_processes *processes);
void reply_flushed(struct send_queue *queue, bool clean);
void reply_error(struct send_queue *queue, uint32_t stream, uint16_t code, uint8_t type, const char *message);

/* The payload of a frame cannot be decoded. */
void reply_malformed(struct send_queue *queue, const struct frame *frame);

void reply_exec_started(struct send_queue *queue, uint32_t stream, uint8_t flags, uint32_t pid);
void reply_exec_failed(struct send_queue *queue, uint32_t stream, uint8_t kind, int error, const char *message);
void reply_stdin_error(struct send_queue *queue, uint32_t stream, uint8_t flags, int error);
void reply_credit(struct send_queue *queue, uint32_t stream, uint8_t channel, uint32_t bytes);
void reply_output_end(struct send_queue *queue, uint32_t stream, uint8_t flags, uint8_t channel);
void reply_exited(struct send_queue *queue, uint32_t stream, uint8_t flags, int code, int signal);
void reply_settled(struct send_queue *queue, uint32_t stream, uint8_t flags);
void reply_adopted(struct send_queue *queue, uint32_t stream, const struct msg_adopted *adopted);
void reply_handed_over(struct send_queue *queue, uint32_t stream);
void reply_netif_done(struct send_queue *queue, int error, const char *message);
void reply_network_ready(struct send_queue *queue, uint8_t features);
void reply_flow_request(struct send_queue *queue, uint32_t flow, const struct msg_flow_request *request);
void reply_tcp_connected(struct send_queue *queue, uint32_t stream);
void reply_tcp_failed(struct send_queue *queue, uint32_t stream, int error, const char *message);
void reply_closed(struct send_queue *queue, uint32_t stream);
