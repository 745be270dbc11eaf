/*
 * The guest's network interface when the host decides about each flow: a TUN device, the default routes, and two listening
 * sockets to which the guest's own TCP connects.
 */
#pragma once
#include "net_packet.h"
#include "protocol.h"

/* One address family. */
struct net_family {
    int listen_fd; /* -1: the guest has no such addresses */
    uint8_t own[16];
    uint8_t gateway[16];
    uint16_t listen_port;
};

struct net_link {
    int tun_fd;
    struct net_family families[2]; /* IPv4, IPv6; indexed by is_ipv6 */
};

/* Returns 0, or an errno, with the failed step in `*step`. Without IPv6 in the kernel, only IPv4 is opened. */
int net_link_open(struct net_link *link, const struct msg_network_open *open, const char **step);
/* Sends the guest a packet. If its kernel does not take it, the packet is lost, as on any network. */
void net_link_send(const struct net_link *link, const uint8_t *bytes, size_t size);

/*
 * Each flow reaches our listener from an inner end that identifies it: the port is its place in the table, and the address
 * counts the uses of that place. Only this device uses these addresses: 198.18.0.0/15 (RFC 2544), and the IPv6 network that
 * follows the guest's own.
 */
struct end net_inner_end(const struct net_link *link, bool is_ipv6, uint16_t place, uint32_t generation, uint8_t address[16]);
/* The place of the flow with this inner end, and the low bits of its generation; -1 if it is not an inner end. */
int net_inner_place(const struct net_link *link, bool is_ipv6, struct end end, uint32_t *generation);
/* The bits of a generation that an address holds. */
enum { NET_INNER_GENERATION_MASK = 0x1ffff };
