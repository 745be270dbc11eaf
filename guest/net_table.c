#include "net_table.h"

#include <assert.h>
#include <sys/random.h>

/* Seeded, so that no program can choose addresses that all fall into one bucket. */
static uint32_t seed;

void net_table_init(struct net_table *table) {
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = 1; /* early in a boot: the guest slows only itself */
    for (size_t i = 0; i < NET_BUCKETS; i++) table->buckets[i] = NET_NONE;
    for (size_t i = 0; i < NET_PLACES; i++) {
        table->flows[i].id = (uint32_t)i;
        table->flows[i].next = (uint16_t)(i + 1);
    }
    table->flows[NET_PLACES - 1].next = NET_NONE;
    table->first_free = 0;
    table->last_free = NET_PLACES - 1;
}

/* FNV-1a. */
static size_t bucket_of(const struct flow_key *key) {
    const uint8_t *bytes = (const uint8_t *)key;
    uint32_t hash = 2166136261u ^ seed;
    for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ bytes[i]) * 16777619u;
    return (hash ^ hash >> 15) % NET_BUCKETS;
}

struct net_flow *net_find(struct net_table *table, const struct flow_key *key) {
    for (uint16_t i = table->buckets[bucket_of(key)]; i != NET_NONE; i = table->flows[i].next_in_bucket)
        if (memcmp(&table->flows[i].key, key, sizeof *key) == 0) return &table->flows[i];
    return NULL;
}

struct net_flow *net_find_id(struct net_table *table, uint32_t id) {
    struct net_flow *flow = &table->flows[id % NET_PLACES];
    return flow->stage != FLOW_FREE && flow->id == id ? flow : NULL;
}

static void count(struct net_table *table, const struct net_flow *flow, uint32_t one) {
    bool is_asked = flow->stage == FLOW_ASKED;
    if (!net_is_connection(flow)) {
        table->datagram_flows += one;
        if (is_asked) table->asked_datagram_flows += one;
    } else if (flow->stage != FLOW_CLOSING) {
        table->connections += one;
        if (is_asked) table->asked_connections += one;
    }
    table->used += one;
}

static const uint32_t MINUS_ONE = UINT32_MAX;

static struct net_flow *oldest(struct net_table *table, bool are_datagrams) {
    struct net_flow *found = NULL;
    for (size_t i = 0; i < NET_PLACES; i++) {
        struct net_flow *flow = &table->flows[i];
        bool is_one = are_datagrams ? flow->stage != FLOW_FREE && !net_is_connection(flow) : flow->stage == FLOW_CLOSING;
        if (is_one && (found == NULL || flow->touched_ms < found->touched_ms)) found = flow;
    }
    return found;
}

struct net_flow *net_idlest_datagrams(struct net_table *table) {
    return oldest(table, true);
}

struct net_flow *net_claim(struct net_table *table, const struct flow_key *key, uint64_t now_ms) {
    if (table->first_free == NET_NONE) {
        struct net_flow *late = oldest(table, false);
        if (late == NULL) return NULL;
        net_release(table, late);
    }
    struct net_flow *flow = &table->flows[table->first_free];
    table->first_free = flow->next;
    if (table->first_free == NET_NONE) table->last_free = NET_NONE;
    uint32_t id = flow->id + NET_PLACES;
    if (id < NET_PLACES) id += NET_PLACES; /* past the last: generation 0 has no flows, so that no id is 0 */
    *flow = (struct net_flow){.key = *key, .stage = FLOW_ASKED, .id = id, .next = NET_NONE, .touched_ms = now_ms};
    size_t bucket = bucket_of(key);
    flow->next_in_bucket = table->buckets[bucket];
    table->buckets[bucket] = net_place(flow);
    count(table, flow, 1);
    return flow;
}

void net_enter(struct net_table *table, struct net_flow *flow, enum flow_stage stage) {
    assert(flow->stage != FLOW_FREE && stage != FLOW_FREE);
    count(table, flow, MINUS_ONE);
    flow->stage = stage;
    count(table, flow, 1);
}

void net_release(struct net_table *table, struct net_flow *flow) {
    assert(flow->stage != FLOW_FREE && flow->session == NULL && !flow->is_queued);
    count(table, flow, MINUS_ONE);
    uint16_t place = net_place(flow);
    uint16_t *link = &table->buckets[bucket_of(&flow->key)];
    while (*link != place) link = &table->flows[*link].next_in_bucket;
    *link = flow->next_in_bucket;
    flow->stage = FLOW_FREE;
    flow->next = NET_NONE;
    if (table->last_free == NET_NONE)
        table->first_free = place;
    else
        table->flows[table->last_free].next = place;
    table->last_free = place;
}
