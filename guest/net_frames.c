/* Frames of the host about flows. See net_flows.h. */
#include <errno.h>
#include <string.h>

#include "net_flows.h"
#include "sessions.h"

static uint8_t answer[PACKET_BYTES_MAX];

static uint32_t syn_sequence(const struct net_flow *flow) {
    size_t ip_bytes = flow->key.is_ipv6 ? IPV6_HEADER_BYTES : (size_t)(flow->syn[VNET_HEADER_BYTES] & 15) * 4;
    return flow->syn_bytes == 0 ? 0 : load_big_endian_32(flow->syn + VNET_HEADER_BYTES + ip_bytes + 4);
}

static void accept_flow(struct net *net, struct net_flow *flow) {
    if (flow->stage != FLOW_ASKED) return;
    flow->touched_ms = net->now_ms;
    if (!net_is_connection(flow)) {
        net_enter(&net->table, flow, FLOW_OPEN);
        return;
    }
    net_enter(&net->table, flow, FLOW_OPENING);
    /* Handle the held SYN as if it came now. */
    memcpy(answer, flow->syn, flow->syn_bytes);
    net_take_packet(net, answer, flow->syn_bytes);
}

/* Refuses as a network does: by a reset, by an ICMP error, or by silence, as if the host did not exist. */
static void refuse_flow(struct net *net, struct net_flow *flow, uint8_t reason) {
    const struct flow_key *key = &flow->key;
    bool is_connection = net_is_connection(flow);
    if (is_connection && flow->stage != FLOW_ASKED) return;
    uint32_t sequence = syn_sequence(flow);
    size_t size = 0;
    if (reason == FLOW_REFUSAL_REFUSED)
        size = is_connection ? packet_make_refusal(answer, key, sequence)
                             : packet_make_unreachable(answer, key, sequence, UNREACHABLE_PORT, NULL);
    else if (reason == FLOW_REFUSAL_UNREACHABLE)
        size = packet_make_unreachable(answer, key, sequence, UNREACHABLE_HOST,
                                       net->link.families[key->is_ipv6].gateway);
    if (size > 0) net_link_send(&net->link, answer, size);
    bool is_silent = is_connection && size == 0;
    if (is_silent) net_enter(&net->table, flow, FLOW_SILENT);
    if (is_silent) return;
    if (is_connection)
        net_release(&net->table, flow);
    else
        net_end_flow(net, flow, 0);
}

static void send_datagram(struct net *net, struct net_flow *flow, const struct frame *frame) {
    struct text data = frame->payload;
    size_t room = PACKET_BYTES_MAX - VNET_HEADER_BYTES - IPV6_HEADER_BYTES - UDP_HEADER_BYTES;
    size_t ipv4_excess = flow->key.is_ipv6 ? 0 : IPV4_HEADER_BYTES; /* its size includes the header */
    struct msg_echo echo;
    struct reader reader = {.bytes = (const uint8_t *)data.bytes, .size = data.size};
    if (flow->stage != FLOW_OPEN || net_is_connection(flow) || data.size > room - ipv4_excess) return;
    flow->touched_ms = net->now_ms;
    size_t size = 0;
    if (frame->type == MSG_DATAGRAM && flow->key.protocol == FLOW_PROTOCOL_UDP)
        size = packet_make_datagram(answer, &flow->key, data.bytes, data.size);
    else if (frame->type == MSG_ECHO && flow->key.protocol == FLOW_PROTOCOL_ICMP && msg_echo_decode(&reader, &echo))
        size = packet_make_echo_reply(answer, &flow->key, echo.sequence, echo.data.bytes, echo.data.size);
    if (size > 0) net_link_send(&net->link, answer, size);
}

/* The host closes the flow. */
static void close_flow(struct net *net, struct net_flow *flow, const struct frame *frame) {
    if (flow->session != NULL) {
        session_deliver(&net->sessions, flow->session, frame);
        net_enqueue(net, flow);
        return;
    }
    if (flow->stage == FLOW_CLOSING || flow->stage == FLOW_SILENT) return;
    /* An accepted connection has not arrived yet: our listener resets it when it does. */
    net_end_flow(net, flow, 0);
}

void net_take_frame(struct net *net, const struct frame *frame) {
    struct reader reader = {.bytes = (const uint8_t *)frame->payload.bytes, .size = frame->payload.size};
    struct msg_flow_refuse refusal;
    struct net_flow *flow = net_find_id(&net->table, frame->stream);
    if (flow == NULL) return; /* it has just ended, and the host does not know yet */
    switch (frame->type) {
        case MSG_FLOW_ACCEPT: accept_flow(net, flow); break;
        case MSG_FLOW_REFUSE:
            if (msg_flow_refuse_decode(&reader, &refusal)) refuse_flow(net, flow, refusal.reason);
            break;
        case MSG_DATAGRAM:
        case MSG_ECHO: send_datagram(net, flow, frame); break;
        case MSG_CLOSE: close_flow(net, flow, frame); break;
        default:
            if (flow->session == NULL) break;
            session_deliver(&net->sessions, flow->session, frame);
            net_enqueue(net, flow);
    }
}
