#include "read_ahead.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The default is 128. With much more, random reads of a large file wait for data that the program does not want. */
static const char READ_AHEAD_KIBIBYTES[] = "512";

/* statx(2), which musl has no name for yet: the size of its result, and where the device's numbers are, in words. */
enum { STATX_WORDS = 64, STATX_DEVICE_MAJOR = 34, STATX_DEVICE_MINOR = 35, STATX_DONT_SYNC = 0x4000 };

void read_ahead_raise(const char *target) {
    uint32_t status[STATX_WORDS];
    char path[64];
    /* Use only what the kernel has cached: the process that serves the file system may be waiting for us. */
    if (syscall(SYS_statx, AT_FDCWD, target, AT_SYMLINK_NOFOLLOW | STATX_DONT_SYNC, 0, status) != 0) return;
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", status[STATX_DEVICE_MAJOR], status[STATX_DEVICE_MINOR]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t written = write(fd, READ_AHEAD_KIBIBYTES, sizeof READ_AHEAD_KIBIBYTES - 1);
    (void)written;
    close(fd);
}
