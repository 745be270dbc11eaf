#include "mount_target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int mount_target_take(struct text text, struct path *target) {
    int error = path_take(text, target);
    if (error != 0) return error;
    /* Not the root, in any spelling: the mount would hide the whole sandbox. */
    bool is_root = strspn(target->bytes, "/.") == strlen(target->bytes);
    return target->bytes[0] != '/' || is_root ? EINVAL : 0;
}

int mount_target_make(const struct path *target, uint8_t flags) {
    int error = path_make_parents(target);
    if (error != 0) return error;
    if (flags & MOUNT_FLAG_FILE_ROOT) {
        int fd = open(target->bytes, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0644);
        if (fd < 0) return errno;
        close(fd);
        return 0;
    }
    struct stat status;
    if (mkdir(target->bytes, 0755) == 0) return 0;
    if (errno != EEXIST) return errno;
    return stat(target->bytes, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

/* Set-id bits and devices of a mounted file system are always ignored. */
unsigned long mount_target_bits(uint8_t flags) {
    return MS_NODEV | MS_NOSUID | (flags & MOUNT_FLAG_READONLY ? MS_RDONLY : 0) |
           (flags & MOUNT_FLAG_NO_EXEC ? MS_NOEXEC : 0);
}
