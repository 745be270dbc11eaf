#include "netif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"

static const char NAME[] = NETIF_NAME;

static bool parse(struct text text, struct sockaddr *address) {
    char string[INET_ADDRSTRLEN];
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    if (!text_to_string(text, string, sizeof string) || inet_pton(AF_INET, string, &ipv4.sin_addr) != 1) return false;
    memcpy(address, &ipv4, sizeof ipv4);
    return true;
}

static struct sockaddr mask_of(unsigned prefix_bits) {
    uint32_t mask = prefix_bits == 0 ? 0 : UINT32_MAX << (32 - prefix_bits);
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(mask)};
    struct sockaddr address;
    memcpy(&address, &ipv4, sizeof address);
    return address;
}

static bool set(int fd, unsigned long what, const struct sockaddr *address) {
    struct ifreq request = {.ifr_addr = *address};
    memcpy(request.ifr_name, NAME, sizeof NAME);
    return ioctl(fd, what, &request) == 0;
}

static bool set_mtu(int fd, int mtu) {
    struct ifreq request = {.ifr_mtu = mtu};
    memcpy(request.ifr_name, NAME, sizeof NAME);
    return ioctl(fd, SIOCSIFMTU, &request) == 0;
}

static bool raise_interface(int fd) {
    struct ifreq request = {0};
    memcpy(request.ifr_name, NAME, sizeof NAME);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return false;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/* The gateway need not be in the interface's own network: it gets a route of its own first. */
static bool add_routes(int fd, const struct sockaddr *gateway) {
    struct rtentry host = {.rt_dst = *gateway, .rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char *)NAME};
    host.rt_genmask = mask_of(32);
    if (ioctl(fd, SIOCADDRT, &host) != 0 && errno != EEXIST) return false;
    struct rtentry all = {.rt_gateway = *gateway, .rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = (char *)NAME};
    all.rt_dst = all.rt_genmask = mask_of(0);
    return ioctl(fd, SIOCADDRT, &all) == 0 || errno == EEXIST;
}

int netif_configure(const struct msg_netif *message, const char **step) {
    struct sockaddr address, gateway;
    *step = "read the addresses";
    if (message->prefix_bits > 32 || !parse(message->address, &address) || !parse(message->gateway, &gateway))
        return EINVAL;
    struct sockaddr mask = mask_of(message->prefix_bits);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *step = "open a socket";
    if (fd < 0) return errno;
    *step = NULL;
    if (!set_mtu(fd, message->mtu))
        *step = "set the MTU";
    else if (!set(fd, SIOCSIFADDR, &address) || !set(fd, SIOCSIFNETMASK, &mask))
        *step = "set the address";
    else if (!raise_interface(fd))
        *step = "raise the interface";
    else if (!add_routes(fd, &gateway))
        *step = "add the routes";
    int error = *step == NULL ? 0 : errno;
    close(fd);
    return error;
}
