/* Handles the messages of stream 0, and passes those of other streams on. */
#include <errno.h>

#include "agent.h"
#include "clock.h"
#include "environment.h"
#include "log.h"
#include "netif.h"
#include "reply.h"

static void handle_boot(struct agent *agent, const struct msg_boot *boot) {
    uint64_t received_micros = clock_boot_micros();
    struct boot_failure failure;
    if (agent->is_init && !boot_assemble(boot, &agent->handles, &failure)) {
        log_line("boot failed: %s", failure.message);
        reply_boot_failed(&agent->queue, failure.stage, failure.error, failure.message);
        agent_send_rest(agent);
        agent->phase = PHASE_ENDING;
        return;
    }
    if (agent->is_init) {
        cgroup_prepare(&agent->pausing.cgroup);
        agent->freezing.upper_fd = agent->handles.upper_fd;
    }
    usage_open(&agent->usage_files, agent->handles.proc_fd, agent->handles.upper_fd);
    agent->phase = PHASE_SERVING;
    reply_ready(&agent->queue, agent->start_micros, received_micros, clock_boot_micros());
}

/* As an ordinary process the agent leaves the machine's network alone. */
static void handle_netif(struct agent *agent, const struct msg_netif *netif) {
    const char *step = "";
    int error = agent->is_init ? netif_configure(netif, &step) : 0;
    reply_netif_done(&agent->queue, error, error == 0 ? "" : step);
}

static void refuse(struct agent *agent, const struct frame *frame, uint16_t code, const char *message) {
    reply_error(&agent->queue, frame->stream, code, frame->type, message);
}

/* False if the payload cannot be decoded. */
static bool handle_control(struct agent *agent, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_boot boot;
    struct msg_clock clock;
    struct msg_environment environment;
    struct msg_netif netif;
    struct msg_shutdown shutdown;
    struct msg_client_gone client;
    struct msg_pause pause;
    struct msg_freeze freeze;
    struct msg_metrics metrics;
    switch (frame->type) {
        case MSG_BOOT:
            if (!msg_boot_decode(&reader, &boot)) return false;
            if (agent->phase == PHASE_BOOTING)
                handle_boot(agent, &boot);
            else
                refuse(agent, frame, WIRE_ERROR_MALFORMED, "boot comes once");
            return true;
        case MSG_CLOCK:
            if (!msg_clock_decode(&reader, &clock)) return false;
            if (!agent->is_init) return true;
            if (!clock_set(clock.seconds, clock.nanoseconds))
                refuse(agent, frame, WIRE_ERROR_MALFORMED, "clock refused");
            return true;
        case MSG_NETIF:
            if (!msg_netif_decode(&reader, &netif)) return false;
            handle_netif(agent, &netif);
            return true;
        case MSG_ENVIRONMENT:
            if (!msg_environment_decode(&reader, &environment)) return false;
            if (!environment_set(environment.variables))
                refuse(agent, frame, WIRE_ERROR_MALFORMED, "not variables, or no memory for them");
            return true;
        case MSG_SHUTDOWN:
            if (!msg_shutdown_decode(&reader, &shutdown)) return false;
            shutdown_begin(agent, shutdown.grace_ms);
            return true;
        case MSG_CLIENT_GONE:
            if (!msg_client_gone_decode(&reader, &client)) return false;
            sessions_client_gone(&agent->sessions, client.first_stream, client.last_stream);
            return true;
        case MSG_PAUSE:
            if (!msg_pause_decode(&reader, &pause)) return false;
            if (agent->phase == PHASE_SERVING)
                pause_set(&agent->pausing, &agent->queue, &pause);
            else
                reply_paused(&agent->queue, pause.token, false, EBUSY);
            return true;
        case MSG_FREEZE:
            if (!msg_freeze_decode(&reader, &freeze)) return false;
            if (agent->phase == PHASE_SERVING)
                freeze_set(&agent->freezing, &agent->queue, &freeze);
            else
                reply_frozen(&agent->queue, freeze.token, false, EBUSY);
            return true;
        case MSG_METRICS:
            if (!msg_metrics_decode(&reader, &metrics)) return false;
            if (agent->phase == PHASE_BOOTING)
                refuse(agent, frame, WIRE_ERROR_NOT_READY, "boot comes first");
            else if (metrics.processes)
                processes_ask(&agent->listing, &agent->queue, metrics.token, agent->handles.proc_fd);
            else
                usage_answer(&agent->usage_files, &agent->queue, metrics.token);
            return true;
        case MSG_GO:
            if (!reader_finished(&reader)) return false;
            agent->phase = PHASE_ENDING;
            return true;
        default: return true; /* agent_handle() lets no other type through */
    }
}

static bool handle_ping(struct agent *agent, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_ping ping;
    if (!msg_ping_decode(&reader, &ping)) return false;
    reply_pong(&agent->queue, frame->stream, ping.token);
    return true;
}

void agent_handle(struct agent *agent, const struct frame *frame) {
    switch (frame->type) {
        case MSG_PING:
            if (!handle_ping(agent, frame)) reply_malformed(&agent->queue, frame);
            return;
        case MSG_BOOT:
        case MSG_CLOCK:
        case MSG_NETIF:
        case MSG_ENVIRONMENT:
        case MSG_SHUTDOWN:
        case MSG_CLIENT_GONE:
        case MSG_PAUSE:
        case MSG_FREEZE:
        case MSG_METRICS:
        case MSG_GO:
            if (frame->stream != 0)
                refuse(agent, frame, WIRE_ERROR_BAD_STREAM, "belongs on stream 0");
            else if (!handle_control(agent, frame))
                reply_malformed(&agent->queue, frame);
            return;
        case MSG_ERROR: return; /* to answer an error with an error would never end */
        default:
            if (!sessions_know(frame->type))
                refuse(agent, frame, WIRE_ERROR_UNKNOWN_TYPE, "unknown type");
            else if (frame->stream == 0)
                refuse(agent, frame, WIRE_ERROR_BAD_STREAM, "belongs on a stream of its own");
            else if (agent->phase == PHASE_BOOTING)
                refuse(agent, frame, WIRE_ERROR_NOT_READY, "boot comes first");
            else
                sessions_handle(&agent->sessions, frame);
    }
}
