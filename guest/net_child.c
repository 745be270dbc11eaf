/* See net_child.h. One event loop: no packet waits for a flow, and no flow for another one. */
#include "net_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "net_flows.h"
#include "reply.h"

/* The conventional id of the user without rights, which owns no files. */
enum { NOBODY = 65534 };

static struct net net;
static struct receiver receiver;
static uint8_t packet[PACKET_BYTES_MAX];
static bool has_packets, has_input, has_arrivals;

/* ---- before it begins */

static bool raise_open_files(void) {
    struct rlimit limit = {.rlim_cur = NET_FILES_MAX, .rlim_max = NET_FILES_MAX};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* Otherwise a program that uses up all memory could get the network killed first. */
static void protect_from_oom_killer(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t written = write(fd, "-1000", 5);
    (void)written; /* without the right to do so, the process stays an ordinary one */
    close(fd);
}

/* It parses packets of hostile programs, which needs no privileges. */
static bool give_up_rights(void) {
    struct {
        uint32_t version;
        int pid;
    } header = {.version = 0x20080522}; /* _LINUX_CAPABILITY_VERSION_3 */
    struct {
        uint32_t effective, permitted, inheritable;
    } none[2] = {{0}};
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
    }
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
           syscall(SYS_capset, &header, none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && chdir("/") == 0;
}

static bool watch(int fd, uint64_t event, uint32_t events) {
    struct epoll_event wanted = {.events = events | EPOLLET, .data.u64 = event};
    return epoll_ctl(net.events_fd, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

static bool watch_all(void) {
    net.events_fd = epoll_create1(EPOLL_CLOEXEC);
    if (net.events_fd < 0 || !watch(net.link.tun_fd, NET_EVENT_TUN, EPOLLIN)) return false;
    if (!watch(STDIN_FILENO, NET_EVENT_INPUT, EPOLLIN) || !watch(STDOUT_FILENO, NET_EVENT_OUTPUT, EPOLLOUT)) return false;
    for (size_t i = 0; i < 2; i++) {
        int fd = net.link.families[i].listen_fd;
        if (fd >= 0 && !watch(fd, NET_EVENT_LISTENERS, EPOLLIN)) return false;
    }
    return true;
}

static int prepare(const struct msg_network_open *open, const char **step) {
    int error = net_link_open(&net.link, open, step);
    if (error != 0) return error;
    net_table_init(&net.table);
    net.first_queued = net.last_queued = NET_NONE;
    net.sessions.queue = &net.queue;
    protect_from_oom_killer();
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_BYTES); /* fewer wakeups; the kernel may refuse it */
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    *step = "prepare for its connections";
    if (!raise_open_files() || !watch_all()) return errno;
    *step = "give up its rights";
    return give_up_rights() ? 0 : errno;
}

/* ---- the loop */

static void note_event(const struct epoll_event *event) {
    struct net_flow *flow;
    switch (event->data.u64) {
        case NET_EVENT_TUN: has_packets = true; break;
        case NET_EVENT_INPUT: has_input = true; break;
        case NET_EVENT_OUTPUT: break; /* each turn sends */
        case NET_EVENT_LISTENERS: has_arrivals = true; break;
        default:
            flow = net_find_id(&net.table, (uint32_t)event->data.u64);
            if (flow == NULL || flow->session == NULL) return;
            if (event->events & EPOLLERR) net_note_error(flow);
            flow->session->input.is_ready = true;
            flow->session->outputs[0].is_ready = true;
            net_enqueue(&net, flow);
    }
}

static void take_frames(void) {
    struct frame frame;
    if (has_input && !receiver_is_full(&receiver)) {
        if (receiver_fill(&receiver, STDIN_FILENO) != RECEIVE_MORE) _exit(0); /* the host closed the stream */
        has_input = receiver.end == RECEIVE_BUFFER_BYTES; /* the buffer is full: there may be more to read */
    }
    while (queue_room(&net.queue) >= SESSION_STEP_BYTES_MAX) {
        enum frame_result result = receiver_next(&receiver, &frame);
        if (result == FRAME_NONE) return;
        if (result == FRAME_BROKEN) _exit(1);
        net_take_frame(&net, &frame);
    }
}

static void take_packets(void) {
    for (int i = 0; i < NET_PACKETS_PER_TURN && has_packets; i++) {
        ssize_t size = read(net.link.tun_fd, packet, sizeof packet);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) has_packets = false;
        if (size < 0 && errno != EAGAIN) _exit(1); /* the device is gone */
        if (size > 0) net_take_packet(&net, packet, (size_t)size);
    }
}

static void take_arrivals(void) {
    bool is_more = false;
    for (int i = 0; i < NET_ACCEPTS_PER_TURN; i++) {
        is_more = false;
        for (size_t family = 0; family < 2; family++)
            if (net.link.families[family].listen_fd >= 0 && net_accept(&net, family == 1)) is_more = true;
        if (!is_more) break;
    }
    has_arrivals = is_more || queue_room(&net.queue) < SESSION_STEP_BYTES_MAX;
}

/* Whether there is work left that no event will announce. */
static bool is_busy(void) {
    bool has_room = queue_room(&net.queue) >= SEND_RESERVE_BYTES + FRAME_HEADER_BYTES + OUTPUT_FRAME_BYTES_MIN;
    return has_packets || (has_room && (has_input || has_arrivals || net.first_queued != NET_NONE));
}

static noreturn void carry(void) {
    uint64_t next_sweep_ms = 0;
    for (;;) {
        struct epoll_event events[NET_EVENTS_MAX];
        /* A guest that has no flows is not woken. */
        int timeout_ms = is_busy() ? 0 : net.table.used > 0 ? NET_SWEEP_MS : -1;
        int count = epoll_wait(net.events_fd, events, NET_EVENTS_MAX, timeout_ms);
        net.now_ms = clock_monotonic_ms();
        for (int i = 0; i < count; i++) note_event(&events[i]);
        take_frames();
        if (has_packets) take_packets();
        if (has_arrivals) take_arrivals();
        net_work(&net);
        if (net.now_ms >= next_sweep_ms) {
            net_sweep(&net);
            next_sweep_ms = net.now_ms + NET_SWEEP_MS;
        }
        if (!queue_send(&net.queue, STDOUT_FILENO)) _exit(1);
    }
}

noreturn void net_run(const struct msg_exec_start *start, const struct child_files *files,
                      const struct msg_network_open *open) {
    static struct identity identity;
    child_prepare(start, files, &identity);
    signal(SIGTERM, SIG_IGN); /* a signal to end programs must not end their network */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    const char *step;
    int error = prepare(open, &step); /* reads the request from this copy of the agent's memory */
    if (error != 0) child_fail(EXEC_FAILURE_OTHER, error, step);
    reply_network_ready(&net.queue, net.link.families[1].listen_fd >= 0 ? NETWORK_FEATURE_IPV6 : 0);
    child_started();
    carry();
}
