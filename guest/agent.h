/* All the state there is, and the steps of the loop in main.c. */
#pragma once
#include <stdnoreturn.h>

#include "boot.h"
#include "freeze.h"
#include "pause.h"
#include "processes.h"
#include "sessions.h"
#include "usage.h"

enum phase {
    PHASE_BOOTING, /* hello sent, waiting for boot */
    PHASE_SERVING,
    PHASE_TERMINATING,  /* programs were asked to end */
    PHASE_KILLING,      /* and were killed */
    PHASE_DRAINING,     /* their last output leaves as clients take it */
    PHASE_LOG_DRAINING, /* and without clients */
    PHASE_FLUSHED,      /* waiting for go */
    PHASE_ENDING,
    PHASE_HOST_GONE, /* or out of its mind: ending without a word */
};

struct agent {
    bool is_init; /* PID 1 of a VM; otherwise native mode, for tests */
    bool is_busy; /* there is output that poll() need not be waited for */
    enum phase phase;
    uint64_t phase_deadline_ms;
    uint64_t start_micros;
    int wire_fd;
    int signal_fd;
    bool is_wire_ready;
    bool is_signal_ready;
    uint64_t host_gone_deadline_ms; /* 0 while the host is there */
    bool is_flushed;
    struct boot_handles handles;
    struct pausing pausing;
    struct freezing freezing;
    struct usage_files usage_files;
    struct listing listing;
    struct receiver receiver;
    struct send_queue queue;
    struct sessions sessions;
};

/* wire_in.c */
void agent_receive(struct agent *agent);

/* wire_out.c */
void agent_send(struct agent *agent);
/* The wire has ended; in a VM the host gets a moment to open it again. */
void agent_note_host_gone(struct agent *agent);
/* Sends what is queued, for a bounded time, with nothing else going on. */
void agent_send_rest(struct agent *agent);

/* control.c: what each frame means */
void agent_handle(struct agent *agent, const struct frame *frame);

/* reap.c */
void agent_reap(struct agent *agent);
bool agent_has_children(void);

/* shutdown.c */
void shutdown_begin(struct agent *agent, uint32_t grace_ms);
/* Enters the next phase if it is time. False if nothing changed. */
bool shutdown_step(struct agent *agent);
/* Milliseconds until shutdown_step() has something to do, or -1. */
int shutdown_timeout_ms(const struct agent *agent);
/* In a VM this ends it. */
noreturn void agent_end(struct agent *agent);
