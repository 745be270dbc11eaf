/* Assigns the guest's packets to flows. See net_flows.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "net_flows.h"
#include "reply.h"

static uint8_t answer[PACKET_BYTES_MAX];

static struct net_family *family_of(struct net *net, const struct flow_key *key) {
    return &net->link.families[key->is_ipv6];
}

static size_t address_bytes(const struct flow_key *key) {
    return key->is_ipv6 ? 16 : 4;
}

/* ---- asking the host */

static bool has_room(const struct net *net) {
    return queue_room(&net->queue) >= REPLY_BYTES_MAX;
}

static void ask(struct net *net, const struct net_flow *flow) {
    const struct flow_key *key = &flow->key;
    bool is_echo = key->protocol == FLOW_PROTOCOL_ICMP;
    reply_flow_request(&net->queue, flow->id,
                       &(struct msg_flow_request){
                           .protocol = key->protocol,
                           .source = {.bytes = (const char *)key->source, .size = (uint32_t)address_bytes(key)},
                           .source_port = is_echo ? 0 : key->source_port,
                           .destination = {.bytes = (const char *)key->destination, .size = (uint32_t)address_bytes(key)},
                           .destination_port = key->destination_port,
                       });
}

static void send_reset(struct net *net, const struct packet *packet) {
    if (packet->tcp_flags & TCP_RST) return;
    net_link_send(&net->link, answer, packet_make_reset(answer, packet));
}

/* ---- TCP */

static void hold_syn(struct net *net, const struct packet *packet) {
    struct net_table *table = &net->table;
    if (packet->size > SYN_BYTES_MAX) return; /* the kernel repeats it without data */
    if (table->asked_connections >= NET_ASKED_CONNECTIONS_MAX || !has_room(net)) return; /* the kernel repeats it later */
    struct net_flow *flow =
        table->connections < NET_CONNECTIONS_MAX ? net_claim(table, &packet->key, net->now_ms) : NULL;
    if (flow == NULL) {
        send_reset(net, packet);
        return;
    }
    memcpy(flow->syn, packet->bytes, packet->size);
    flow->syn_bytes = (uint8_t)packet->size;
    ask(net, flow);
}

/* A repeated SYN of a flow that waits. The kernel doubles the time to the next one. */
static void note_syn(struct net *net, struct net_flow *flow) {
    flow->touched_ms = net->now_ms;
    if (flow->syn_count < NET_SYN_DOUBLINGS_MAX) flow->syn_count++;
}

static void pass_on(struct net *net, struct net_flow *flow, struct packet *packet) {
    uint8_t address[16];
    const struct net_family *family = family_of(net, &flow->key);
    struct end inner =
        net_inner_end(&net->link, flow->key.is_ipv6, net_place(flow), net_generation(flow), address);
    packet_readdress(packet, inner, (struct end){.address = family->own, .port = family->listen_port});
    net_link_send(&net->link, packet->bytes, packet->size);
}

/* A packet of the guest's program. */
static void take_from_program(struct net *net, struct packet *packet) {
    struct net_flow *flow = net_find(&net->table, &packet->key);
    bool is_syn = (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (flow != NULL && flow->stage == FLOW_CLOSING && is_syn) { /* a new connection reuses the port */
        net_release(&net->table, flow);
        flow = NULL;
    }
    if (flow == NULL) {
        if (is_syn)
            hold_syn(net, packet);
        else
            send_reset(net, packet);
        return;
    }
    if (flow->stage == FLOW_ASKED || flow->stage == FLOW_SILENT) {
        if (is_syn)
            note_syn(net, flow);
        else if ((packet->tcp_flags & TCP_RST) && has_room(net)) /* without room, the next sweep ends it */
            net_end_flow(net, flow, 0);
        return;
    }
    flow->touched_ms = net->now_ms;
    if (packet->tcp_flags & TCP_FIN) flow->has_source_ended = true;
    if (packet->tcp_flags & TCP_RST) flow->was_reset = true;
    pass_on(net, flow, packet);
    if (flow->was_reset && flow->stage == FLOW_OPENING && has_room(net)) net_end_flow(net, flow, ECONNRESET);
}

/* A packet from our socket: makes it look as if it came from the target. */
static void take_from_listener(struct net *net, struct packet *packet) {
    const struct flow_key *key = &packet->key;
    uint32_t generation;
    struct end inner = {.address = key->destination, .port = key->destination_port};
    int place = net_inner_place(&net->link, key->is_ipv6, inner, &generation);
    if (place < 0) return;
    struct net_flow *flow = &net->table.flows[place];
    bool is_same = flow->stage >= FLOW_OPENING && flow->key.is_ipv6 == key->is_ipv6 && net_is_connection(flow) &&
                   (net_generation(flow) & NET_INNER_GENERATION_MASK) == generation;
    if (!is_same) return;
    flow->touched_ms = net->now_ms;
    if (packet->tcp_flags & TCP_FIN) flow->has_target_ended = true;
    if (packet->tcp_flags & TCP_RST) flow->was_reset = true;
    packet_readdress(packet, (struct end){.address = flow->key.destination, .port = flow->key.destination_port},
                     (struct end){.address = flow->key.source, .port = flow->key.source_port});
    net_link_send(&net->link, packet->bytes, packet->size);
}

static void take_tcp(struct net *net, struct packet *packet) {
    const struct net_family *family = family_of(net, &packet->key);
    if (family->listen_fd < 0) return;
    bool is_ours = packet->key.source_port == family->listen_port &&
                   memcmp(packet->key.source, family->own, address_bytes(&packet->key)) == 0;
    if (is_ours)
        take_from_listener(net, packet);
    else
        take_from_program(net, packet);
}

/* ---- datagrams and echoes */

static struct net_flow *ask_for_datagrams(struct net *net, const struct packet *packet) {
    struct net_table *table = &net->table;
    if (table->asked_datagram_flows >= NET_ASKED_DATAGRAM_FLOWS_MAX || !has_room(net)) return NULL;
    if (table->datagram_flows >= NET_DATAGRAM_FLOWS_MAX) net_end_flow(net, net_idlest_datagrams(table), 0);
    struct net_flow *flow = has_room(net) ? net_claim(table, &packet->key, net->now_ms) : NULL;
    if (flow != NULL) ask(net, flow);
    return flow;
}

/* Without room, a datagram is lost, as on any network. The output of connections leaves some room. */
static void take_datagram(struct net *net, const struct packet *packet) {
    struct net_flow *flow = net_find(&net->table, &packet->key);
    if (flow == NULL) flow = ask_for_datagrams(net, packet);
    if (flow == NULL) return;
    flow->touched_ms = net->now_ms;
    bool is_echo = packet->key.protocol == FLOW_PROTOCOL_ICMP;
    /* An echo's number stands before its payload on the wire as in the packet; then both are big-endian there. */
    size_t head_bytes = is_echo ? ECHO_HEADER_BYTES - sizeof(uint16_t) : UDP_HEADER_BYTES;
    struct frame frame = {
        .stream = flow->id,
        .type = is_echo ? MSG_ECHO : MSG_DATAGRAM,
        .payload = {.bytes = (const char *)packet->transport + head_bytes,
                    .size = (uint32_t)(packet->transport_size - head_bytes)},
    };
    if (is_echo) {
        uint8_t *number = packet->transport + head_bytes;
        store_little_endian(number, 2, load_big_endian_16(number));
    }
    if (queue_room(&net->queue) >= SEND_RESERVE_BYTES + FRAME_HEADER_BYTES + frame.payload.size)
        queue_frame(&net->queue, &frame);
}

void net_take_packet(struct net *net, uint8_t *bytes, size_t size) {
    struct packet packet;
    if (!packet_parse(&packet, bytes, size)) return;
    if (packet.key.protocol == FLOW_PROTOCOL_TCP)
        take_tcp(net, &packet);
    else
        take_datagram(net, &packet);
}

/* ---- time */

static uint64_t patience_ms(const struct net_flow *flow) {
    bool is_over = flow->was_reset || (flow->has_source_ended && flow->has_target_ended);
    switch (flow->stage) {
        case FLOW_ASKED:
        case FLOW_SILENT:
            /* Twice the time to the next SYN: if none has come, no program waits any more. */
            if (net_is_connection(flow)) return (uint64_t)NET_SYN_RETRY_MS * 2 << flow->syn_count;
            return NET_DATAGRAMS_IDLE_MS;
        case FLOW_OPENING: return NET_OPENING_MS;
        case FLOW_CLOSING: return is_over ? NET_LATE_MS : NET_ORPHAN_MS;
        default: return flow->key.protocol == FLOW_PROTOCOL_ICMP ? NET_ECHO_IDLE_MS : NET_DATAGRAMS_IDLE_MS;
    }
}

void net_sweep(struct net *net) {
    for (size_t i = 0; i < NET_PLACES && has_room(net); i++) {
        struct net_flow *flow = &net->table.flows[i];
        bool is_open_connection = flow->stage == FLOW_OPEN && net_is_connection(flow);
        if (flow->stage == FLOW_FREE || is_open_connection) continue;
        if (net->now_ms - flow->touched_ms <= patience_ms(flow)) continue;
        if (flow->stage == FLOW_CLOSING)
            net_release(&net->table, flow);
        else
            net_end_flow(net, flow, flow->stage == FLOW_OPENING ? ETIMEDOUT : 0);
    }
}
