/*
 * Pause: no program takes a step until it is resumed. Memory, files and connections stay as they are, and the agent
 * goes on answering.
 */
#pragma once
#include "cgroup.h"
#include "frame.h"

enum pause_stage { PAUSE_OFF, PAUSE_BEGINNING, PAUSE_ON };

struct pausing {
    enum pause_stage stage;
    uint32_t token; /* of the question that BEGINNING answers */
    uint64_t deadline_ms;
    struct cgroup cgroup;
};

/* Answers now, or from a later pause_step(). */
void pause_set(struct pausing *pausing, struct send_queue *queue, const struct msg_pause *message);
/* Looks whether all programs stand still; gives up after PAUSE_WAIT_MS. */
void pause_step(struct pausing *pausing, struct send_queue *queue);
/* Milliseconds until pause_step() has something to do, or -1. */
int pause_timeout_ms(const struct pausing *pausing);
/* Lets programs go on, so that they can end. */
void pause_end(struct pausing *pausing);
