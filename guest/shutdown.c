/*
 * The orderly end, one phase after the other: asked, killed, drained, flushed, gone. Each waits for something, and
 * no longer than its bound.
 */
#include "agent.h"

#include <signal.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "clock.h"
#include "exec.h"
#include "flush.h"
#include "log.h"
#include "mount_session.h"
#include "net_session.h"
#include "reply.h"

enum { SHUTDOWN_POLL_MS = 10 };

static void enter(struct agent *agent, enum phase phase, uint64_t wait_ms) {
    agent->phase = phase;
    agent->phase_deadline_ms = clock_monotonic_ms() + wait_ms;
}

/* In a VM to everything that runs: also to what a session left in the background. What serves mounts does not mind. */
static void signal_programs(const struct agent *agent, int number) {
    if (agent->is_init)
        kill(-1, number);
    else
        exec_signal_all(&agent->sessions, number);
}

/* Whether programs are left. What serves mounts is not one, and goes on until they are gone. */
static bool has_programs(const struct agent *agent) {
    bool is_known = agent->is_init && agent->pausing.cgroup.fd >= 0;
    return is_known ? cgroup_has_processes(&agent->pausing.cgroup) : agent_has_children();
}

/* Ends programs at once, and what serves mounts in order: what programs wrote to a mount is brought home first. */
static void kill_programs(const struct agent *agent) {
    if (!agent->is_init)
        exec_signal_all(&agent->sessions, SIGKILL);
    else if (!cgroup_kill(&agent->pausing.cgroup)) /* no groups in this kernel, or not this way */
        kill(-1, SIGKILL);
    network_end(&agent->sessions);
    mounts_end(&agent->sessions);
}

void shutdown_begin(struct agent *agent, uint32_t grace_ms) {
    if (agent->phase > PHASE_SERVING) return;
    agent->sessions.refuses_new = true;
    pause_end(&agent->pausing); /* a program that stands still cannot end */
    freeze_end(&agent->freezing);
    if (grace_ms > 0) {
        signal_programs(agent, SIGTERM);
        exec_hang_up_all(&agent->sessions);
        signal_programs(agent, SIGCONT); /* a stopped program cannot end */
    }
    enter(agent, PHASE_TERMINATING, grace_ms);
}

static void flush(struct agent *agent) {
    freeze_end(&agent->freezing); /* in case that one began as the shutdown did */
    bool is_clean = !agent->is_init || flush_filesystems(&agent->handles);
    agent->is_flushed = true;
    if (queue_room(&agent->queue) >= REPLY_BYTES_MAX) reply_flushed(&agent->queue, is_clean);
    agent_send(agent);
    enter(agent, PHASE_FLUSHED, GO_WAIT_MS);
}

bool shutdown_step(struct agent *agent) {
    enum phase before = agent->phase;
    bool is_over = clock_monotonic_ms() >= agent->phase_deadline_ms;
    bool is_drained = sessions_empty(&agent->sessions) && queue_size(&agent->queue) == 0;
    switch (agent->phase) {
        case PHASE_TERMINATING:
            if (!is_over && has_programs(agent)) break;
            kill_programs(agent);
            enter(agent, PHASE_KILLING, KILL_WAIT_MS);
            break;
        case PHASE_KILLING:
            if (!is_over && agent_has_children()) break;
            if (is_over) signal_programs(agent, SIGKILL); /* mounts that did not come to their end */
            enter(agent, PHASE_DRAINING, DRAIN_WAIT_MS);
            break;
        case PHASE_DRAINING:
            if (is_drained) {
                flush(agent);
            } else if (is_over) {
                sessions_abandon(&agent->sessions);
                exec_limit_lingering(&agent->sessions);
                enter(agent, PHASE_LOG_DRAINING, LOG_DRAIN_WAIT_MS);
            }
            break;
        case PHASE_LOG_DRAINING:
            if (is_drained || is_over) flush(agent);
            break;
        case PHASE_FLUSHED:
            if (is_over) agent->phase = PHASE_ENDING;
            break;
        default: break;
    }
    return agent->phase != before;
}

int shutdown_timeout_ms(const struct agent *agent) {
    if (agent->phase < PHASE_TERMINATING || agent->phase >= PHASE_ENDING) return -1;
    /* Ends of programs wake poll() by themselves; this is for the deadlines. */
    return SHUTDOWN_POLL_MS;
}

noreturn void agent_end(struct agent *agent) {
    bool is_unexpected = agent->phase == PHASE_HOST_GONE;
    if (!agent->is_init) {
        exec_signal_all(&agent->sessions, SIGKILL);
        _exit(is_unexpected ? 1 : 0);
    }
    if (is_unexpected) log_line("the host is gone");
    if (!agent->is_flushed) {
        kill(-1, SIGKILL);
        freeze_end(&agent->freezing);
        flush_filesystems(&agent->handles);
    }
    /* Nothing else: power-off and halt hang on the kernels that this runs on. */
    reboot(RB_AUTOBOOT);
    for (;;) pause();
}
