/* fs_copy(): see fs_tree.h. Copies keep modes, times and holes, and owners where the user may set them. */
#include "fs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_content.h"
#include "fs_descent.h"
#include "fs_server.h"

enum { COPY_BYTES = 64 * 1024, OPEN_SOURCE = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

/* The directories that are written, beside those of the descent. */
static int targets[DEPTH_MAX];

/* ---- content */

static int copy_by_hand(int from, int to, off_t offset, off_t end) {
    static uint8_t buffer[COPY_BYTES];
    while (offset < end) {
        size_t wanted = end - offset < COPY_BYTES ? (size_t)(end - offset) : COPY_BYTES;
        ssize_t size = pread(from, buffer, wanted, offset);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno;
        if (size == 0) return 0; /* it has become shorter */
        int error = content_write(to, buffer, (size_t)size, offset);
        if (error != 0) return error;
        offset += size;
    }
    return 0;
}

/* Has the kernel copy, which may share the blocks; not every pair of file systems can. */
static int copy_range(int from, int to, off_t offset, off_t end) {
    while (offset < end) {
        off_t source = offset, target = offset;
        size_t wanted = end - offset < SSIZE_MAX ? (size_t)(end - offset) : SSIZE_MAX;
        ssize_t size = copy_file_range(from, &source, to, &target, wanted, 0);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return copy_by_hand(from, to, offset, end);
        offset += size;
    }
    return 0;
}

static int copy_content(int from, int to, off_t size) {
    off_t offset = 0;
    while (offset < size) {
        off_t data = lseek(from, offset, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (data < 0) data = offset;
        if (hole < 0 || hole > size) hole = size;
        if (data >= hole) break;
        int error = copy_range(from, to, data, hole);
        if (error != 0) return error;
        offset = hole;
    }
    struct stat status;
    if (size == 0) return copy_by_hand(from, to, 0, INT64_MAX); /* files of /proc have no size */
    if (fstat(to, &status) == 0 && status.st_size >= size) return 0;
    return ftruncate(to, size) == 0 ? 0 : errno;
}

/* ---- one file */

static int copy_attributes(int fd, const struct stat *status) {
    if (fchown(fd, status->st_uid, status->st_gid) != 0 && errno != EPERM) return errno;
    if (fchmod(fd, status->st_mode & 07777) != 0) return errno;
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    return futimens(fd, times) == 0 ? 0 : errno;
}

static int copy_file(int from_directory, const char *from, int to_directory, const char *to, bool follow, bool exclusive) {
    struct stat status, existing;
    int follow_flag = follow ? 0 : O_NOFOLLOW;
    int source = openat(from_directory, from, OPEN_SOURCE | follow_flag);
    if (source < 0) return errno;
    int error = fstat(source, &status) == 0 ? 0 : errno;
    if (error == 0 && !S_ISREG(status.st_mode)) error = S_ISDIR(status.st_mode) ? EISDIR : ENODEV;
    bool is_same = error == 0 && fstatat(to_directory, to, &existing, 0) == 0 && existing.st_dev == status.st_dev &&
                   existing.st_ino == status.st_ino;
    if (is_same) error = EINVAL; /* truncating it would lose it */
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | follow_flag | (exclusive ? O_EXCL : 0);
    int target = error == 0 ? openat(to_directory, to, flags, 0600) : -1;
    if (error == 0 && target < 0) error = errno;
    if (error == 0) error = copy_content(source, target, status.st_size);
    if (error == 0) error = copy_attributes(target, &status);
    close(source);
    if (target >= 0 && close(target) != 0 && error == 0) error = errno;
    return error;
}

static int copy_link(int from_directory, const char *from, int to_directory, const char *to, const struct stat *status) {
    static struct path target;
    ssize_t size = readlinkat(from_directory, from, target.bytes, sizeof target.bytes - 1);
    if (size < 0) return errno;
    target.bytes[size] = '\0';
    unlinkat(to_directory, to, 0); /* another link or file of that name is replaced */
    if (symlinkat(target.bytes, to_directory, to) != 0) return errno;
    if (fchownat(to_directory, to, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != EPERM) return errno;
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    return utimensat(to_directory, to, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/* ---- a tree */

/* Opens the directory `name` for what is copied into it, made if it is not there. The descriptor, or -1 with errno. */
static int target_enter(int directory, const char *name, bool follow) {
    if (mkdirat(directory, name, 0700) != 0 && errno != EEXIST) return -1;
    return openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
}

/* Goes down into `name` on both sides. The directory that the copy goes to is never copied into itself. */
static int enter(const char *name, const struct stat *status, const struct stat *root) {
    if (status->st_dev == root->st_dev && status->st_ino == root->st_ino) return EINVAL;
    int target = target_enter(targets[descent.depth - 1], name, false);
    if (target < 0) return errno;
    int error = descent_enter(name);
    if (error == 0)
        targets[descent.depth - 1] = target;
    else
        close(target);
    return error;
}

/* Leaves the deepest directory; its attributes come last, as what was written into it changed them. */
static int leave(void) {
    struct stat status;
    int target = targets[descent.depth - 1];
    int error = fstat(descent_fd(), &status) == 0 ? copy_attributes(target, &status) : errno;
    close(target);
    descent_leave();
    return error;
}

static int copy_entry(const char *name, const struct stat *root, bool exclusive) {
    struct stat status;
    int from = descent_fd(), to = targets[descent.depth - 1];
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
    switch (status.st_mode & S_IFMT) {
        case S_IFDIR: return enter(name, &status, root);
        case S_IFREG: return copy_file(from, name, to, name, false, exclusive);
        case S_IFLNK: return copy_link(from, name, to, name, &status);
        case S_IFIFO: return mkfifoat(to, name, status.st_mode & 07777) == 0 || errno == EEXIST ? 0 : errno;
        default: return EOPNOTSUPP; /* devices and sockets have no copies */
    }
}

static int copy_tree(const struct path *from, const struct path *to, bool exclusive) {
    struct stat root;
    if (exclusive && lstat(to->bytes, &root) == 0) return EEXIST;
    int fd = open(from->bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int target = target_enter(AT_FDCWD, to->bytes, true);
    if (target < 0 || fstat(target, &root) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    int error = descent_begin(fd); /* closes fd if it fails */
    if (error != 0) {
        close(target);
        return error;
    }
    targets[0] = target;
    while (descent.depth > 0 && error == 0) {
        const char *name = descent_next(&error);
        if (name != NULL)
            error = copy_entry(name, &root, exclusive);
        else if (error == 0)
            error = leave();
    }
    while (descent.depth > 0) {
        close(targets[descent.depth - 1]);
        descent_leave();
    }
    return error;
}

void fs_copy(struct reader *reader) {
    struct file_copy request;
    struct path from, to;
    struct stat status;
    if (!file_copy_decode(reader, &request)) server_refuse();
    uint32_t flags = request.flags;
    bool is_exclusive = flags & FILE_FLAG_EXCLUSIVE;
    int error = flags_check(flags, FILE_FLAG_PARENTS | FILE_FLAG_RECURSIVE | FILE_FLAG_EXCLUSIVE);
    descent.path[0] = '\0';
    if (error == 0) error = path_take(request.from, &from);
    if (error == 0) error = path_take(request.to, &to);
    if (error == 0 && stat(from.bytes, &status) != 0) error = errno;
    bool is_directory = error == 0 && S_ISDIR(status.st_mode);
    if (is_directory && !(flags & FILE_FLAG_RECURSIVE)) error = EISDIR;
    if (error == 0 && !is_directory && !S_ISREG(status.st_mode)) error = ENODEV; /* could block */
    if (error == 0 && flags & FILE_FLAG_PARENTS) error = path_make_parents(&to);
    if (error == 0 && is_directory)
        error = copy_tree(&from, &to, is_exclusive);
    else if (error == 0)
        error = copy_file(AT_FDCWD, from.bytes, AT_FDCWD, to.bytes, true, is_exclusive);
    if (error == 0)
        answer_done();
    else
        answer_failed(error, descent.path);
}
