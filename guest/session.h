/*
 * Exec sessions: one process, its channels, and their windows; one stream of the wire each.
 *
 *   execStart ─▶ COLLECTING ─▶ STARTING ─▶ RUNNING ─▶ closed
 *                 (more parts)   (exec?)     exited, settled, end of each channel: each when it is true
 *
 * A session whose client is gone or has closed it is `abandoned`: its output goes on, marked for the log only.
 * A lingering session is abandoned, its process has ended, and something in the background still holds its pipes.
 */
#pragma once
#include <poll.h>
#include <sys/types.h>

#include "frame.h"
#include "pause.h"

/* A TCP stream (tcp.h) begins as CONNECTING instead, and a UDP flow (udp.h) as RUNNING. */
enum session_stage { SESSION_FREE, SESSION_COLLECTING, SESSION_STARTING, SESSION_CONNECTING, SESSION_RUNNING };

/* stdout, stderr, or the pseudo-terminal. */
struct output {
    int fd; /* -1 after its end */
    uint8_t channel;
    bool is_ready;         /* poll() said so, and no read has come up empty since */
    bool is_end_due;       /* `end` has to be sent */
    bool is_settled;       /* all that the process wrote before its exit is queued */
    uint32_t settle_bytes; /* what was in the pipe at the exit; meaningless for a pseudo-terminal */
    uint32_t credit_bytes;
};

/* stdin. Bytes that the process does not take yet wait in a ring of the window's size. */
struct input {
    int fd; /* -1: /dev/null, or closed */
    bool is_ready;
    bool is_end_due;   /* close, or ^D, once the ring is empty */
    bool is_broken;    /* nobody reads any more: drop, but give credit, so that no writer hangs */
    int error_due;     /* errno of the stdinError to send, or 0 */
    uint8_t last_byte; /* tells whether a terminal's line is open */
    uint8_t *ring;     /* STREAM_WINDOW_BYTES, from the first byte that had to wait until the end */
    uint32_t ring_begin;
    uint32_t ring_size;
    uint32_t window_bytes; /* what the client may still send */
    uint32_t credit_due_bytes;
};

/* Of a TCP stream. */
struct connection {
    uint16_t port;
    bool may_try_ipv6; /* of the loopback interface */
    bool is_ready;     /* the attempt is over, poll() said */
    int error;         /* errno of the read that broke the connection, or 0 */
    uint64_t deadline_ms;
};

/* Of a UDP flow. */
struct flow {
    uint16_t port;
    bool is_ipv6;
};

struct session {
    enum session_stage stage;
    uint32_t stream;
    pid_t pid;
    int status_fd; /* while STARTING; the socket while CONNECTING */
    bool is_tcp;
    bool is_udp;
    bool is_tty;
    bool is_detached;
    bool is_abandoned;
    bool has_exited;
    bool is_exit_sent;
    bool is_settled_sent;
    int wait_status;
    uint64_t abandoned_order; /* smaller is older */
    struct connection tcp;
    struct flow udp;
    struct input input;
    struct output outputs[2]; /* a pseudo-terminal, TCP and UDP use the first only */
    uint8_t *start_bytes;     /* while COLLECTING */
    uint32_t start_size;
    bool is_start_refused; /* told already; what is left of its parts is dropped */
};

struct sessions {
    struct send_queue *queue;
    struct pausing *pausing; /* whose group new programs join */
    bool refuses_new; /* shutting down */
    uint32_t start_bytes_total;
    uint64_t abandoned_count;
    size_t first; /* whose turn it is to be read first */
    struct session table[SESSIONS_MAX];
};

/* poll() entries, and for each the flag that it sets. */
struct interest {
    nfds_t count;
    struct pollfd entries[POLL_ENTRIES_MAX];
    bool *ready[POLL_ENTRIES_MAX];
};

void interest_add(struct interest *interest, int fd, short events, bool *ready);

/* ---- what comes in; each may queue up to REPLY_BYTES_MAX */

void sessions_handle(struct sessions *sessions, const struct frame *frame);
void sessions_client_gone(struct sessions *sessions, uint32_t first_stream, uint32_t last_stream);
/* A child was reaped: one of these, or an orphan. */
void sessions_reaped(struct sessions *sessions, pid_t pid, int wait_status);

/* ---- what goes out; all of these stop where the queue has no room */

void sessions_interest(struct sessions *sessions, struct interest *interest);
/* Milliseconds until sessions_step() has something to do that poll() does not tell of, or -1. */
int sessions_timeout_ms(const struct sessions *sessions);
/* Sends whatever is due: starts, exits, ends, credit; writes stdin. */
void sessions_step(struct sessions *sessions);
/* Reads at most one frame's worth from each ready channel. False if nothing was there or nothing could be taken. */
bool sessions_read_outputs(struct sessions *sessions);

/* ---- shutdown */

/* To the group of each session whose process still runs. */
void sessions_signal(const struct sessions *sessions, int signal);
/* SIGHUP to those on a terminal: an interactive shell ignores SIGTERM. */
void sessions_hang_up(const struct sessions *sessions);
/* From now on output needs no credit. */
void sessions_abandon(struct sessions *sessions);
bool sessions_empty(const struct sessions *sessions);
