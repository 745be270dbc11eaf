#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool text_to_string(struct text text, char *string, size_t capacity) {
    if (text.size >= capacity || memchr(text.bytes, '\0', text.size) != NULL) return false;
    memcpy(string, text.bytes, text.size);
    string[text.size] = '\0';
    return true;
}

/* Reads until the end or `capacity`. */
static ssize_t read_all(int fd, char *bytes, size_t capacity) {
    size_t size = 0;
    while (size < capacity) {
        ssize_t piece = read(fd, bytes + size, capacity - size);
        if (piece < 0 && errno == EINTR) continue;
        if (piece < 0) return -1;
        if (piece == 0) break;
        size += (size_t)piece;
    }
    return (ssize_t)size;
}

static bool write_all(int fd, struct text content) {
    size_t size = 0;
    while (size < content.size) {
        ssize_t piece = write(fd, content.bytes + size, content.size - size);
        if (piece < 0 && errno == EINTR) continue;
        if (piece < 0) return false;
        size += (size_t)piece;
    }
    return true;
}

char *file_read(const char *path, size_t bytes_max) {
    /* O_NONBLOCK: an image may have put a FIFO there. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct stat status;
    char *bytes = NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) bytes = malloc(bytes_max + 1);
    ssize_t size = bytes == NULL ? -1 : read_all(fd, bytes, bytes_max);
    close(fd);
    if (size < 0) {
        free(bytes);
        return NULL;
    }
    bytes[size] = '\0';
    return bytes;
}

bool file_begins_with(const char *path, struct text content) {
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < (off_t)content.size) return false;
    char *bytes = file_read(path, content.size);
    bool is_same = bytes != NULL && memcmp(bytes, content.bytes, content.size) == 0;
    free(bytes);
    return is_same;
}

/* A boot with the same names and addresses as the last one writes nothing. */
static bool has_content(const char *path, struct text content) {
    struct stat status;
    return lstat(path, &status) == 0 && status.st_size == (off_t)content.size && file_begins_with(path, content);
}

bool file_replace(const char *path, struct text content) {
    if (has_content(path, content)) return true;
    char temporary[PATH_BYTES_MAX];
    snprintf(temporary, sizeof temporary, "%s.agent-new", path);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    bool is_written = fchmod(fd, 0644) == 0 && write_all(fd, content);
    close(fd);
    if (is_written && rename(temporary, path) == 0) return true;
    int error = errno;
    unlink(temporary);
    errno = error;
    return false;
}

bool directory_ensure(const char *path, unsigned mode) {
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    if (lstat(path, &status) == 0 && unlink(path) != 0) return false;
    return mkdir(path, mode) == 0 || errno == EEXIST;
}
