/*
 * What becomes of packets and of the host's decisions: requests, connections, datagrams.
 *
 * A packet of a TCP flow that was let in only changes its addresses, so that the guest's own TCP talks to a socket of ours:
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
    int events_fd;            /* epoll: an event of a connection carries its flow's id */
    uint16_t first_queued, last_queued; /* flows with work to do */
    uint64_t now_ms;
};

/* Events of other descriptors than connections: no flow's ids. */
enum { NET_EVENT_TUN, NET_EVENT_INPUT, NET_EVENT_OUTPUT, NET_EVENT_LISTENERS };

/* ---- net_packets.c */

/* A packet of the guest. The buffer is used for the answer, too. */
void net_take_packet(struct net *net, uint8_t *bytes, size_t size);
/* Gives up what the guest no longer waits for, and what has been idle for long. */
void net_sweep(struct net *net);

/* ---- net_frames.c */

/* A frame of the host. Room for an answer has been seen to. */
void net_take_frame(struct net *net, const struct frame *frame);

/* ---- net_connections.c */

/* Takes what has arrived at the listener of a family. False once there is nothing more. */
bool net_accept(struct net *net, bool is_ipv6);
/* Something can be done for a connection. */
void net_enqueue(struct net *net, struct net_flow *flow);
/* The socket of a connection has failed: told also where nothing is read that would tell. */
void net_note_error(struct net_flow *flow);
/* One turn for each connection that has work. False if nothing was done. */
bool net_work(struct net *net);
/* Tells the host that a flow is over; errno says why a connection broke off, or is 0. */
void net_end_flow(struct net *net, struct net_flow *flow, int error);
