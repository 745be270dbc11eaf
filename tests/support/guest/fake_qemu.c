/*
 * Stands in for QEMU: takes its command line, makes the TAP device and connects the agent's port as QEMU would, and
 * becomes the guest's agent, as an ordinary process with nothing to do. MSB_TEST_AGENT is the agent's program; one
 * process of MSB_TEST_HANGS, by its pid, hangs before it connects. Whatever is missing ends it: that boot has failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of <linux/if_tun.h>, which musl does not bring. */
#define TUN_SET_INTERFACE _IOW('T', 202, int)
enum { TUN_TAP = 0x0002, TUN_NO_PACKET_INFORMATION = 0x1000, TUN_VNET_HEADER = 0x4000 };

static void fail(const char *what) {
    fprintf(stderr, "fake QEMU: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Copies what follows `key` in one of the arguments, up to the next comma. False if none begins like that. */
static int find(char **arguments, const char *key, char *value, size_t size) {
    for (; *arguments != NULL; arguments++) {
        if (strncmp(*arguments, key, strlen(key)) != 0) continue;
        const char *start = *arguments + strlen(key);
        size_t length = strcspn(start, ",");
        if (length >= size) fail("an argument is too long");
        memcpy(value, start, length);
        value[length] = '\0';
        return 1;
    }
    return 0;
}

/* Left open: the device goes with the process. */
static void make_tap(const char *name) {
    struct ifreq request = {.ifr_flags = TUN_TAP | TUN_NO_PACKET_INFORMATION | TUN_VNET_HEADER};
    memcpy(request.ifr_name, name, strlen(name));
    int fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUN_SET_INTERFACE, &request) != 0) fail("make the TAP device");
}

int main(int count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char tap[IFNAMSIZ], number[12];
    if (count > 0 && find(arguments, "tap,id=network,ifname=", tap, sizeof tap)) make_tap(tap);
    int hangs = atoi(getenv("MSB_TEST_HANGS"));
    while (hangs > 0 && getpid() % hangs == 0) pause();
    if (!find(arguments, "socket,path=", address.sun_path, sizeof address.sun_path)) fail("find the agent's port");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect to the agent's port");
    snprintf(number, sizeof number, "%d", fd);
    /* The first word is ours to choose: by the socket's path, a process of the sandbox can be told from others. */
    execl(getenv("MSB_TEST_AGENT"), address.sun_path, "--fd", number, (char *)NULL);
    fail("run the agent");
}
