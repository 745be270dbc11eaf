/* Sends: the send queue to the wire. Notes when the host is gone. */
#include "agent.h"

#include <poll.h>

#include "clock.h"

/* In a VM the host may be a moment late to open its end again; a socket that has ended stays so. */
void agent_note_host_gone(struct agent *agent) {
    if (agent->host_gone_deadline_ms != 0) return;
    agent->host_gone_deadline_ms = clock_monotonic_ms() + (agent->is_init ? HOST_GONE_MS : 0);
}

void agent_send(struct agent *agent) {
    if (!queue_send(&agent->queue, agent->wire_fd)) agent_note_host_gone(agent);
}

void agent_send_rest(struct agent *agent) {
    uint64_t deadline_ms = clock_monotonic_ms() + FINAL_SEND_WAIT_MS;
    while (queue_send(&agent->queue, agent->wire_fd) && queue_size(&agent->queue) > 0) {
        if (clock_monotonic_ms() >= deadline_ms) return;
        struct pollfd entry = {.fd = agent->wire_fd, .events = POLLOUT};
        poll(&entry, 1, HOST_GONE_RETRY_MS);
    }
}
