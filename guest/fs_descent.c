/* See fs_descent.h. */
#include "fs_descent.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int descent_fd(const struct descent *descent) {
    return dirfd(descent->levels[descent->depth - 1].directory);
}

int descent_begin(struct descent *descent, int fd) {
    descent->depth = 0;
    descent->path.bytes[0] = '\0';
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        close(fd);
        return error;
    }
    descent->levels[descent->depth++] = (struct level){.directory = directory, .path_size = 0};
    return 0;
}

const char *descent_next(struct descent *descent, int *error) {
    const struct level *level = &descent->levels[descent->depth - 1];
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(level->directory);
        *error = entry == NULL ? errno : 0;
        if (entry == NULL) return NULL;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        size_t size = level->path_size, name_size = strlen(name);
        if (size + 1 + name_size >= sizeof descent->path.bytes) {
            *error = ENAMETOOLONG;
            return NULL;
        }
        if (size > 0) descent->path.bytes[size++] = '/';
        memcpy(descent->path.bytes + size, name, name_size + 1);
        return name;
    }
}

int descent_enter(struct descent *descent, const char *name) {
    if (descent->depth == DEPTH_MAX) return ELOOP;
    int fd = openat(descent_fd(descent), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        close(fd);
        return error;
    }
    descent->levels[descent->depth++] =
        (struct level){.directory = directory, .path_size = strlen(descent->path.bytes)};
    return 0;
}

bool descent_leave(struct descent *descent) {
    closedir(descent->levels[--descent->depth].directory);
    if (descent->depth == 0) return false;
    return true;
}

void descent_end(struct descent *descent) {
    while (descent->depth > 0) descent_leave(descent);
}
