/*
 * The guest's network interface where the host decides about each flow: a TUN device, the routes to everywhere, and the two
 * sockets at which the guest's own TCP is answered.
 */
#pragma once
#include "net_packet.h"
#include "protocol.h"

/* Of one family. */
struct net_family {
    int listen_fd; /* -1: the guest has no such addresses */
    uint8_t own[16];
    uint8_t gateway[16];
    uint16_t listen_port;
};

struct net_link {
    int tun_fd;
    struct net_family families[2]; /* IPv4, IPv6: by is_ipv6 */
};

/* 0, or errno with `*step` saying at what. A kernel without IPv6 has one family. */
int net_link_open(struct net_link *link, const struct msg_network_open *open, const char **step);
/* Gives the guest a packet. One that its kernel does not take is lost, as on any network. */
void net_link_send(const struct net_link *link, const uint8_t *bytes, size_t size);

/*
 * To our listener a flow comes from an address of its own, which says which flow it is: its port names the place in the
 * table, its address the use of that place. They are seen by nobody else: 198.18.0.0/15 (RFC 2544), and the network behind
 * the guest's own.
 */
struct end net_inner_end(const struct net_link *link, bool is_ipv6, uint16_t place, uint32_t generation, uint8_t address[16]);
/* The place of the flow that such an end belongs to, with its generation as far as the address holds it; -1 if it is none. */
int net_inner_place(const struct net_link *link, bool is_ipv6, struct end end, uint32_t *generation);
/* How much of a generation the addresses hold. */
enum { NET_INNER_GENERATION_MASK = 0x1ffff };
