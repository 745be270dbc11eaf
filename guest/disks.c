#include "disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "clock.h"
#include "limits.h"

enum { DEVICE_RETRY_MS = 2, SYSFS_PATH_BYTES_MAX = 128 };

int disk_mount(const char *device, const char *target, const char *type, unsigned long bits, const char *options) {
    for (unsigned waited_ms = 0;; waited_ms += DEVICE_RETRY_MS) {
        if (mount(device, target, type, bits, options) == 0) return 0;
        bool may_come = errno == ENOENT || errno == ENXIO;
        if (!may_come || waited_ms >= DEVICE_WAIT_MS) return errno;
        clock_sleep_ms(DEVICE_RETRY_MS);
    }
}

int disk_forbid_discard(const char *device) {
    char path[SYSFS_PATH_BYTES_MAX];
    const char *name = strrchr(device, '/');
    if (name == NULL) return EINVAL;
    snprintf(path, sizeof path, "/sys/block%s/queue/discard_max_bytes", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    int error = write(fd, "0", 1) == 1 ? 0 : errno;
    close(fd);
    return error;
}
