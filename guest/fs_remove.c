/* fs_remove(): see fs_tree.h. */
#include "fs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_descent.h"
#include "fs_server.h"

/* Leaves the deepest directory, which is empty now, and removes it. The root is left to the caller. */
static int leave_and_remove(void) {
    descent.path[descent.levels[descent.depth - 1].path_size] = '\0'; /* an error is about this directory */
    if (!descent_leave()) return 0;
    size_t parent = descent.levels[descent.depth - 1].path_size;
    const char *name = descent.path + parent + (parent > 0 ? 1 : 0);
    return unlinkat(descent_fd(), name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

/* Empties the directory that the descent stands in. */
static int remove_below(void) {
    int error = 0;
    while (descent.depth > 0 && error == 0) {
        const char *name = descent_next(&error);
        if (error != 0) return error;
        if (name == NULL) {
            error = leave_and_remove();
            continue;
        }
        struct stat status;
        if (fstatat(descent_fd(), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            error = errno;
        else if (S_ISDIR(status.st_mode))
            error = descent_enter(name);
        else if (unlinkat(descent_fd(), name, 0) != 0)
            error = errno;
        if (error == ENOENT) error = 0; /* somebody else was quicker */
    }
    return error;
}

static int remove_tree(const struct path *path) {
    int fd = open(path->bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno;
    int error = descent_begin(fd);
    if (error == 0) error = remove_below();
    descent_end();
    if (error == 0 && rmdir(path->bytes) != 0) error = errno;
    return error;
}

void fs_remove(struct reader *reader) {
    struct file_remove request;
    struct path path;
    struct stat status;
    if (!file_remove_decode(reader, &request)) server_refuse();
    uint32_t flags = request.flags;
    int error = flags_check(flags, FILE_FLAG_RECURSIVE | FILE_FLAG_FORCE | FILE_FLAG_DIRECTORY | FILE_FLAG_NOT_DIRECTORY);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0 && lstat(path.bytes, &status) != 0) {
        error = errno;
        if (error == ENOENT && flags & FILE_FLAG_FORCE) {
            answer_done();
            return;
        }
    }
    bool is_directory = error == 0 && S_ISDIR(status.st_mode);
    if (error == 0 && !is_directory && flags & FILE_FLAG_DIRECTORY) error = ENOTDIR;
    if (error == 0 && is_directory && flags & FILE_FLAG_NOT_DIRECTORY) error = EISDIR;
    descent.path[0] = '\0';
    if (error == 0 && is_directory && flags & FILE_FLAG_RECURSIVE) {
        error = remove_tree(&path);
    } else if (error == 0) {
        int result = is_directory ? rmdir(path.bytes) : unlink(path.bytes);
        if (result != 0) error = errno;
    }
    if (error == 0)
        answer_done();
    else
        answer_failed(error, descent.path);
}
