/* fs_list() and fs_walk(): see fs_tree.h. */
#include "fs_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_attributes.h"
#include "fs_content.h"
#include "fs_descent.h"
#include "fs_server.h"

/* The target of the symbolic link `name` in the directory `fd`; "" if `name` is not a link, or has been removed. */
static const char *link_target(int fd, const char *name, const struct file_attributes *attributes) {
    static struct path target;
    target.bytes[0] = '\0';
    if (attributes->kind != FILE_KIND_SYMLINK) return target.bytes;
    ssize_t size = readlinkat(fd, name, target.bytes, sizeof target.bytes - 1);
    target.bytes[size < 0 ? 0 : size] = '\0';
    return target.bytes;
}

void fs_list(struct reader *reader) {
    struct file_list request;
    struct path path;
    if (!file_list_decode(reader, &request)) server_refuse();
    int error = path_take(request.path, &path);
    int fd = error == 0 ? open(path.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (error == 0) error = fd < 0 ? errno : descent_begin(fd);
    if (error != 0) {
        answer_failed(error, NULL);
        return;
    }
    for (const char *name; (name = descent_next(&error)) != NULL;) {
        struct file_attributes attributes;
        int problem = attributes_read(descent_fd(), name, false, &attributes);
        if (problem == ENOENT) continue; /* removed in between */
        if (problem != 0) {
            error = problem;
            break;
        }
        answer_entry(name, link_target(descent_fd(), name, &attributes), &attributes);
    }
    descent_end();
    answer_result(error);
}

/* ---- walk */

/* An entry that is no directory. */
static void send_file(int directory, const char *name, bool follow, bool with_content) {
    struct file_attributes attributes;
    int error = attributes_read(directory, name, follow, &attributes);
    if (error == ENOENT) return; /* removed in between */
    if (error != 0) {
        attributes = (struct file_attributes){.kind = FILE_KIND_FILE};
        with_content = false;
    }
    int fd = -1;
    if (with_content && attributes.kind == FILE_KIND_FILE) {
        fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW));
        if (fd < 0) error = errno;
        /* The opened file may already be another one. */
        if (fd >= 0 && (error = attributes_read(fd, "", true, &attributes)) == 0 && attributes.kind != FILE_KIND_FILE)
            error = ESTALE;
    }
    answer_entry(descent.path, link_target(directory, name, &attributes), &attributes);
    if (error == 0 && fd >= 0) {
        /* Files of /proc have no size and hold something all the same. */
        uint64_t length = attributes.size > 0 ? attributes.size : INT64_MAX;
        error = content_send(fd, 0, length, true, attributes.allocated < attributes.size);
    }
    if (fd >= 0) close(fd);
    if (error != 0) answer_unread(error);
}

/* Sends what is below the directory that the descent stands in. */
static void walk_below(bool with_content, uint32_t depth_max) {
    do {
        int error;
        const char *name = descent_next(&error);
        if (name == NULL && error != 0) answer_unread(error);
        if (name == NULL) {
            if (!descent_leave()) return;
            continue;
        }
        if (strlen(descent.path) > FILE_PATH_BYTES_MAX) { /* no request could name it */
            answer_unread(ENAMETOOLONG);
            continue;
        }
        struct file_attributes attributes;
        int directory = descent_fd();
        bool is_directory = attributes_read(directory, name, false, &attributes) == 0 &&
                            attributes.kind == FILE_KIND_DIRECTORY;
        if (!is_directory) {
            send_file(directory, name, false, with_content);
            continue;
        }
        answer_entry(descent.path, "", &attributes);
        if (depth_max != 0 && descent.depth >= depth_max) continue;
        error = descent_enter(name);
        if (error != 0) answer_unread(error);
    } while (descent.depth > 0);
}

void fs_walk(struct reader *reader) {
    struct file_walk request;
    struct path path;
    struct file_attributes attributes;
    if (!file_walk_decode(reader, &request)) server_refuse();
    bool is_followed = !(request.flags & FILE_FLAG_NO_FOLLOW);
    bool with_content = request.flags & FILE_FLAG_CONTENT;
    int error = flags_check(request.flags, FILE_FLAG_NO_FOLLOW | FILE_FLAG_CONTENT);
    if (error == 0) error = path_take(request.path, &path);
    if (error == 0) error = attributes_read(AT_FDCWD, path.bytes, is_followed, &attributes);
    if (error != 0) {
        answer_failed(error, NULL);
        return;
    }
    descent.path[0] = '\0';
    if (attributes.kind != FILE_KIND_DIRECTORY) {
        send_file(AT_FDCWD, path.bytes, is_followed, with_content);
        answer_done();
        return;
    }
    int fd = open(path.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (is_followed ? 0 : O_NOFOLLOW));
    error = fd < 0 ? errno : descent_begin(fd);
    if (error != 0) {
        answer_failed(error, NULL);
        return;
    }
    answer_entry("", "", &attributes);
    walk_below(with_content, request.depth_max);
    answer_done();
}
