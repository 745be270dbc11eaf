/* See fs_descent.h. */
#include "fs_descent.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct descent descent;

int descent_fd(void) {
    return dirfd(descent.levels[descent.depth - 1].directory);
}

int descent_begin(int fd) {
    descent.depth = 0;
    descent.path[0] = '\0';
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        close(fd);
        return error;
    }
    descent.levels[descent.depth++] = (struct level){.directory = directory, .path_size = 0};
    return 0;
}

const char *descent_next(int *error) {
    const struct level *level = &descent.levels[descent.depth - 1];
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(level->directory);
        *error = entry == NULL ? errno : 0;
        if (entry == NULL) return NULL;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        size_t size = level->path_size, name_size = strlen(name); /* DEPTH_MAX names fit */
        if (size > 0) descent.path[size++] = '/';
        memcpy(descent.path + size, name, name_size + 1);
        return name;
    }
}

int descent_enter(const char *name) {
    if (descent.depth == DEPTH_MAX) return ELOOP;
    int fd = openat(descent_fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        close(fd);
        return error;
    }
    descent.levels[descent.depth++] =
        (struct level){.directory = directory, .path_size = strlen(descent.path)};
    return 0;
}

bool descent_leave(void) {
    closedir(descent.levels[--descent.depth].directory);
    if (descent.depth == 0) return false;
    return true;
}

void descent_end(void) {
    while (descent.depth > 0) descent_leave();
}
