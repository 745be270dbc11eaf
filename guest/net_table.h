/*
 * The flows of the guest: the two ends of each, and its stage.
 *
 *            a SYN, or the first datagram
 *   FREE ──▶ ASKED ──▶ OPENING ──▶ OPEN ──▶ CLOSING ──▶ FREE     TCP
 *              │ └──▶ SILENT (the other end does not answer, so we do not either)
 *              └─────▶ OPEN                                       datagrams and echoes
 *
 * An id is used once: its low bits are the place in the table, the rest counts its uses. Places are taken in the order in
 * which they became free, so that a flow's last packets never meet its successor.
 */
#pragma once
#include "limits.h"
#include "net_packet.h"
#include "session.h"

enum flow_stage {
    FLOW_FREE,
    FLOW_ASKED,   /* the host decides */
    FLOW_SILENT,  /* TCP: no answer, so that the guest's kernel times out */
    FLOW_OPENING, /* TCP: its SYN is on its way to our listener */
    FLOW_OPEN,
    FLOW_CLOSING, /* TCP: its socket is closed here; the kernel may still be sending */
};

/* A held SYN with its options. A SYN with data is dropped: the kernel repeats it without the data. */
enum { SYN_BYTES_MAX = VNET_HEADER_BYTES + IPV6_HEADER_BYTES + 60 };

struct net_flow {
    struct flow_key key;
    enum flow_stage stage;
    uint32_t id;
    uint16_t next_in_bucket; /* NET_NONE at the end */
    uint16_t next;           /* in the list of free places, or of flows with work */
    bool is_queued;          /* in the list of flows with work */
    bool has_source_ended;   /* a FIN went by */
    bool has_target_ended;
    bool was_reset;
    uint8_t syn_count;
    uint8_t syn_bytes;
    uint8_t syn[SYN_BYTES_MAX];
    uint64_t touched_ms;      /* the last packet */
    struct session *session;  /* TCP, while OPEN */
};

enum { NET_NONE = UINT16_MAX };
_Static_assert(NET_PLACES <= (int)NET_NONE, "places are numbered in 16 bits");

struct net_table {
    struct net_flow flows[NET_PLACES];
    uint16_t buckets[NET_BUCKETS];
    uint16_t first_free, last_free;
    /* Counts of flows, one for each bound. */
    uint32_t connections;        /* ASKED, SILENT, OPENING and OPEN */
    uint32_t asked_connections;
    uint32_t datagram_flows;
    uint32_t asked_datagram_flows;
    uint32_t used; /* all, CLOSING included */
};

void net_table_init(struct net_table *table);
struct net_flow *net_find(struct net_table *table, const struct flow_key *key);
/* The flow with this id; NULL if it has ended. */
struct net_flow *net_find_id(struct net_table *table, uint32_t id);
/* A new flow, in stage ASKED. If no place is free, takes one that only waits for late packets. NULL without one. */
struct net_flow *net_claim(struct net_table *table, const struct flow_key *key, uint64_t now_ms);
/* Enters any stage but FREE. */
void net_enter(struct net_table *table, struct net_flow *flow, enum flow_stage stage);
void net_release(struct net_table *table, struct net_flow *flow);
/* The flow of datagrams or echoes that has been idle longest, or NULL. */
struct net_flow *net_idlest_datagrams(struct net_table *table);

static inline uint16_t net_place(const struct net_flow *flow) {
    return (uint16_t)(flow->id % NET_PLACES);
}
/* How many flows used its place before. */
static inline uint32_t net_generation(const struct net_flow *flow) {
    return flow->id / NET_PLACES;
}
static inline bool net_is_connection(const struct net_flow *flow) {
    return flow->key.protocol == FLOW_PROTOCOL_TCP;
}
