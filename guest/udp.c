#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reply.h"
#include "stream_output.h"
#include "stream_table.h"

/* A socket that is connected to a port of the loopback interface, or -1. */
static int connect_loopback(uint16_t port, bool is_ipv6) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const struct sockaddr *address = is_ipv6 ? (const struct sockaddr *)&ipv6 : (const struct sockaddr *)&ipv4;
    if (connect(fd, address, is_ipv6 ? sizeof ipv6 : sizeof ipv4) == 0) return fd;
    close(fd);
    return -1;
}

/* Nothing listens there: uses the other address family from now on. False if that fails. */
static bool turn_family(struct session *session) {
    int fd = connect_loopback(session->udp.port, !session->udp.is_ipv6);
    if (fd < 0) return false;
    session->udp.is_ipv6 = !session->udp.is_ipv6;
    output_close(&session->outputs[0]);
    output_open(&session->outputs[0], fd, MSG_DATAGRAM);
    return true;
}

static void udp_open(struct sessions *sessions, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_udp_open message;
    if (!msg_udp_open_decode(&reader, &message) || message.port == 0) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_MALFORMED, frame->type, "udpOpen cannot be decoded");
        reply_closed(sessions->queue, frame->stream);
        return;
    }
    if (session_find(sessions, frame->stream) != NULL) {
        reply_error(sessions->queue, frame->stream, WIRE_ERROR_BAD_STREAM, frame->type, "the stream is in use");
        return;
    }
    int fd = sessions->refuses_new ? -1 : connect_loopback(message.port, false);
    struct session *session = fd < 0 ? NULL : session_claim(sessions, &UDP, frame->stream);
    if (session == NULL) {
        if (fd >= 0) close(fd);
        reply_closed(sessions->queue, frame->stream);
        return;
    }
    session->stage = SESSION_RUNNING;
    session->udp = (struct flow){.port = message.port};
    output_open(&session->outputs[0], fd, MSG_DATAGRAM);
}

static void udp_handle(struct sessions *sessions, struct session *session, const struct frame *frame) {
    (void)sessions;
    struct text data = frame->payload;
    if (send(session->outputs[0].fd, data.bytes, data.size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return;
    /* That is the fate of an earlier one; this one has not been sent. */
    if (errno == ECONNREFUSED && turn_family(session))
        send(session->outputs[0].fd, data.bytes, data.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool udp_read(struct sessions *sessions, struct session *session) {
    struct output *output = &session->outputs[0];
    if (!output->is_ready || !output_has_room(sessions, session)) return false;
    struct frame frame = {.stream = session->stream, .type = MSG_DATAGRAM};
    ssize_t size = queue_frame_from(sessions->queue, frame, output->fd, FRAME_PAYLOAD_BYTES_MAX);
    if (size == 0) queue_frame(sessions->queue, &frame); /* an empty datagram is one, too */
    if (size >= 0 || errno == EINTR) return true;
    output->is_ready = false;
    if (errno == ECONNREFUSED) turn_family(session);
    return false;
}

static void udp_step(struct sessions *sessions, struct session *session) {
    if (!session->is_abandoned && !sessions->refuses_new) return;
    reply_closed(sessions->queue, session->stream);
    session_release(sessions, session);
}

static void udp_close(struct sessions *sessions, struct session *session, bool is_gone) {
    (void)is_gone;
    session_abandon(sessions, session);
}

const struct stream_kind UDP = {
    .open_type = MSG_UDP_OPEN,
    .types = (const uint8_t[]){MSG_DATAGRAM, 0},
    .frame_bytes_min = FRAME_PAYLOAD_BYTES_MAX, /* a datagram is taken whole, or what is missing of it is lost */
    .open = udp_open,
    .handle = udp_handle,
    .close = udp_close,
    .step = udp_step,
    .read = udp_read,
};
