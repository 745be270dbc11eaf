/* Receives: bytes from the wire into the receive buffer, and frames from there to control.c. */
#include "agent.h"

#include <poll.h>

#include "clock.h"
#include "log.h"

/* Where nothing can be read that would tell the same. */
static bool is_hung_up(int fd) {
    struct pollfd entry = {.fd = fd};
    return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR)) != 0;
}

static void handle_frames(struct agent *agent) {
    /* Each frame may be answered: without room for that it waits, and so does the host. */
    while (queue_room(&agent->queue) >= SESSION_STEP_BYTES_MAX && agent->phase < PHASE_ENDING) {
        struct frame frame;
        enum frame_result result = receiver_next(&agent->receiver, &frame);
        if (result == FRAME_NONE) return;
        if (result == FRAME_BROKEN) {
            log_line("received a frame header that cannot be right");
            agent->phase = PHASE_HOST_GONE;
            return;
        }
        agent_handle(agent, &frame);
    }
}

void agent_receive(struct agent *agent) {
    handle_frames(agent); /* those that had to wait */
    if (!agent->is_wire_ready) return;
    agent->is_wire_ready = false;
    bool is_closed = receiver_is_full(&agent->receiver)
                         ? is_hung_up(agent->wire_fd)
                         : receiver_fill(&agent->receiver, agent->wire_fd) != RECEIVE_MORE;
    if (is_closed)
        agent_note_host_gone(agent);
    else
        agent->host_gone_deadline_ms = 0;
    handle_frames(agent);
    bool is_gone = agent->host_gone_deadline_ms != 0 && clock_monotonic_ms() >= agent->host_gone_deadline_ms;
    if (is_gone && agent->phase < PHASE_ENDING) agent->phase = PHASE_HOST_GONE;
}
