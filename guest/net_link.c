#include "net_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "limits.h"
#include "netif.h"

/* linux/if_tun.h and linux/ipv6.h, which musl's headers lack. */
enum {
    TUN_SET_INTERFACE = 0x400454ca,
    TUN_SET_OFFLOAD = 0x400454d0,
    TUN_IS_TUN = 0x0001,
    TUN_NO_PACKET_INFO = 0x1000,
    TUN_VNET_HEADER = 0x4000,
    TUN_OFFLOAD_CHECKSUM = 1,
    TUN_OFFLOAD_TSO4 = 2,
    TUN_OFFLOAD_TSO6 = 4,
};
struct ipv6_interface_request {
    struct in6_addr address;
    uint32_t prefix_bits;
    int interface;
};

enum {
    INNER_PORT_FIRST = 1024,
    INNER_IPV4_NETWORK = 0xc6120000, /* 198.18.0.0/15 */
    IPV6_SUBNET_AT = 7,
    IPV6_GENERATION_AT = 12,
};
_Static_assert(INNER_PORT_FIRST + NET_PLACES <= 65536, "every place has a port");

static int open_tun(const char **step) {
    struct ifreq request = {.ifr_flags = TUN_IS_TUN | TUN_NO_PACKET_INFO | TUN_VNET_HEADER};
    memcpy(request.ifr_name, NETIF_NAME, sizeof NETIF_NAME);
    *step = "open /dev/net/tun: the kernel needs TUN devices";
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    *step = "make the network interface " NETIF_NAME;
    if (ioctl(fd, TUN_SET_INTERFACE, &request) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    /* Large packets with partial checksums, since they do not leave this machine. It works without, but is slower. */
    ioctl(fd, TUN_SET_OFFLOAD, TUN_OFFLOAD_CHECKSUM | TUN_OFFLOAD_TSO4 | TUN_OFFLOAD_TSO6);
    return fd;
}

static bool parse_address(struct text text, int family, uint8_t address[16]) {
    char string[INET6_ADDRSTRLEN];
    return text_to_string(text, string, sizeof string) && inet_pton(family, string, address) == 1;
}

static bool listen_at(struct net_family *family, bool is_ipv6) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    memcpy(&ipv4.sin_addr, family->own, 4);
    memcpy(&ipv6.sin6_addr, family->own, 16);
    struct sockaddr *address = is_ipv6 ? (struct sockaddr *)&ipv6 : (struct sockaddr *)&ipv4;
    socklen_t size = is_ipv6 ? sizeof ipv6 : sizeof ipv4;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    family->listen_fd = fd;
    /* The kernel checks for a moment whether a new IPv6 address is a duplicate, though none can be here. */
    bool is_bound = bind(fd, address, size) == 0;
    for (int waited_ms = 0; !is_bound && errno == EADDRNOTAVAIL && waited_ms < NET_ADDRESS_WAIT_MS; waited_ms++) {
        clock_sleep_ms(1);
        is_bound = bind(fd, address, size) == 0;
    }
    if (!is_bound || listen(fd, NET_LISTEN_BACKLOG) != 0) return false;
    if (getsockname(fd, address, &size) != 0) return false;
    family->listen_port = ntohs(is_ipv6 ? ipv6.sin6_port : ipv4.sin_port);
    return true;
}

static bool set_ipv6(int fd, const struct net_family *family, uint32_t prefix_bits) {
    struct ifreq name = {0};
    memcpy(name.ifr_name, NETIF_NAME, sizeof NETIF_NAME);
    if (ioctl(fd, SIOCGIFINDEX, &name) != 0) return false;
    struct ipv6_interface_request request = {.prefix_bits = prefix_bits, .interface = name.ifr_ifindex};
    memcpy(&request.address, family->own, 16);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0) return false;
    struct in6_rtmsg route = {.rtmsg_metric = 1024, .rtmsg_flags = RTF_UP | RTF_GATEWAY, .rtmsg_ifindex = name.ifr_ifindex};
    memcpy(&route.rtmsg_gateway, family->gateway, 16);
    return ioctl(fd, SIOCADDRT, &route) == 0;
}

static int configure_ipv4(struct net_link *link, const struct msg_network_open *open, const char **step) {
    struct net_family *family = &link->families[0];
    struct msg_netif netif = {
        .address = open->address, .prefix_bits = open->prefix_bits, .gateway = open->gateway, .mtu = NET_MTU};
    *step = "read the addresses";
    if (!parse_address(open->address, AF_INET, family->own) || !parse_address(open->gateway, AF_INET, family->gateway))
        return EINVAL;
    int error = netif_configure(&netif, step);
    if (error != 0) return error;
    *step = "listen for IPv4";
    return listen_at(family, false) ? 0 : errno;
}

/* A kernel without IPv6, or with IPv6 turned off, is not an error. */
static int configure_ipv6(struct net_link *link, const struct msg_network_open *open, const char **step) {
    struct net_family *family = &link->families[1];
    *step = "read the addresses";
    if (!parse_address(open->address6, AF_INET6, family->own) || !parse_address(open->gateway6, AF_INET6, family->gateway))
        return EINVAL;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 0;
    bool is_set = set_ipv6(fd, family, open->prefix_bits6);
    close(fd);
    if (!is_set) return 0;
    *step = "listen for IPv6";
    return listen_at(family, true) ? 0 : errno;
}

int net_link_open(struct net_link *link, const struct msg_network_open *open, const char **step) {
    *link = (struct net_link){.tun_fd = open_tun(step), .families = {{.listen_fd = -1}, {.listen_fd = -1}}};
    if (link->tun_fd < 0) return errno;
    int error = configure_ipv4(link, open, step);
    return error != 0 ? error : configure_ipv6(link, open, step);
}

void net_link_send(const struct net_link *link, const uint8_t *bytes, size_t size) {
    ssize_t written = write(link->tun_fd, bytes, size);
    (void)written;
}

/* ---- the inner ends of flows */

static void inner_network(const struct net_link *link, bool is_ipv6, uint8_t address[16]) {
    memset(address, 0, 16);
    if (is_ipv6) {
        memcpy(address, link->families[1].own, 8);
        address[IPV6_SUBNET_AT]++;
    }
}

struct end net_inner_end(const struct net_link *link, bool is_ipv6, uint16_t place, uint32_t generation, uint8_t address[16]) {
    uint32_t kept = generation & NET_INNER_GENERATION_MASK;
    uint32_t value = htonl(is_ipv6 ? kept : INNER_IPV4_NETWORK | kept);
    inner_network(link, is_ipv6, address);
    memcpy(address + (is_ipv6 ? IPV6_GENERATION_AT : 0), &value, sizeof value);
    return (struct end){.address = address, .port = (uint16_t)(INNER_PORT_FIRST + place)};
}

int net_inner_place(const struct net_link *link, bool is_ipv6, struct end end, uint32_t *generation) {
    uint8_t expected[16];
    uint32_t value;
    memcpy(&value, end.address + (is_ipv6 ? IPV6_GENERATION_AT : 0), sizeof value);
    value = ntohl(value);
    if (end.port < INNER_PORT_FIRST || end.port >= INNER_PORT_FIRST + NET_PLACES) return -1;
    *generation = value & NET_INNER_GENERATION_MASK;
    net_inner_end(link, is_ipv6, 0, *generation, expected);
    if (memcmp(expected, end.address, is_ipv6 ? 16 : 4) != 0) return -1;
    return end.port - INNER_PORT_FIRST;
}
