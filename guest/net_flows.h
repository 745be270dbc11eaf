/*
 * Handles packets of the guest and decisions of the host.
 *
 * Packets of an accepted TCP flow only get other addresses, so that the guest's own TCP talks to a socket of ours:
 *
 *   program ⇄ kernel ⇄ eth0 (program:port → target:port) ⇄ here ⇄ eth0 (inner end → own:listener) ⇄ kernel ⇄ our socket
 */
#pragma once
#include "net_link.h"
#include "net_table.h"

struct net {
    struct net_link link;
    struct net_table table;
    struct send_queue queue;  /* frames to the host */
    struct sessions sessions; /* of which the connections use the queue */
    int events_fd;            /* epoll; the event of a connection holds its flow's id */
    uint16_t first_queued, last_queued; /* flows with work to do */
    uint64_t now_ms;
};

/* Events of the other descriptors. No flow has these ids. */
enum { NET_EVENT_TUN, NET_EVENT_INPUT, NET_EVENT_OUTPUT, NET_EVENT_LISTENERS };

/* ---- net_packets.c */

/* Handles a packet of the guest. Its buffer is reused for the answer. */
void net_take_packet(struct net *net, uint8_t *bytes, size_t size);
/* Ends flows that the guest no longer waits for, and those that have been idle too long. */
void net_sweep(struct net *net);

/* ---- net_frames.c */

/* Handles a frame of the host. The caller has made room for an answer. */
void net_take_frame(struct net *net, const struct frame *frame);

/* ---- net_connections.c */

/* Accepts one connection at the listener of a family. False when none is left, or the queue is full. */
bool net_accept(struct net *net, bool is_ipv6);
/* Something can be done for a connection. */
void net_enqueue(struct net *net, struct net_flow *flow);
/* The socket of a connection has failed. Reports it even if no read would notice. */
void net_note_error(struct net_flow *flow);
/* Gives each connection with work one turn. False if nothing was done. */
bool net_work(struct net *net);
/* Tells the host that a flow has ended. `error` is why a connection broke off, or 0. */
void net_end_flow(struct net *net, struct net_flow *flow, int error);
