/* Accepted connections. They use the code of connections into the guest (tcp.c). */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_flows.h"
#include "reply.h"
#include "stream_input.h"
#include "stream_output.h"
#include "stream_table.h"
#include "tcp.h"

/* ---- connections with work */

void net_enqueue(struct net *net, struct net_flow *flow) {
    if (flow->is_queued) return;
    flow->is_queued = true;
    flow->next = NET_NONE;
    if (net->last_queued == NET_NONE)
        net->first_queued = net_place(flow);
    else
        net->table.flows[net->last_queued].next = net_place(flow);
    net->last_queued = net_place(flow);
}

static struct net_flow *dequeue(struct net *net) {
    struct net_flow *flow = &net->table.flows[net->first_queued];
    net->first_queued = flow->next;
    if (net->first_queued == NET_NONE) net->last_queued = NET_NONE;
    flow->is_queued = false;
    return flow;
}

/* ---- the end */

void net_end_flow(struct net *net, struct net_flow *flow, int error) {
    bool is_connection = net_is_connection(flow);
    if (error != 0) reply_tcp_failed(&net->queue, flow->id, error, strerror(error));
    if (flow->stage != FLOW_SILENT) reply_closed(&net->queue, flow->id); /* the host refused it itself */
    if (is_connection && flow->stage >= FLOW_OPENING)
        net_enter(&net->table, flow, FLOW_CLOSING);
    else
        net_release(&net->table, flow);
}

/* The host has been told. The flow stays in the table for its last packets. */
static void forget_session(struct net *net, struct net_flow *flow) {
    free(flow->session);
    flow->session = NULL;
    net_enter(&net->table, flow, FLOW_CLOSING);
    flow->touched_ms = net->now_ms;
}

/* ---- accepting */

static void reset(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

/* The flow whose inner end a connection comes from; NULL if it comes from elsewhere, or from an earlier flow. */
static struct net_flow *flow_of(struct net *net, bool is_ipv6, const struct sockaddr_storage *peer) {
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)peer;
    struct end end = {
        .address = is_ipv6 ? ipv6->sin6_addr.s6_addr : (const uint8_t *)&ipv4->sin_addr,
        .port = ntohs(is_ipv6 ? ipv6->sin6_port : ipv4->sin_port),
    };
    uint32_t generation;
    int place = net_inner_place(&net->link, is_ipv6, end, &generation);
    if (place < 0) return NULL;
    struct net_flow *flow = &net->table.flows[place];
    bool is_same = flow->stage == FLOW_OPENING && flow->key.is_ipv6 == is_ipv6 &&
                   (net_generation(flow) & NET_INNER_GENERATION_MASK) == generation;
    return is_same ? flow : NULL;
}

/* Gives the flow its socket. Returns 0 or an errno. */
static int open_session(struct net *net, struct net_flow *flow, int fd) {
    struct session *session = malloc(sizeof *session);
    /* Two descriptors, so that each direction can be closed as if it were a pipe. */
    int read_fd = session == NULL ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    /*
     * Edge-triggered: `is_ready` stays true until a call says EAGAIN. The registration lasts until both descriptors are
     * closed. A late event names a flow that has ended, and is ignored.
     */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = flow->id};
    if (read_fd < 0 || epoll_ctl(net->events_fd, EPOLL_CTL_ADD, read_fd, &event) != 0) {
        int error = session == NULL ? ENOMEM : errno;
        free(session);
        if (read_fd >= 0) close(read_fd);
        return error;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    session_open_connected(session, flow->id, fd, read_fd);
    flow->session = session;
    return 0;
}

bool net_accept(struct net *net, bool is_ipv6) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (queue_room(&net->queue) < SESSION_STEP_BYTES_MAX) return false;
    int fd = accept4(net->link.families[is_ipv6].listen_fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno == ECONNABORTED || errno == EINTR;
    struct net_flow *flow = flow_of(net, is_ipv6, &peer);
    int error = flow == NULL ? 0 : open_session(net, flow, fd);
    if (flow == NULL || error != 0) {
        reset(fd);
        if (error != 0) net_end_flow(net, flow, error);
        return true;
    }
    net_enter(&net->table, flow, FLOW_OPEN);
    reply_tcp_connected(&net->queue, flow->id);
    net_enqueue(net, flow);
    return true;
}

/* ---- turns */

void net_note_error(struct net_flow *flow) {
    struct session *session = flow->session;
    socklen_t size = sizeof(int);
    if (session->outputs[0].fd >= 0 || session->input.fd < 0) return; /* the next read reports it, after the data before it */
    getsockopt(session->input.fd, SOL_SOCKET, SO_ERROR, &session->outputs[0].error, &size);
}

/* Whether there is work left that no event will announce. */
static bool has_work(const struct session *session) {
    const struct output *output = &session->outputs[0];
    return output->is_ready && output_wants_to_read(session, output);
}

bool net_work(struct net *net) {
    uint16_t last = net->last_queued;
    if (last == NET_NONE) return false;
    bool is_last = false;
    bool has_worked = false;
    while (!is_last && queue_room(&net->queue) >= SESSION_STEP_BYTES_MAX) {
        is_last = net->first_queued == last;
        struct net_flow *flow = dequeue(net);
        if (flow->session == NULL) continue;
        has_worked = outputs_read(&net->sessions, flow->session) || has_worked;
        TCP.step(&net->sessions, flow->session);
        if (flow->session->stage == SESSION_FREE)
            forget_session(net, flow);
        else if (has_work(flow->session))
            net_enqueue(net, flow);
    }
    return has_worked;
}
