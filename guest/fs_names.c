/* See fs_names.h. */
#include "fs_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_path.h"
#include "fs_server.h"

enum { RENAME_EXCLUSIVE = 1 /* RENAME_NOREPLACE */, TEMP_LETTERS = 12, TEMP_TRIES = 100 };

void fs_mkdir(struct reader *reader) {
    struct file_mkdir request;
    struct path path;
    if (!file_mkdir_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_PARENTS | FILE_FLAG_SET_MODE);
    if (error == 0 && request.mode > 07777) error = EINVAL;
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0 && request.flags & FILE_FLAG_PARENTS) error = path_make_parents(&path);
    bool is_new = error == 0 && mkdir(path.bytes, 0777) == 0;
    if (error == 0 && !is_new) {
        struct stat status;
        error = errno;
        bool is_there = error == EEXIST && stat(path.bytes, &status) == 0 && S_ISDIR(status.st_mode);
        if (is_there && request.flags & FILE_FLAG_PARENTS) error = 0;
    }
    if (is_new && request.flags & FILE_FLAG_SET_MODE && chmod(path.bytes, request.mode) != 0) error = errno;
    answer_result(error);
}

void fs_rename(struct reader *reader) {
    struct file_rename request;
    struct path from, to;
    if (!file_rename_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_PARENTS | FILE_FLAG_EXCLUSIVE);
    if (error == 0) error = path_take(request.from, &from);
    if (error == 0) error = path_take(request.to, &to);
    struct stat status;
    if (error == 0 && lstat(from.bytes, &status) != 0) error = errno; /* before anything is made */
    if (error == 0 && request.flags & FILE_FLAG_PARENTS) error = path_make_parents(&to);
    unsigned flags = request.flags & FILE_FLAG_EXCLUSIVE ? RENAME_EXCLUSIVE : 0;
    if (error == 0 && syscall(SYS_renameat2, AT_FDCWD, from.bytes, AT_FDCWD, to.bytes, flags) != 0) error = errno;
    answer_result(error);
}

/* Makes a link of one kind or the other at `path`, as the flags say. */
static int make_link(const char *target, bool is_symbolic, const struct path *path, uint32_t flags) {
    int error = flags & FILE_FLAG_PARENTS ? path_make_parents(path) : 0;
    if (error != 0) return error;
    struct path place = *path;
    if (flags & FILE_FLAG_REPLACE && (error = path_beside(path, &place)) != 0) return error;
    int result = is_symbolic ? symlink(target, place.bytes) : linkat(AT_FDCWD, target, AT_FDCWD, place.bytes, 0);
    if (result != 0) return errno;
    if (!(flags & FILE_FLAG_REPLACE)) return 0;
    error = rename(place.bytes, path->bytes) == 0 ? 0 : errno;
    unlink(place.bytes); /* what could not be moved; and after a rename of two links to one file, which does nothing */
    return error;
}

void fs_symlink(struct reader *reader) {
    struct file_symlink request;
    struct path path, target;
    if (!file_symlink_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_PARENTS | FILE_FLAG_REPLACE);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0) { /* any text, relative or not */
        bool is_text = request.target.size > 0 && request.target.size <= FILE_PATH_BYTES_MAX &&
                       memchr(request.target.bytes, '\0', request.target.size) == NULL;
        if (is_text) {
            memcpy(target.bytes, request.target.bytes, request.target.size);
            target.bytes[request.target.size] = '\0';
        } else {
            error = request.target.size == 0 ? ENOENT : EINVAL;
        }
    }
    if (error == 0) error = make_link(target.bytes, true, &path, request.flags);
    answer_result(error);
}

void fs_link(struct reader *reader) {
    struct file_link request;
    struct path path, existing;
    if (!file_link_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_PARENTS | FILE_FLAG_REPLACE);
    if (error == 0) error = path_take(request.existing, &existing);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0) error = make_link(existing.bytes, false, &path, request.flags);
    answer_result(error);
}

void fs_read_link(struct reader *reader) {
    struct file_read_link request;
    struct path path, target;
    if (!file_read_link_decode(reader, &request)) server_refuse();
    int error = path_take(request.path, &path);
    ssize_t size = error == 0 ? readlink(path.bytes, target.bytes, sizeof target.bytes - 1) : -1;
    if (size < 0) {
        answer_failed(error == 0 ? errno : error, NULL);
        return;
    }
    target.bytes[size] = '\0';
    answer_path(target.bytes);
}

void fs_real_path(struct reader *reader) {
    struct file_real_path request;
    struct path path, real;
    if (!file_real_path_decode(reader, &request)) server_refuse();
    int error = path_take(request.path, &path);
    if (error == 0 && realpath(path.bytes, real.bytes) == NULL) error = errno;
    if (error == 0)
        answer_path(real.bytes);
    else
        answer_failed(error, NULL);
}

static int make_temp(const struct file_make_temp *request, struct path *path) {
    struct path directory;
    struct text parts[] = {request->prefix, request->suffix};
    for (size_t i = 0; i < 2; i++)
        if (memchr(parts[i].bytes, '/', parts[i].size) != NULL || memchr(parts[i].bytes, '\0', parts[i].size) != NULL)
            return EINVAL;
    int error = request->directory.size == 0 ? path_take(text_of("/tmp"), &directory)
                                             : path_take(request->directory, &directory);
    for (int tries = 0; error == 0 && tries < TEMP_TRIES; tries++) {
        char letters[TEMP_LETTERS + 1] = "";
        random_letters(letters, TEMP_LETTERS);
        int size = snprintf(path->bytes, sizeof path->bytes, "%s/%.*s%s%.*s", directory.bytes,
                            (int)request->prefix.size, request->prefix.bytes, letters, (int)request->suffix.size,
                            request->suffix.bytes);
        if (size >= (int)sizeof path->bytes) return ENAMETOOLONG;
        int fd = -1;
        bool is_directory = request->flags & FILE_FLAG_DIRECTORY;
        bool is_made = is_directory ? mkdir(path->bytes, 0700) == 0
                                    : (fd = open(path->bytes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0;
        if (is_made) {
            if (fd >= 0) close(fd);
            return 0;
        }
        if (errno != EEXIST) return errno;
    }
    return error == 0 ? EEXIST : error;
}

void fs_make_temp(struct reader *reader) {
    struct file_make_temp request;
    struct path path;
    if (!file_make_temp_decode(reader, &request)) server_refuse();
    int error = flags_check(request.flags, FILE_FLAG_DIRECTORY);
    if (error == 0) error = make_temp(&request, &path);
    if (error == 0)
        answer_path(path.bytes);
    else
        answer_failed(error, NULL);
}
