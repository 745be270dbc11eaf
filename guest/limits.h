/* Every bound of the agent, and how they hang together. */
#pragma once
#include "protocol.h"

enum {
    /* Received bytes that wait to be parsed. */
    RECEIVE_BUFFER_BYTES = 256 * 1024,
    /* Frames that wait for the wire; a power of two. */
    SEND_QUEUE_BYTES = 512 * 1024,
    /* Part of the send queue that process output never takes, so that answers and exits pass. */
    SEND_RESERVE_BYTES = 64 * 1024,
    /* Least room that output is read into: below it, waiting gives better frames. */
    OUTPUT_FRAME_BYTES_MIN = 4 * 1024,
    /* Most that one frame of ours which is not output takes, header included. */
    REPLY_BYTES_MAX = 512,
    /* Most that one step of one session queues: started, stdinError, credit, exited, two ends, settled, closed. */
    SESSION_STEP_BYTES_MAX = 8 * REPLY_BYTES_MAX,

    /* Rounds of one read for each session, before poll() is asked again. */
    OUTPUT_PASSES_MAX = 16,
    /* Asked of the kernel for stdout and stderr; less is fine. */
    PIPE_BYTES = 1024 * 1024,
    /* execStart parts held for all streams together. */
    EXEC_START_PENDING_BYTES_MAX = 4 * EXEC_START_BYTES_MAX,
    /* Sessions kept only because something in the background holds their pipes; past it the oldest is closed. */
    SESSIONS_LINGERING_MAX = 64,
    /* poll() entries: signalfd, port, and stdin, stdout and stderr of each session. */
    POLL_ENTRIES_MAX = 2 + 3 * SESSIONS_MAX,
    /* Descriptors of the agent: four a session while it starts, and some. */
    AGENT_FILES_MAX = 4096,
    /* What programs may raise their own limit of open files to: the kernel's default, 4,096, is little today. */
    PROGRAM_FILES_MAX = 512 * 1024,

    /* Failure text of a child that could not exec; the record must fit PIPE_BUF to be written whole. */
    FAILURE_TEXT_BYTES = 200,
    PATH_BYTES_MAX = 4096,
    /* /etc/passwd, /etc/group and mountinfo are read up to this size. */
    DATABASE_BYTES_MAX = 1024 * 1024,
    SUPPLEMENTARY_GROUPS_MAX = 1024,
    /* /proc/meminfo, diskstats and net/dev are read up to this size: what matters stands near the beginning. */
    PROC_TEXT_BYTES_MAX = 16 * 1024,
    /* Users whose names are known to a list of programs. */
    USER_NAMES_MAX = 1024,
    /* A list of programs: how many are looked at, how much of a command is shown, and the whole of it. */
    PROGRAMS_LOOKED_MAX = 4096,
    COMMAND_BYTES_MAX = 256,
    PROCESSES_BYTES_MAX = 48 * 1024,
    PROCESSES_HEAD_BYTES = 12,
    LISTING_WAIT_MS = 5 * 1000,
    /* First bytes of a file without a known format, to tell a script from a binary. */
    SCRIPT_PROBE_BYTES = 256,
    /* Longest wait for a connection attempt in one poll(). */
    TCP_WAIT_MS_MAX = 60 * 1000,

    /* The guest's network. Places for flows, including those that only wait for late packets; a power of two. */
    NET_PLACES = 8192,
    NET_BUCKETS = 16384,
    /* TCP connections at once, decided or not. The host has a lower limit. */
    NET_CONNECTIONS_MAX = 4096,
    /* SYNs held while the host decides. More are dropped, and the kernel repeats them. */
    NET_ASKED_CONNECTIONS_MAX = 512,
    /* Flows of datagrams and echoes; one more ends the idlest. The second limits those that the host has not decided yet. */
    NET_DATAGRAM_FLOWS_MAX = 1024,
    NET_ASKED_DATAGRAM_FLOWS_MAX = 256,
    NET_DATAGRAMS_IDLE_MS = 5 * 60 * 1000,
    NET_ECHO_IDLE_MS = 60 * 1000,
    /* How long an accepted SYN may take to become a connection. */
    NET_OPENING_MS = 10 * 1000,
    /* How long to pass late packets: after both ends have closed; while the guest's program may still be reading. */
    NET_LATE_MS = 10 * 1000,
    NET_ORPHAN_MS = 3 * 60 * 1000,
    /* The kernel repeats a SYN after 1 s, 2 s, 4 s … up to 64 s, while the program waits. */
    NET_SYN_RETRY_MS = 1000,
    NET_SYN_DOUBLINGS_MAX = 6,
    NET_SWEEP_MS = 1000,
    NET_ADDRESS_WAIT_MS = 2 * 1000,
    NET_LISTEN_BACKLOG = 4096,
    /* Packets and connections handled before others have their turn. */
    NET_PACKETS_PER_TURN = 64,
    NET_ACCEPTS_PER_TURN = 64,
    /* Two descriptors for each connection, and some spare. */
    NET_FILES_MAX = 2 * NET_CONNECTIONS_MAX + 256,
    NET_EVENTS_MAX = 256,
    /* The largest of IPv4, so that no datagram is fragmented. */
    NET_MTU = 65535,

    PORT_WAIT_MS = 10 * 1000,
    PORT_RETRY_MS = 2,
    DEVICE_WAIT_MS = 2 * 1000,
    /* Until the host opens its end of the port. */
    HOST_CONNECT_WAIT_MS = 30 * 1000,
    HOST_CONNECT_RETRY_MS = 2,
    /* A port whose host end has been closed this long is a host that is gone. */
    HOST_GONE_MS = 500,
    HOST_GONE_RETRY_MS = 20,

    /* Until every program stands still; one that waits for a disk does so first. */
    PAUSE_WAIT_MS = 10 * 1000,
    PAUSE_POLL_MS = 2,
    /* Longest freeze that is not renewed. */
    FREEZE_LEASE_MS_MAX = 60 * 1000,

    /* Shutdown: after SIGKILL; for output to leave while clients take it; for the rest to leave without them. */
    KILL_WAIT_MS = 2 * 1000,
    DRAIN_WAIT_MS = 1000,
    LOG_DRAIN_WAIT_MS = 2 * 1000,
    GO_WAIT_MS = 10 * 1000,
    FINAL_SEND_WAIT_MS = 1000,
    UNMOUNT_PASSES_MAX = 3,
    MOUNTS_MAX = 1024,
};

_Static_assert((SEND_QUEUE_BYTES & (SEND_QUEUE_BYTES - 1)) == 0, "ring offsets are masked");
_Static_assert(SEND_QUEUE_BYTES >= SEND_RESERVE_BYTES + 2 * (FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX),
               "a whole frame of output fits while another is being sent");
_Static_assert(SEND_RESERVE_BYTES >= SESSION_STEP_BYTES_MAX + REPLY_BYTES_MAX, "a step fits the reserve");
_Static_assert(SEND_RESERVE_BYTES >= PROCESSES_BYTES_MAX + FRAME_HEADER_BYTES + SESSION_STEP_BYTES_MAX,
               "a list of programs waits for other answers, and not for output");
_Static_assert(AGENT_FILES_MAX - (4 * SESSIONS_MAX + 64) >= 0, "every session finds descriptors");
_Static_assert(NET_PLACES >= NET_CONNECTIONS_MAX + NET_DATAGRAM_FLOWS_MAX, "every flow finds a place");
_Static_assert(SEND_RESERVE_BYTES >= 16 * REPLY_BYTES_MAX, "requests have room when output has none");
_Static_assert(RECEIVE_BUFFER_BYTES >= FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX, "any frame can become whole");
_Static_assert(FRAME_HEADER_BYTES + 16 + FAILURE_TEXT_BYTES <= REPLY_BYTES_MAX, "any failure can be told");
_Static_assert(SESSIONS_MAX - SESSIONS_LINGERING_MAX > 0, "lingering sessions never take all places");
_Static_assert(EXEC_START_PENDING_BYTES_MAX - EXEC_START_BYTES_MAX >= 0, "the largest execStart can be joined");
