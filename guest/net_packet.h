/*
 * IP packets as a TUN device reads and writes them: with a virtio_net_hdr, and with up to 64 KiB of TCP data in one packet.
 *
 * RFC 791 (IPv4), 8200 (IPv6), 793 (TCP), 768 (UDP), 792 and 4443 (ICMP), 1624 (checksums that follow a change).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VNET_HEADER_BYTES = 10,
    IPV4_HEADER_BYTES = 20,
    IPV6_HEADER_BYTES = 40,
    TCP_HEADER_BYTES = 20,
    UDP_HEADER_BYTES = 8,
    ECHO_HEADER_BYTES = 8,
    /* The largest packet of either family, including the device's header. */
    PACKET_BYTES_MAX = VNET_HEADER_BYTES + IPV6_HEADER_BYTES + 65535,

    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_ACK = 16,
};

/* The two ends of a flow; the source is the guest's program. No padding, so that it can be compared and hashed as bytes. */
struct flow_key {
    uint8_t source[16]; /* IPv4: the first four bytes, the rest is zero */
    uint8_t destination[16];
    uint16_t source_port; /* of an echo: its identifier */
    uint16_t destination_port;
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP for an echo of either family */
    uint8_t is_ipv6;
};
_Static_assert(sizeof(struct flow_key) == 38, "no padding");

/* A view of a packet in the caller's buffer. */
struct packet {
    uint8_t *bytes; /* from the device's header on */
    size_t size;
    struct flow_key key;
    uint8_t *transport;
    size_t transport_size;
    uint8_t tcp_flags;
    bool is_partial; /* its checksum covers the pseudo header only: the device is to complete it */
};

/* False for packets that are not handled: fragments, extension headers, other protocols, wrong sizes or checksums. */
bool packet_parse(struct packet *packet, uint8_t *bytes, size_t size);

/* An end of a TCP connection. */
struct end {
    const uint8_t *address;
    uint16_t port;
};
/* Replaces both ends of a TCP packet. */
void packet_readdress(struct packet *packet, struct end source, struct end destination);

uint16_t load_big_endian_16(const uint8_t *bytes);
uint32_t load_big_endian_32(const uint8_t *bytes);

/* ---- packets to the guest, written to `bytes` (PACKET_BYTES_MAX); they return the size */

/* The reset that answers a TCP packet of no connection (RFC 793). */
size_t packet_make_reset(uint8_t *bytes, const struct packet *packet);
/* The same for a SYN, given its sequence number alone. */
size_t packet_make_refusal(uint8_t *bytes, const struct flow_key *key, uint32_t sequence);
/* A datagram from the flow's destination. */
size_t packet_make_datagram(uint8_t *bytes, const struct flow_key *key, const void *data, size_t data_bytes);
/* A reply to an echo request. */
size_t packet_make_echo_reply(uint8_t *bytes, const struct flow_key *key, uint16_t sequence, const void *data,
                              size_t data_bytes);

enum unreachable { UNREACHABLE_PORT, UNREACHABLE_HOST };
/* An ICMP error: an unreachable host is reported by `router`, an unreachable port by the destination itself. */
size_t packet_make_unreachable(uint8_t *bytes, const struct flow_key *key, uint32_t sequence, enum unreachable what,
                               const uint8_t *router);
