/* Ports and their names appear while the kernel already runs us, in no fixed order and under no fixed number. */
#include "console_port.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"

enum { PORT_NAME_BYTES_MAX = 64 };

static const char CLASS_PATH[] = "/sys/class/virtio-ports";

static bool has_name(const char *port, const char *wanted) {
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s/%s/name", CLASS_PATH, port);
    char *name = file_read(path, PORT_NAME_BYTES_MAX);
    bool is_it = name != NULL && strcmp(strtok(name, "\n") == NULL ? "" : name, wanted) == 0;
    free(name);
    return is_it;
}

static int open_named_port(const char *name) {
    DIR *directory = opendir(CLASS_PATH);
    if (directory == NULL) return -1;
    int fd = -1;
    for (struct dirent *entry = readdir(directory); fd < 0 && entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] == '.' || !has_name(entry->d_name, name)) continue;
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    closedir(directory);
    return fd;
}

/* A port reports a hang-up as long as the host has not opened its end, too. */
static bool wait_for_host(int fd) {
    for (unsigned waited_ms = 0; waited_ms < HOST_CONNECT_WAIT_MS; waited_ms += HOST_CONNECT_RETRY_MS) {
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        if (poll(&entry, 1, 0) >= 0 && !(entry.revents & POLLHUP)) return true;
        clock_sleep_ms(HOST_CONNECT_RETRY_MS);
    }
    return false;
}

int port_open(const char *name) {
    for (unsigned waited_ms = 0; waited_ms < PORT_WAIT_MS; waited_ms += PORT_RETRY_MS) {
        int fd = open_named_port(name);
        if (fd >= 0) return wait_for_host(fd) ? fd : -1;
        clock_sleep_ms(PORT_RETRY_MS);
    }
    return -1;
}
