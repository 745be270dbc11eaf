/*
 * The guest agent: PID 1 of a sandbox's VM. It assembles the root, runs programs, and carries their bytes over one
 * virtio-console port. One thread, one poll loop; after the boot nothing here waits for anything else.
 *
 * As an ordinary process, `agent --fd N`, it speaks the same protocol on that descriptor and leaves the machine
 * alone.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clock.h"
#include "console_port.h"
#include "log.h"
#include "reply.h"
#include "resource_limit.h"
#include "stream_table.h"

static struct agent agent;

/* The descriptor of `--fd N`, or -1. */
static int parse_arguments(int count, char **arguments) {
    if (count != 3 || strcmp(arguments[1], "--fd") != 0) return -1;
    char *end;
    long fd = strtol(arguments[2], &end, 10);
    return *end == '\0' && fd >= 0 && fcntl((int)fd, F_GETFD) >= 0 ? (int)fd : -1;
}

/* 0, 1 and 2 are never anything else, so that no descriptor of ours is taken for one of them. */
static void hold_standard_files(void) {
    int fd;
    do fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

static int open_signals(void) {
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void protect_from_oom_killer(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "-1000", 5) != 5) log_line("cannot lower the OOM score");
    if (fd >= 0) close(fd);
}

static bool start_as_init(void) {
    bool is_prepared = boot_prepare(&agent.handles);
    log_open(true);
    hold_standard_files();
    if (!is_prepared) {
        log_line("cannot mount the pseudo file systems: %s", strerror(errno));
        return false;
    }
    protect_from_oom_killer();
    agent.wire_fd = port_open("agent");
    if (agent.wire_fd < 0) log_line("no port to the host");
    return agent.wire_fd >= 0;
}

static bool start_as_process(int count, char **arguments) {
    agent.wire_fd = parse_arguments(count, arguments);
    agent.handles = (struct boot_handles){.upper_fd = -1, .proc_fd = -1};
    if (agent.wire_fd < 0) {
        log_line("usage: agent --fd N");
        return false;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans come to us, as they come to PID 1 */
    return fcntl(agent.wire_fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(agent.wire_fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool start(int count, char **arguments) {
    agent.is_init = getpid() == 1;
    agent.start_micros = clock_boot_micros();
    agent.sessions.queue = &agent.queue;
    agent.sessions.pausing = &agent.pausing;
    agent.pausing.cgroup = (struct cgroup){.fd = -1, .leaf_fd = -1}; /* until the boot */
    agent.freezing.upper_fd = -1;
    open_files_raise(agent.is_init);
    agent.signal_fd = open_signals();
    if (!(agent.is_init ? start_as_init() : start_as_process(count, arguments))) return false;
    reply_hello(&agent.queue);
    return agent.signal_fd >= 0;
}

/* -1 is no limit. */
static int shorter_wait(int a_ms, int b_ms) {
    if (a_ms < 0 || b_ms < 0) return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int timeout_ms(void) {
    if (agent.is_busy) return 0;
    if (agent.host_gone_deadline_ms != 0) return HOST_GONE_RETRY_MS;
    int wait_ms = shutdown_timeout_ms(&agent);
    wait_ms = shorter_wait(wait_ms, sessions_timeout_ms(&agent.sessions));
    wait_ms = shorter_wait(wait_ms, pause_timeout_ms(&agent.pausing));
    wait_ms = shorter_wait(wait_ms, freeze_timeout_ms(&agent.freezing));
    return shorter_wait(wait_ms, processes_timeout_ms(&agent.listing));
}

/* Waits until something can be done, and marks what. */
static void wait_for_work(void) {
    static struct interest interest;
    interest.count = 0;
    interest_add(&interest, agent.signal_fd, POLLIN, &agent.is_signal_ready);
    /* A port whose host end is closed reports just that, all the time: asked again after a while instead. */
    bool is_there = agent.host_gone_deadline_ms == 0;
    short events =
        (short)((receiver_is_full(&agent.receiver) ? 0 : POLLIN) | (queue_size(&agent.queue) > 0 ? POLLOUT : 0));
    if (is_there) interest_add(&interest, agent.wire_fd, events, &agent.is_wire_ready);
    sessions_interest(&agent.sessions, &interest);

    int found = poll(interest.entries, interest.count, timeout_ms());
    for (nfds_t i = 0; found > 0 && i < interest.count; i++)
        if (interest.entries[i].revents != 0) *interest.ready[i] = true;
    if (!is_there) agent.is_wire_ready = true;
}

/* Takes turns between all programs, and lets the host have each round while the next one is read. */
static void move_outputs(void) {
    agent.is_busy = true;
    for (int pass = 0; pass < OUTPUT_PASSES_MAX; pass++) {
        agent.is_busy = sessions_read_outputs(&agent.sessions);
        if (!agent.is_busy) return;
        agent_send(&agent);
    }
}

int main(int count, char **arguments) {
    if (!start(count, arguments)) {
        agent.phase = PHASE_HOST_GONE;
        agent_end(&agent);
    }
    while (agent.phase < PHASE_ENDING) {
        wait_for_work();
        agent_receive(&agent);
        agent_reap(&agent);
        sessions_step(&agent.sessions); /* before the output: an exit waits for no reader */
        move_outputs();
        sessions_step(&agent.sessions);
        pause_step(&agent.pausing, &agent.queue);
        freeze_step(&agent.freezing, &agent.queue);
        processes_step(&agent.listing, &agent.queue);
        agent_send(&agent);
        while (shutdown_step(&agent)) {
        } /* a phase may be over as soon as it begins */
    }
    agent_end(&agent);
}
