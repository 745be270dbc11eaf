/* See fs_content.h. */
#include "fs_content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_attributes.h"
#include "fs_path.h"
#include "fs_server.h"

enum { MODE_NEW = 0666 /* less the umask */ };

/* ---- reading */

/* Sends at most `length` bytes as they are. `*offset` moves on. `is_end` tells that there are no more. */
static int send_data(int fd, uint64_t *offset, uint64_t length, bool is_seekable, bool *is_end) {
    while (length > 0) {
        size_t capacity;
        uint8_t *room = answer_data_room(&capacity);
        if (capacity > length) capacity = (size_t)length;
        ssize_t size = is_seekable ? pread(fd, room, capacity, (off_t)*offset) : read(fd, room, capacity);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno;
        *is_end = size == 0;
        if (*is_end) return 0;
        answer_data((size_t)size);
        *offset += (uint64_t)size;
        length -= (uint64_t)size;
    }
    return 0;
}

int content_send(int fd, uint64_t offset, uint64_t length, bool is_seekable, bool skip_holes) {
    uint64_t end = length > (uint64_t)INT64_MAX - offset ? (uint64_t)INT64_MAX : offset + length;
    bool is_end = false;
    while (offset < end && !is_end) {
        uint64_t data = offset, data_end = end;
        if (skip_holes) {
            off_t found = lseek(fd, (off_t)offset, SEEK_DATA);
            if (found < 0 && errno == ENXIO) { /* nothing but a hole is left, or the file has become shorter */
                struct stat status;
                if (fstat(fd, &status) != 0) return errno;
                uint64_t size = (uint64_t)status.st_size < end ? (uint64_t)status.st_size : end;
                if (size > offset) answer_hole(size - offset);
                return 0;
            }
            if (found >= 0) {
                off_t hole = lseek(fd, found, SEEK_HOLE);
                data = (uint64_t)found < end ? (uint64_t)found : end;
                if (hole >= 0 && (uint64_t)hole < end) data_end = (uint64_t)hole;
            }
            if (data > offset) answer_hole(data - offset);
            offset = data;
        }
        if (data_end <= offset) continue;
        int error = send_data(fd, &offset, data_end - offset, is_seekable, &is_end);
        if (error != 0) return error;
    }
    return 0;
}

void fs_read(struct reader *reader) {
    struct file_read request;
    struct path path;
    struct file_attributes attributes;
    if (!file_read_decode(reader, &request)) server_refuse();
    bool is_regular_only = request.flags & FILE_FLAG_REGULAR_ONLY;
    bool is_followed = !(request.flags & FILE_FLAG_NO_FOLLOW);
    int error = flags_check(request.flags, FILE_FLAG_REGULAR_ONLY | FILE_FLAG_NO_FOLLOW);
    if (error == 0) error = path_take(request.path, &path);
    /* Before it is opened: that alone can block, or do something to a device. */
    if (error == 0 && is_regular_only) error = attributes_read(AT_FDCWD, path.bytes, is_followed, &attributes);
    if (error == 0 && is_regular_only && attributes.kind == FILE_KIND_DIRECTORY) error = EISDIR;
    if (error == 0 && is_regular_only && attributes.kind != FILE_KIND_FILE) error = ENODEV;
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (is_regular_only ? O_NONBLOCK : 0) | (is_followed ? 0 : O_NOFOLLOW);
    int fd = error == 0 ? open(path.bytes, flags) : -1;
    if (error == 0 && fd < 0) error = errno;
    if (error == 0) error = attributes_read(fd, "", true, &attributes);
    if (error == 0 && attributes.kind == FILE_KIND_DIRECTORY) error = EISDIR;
    if (error == 0 && is_regular_only && attributes.kind != FILE_KIND_FILE) error = ENODEV;
    bool is_seekable = error == 0 && lseek(fd, 0, SEEK_CUR) >= 0;
    if (error == 0 && !is_seekable && request.offset > 0) error = ESPIPE;
    if (error == 0) {
        answer_opened(&attributes);
        if (!is_regular_only) answers_flush(); /* the content may be a long time coming */
        error = content_send(fd, request.offset, request.length, is_seekable, false);
    }
    if (fd >= 0) close(fd);
    answer_result(error);
}

/* ---- writing */

/* A file that is being written. */
struct target {
    int fd;
    struct path path; /* where it is meant to be */
    struct path place; /* where it is until then: the same, unless it is written beside it */
    uint32_t flags;
    uint32_t mode;
    int64_t modified_ns;
    off_t offset; /* of what comes next; -1: where the file stands */
    bool ends_in_hole;
    bool is_nameless; /* it has no place yet */
};

int content_write(int fd, const void *bytes, size_t size, off_t offset) {
    const uint8_t *next = bytes;
    while (size > 0) {
        ssize_t written = offset < 0 ? write(fd, next, size) : pwrite(fd, next, size, offset);
        if (written < 0 && errno == EINTR) continue;
        /* Some files of the kernel, such as /proc/self/comm, are written only where they stand. */
        if (written < 0 && errno == ESPIPE && offset >= 0 && lseek(fd, offset, SEEK_SET) == offset) {
            offset = -1;
            continue;
        }
        if (written < 0) return errno;
        next += written;
        size -= (size_t)written;
        if (offset >= 0) offset += written;
    }
    return 0;
}

static int check_write(uint32_t flags, uint32_t mode, uint64_t offset) {
    const uint32_t allowed = FILE_FLAG_PARENTS | FILE_FLAG_CREATE | FILE_FLAG_EXCLUSIVE | FILE_FLAG_TRUNCATE |
                             FILE_FLAG_APPEND | FILE_FLAG_ATOMIC | FILE_FLAG_SET_MODE | FILE_FLAG_SET_MODIFIED |
                             FILE_FLAG_REGULAR_ONLY | FILE_FLAG_NO_FOLLOW | FILE_FLAG_SYNC;
    const uint32_t whole = FILE_FLAG_CREATE | FILE_FLAG_TRUNCATE;
    int error = flags_check(flags, allowed);
    if (error != 0) return error;
    if (mode > 07777 || offset > INT64_MAX) return EINVAL;
    if (flags & FILE_FLAG_APPEND && offset > 0) return EINVAL;
    if (flags & FILE_FLAG_ATOMIC && ((flags & whole) != whole || flags & FILE_FLAG_APPEND || offset > 0)) return EINVAL;
    return 0;
}

/*
 * Opens a new file in the directory of `place`, without a name where the file system can: if this process is killed, nothing of
 * it is left.
 */
static int open_new(struct target *target) {
    struct path directory = target->place;
    char *slash = strrchr(directory.bytes, '/');
    if (slash == NULL)
        memcpy(directory.bytes, ".", sizeof ".");
    else
        slash[slash == directory.bytes] = '\0';
    target->fd = open(directory.bytes, O_WRONLY | O_TMPFILE | O_CLOEXEC, MODE_NEW);
    target->is_nameless = target->fd >= 0;
    if (target->is_nameless) return 0;
    target->fd = open(target->place.bytes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE_NEW);
    return target->fd >= 0 ? 0 : errno;
}

/* Gives a file without a name one. */
static int give_name(const struct target *target, const char *name) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", target->fd);
    return linkat(AT_FDCWD, own, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/* A file that is replaced in one step: what a link leads to is replaced, not the link, and it keeps its mode and owner. */
static int open_beside(struct target *target) {
    char *real = target->flags & FILE_FLAG_NO_FOLLOW ? NULL : realpath(target->path.bytes, target->place.bytes);
    if (real != NULL) target->path = target->place;
    struct stat status;
    bool is_there = lstat(target->path.bytes, &status) == 0;
    if (is_there && target->flags & FILE_FLAG_EXCLUSIVE) return EEXIST;
    if (is_there && S_ISDIR(status.st_mode)) return EISDIR;
    if (is_there && !S_ISREG(status.st_mode)) return EINVAL;
    int error = path_beside(&target->path, &target->place);
    if (error != 0) return error;
    error = open_new(target);
    if (error != 0 || !is_there) return error;
    if (fchown(target->fd, status.st_uid, status.st_gid) != 0 && errno != EPERM) return errno;
    return fchmod(target->fd, status.st_mode & 07777) == 0 ? 0 : errno;
}

static int open_in_place(struct target *target) {
    uint32_t flags = target->flags;
    if (flags & FILE_FLAG_REGULAR_ONLY) {
        struct stat status;
        bool is_there = stat(target->path.bytes, &status) == 0;
        if (is_there && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return ENODEV;
    }
    int open_flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | (flags & FILE_FLAG_REGULAR_ONLY ? O_NONBLOCK : 0) |
                     (flags & FILE_FLAG_CREATE ? O_CREAT : 0) | (flags & FILE_FLAG_EXCLUSIVE ? O_EXCL : 0) |
                     (flags & FILE_FLAG_TRUNCATE ? O_TRUNC : 0) | (flags & FILE_FLAG_APPEND ? O_APPEND : 0) |
                     (flags & FILE_FLAG_NO_FOLLOW ? O_NOFOLLOW : 0);
    target->fd = open(target->path.bytes, open_flags, MODE_NEW);
    return target->fd >= 0 ? 0 : errno;
}

/* Gives up what is not complete. What was written in place stays. */
static void target_discard(struct target *target) {
    if (target->fd < 0) return;
    close(target->fd);
    target->fd = -1;
    if (target->flags & FILE_FLAG_ATOMIC && !target->is_nameless) unlink(target->place.bytes);
}

static int target_open(struct target *target, struct text path, uint64_t offset) {
    target->fd = -1;
    target->ends_in_hole = false;
    target->is_nameless = false;
    int error = check_write(target->flags, target->mode, offset);
    if (error == 0) error = path_take(path, &target->path);
    if (error == 0 && target->flags & FILE_FLAG_PARENTS) error = path_make_parents(&target->path);
    if (error == 0) error = target->flags & FILE_FLAG_ATOMIC ? open_beside(target) : open_in_place(target);
    if (error != 0) {
        target_discard(target);
        return error;
    }
    bool is_seekable = !(target->flags & FILE_FLAG_APPEND) && lseek(target->fd, 0, SEEK_CUR) >= 0;
    target->offset = is_seekable ? (off_t)offset : -1;
    if (!is_seekable && offset > 0) {
        target_discard(target);
        return ESPIPE;
    }
    return 0;
}

static int target_write(struct target *target, struct text data) {
    int error = content_write(target->fd, data.bytes, data.size, target->offset);
    if (error == 0 && target->offset >= 0) target->offset += data.size;
    if (data.size > 0) target->ends_in_hole = false;
    return error;
}

static int target_skip(struct target *target, uint64_t size) {
    if (target->offset < 0) return ESPIPE;
    if (size > (uint64_t)(INT64_MAX - target->offset)) return EFBIG;
    target->offset += (off_t)size;
    target->ends_in_hole = true;
    return 0;
}

/* Puts the file where it is meant to be. */
static int target_place(struct target *target) {
    if (!(target->flags & FILE_FLAG_ATOMIC)) return 0;
    bool is_exclusive = target->flags & FILE_FLAG_EXCLUSIVE;
    if (target->is_nameless) {
        if (is_exclusive) return give_name(target, target->path.bytes);
        int error = give_name(target, target->place.bytes);
        if (error != 0) return error;
        target->is_nameless = false;
    }
    if (!is_exclusive)
        return rename(target->place.bytes, target->path.bytes) == 0 ? 0 : errno;
    if (link(target->place.bytes, target->path.bytes) != 0) return errno; /* fails if the name was taken in between */
    unlink(target->place.bytes);
    return 0;
}

static int target_finish(struct target *target) {
    int error = 0;
    if (target->ends_in_hole && ftruncate(target->fd, target->offset) != 0) error = errno;
    if (error == 0 && target->flags & FILE_FLAG_SET_MODE && fchmod(target->fd, target->mode) != 0) error = errno;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(target->modified_ns)};
    if (error == 0 && target->flags & FILE_FLAG_SET_MODIFIED && futimens(target->fd, times) != 0) error = errno;
    if (error == 0 && target->flags & FILE_FLAG_SYNC && fsync(target->fd) != 0) error = errno;
    if (error == 0) error = target_place(target);
    if (error != 0) {
        target_discard(target);
        return error;
    }
    int result = close(target->fd);
    target->fd = -1;
    return result == 0 ? 0 : errno; /* network file systems tell of a full disk here */
}

void fs_write(struct reader *reader) {
    struct file_write request;
    static struct target target;
    if (!file_write_decode(reader, &request)) server_refuse();
    target.flags = request.flags;
    target.mode = request.mode;
    target.modified_ns = request.modified_ns;
    int error = target_open(&target, request.path, request.offset);
    if (error == 0) {
        error = target_write(&target, request.data);
        if (error == 0)
            error = target_finish(&target);
        else
            target_discard(&target);
    }
    answer_result(error);
}

/* ---- a file in several messages */

static struct target stream = {.fd = -1};
static uint32_t stream_id;

void fs_write_open(uint32_t id, struct reader *reader) {
    struct file_write_open request;
    struct file_attributes attributes;
    if (!file_write_open_decode(reader, &request)) server_refuse();
    if (stream.fd >= 0) {
        answer_failed(EBUSY, NULL);
        return;
    }
    stream_id = id;
    stream.flags = request.flags;
    stream.mode = request.mode;
    stream.modified_ns = request.modified_ns;
    int error = target_open(&stream, request.path, request.offset);
    if (error == 0 && (error = attributes_read(stream.fd, "", true, &attributes)) != 0) target_discard(&stream);
    if (error == 0)
        answer_opened(&attributes);
    else
        answer_failed(error, NULL);
}

void content_abandon(void) {
    target_discard(&stream);
}

static void write_step(int error) {
    if (error == 0) return;
    target_discard(&stream);
    answer_failed(error, NULL);
}

void fs_write_data(uint32_t id, struct reader *reader) {
    struct file_write_data message;
    if (!file_write_data_decode(reader, &message)) server_refuse();
    if (stream.fd >= 0 && id == stream_id) write_step(target_write(&stream, message.data));
}

void fs_write_hole(uint32_t id, struct reader *reader) {
    struct file_write_hole message;
    if (!file_write_hole_decode(reader, &message)) server_refuse();
    if (stream.fd >= 0 && id == stream_id) write_step(target_skip(&stream, message.size));
}

void fs_write_end(uint32_t id, struct reader *reader) {
    if (!reader_finished(reader)) server_refuse();
    if (stream.fd >= 0 && id == stream_id) answer_result(target_finish(&stream));
}
