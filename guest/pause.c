#include "pause.h"

#include <errno.h>

#include "clock.h"
#include "log.h"
#include "reply.h"

void pause_end(struct pausing *pausing) {
    if (pausing->stage == PAUSE_OFF) return;
    if (!cgroup_freeze(&pausing->cgroup, false)) log_line("cannot resume: %s", strerror(errno));
    pausing->stage = PAUSE_OFF;
}

static void begin(struct pausing *pausing, struct send_queue *queue, uint32_t token) {
    if (!cgroup_can_freeze(&pausing->cgroup)) {
        reply_paused(queue, token, false, EOPNOTSUPP);
    } else if (pausing->stage == PAUSE_ON) {
        reply_paused(queue, token, true, 0);
    } else if (!cgroup_freeze(&pausing->cgroup, true)) {
        reply_paused(queue, token, false, errno);
    } else {
        pausing->stage = PAUSE_BEGINNING;
        pausing->token = token;
        pausing->deadline_ms = clock_monotonic_ms() + PAUSE_WAIT_MS;
        pause_step(pausing, queue);
    }
}

void pause_set(struct pausing *pausing, struct send_queue *queue, const struct msg_pause *message) {
    if (message->on) {
        begin(pausing, queue, message->token);
        return;
    }
    pause_end(pausing);
    reply_paused(queue, message->token, false, 0);
}

void pause_step(struct pausing *pausing, struct send_queue *queue) {
    if (pausing->stage != PAUSE_BEGINNING || queue_room(queue) < REPLY_BYTES_MAX) return;
    if (cgroup_is_frozen(&pausing->cgroup)) {
        pausing->stage = PAUSE_ON;
        reply_paused(queue, pausing->token, true, 0);
    } else if (clock_monotonic_ms() >= pausing->deadline_ms) {
        /* A program that waits for a device cannot be stopped before it has its answer. */
        pause_end(pausing);
        reply_paused(queue, pausing->token, false, ETIMEDOUT);
    }
}

int pause_timeout_ms(const struct pausing *pausing) {
    return pausing->stage == PAUSE_BEGINNING ? PAUSE_POLL_MS : -1;
}
