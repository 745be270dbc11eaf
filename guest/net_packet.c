#include "net_packet.h"

#include <netinet/in.h>
#include <string.h>

/* Offsets within headers. */
enum {
    VNET_AT_FLAGS = 0,
    VNET_NEEDS_CHECKSUM = 1,

    IPV4_AT_TOTAL = 2,
    IPV4_AT_FRAGMENT = 6,
    IPV4_AT_TTL = 8,
    IPV4_AT_PROTOCOL = 9,
    IPV4_AT_CHECKSUM = 10,
    IPV4_AT_SOURCE = 12,
    IPV4_AT_DESTINATION = 16,
    IPV4_FRAGMENT_BITS = 0x3fff, /* the flag for more fragments, and the offset */

    IPV6_AT_PAYLOAD = 4,
    IPV6_AT_NEXT = 6,
    IPV6_AT_HOPS = 7,
    IPV6_AT_SOURCE = 8,
    IPV6_AT_DESTINATION = 24,

    TCP_AT_SEQUENCE = 4,
    TCP_AT_ACKNOWLEDGED = 8,
    TCP_AT_SIZE = 12,
    TCP_AT_FLAGS = 13,
    TCP_AT_CHECKSUM = 16,
    UDP_AT_SIZE = 4,
    UDP_AT_CHECKSUM = 6,
    ICMP_AT_CODE = 1,
    ICMP_AT_CHECKSUM = 2,
    ICMP_AT_IDENTIFIER = 4,

    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_HOST_UNREACHABLE = 1,
    ICMP_PORT_UNREACHABLE = 3,
    ICMP6_UNREACHABLE = 1,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_ADDRESS_UNREACHABLE = 3,
    ICMP6_PORT_UNREACHABLE = 4,

    HOPS = 64,
    /* The part of the transport that an ICMP error quotes. */
    QUOTED_BYTES = 8,
};

uint16_t load_big_endian_16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t load_big_endian_32(const uint8_t *bytes) {
    return (uint32_t)load_big_endian_16(bytes) << 16 | load_big_endian_16(bytes + 2);
}

static void store_16(uint8_t *bytes, uint16_t value) {
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void store_32(uint8_t *bytes, uint32_t value) {
    store_16(bytes, (uint16_t)(value >> 16));
    store_16(bytes + 2, (uint16_t)value);
}

/* ---- checksums (RFC 1071): sums of 16 bits in ones' complement, carried in 64 bits and folded at the end */

static uint64_t sum_bytes(uint64_t sum, const uint8_t *bytes, size_t size) {
    for (; size >= 2; bytes += 2, size -= 2) sum += load_big_endian_16(bytes);
    return size == 0 ? sum : sum + (uint64_t)(bytes[0] << 8);
}

static uint16_t fold(uint64_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static size_t address_bytes(bool is_ipv6) {
    return is_ipv6 ? 16 : 4;
}

static uint64_t pseudo_sum(bool is_ipv6, const uint8_t *source, const uint8_t *destination, uint8_t protocol, size_t size) {
    uint64_t sum = sum_bytes(sum_bytes(0, source, address_bytes(is_ipv6)), destination, address_bytes(is_ipv6));
    return sum + protocol + size;
}

static void store_ipv4_checksum(uint8_t *ip) {
    store_16(ip + IPV4_AT_CHECKSUM, 0);
    store_16(ip + IPV4_AT_CHECKSUM, (uint16_t)~fold(sum_bytes(0, ip, (size_t)(ip[0] & 15) * 4)));
}

/* ---- reading */

static uint8_t icmp_of(bool is_ipv6) {
    return is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* Checks UDP and ICMP. The guest's own TCP receives these bytes, and checks those of TCP. */
static bool has_right_checksum(const struct packet *packet, uint8_t protocol) {
    const struct flow_key *key = &packet->key;
    if (packet->is_partial) return true; /* the guest's kernel has just made it */
    if (protocol == IPPROTO_UDP && !key->is_ipv6 && load_big_endian_16(packet->transport + UDP_AT_CHECKSUM) == 0)
        return true; /* has none */
    uint64_t sum = protocol == IPPROTO_ICMP ? 0
                                            : pseudo_sum(key->is_ipv6, key->source, key->destination, protocol,
                                                         packet->transport_size);
    return fold(sum_bytes(sum, packet->transport, packet->transport_size)) == 0xffff;
}

static bool parse_tcp(struct packet *packet) {
    const uint8_t *tcp = packet->transport;
    if (packet->transport_size < TCP_HEADER_BYTES) return false;
    size_t header_bytes = (size_t)(tcp[TCP_AT_SIZE] >> 4) * 4;
    if (header_bytes < TCP_HEADER_BYTES || header_bytes > packet->transport_size) return false;
    packet->tcp_flags = tcp[TCP_AT_FLAGS];
    packet->key.source_port = load_big_endian_16(tcp);
    packet->key.destination_port = load_big_endian_16(tcp + 2);
    return packet->key.source_port != 0 && packet->key.destination_port != 0;
}

static bool parse_udp(struct packet *packet) {
    const uint8_t *udp = packet->transport;
    if (packet->transport_size < UDP_HEADER_BYTES) return false;
    if (load_big_endian_16(udp + UDP_AT_SIZE) != packet->transport_size) return false;
    packet->key.source_port = load_big_endian_16(udp);
    packet->key.destination_port = load_big_endian_16(udp + 2);
    return packet->key.destination_port != 0 && has_right_checksum(packet, IPPROTO_UDP);
}

static bool parse_echo(struct packet *packet) {
    const uint8_t *icmp = packet->transport;
    bool is_ipv6 = packet->key.is_ipv6;
    if (packet->transport_size < ECHO_HEADER_BYTES) return false;
    if (icmp[0] != (is_ipv6 ? ICMP6_ECHO : ICMP_ECHO) || icmp[ICMP_AT_CODE] != 0) return false;
    packet->key.source_port = load_big_endian_16(icmp + ICMP_AT_IDENTIFIER);
    packet->key.protocol = IPPROTO_ICMP;
    return has_right_checksum(packet, icmp_of(is_ipv6));
}

static bool parse_ipv4(struct packet *packet, uint8_t *ip, size_t size) {
    size_t header_bytes = (size_t)(ip[0] & 15) * 4;
    if (header_bytes < IPV4_HEADER_BYTES || header_bytes > size) return false;
    if (load_big_endian_16(ip + IPV4_AT_TOTAL) != size) return false;
    if ((load_big_endian_16(ip + IPV4_AT_FRAGMENT) & IPV4_FRAGMENT_BITS) != 0) return false;
    memcpy(packet->key.source, ip + IPV4_AT_SOURCE, 4);
    memcpy(packet->key.destination, ip + IPV4_AT_DESTINATION, 4);
    packet->key.protocol = ip[IPV4_AT_PROTOCOL];
    packet->transport = ip + header_bytes;
    packet->transport_size = size - header_bytes;
    return true;
}

static bool parse_ipv6(struct packet *packet, uint8_t *ip, size_t size) {
    if (size < IPV6_HEADER_BYTES) return false;
    if (load_big_endian_16(ip + IPV6_AT_PAYLOAD) != size - IPV6_HEADER_BYTES) return false;
    memcpy(packet->key.source, ip + IPV6_AT_SOURCE, 16);
    memcpy(packet->key.destination, ip + IPV6_AT_DESTINATION, 16);
    packet->key.is_ipv6 = true;
    packet->key.protocol = ip[IPV6_AT_NEXT];
    packet->transport = ip + IPV6_HEADER_BYTES;
    packet->transport_size = size - IPV6_HEADER_BYTES;
    return true;
}

bool packet_parse(struct packet *packet, uint8_t *bytes, size_t size) {
    *packet = (struct packet){.bytes = bytes, .size = size};
    if (size < VNET_HEADER_BYTES + IPV4_HEADER_BYTES) return false;
    packet->is_partial = bytes[VNET_AT_FLAGS] & VNET_NEEDS_CHECKSUM;
    uint8_t *ip = bytes + VNET_HEADER_BYTES;
    size_t ip_bytes = size - VNET_HEADER_BYTES;
    uint8_t version = ip[0] >> 4;
    bool is_ip = version == 4 ? parse_ipv4(packet, ip, ip_bytes) : version == 6 && parse_ipv6(packet, ip, ip_bytes);
    if (!is_ip) return false;
    switch (packet->key.protocol) {
        case IPPROTO_TCP: return parse_tcp(packet);
        case IPPROTO_UDP: return parse_udp(packet);
        default: return packet->key.protocol == icmp_of(packet->key.is_ipv6) && parse_echo(packet);
    }
}

/* ---- rewriting */

/* Replaces bytes that a checksum covers (RFC 1624). A partial checksum covers the pseudo header only. */
static void replace(struct packet *packet, uint8_t *at, const uint8_t *bytes, size_t size, bool is_pseudo) {
    uint8_t *checksum = packet->transport + TCP_AT_CHECKSUM;
    if (!packet->is_partial || is_pseudo) {
        uint16_t value = load_big_endian_16(checksum);
        uint64_t sum = packet->is_partial ? value : (uint16_t)~value;
        for (size_t i = 0; i < size; i += 2)
            sum += (uint64_t)(uint16_t)~load_big_endian_16(at + i) + load_big_endian_16(bytes + i);
        store_16(checksum, packet->is_partial ? fold(sum) : (uint16_t)~fold(sum));
    }
    memcpy(at, bytes, size);
}

void packet_readdress(struct packet *packet, struct end source, struct end destination) {
    uint8_t *ip = packet->bytes + VNET_HEADER_BYTES;
    bool is_ipv6 = packet->key.is_ipv6;
    uint8_t ports[4];
    store_16(ports, source.port);
    store_16(ports + 2, destination.port);
    replace(packet, ip + (is_ipv6 ? IPV6_AT_SOURCE : IPV4_AT_SOURCE), source.address, address_bytes(is_ipv6), true);
    replace(packet, ip + (is_ipv6 ? IPV6_AT_DESTINATION : IPV4_AT_DESTINATION), destination.address,
            address_bytes(is_ipv6), true);
    replace(packet, packet->transport, ports, sizeof ports, false);
    if (!is_ipv6) store_ipv4_checksum(ip);
}

/* ---- making */

/* Writes the headers before the transport. Returns where the transport begins. */
static uint8_t *write_ip(uint8_t *bytes, bool is_ipv6, const uint8_t *source, const uint8_t *destination,
                         uint8_t protocol, size_t transport_bytes) {
    uint8_t *ip = bytes + VNET_HEADER_BYTES;
    memset(bytes, 0, VNET_HEADER_BYTES + IPV6_HEADER_BYTES);
    if (is_ipv6) {
        ip[0] = 6 << 4;
        store_16(ip + IPV6_AT_PAYLOAD, (uint16_t)transport_bytes);
        ip[IPV6_AT_NEXT] = protocol;
        ip[IPV6_AT_HOPS] = HOPS;
        memcpy(ip + IPV6_AT_SOURCE, source, 16);
        memcpy(ip + IPV6_AT_DESTINATION, destination, 16);
        return ip + IPV6_HEADER_BYTES;
    }
    ip[0] = 4 << 4 | IPV4_HEADER_BYTES / 4;
    store_16(ip + IPV4_AT_TOTAL, (uint16_t)(IPV4_HEADER_BYTES + transport_bytes));
    ip[IPV4_AT_TTL] = HOPS;
    ip[IPV4_AT_PROTOCOL] = protocol;
    memcpy(ip + IPV4_AT_SOURCE, source, 4);
    memcpy(ip + IPV4_AT_DESTINATION, destination, 4);
    store_ipv4_checksum(ip);
    return ip + IPV4_HEADER_BYTES;
}

/* Of what the flow's destination sends back; returns the size of the packet. */
static size_t finish(uint8_t *bytes, const struct flow_key *key, const uint8_t *source, uint8_t *transport,
                     size_t transport_bytes, size_t checksum_at, uint8_t protocol) {
    store_16(transport + checksum_at, 0);
    uint64_t sum = protocol == IPPROTO_ICMP ? 0 : pseudo_sum(key->is_ipv6, source, key->source, protocol, transport_bytes);
    uint16_t checksum = (uint16_t)~fold(sum_bytes(sum, transport, transport_bytes));
    if (checksum == 0 && protocol == IPPROTO_UDP) checksum = 0xffff; /* 0 is "none" */
    store_16(transport + checksum_at, checksum);
    return (size_t)(transport - bytes) + transport_bytes;
}

static size_t make_tcp(uint8_t *bytes, const struct flow_key *key, uint32_t sequence, uint32_t acknowledged, uint8_t flags) {
    uint8_t *tcp = write_ip(bytes, key->is_ipv6, key->destination, key->source, IPPROTO_TCP, TCP_HEADER_BYTES);
    memset(tcp, 0, TCP_HEADER_BYTES);
    store_16(tcp, key->destination_port);
    store_16(tcp + 2, key->source_port);
    store_32(tcp + TCP_AT_SEQUENCE, sequence);
    store_32(tcp + TCP_AT_ACKNOWLEDGED, acknowledged);
    tcp[TCP_AT_SIZE] = TCP_HEADER_BYTES / 4 << 4;
    tcp[TCP_AT_FLAGS] = flags;
    return finish(bytes, key, key->destination, tcp, TCP_HEADER_BYTES, TCP_AT_CHECKSUM, IPPROTO_TCP);
}

size_t packet_make_reset(uint8_t *bytes, const struct packet *packet) {
    const uint8_t *tcp = packet->transport;
    uint32_t sequence = load_big_endian_32(tcp + TCP_AT_SEQUENCE);
    if (packet->tcp_flags & TCP_ACK)
        return make_tcp(bytes, &packet->key, load_big_endian_32(tcp + TCP_AT_ACKNOWLEDGED), 0, TCP_RST);
    size_t data_bytes = packet->transport_size - (size_t)(tcp[TCP_AT_SIZE] >> 4) * 4;
    uint32_t taken = (uint32_t)data_bytes + (packet->tcp_flags & TCP_SYN ? 1 : 0) + (packet->tcp_flags & TCP_FIN ? 1 : 0);
    return make_tcp(bytes, &packet->key, 0, sequence + taken, TCP_RST | TCP_ACK);
}

size_t packet_make_refusal(uint8_t *bytes, const struct flow_key *key, uint32_t sequence) {
    return make_tcp(bytes, key, 0, sequence + 1, TCP_RST | TCP_ACK);
}

size_t packet_make_datagram(uint8_t *bytes, const struct flow_key *key, const void *data, size_t data_bytes) {
    size_t size = UDP_HEADER_BYTES + data_bytes;
    uint8_t *udp = write_ip(bytes, key->is_ipv6, key->destination, key->source, IPPROTO_UDP, size);
    store_16(udp, key->destination_port);
    store_16(udp + 2, key->source_port);
    store_16(udp + UDP_AT_SIZE, (uint16_t)size);
    memcpy(udp + UDP_HEADER_BYTES, data, data_bytes);
    return finish(bytes, key, key->destination, udp, size, UDP_AT_CHECKSUM, IPPROTO_UDP);
}

size_t packet_make_echo_reply(uint8_t *bytes, const struct flow_key *key, uint16_t sequence, const void *data,
                              size_t data_bytes) {
    size_t size = ECHO_HEADER_BYTES + data_bytes;
    uint8_t protocol = icmp_of(key->is_ipv6);
    uint8_t *icmp = write_ip(bytes, key->is_ipv6, key->destination, key->source, protocol, size);
    icmp[0] = key->is_ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY;
    icmp[ICMP_AT_CODE] = 0;
    store_16(icmp + ICMP_AT_IDENTIFIER, key->source_port);
    store_16(icmp + ICMP_AT_IDENTIFIER + 2, sequence);
    memcpy(icmp + ECHO_HEADER_BYTES, data, data_bytes);
    return finish(bytes, key, key->destination, icmp, size, ICMP_AT_CHECKSUM, protocol);
}

/* The first bytes of the guest's packet, by which the guest finds the socket. */
static void quote_transport(uint8_t *quoted, const struct flow_key *key, uint32_t sequence) {
    memset(quoted, 0, QUOTED_BYTES);
    if (key->protocol == IPPROTO_ICMP) {
        quoted[0] = key->is_ipv6 ? ICMP6_ECHO : ICMP_ECHO;
        store_16(quoted + ICMP_AT_IDENTIFIER, key->source_port);
        return;
    }
    store_16(quoted, key->source_port);
    store_16(quoted + 2, key->destination_port);
    if (key->protocol == IPPROTO_TCP)
        store_32(quoted + TCP_AT_SEQUENCE, sequence);
    else
        store_16(quoted + UDP_AT_SIZE, QUOTED_BYTES);
}

size_t packet_make_unreachable(uint8_t *bytes, const struct flow_key *key, uint32_t sequence, enum unreachable what,
                               const uint8_t *router) {
    uint8_t quoted[VNET_HEADER_BYTES + IPV6_HEADER_BYTES + QUOTED_BYTES];
    uint8_t protocol = key->protocol == IPPROTO_ICMP ? icmp_of(key->is_ipv6) : key->protocol;
    uint8_t *transport = write_ip(quoted, key->is_ipv6, key->source, key->destination, protocol, QUOTED_BYTES);
    quote_transport(transport, key, sequence);
    size_t quoted_bytes = (size_t)(transport - quoted) - VNET_HEADER_BYTES + QUOTED_BYTES;

    const uint8_t *source = what == UNREACHABLE_PORT ? key->destination : router;
    size_t size = ECHO_HEADER_BYTES + quoted_bytes;
    uint8_t *icmp = write_ip(bytes, key->is_ipv6, source, key->source, icmp_of(key->is_ipv6), size);
    memset(icmp, 0, ECHO_HEADER_BYTES);
    icmp[0] = key->is_ipv6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE;
    if (key->is_ipv6)
        icmp[ICMP_AT_CODE] = what == UNREACHABLE_PORT ? ICMP6_PORT_UNREACHABLE : ICMP6_ADDRESS_UNREACHABLE;
    else
        icmp[ICMP_AT_CODE] = what == UNREACHABLE_PORT ? ICMP_PORT_UNREACHABLE : ICMP_HOST_UNREACHABLE;
    memcpy(icmp + ECHO_HEADER_BYTES, quoted + VNET_HEADER_BYTES, quoted_bytes);
    return finish(bytes, key, source, icmp, size, ICMP_AT_CHECKSUM, icmp_of(key->is_ipv6));
}
