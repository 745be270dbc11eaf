/*
 * Streams: what travels under one stream number of the wire.
 *
 *   execStart ──▶ OPENING ─▶ RUNNING ─▶ closed    a program (exec.c); opening: its parts come, then its exec is due
 *   filesOpen ──▶ OPENING ─▶ RUNNING ─▶ closed    a child that serves files (file_session.c)
 *   tcpConnect ─▶ OPENING ─▶ RUNNING ─▶ closed    a connection (tcp.c); opening: the attempt is going on
 *   udpOpen ───────────────▶ RUNNING ─▶ closed    a flow of datagrams (udp.c)
 *
 * What a program's stream sends while it runs (exited, settled, the end of each channel) goes out as each becomes true.
 * A stream whose client is gone or has closed it is `abandoned`: its output goes on, marked for the log only. A client
 * may adopt a detached program (exec_adopt.c), which then goes on under another number.
 */
#pragma once
#include <poll.h>
#include <sys/types.h>

#include "frame.h"
#include "pause.h"

enum session_stage {
    SESSION_FREE,
    SESSION_OPENING, /* its kind works on it; its channels are not read or written yet */
    SESSION_RUNNING,
};

/* stdout, stderr, or the pseudo-terminal. */
struct output {
    int fd; /* -1 after its end */
    uint8_t channel;
    bool is_ready;         /* poll() said so, and no read has come up empty since */
    bool is_end_due;       /* `end` has to be sent */
    bool is_exited;        /* the process has ended */
    bool is_settled;       /* all that the process wrote before its exit is queued */
    int error;             /* errno of the read that ended it, or 0 */
    uint32_t settle_bytes; /* what was in the pipe at the exit; meaningless for a pseudo-terminal */
    uint32_t credit_bytes;
};

/* How the reader of an input sees its end. */
enum input_end {
    INPUT_END_CLOSE,    /* the descriptor is closed */
    INPUT_END_SHUTDOWN, /* SHUT_WR first, as another descriptor keeps the connection open */
    INPUT_END_EOT,      /* ^D: a terminal has no end of file, and stays open for its size */
};

/* stdin. Bytes that the reader does not take yet wait in a ring of the window's size. */
struct input {
    int fd; /* -1: /dev/null, or closed */
    bool is_absent; /* the stream has none, or none yet: nothing may be sent to it */
    enum input_end end;
    bool is_kept; /* stays open when the client goes */
    bool is_ready;
    bool is_end_due;   /* close, or ^D, once the ring is empty */
    bool is_broken;    /* the reader has gone: drop input, but give credit, so that no writer hangs */
    int error_due;     /* errno of the stdinError to send, or 0 */
    uint8_t last_byte; /* tells whether a terminal's line is open */
    uint8_t *ring;     /* STREAM_WINDOW_BYTES, from the first byte that had to wait until the end */
    uint32_t ring_begin;
    uint32_t ring_size;
    uint32_t window_bytes; /* what the client may still send */
    uint32_t credit_due_bytes;
};

/* The part of a TCP stream. */
struct connection {
    int socket_fd; /* while OPENING; -1 after it */
    uint16_t port;
    bool may_try_ipv6; /* of the loopback interface */
    bool is_ready;     /* the attempt is over, poll() said */
    uint64_t deadline_ms;
};

/* The part of a UDP flow. */
struct flow {
    uint16_t port;
    bool is_ipv6;
};

/* The part of an exec session. */
struct process {
    pid_t pid;     /* 0 while OPENING's parts come */
    int status_fd; /* while OPENING waits for the exec; -1 before and after it */
    bool is_tty;
    bool is_detached;
    bool has_exited;
    bool is_exit_sent;
    bool is_settled_sent;
    int wait_status;
    uint8_t *start_bytes; /* the parts, while they come */
    uint32_t start_size;
    bool is_start_refused; /* told already; what is left of its parts is dropped */
};

/* One stream of the wire, of whatever kind. */
struct session {
    const struct stream_kind *kind;
    enum session_stage stage;
    uint32_t stream;
    bool is_abandoned;
    uint64_t abandoned_order; /* smaller is older */
    struct input input;
    struct output outputs[2]; /* a pseudo-terminal, TCP and UDP use the first only */
    union { /* what only its kind looks at; all zero when the place is claimed */
        struct process process;
        struct connection tcp;
        struct flow udp;
    };
};

struct sessions {
    struct send_queue *queue;
    struct pausing *pausing; /* whose group new programs join */
    bool refuses_new; /* shutting down */
    uint32_t start_bytes_total;
    uint64_t abandoned_count;
    size_t first; /* whose turn it is to be read first */
    size_t end;   /* all places from here on are free, so that a turn looks at few */
    struct session table[SESSIONS_MAX];
};

/* poll() entries, and for each the flag that it sets. */
struct interest {
    nfds_t count;
    struct pollfd entries[POLL_ENTRIES_MAX];
    bool *ready[POLL_ENTRIES_MAX];
};

/*
 * What a kind of stream does. A new kind is a file with a row like this, a line in sessions.c (KINDS), and its part of
 * struct session:
 *
 *   1. Add its messages to src/agent/protocol.ts and generate protocol.h.
 *   2. `open` claims a place (stream_table.h), fills its part, opens input and outputs on descriptors, sets `stage`.
 *   3. `step` sends what is due, calls input_step(), and ends with reply_closed() and session_release().
 *   4. `read` moves output into frames; outputs_read() does for byte streams.
 *   5. `close` is the client's wish that it end; `stop` is what a client that breaks the rules, or a shutdown, gets.
 *   6. Bound whatever the host can make it hold, in limits.h.
 */
struct stream_kind {
    /* The type of frame that opens a stream, and the types (up to a 0) that only open streams of this kind take. */
    uint8_t open_type;
    const uint8_t *types;
    /* Whether its part of the session is `process`. */
    bool is_process;
    /* Least room in the send queue that its output is read into. */
    size_t frame_bytes_min;
    /* Bytes of input to take before credit is sent for them: a part of the window. 0: at once. */
    uint32_t credit_batch_bytes;
    /* May refuse; replies either way. */
    void (*open)(struct sessions *sessions, const struct frame *frame);
    /* The type of frame that lets a stream go on under another number; replies either way. 0, NULL: none does. */
    uint8_t adopt_type;
    void (*adopt)(struct sessions *sessions, const struct frame *frame);
    /* A frame of one of `types`. NULL without types. */
    void (*handle)(struct sessions *sessions, struct session *session, const struct frame *frame);
    /* The client wants no more output; with `is_gone` the client itself has left. May release the session. */
    void (*close)(struct sessions *sessions, struct session *session, bool is_gone);
    /* Ends what runs behind it, by force. NULL: nothing does. */
    void (*stop)(const struct session *session);
    /* Sends what is due, moves input, ends. Queues up to SESSION_STEP_BYTES_MAX. May release the session. */
    void (*step)(struct sessions *sessions, struct session *session);
    /* Reads at most one frame's worth from each ready channel. False if nothing was there or could be taken. */
    bool (*read)(struct sessions *sessions, struct session *session);
    /* Asks poll() for more than the channels of a running stream. NULL: nothing. */
    void (*interest)(struct session *session, struct interest *interest);
    /* Milliseconds until step() has something to do that poll() does not tell of, or -1. NULL: never. */
    int (*timeout_ms)(const struct session *session);
    /* Gives back what session_release() does not know. NULL: nothing. */
    void (*release)(struct sessions *sessions, struct session *session);
};
