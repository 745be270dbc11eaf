#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "reply.h"
#include "stream_input.h"
#include "stream_output.h"
#include "stream_table.h"

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* Ends the session with why there is no connection, or none any more. */
static void fail(struct sessions *sessions, struct session *session, int error) {
    reply_tcp_failed(sessions->queue, session->stream, error, strerror(error));
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

/* Parses a literal address. Returns its length, or 0. Names are not resolved: the agent must not wait for an answer. */
static socklen_t parse_address(const char *host, uint16_t port, union address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &address->ipv4.sin_addr) == 1) {
        address->ipv4.sin_family = AF_INET;
        address->ipv4.sin_port = htons(port);
        return sizeof address->ipv4;
    }
    if (inet_pton(AF_INET6, host, &address->ipv6.sin6_addr) == 1) {
        address->ipv6.sin6_family = AF_INET6;
        address->ipv6.sin6_port = htons(port);
        return sizeof address->ipv6;
    }
    return 0;
}

/* Begins to connect; 0, or why that is not possible. */
static int begin(struct session *session, const char *host) {
    union address address;
    socklen_t size = parse_address(host, session->tcp.port, &address);
    if (size == 0) return EINVAL;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, &address.any, size) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    session->tcp.socket_fd = fd;
    return 0;
}

/* A server on the loopback interface may listen for one family only. */
static bool try_ipv6_loopback(struct session *session) {
    if (!session->tcp.may_try_ipv6) return false;
    session->tcp.may_try_ipv6 = false;
    session->tcp.is_ready = false;
    return begin(session, "::1") == 0;
}

static void tcp_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_tcp_connect message;
    char host[INET6_ADDRSTRLEN];
    if (!msg_tcp_connect_decode(&reader, &message) || message.port == 0) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_MALFORMED, frame->type,
                    "tcpConnect cannot be decoded");
        reply_closed(sessions->queue, frame->stream);
        return;
    }
    if (session_find(sessions, frame->stream) != NULL) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "the stream is in use");
        return;
    }
    struct session *session = sessions->refuses_new ? NULL : session_claim(sessions, &TCP, frame->stream);
    if (session == NULL) {
        reply_tcp_failed(sessions->queue, frame->stream, sessions->refuses_new ? ESHUTDOWN : EMFILE,
                         sessions->refuses_new ? "the sandbox is shutting down" : "too many streams at once");
        reply_closed(sessions->queue, frame->stream);
        return;
    }
    session->tcp = (struct connection){
        .socket_fd = -1,
        .port = message.port,
        .may_try_ipv6 = message.host.size == 0,
        .deadline_ms = clock_monotonic_ms() + message.timeout_ms,
    };
    int error = EINVAL;
    if (text_to_string(message.host, host, sizeof host)) error = begin(session, *host == '\0' ? "127.0.0.1" : host);
    if (error != 0 && !try_ipv6_loopback(session)) fail(sessions, session, error);
}

/* 0 once connected, EINPROGRESS while not, or why it will not be. */
static int connection_state(const struct session *session) {
    if (!session->tcp.is_ready)
        return clock_monotonic_ms() >= session->tcp.deadline_ms ? ETIMEDOUT : EINPROGRESS;
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(session->tcp.socket_fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/* Two descriptors, so that each direction can be closed as if it were a pipe. */
static void open_channels(struct session *session, int fd, int read_fd) {
    session->stage = SESSION_RUNNING;
    input_open(&session->input, fd, INPUT_END_SHUTDOWN);
    output_open(&session->outputs[0], read_fd, MSG_STDOUT);
}

void session_open_connected(struct session *session, uint32_t stream, int fd, int read_fd) {
    *session = (struct session){.kind = &TCP, .stream = stream, .tcp = {.socket_fd = -1}};
    output_open(&session->outputs[1], -1, MSG_STDERR);
    open_channels(session, fd, read_fd);
}

static void step_connecting(struct sessions *sessions, struct session *session) {
    int error = connection_state(session);
    if (error == EINPROGRESS) return;
    int fd = session->tcp.socket_fd;
    session->tcp.socket_fd = -1;
    int read_fd = error == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    if (read_fd < 0) {
        if (error == 0) error = errno;
        close(fd);
        if (error == ETIMEDOUT || !try_ipv6_loopback(session)) fail(sessions, session, error);
        return;
    }
    open_channels(session, fd, read_fd);
    reply_tcp_connected(sessions->queue, session->stream);
}

/* The client has closed it. The peer gets a reset, because it may not have received everything. */
static void cut(struct sessions *sessions, struct session *session) {
    int fds[] = {session->tcp.socket_fd, session->input.fd, session->outputs[0].fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        if (fds[i] >= 0) setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

static void tcp_step(struct sessions *sessions, struct session *session) {
    if (session->is_abandoned) {
        cut(sessions, session);
        return;
    }
    if (session->stage == SESSION_OPENING) step_connecting(sessions, session);
    if (session->stage != SESSION_RUNNING) return;
    if (session->outputs[0].error != 0) {
        fail(sessions, session, session->outputs[0].error);
        return;
    }
    struct output *output = &session->outputs[0];
    input_step(sessions, session);
    if (output->is_end_due) reply_output_end(sessions->queue, session->stream, 0, MSG_STDOUT);
    output->is_end_due = false;
    /* At the end of the sandbox a server that has hung up is not written to for long. */
    if (output->fd >= 0 || (session->input.fd >= 0 && !sessions->refuses_new)) return;
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

/* step() cuts it: what was written may still be on its way to the socket. */
static void tcp_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    session_abandon(sessions, session);
}

static void tcp_release(struct sessions *sessions, struct session *session) {
    (void)sessions;
    if (session->tcp.socket_fd >= 0) close(session->tcp.socket_fd);
}

static void tcp_interest(struct session *session, struct interest *interest) {
    if (session->stage == SESSION_OPENING)
        interest_add(interest, session->tcp.socket_fd, POLLOUT, &session->tcp.is_ready);
}

static int tcp_timeout_ms(const struct session *session) {
    if (session->stage != SESSION_OPENING) return -1;
    uint64_t now = clock_monotonic_ms();
    uint64_t left = session->tcp.deadline_ms > now ? session->tcp.deadline_ms - now : 0;
    return left > TCP_WAIT_MS_MAX ? TCP_WAIT_MS_MAX : (int)left;
}

const struct stream_kind TCP = {
    .open_type = MSG_TCP_CONNECT,
    .types = (const uint8_t[]){0},
    .frame_bytes_min = OUTPUT_FRAME_BYTES_MIN,
    .credit_batch_bytes = STREAM_WINDOW_BYTES / 4, /* a short connection sends none */
    .open = tcp_open,
    .close = tcp_close,
    .step = tcp_step,
    .read = outputs_read,
    .interest = tcp_interest,
    .timeout_ms = tcp_timeout_ms,
    .release = tcp_release,
};
