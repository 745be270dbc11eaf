/*
 * See fs_watch.h. The kernel watches directories one by one (inotify), so a tree is a watch for each of its directories. A new
 * directory is watched first and looked through afterwards: what was made in between is told, some of it perhaps twice, and
 * nothing is missed.
 */
#include "fs_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_descent.h"
#include "fs_server.h"

enum {
    EVENTS = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF,
    EVENT_BYTES = 64 * 1024,
    /* For the second half of a move, which follows the first at once. */
    MOVE_WAIT_MS = 20,
    /* Directories of one watch. The kernel has a bound of its own, for each user. */
    WATCHED_MAX = 1 << 20,
};

/* A watched directory, by the number that the kernel gave its watch. */
struct watched {
    char *path; /* below the root, which is ""; NULL: not watched any more */
};

static struct watched *table;
static size_t table_size;
static int watch_fd;
static bool is_recursive;
static struct path root;

/* ---- the table */

static int table_set(int watch, const char *path) {
    size_t index = (size_t)watch;
    if (index >= WATCHED_MAX) return ENOSPC;
    if (index >= table_size) {
        size_t size = index * 2 < 64 ? 64 : index * 2;
        struct watched *larger = realloc(table, size * sizeof *table);
        if (larger == NULL) return ENOMEM;
        memset(larger + table_size, 0, (size - table_size) * sizeof *table);
        table = larger;
        table_size = size;
    }
    char *copy = strdup(path);
    if (copy == NULL) return ENOMEM;
    free(table[index].path);
    table[index].path = copy;
    return 0;
}

static const char *table_path(int watch) {
    return watch >= 0 && (size_t)watch < table_size ? table[watch].path : NULL;
}

static void table_forget(int watch) {
    if (table_path(watch) == NULL) return;
    free(table[watch].path);
    table[watch].path = NULL;
}

/* What follows `path` in `known`, if that is the same or below it; NULL otherwise. */
static const char *rest_below(const char *known, const char *path) {
    size_t size = strlen(path);
    if (known == NULL || strncmp(known, path, size) != 0) return NULL;
    return known[size] == '\0' || known[size] == '/' ? known + size : NULL;
}

/* ---- paths */

static bool join(const char *directory, const char *name, struct path *path) {
    const char *slash = *directory == '\0' || *name == '\0' ? "" : "/";
    return snprintf(path->bytes, sizeof path->bytes, "%s%s%s", directory, slash, name) < (int)sizeof path->bytes;
}

/* ---- directories that move */

/* One that has left its place. Where it has gone to comes next, or it has left what is watched. */
static struct {
    bool is_there;
    bool is_old; /* was there before the last events were read */
    uint32_t cookie;
    struct path path;
} moving;

/* Ends the watches of what has left and of all below it. */
static void forget_moved(void) {
    for (size_t watch = 0; moving.is_there && watch < table_size; watch++) {
        if (rest_below(table[watch].path, moving.path.bytes) == NULL) continue;
        inotify_rm_watch(watch_fd, (int)watch);
        table_forget((int)watch);
    }
    moving.is_there = false;
}

/* `rest` are the `size` bytes of events that were read after this one. */
static void begin_move(uint32_t cookie, const struct path *path, const char *rest, size_t size) {
    forget_moved();
    moving.is_there = true;
    moving.is_old = false;
    moving.cookie = cookie;
    moving.path = *path;
    if (size == 0) return; /* the next read tells */
    for (size_t offset = 0; offset < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(rest + offset);
        if (event->mask & IN_MOVED_TO && event->cookie == cookie) return;
        offset += sizeof *event + event->len;
    }
    forget_moved();
}

/* Watches go on, as they are of the directories themselves; only the paths change. False if it has come from elsewhere. */
static bool end_move(uint32_t cookie, const struct path *to) {
    if (!moving.is_there || moving.cookie != cookie) return false;
    moving.is_there = false;
    for (size_t watch = 0; watch < table_size; watch++) {
        const char *rest = rest_below(table[watch].path, moving.path.bytes);
        struct path path;
        if (rest == NULL) continue;
        bool fits = snprintf(path.bytes, sizeof path.bytes, "%s%s", to->bytes, rest) < (int)sizeof path.bytes;
        if (!fits || table_set((int)watch, path.bytes) != 0) table_forget((int)watch);
    }
    return true;
}

/* ---- watching */

/* Watches the directory `path` below the root by its descriptor, so that nothing else is meant. */
static int watch_directory(int fd, const char *path) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int watch = inotify_add_watch(watch_fd, name, EVENTS | IN_ONLYDIR);
    return watch < 0 ? errno : table_set(watch, path);
}

/* Goes down into `name` and watches it. Skips what has gone or cannot be read. */
static int enter_and_watch(const char *prefix, const char *name) {
    struct path path;
    if (descent_enter(name) != 0) return 0;
    if (!join(prefix, descent.path, &path)) return 0;
    return watch_directory(descent_fd(), path.bytes);
}

/* Watches the directories below `path`, which is open as `fd` and watched. What is there is told as new if it is. */
static int watch_below(int fd, const char *prefix, bool is_new) {
    int error = descent_begin(fd);
    while (error == 0 && descent.depth > 0) {
        const char *name = descent_next(&error);
        if (name == NULL) {
            error = 0; /* a directory that cannot be read further is watched all the same */
            descent_leave();
            continue;
        }
        struct stat status;
        struct path path;
        if (fstatat(descent_fd(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (is_new && join(prefix, descent.path, &path))
            answer_change(FILE_CHANGE_KIND_CREATED, S_ISDIR(status.st_mode), 0, path.bytes);
        if (S_ISDIR(status.st_mode)) error = enter_and_watch(prefix, name);
    }
    descent_end();
    return error;
}

/* A directory has come to be at `path` below the root. Without a watch for it changes would be lost: that is an overflow. */
static void watch_arrival(const char *path, bool is_new) {
    struct path full;
    if (!join(root.bytes, path, &full)) return;
    int fd = open(full.bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return; /* gone again, which will be told, or not to be read by this user */
    int error = watch_directory(fd, path);
    if (error == 0)
        error = watch_below(fd, path, is_new);
    else
        close(fd);
    if (error != 0) answer_change(FILE_CHANGE_KIND_OVERFLOW, false, 0, "");
}

/* ---- events */

static void tell(uint8_t kind, const struct inotify_event *event, const char *path) {
    answer_change(kind, (event->mask & IN_ISDIR) != 0, event->cookie, path);
}

/* What happened to the watched directory or file itself. */
static void handle_own(const struct inotify_event *event, const char *directory) {
    bool is_root = *directory == '\0';
    if (event->mask & IN_ATTRIB && is_root) tell(FILE_CHANGE_KIND_ATTRIBUTES, event, "");
    if (event->mask & IN_MODIFY && is_root) tell(FILE_CHANGE_KIND_MODIFIED, event, "");
    /* Of the others the directory above them tells. */
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF) && is_root) {
        tell(FILE_CHANGE_KIND_GONE, event, "");
        answer_done();
        answers_flush();
        _exit(0);
    }
    if (event->mask & IN_IGNORED) table_forget(event->wd);
}

static void handle(const struct inotify_event *event, size_t rest_size) {
    if (event->mask & IN_Q_OVERFLOW) {
        answer_change(FILE_CHANGE_KIND_OVERFLOW, false, 0, "");
        return;
    }
    const char *directory = table_path(event->wd);
    if (directory == NULL) return;
    if (event->len == 0 || event->name[0] == '\0') {
        handle_own(event, directory);
        return;
    }
    struct path path;
    if (!join(directory, event->name, &path)) return;
    bool is_tree = is_recursive && event->mask & IN_ISDIR;
    if (event->mask & IN_CREATE) tell(FILE_CHANGE_KIND_CREATED, event, path.bytes);
    if (event->mask & IN_MODIFY) tell(FILE_CHANGE_KIND_MODIFIED, event, path.bytes);
    if (event->mask & IN_ATTRIB) tell(FILE_CHANGE_KIND_ATTRIBUTES, event, path.bytes);
    if (event->mask & IN_DELETE) tell(FILE_CHANGE_KIND_REMOVED, event, path.bytes);
    if (event->mask & IN_MOVED_FROM) tell(FILE_CHANGE_KIND_MOVED_FROM, event, path.bytes);
    if (event->mask & IN_MOVED_TO) tell(FILE_CHANGE_KIND_MOVED_TO, event, path.bytes);
    if (!is_tree) return;
    if (event->mask & IN_MOVED_FROM) begin_move(event->cookie, &path, event->name + event->len, rest_size);
    if (event->mask & IN_MOVED_TO && !end_move(event->cookie, &path)) watch_arrival(path.bytes, false);
    if (event->mask & IN_CREATE) watch_arrival(path.bytes, true);
}

static void read_events(void) {
    static _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    ssize_t size = read(watch_fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (size <= 0) server_refuse();
    for (ssize_t offset = 0; offset < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(bytes + offset);
        offset += (ssize_t)sizeof *event + event->len;
        handle(event, (size_t)(size - offset));
    }
}

static int begin(const struct file_watch *request) {
    struct stat status;
    int error = flags_check(request->flags, FILE_FLAG_RECURSIVE);
    if (error == 0) error = path_take(request->path, &root);
    if (error != 0) return error;
    if (stat(root.bytes, &status) != 0) return errno;
    is_recursive = request->flags & FILE_FLAG_RECURSIVE;
    watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch_fd < 0) return errno;
    if (!S_ISDIR(status.st_mode)) {
        int watch = inotify_add_watch(watch_fd, root.bytes, EVENTS);
        return watch < 0 ? errno : table_set(watch, "");
    }
    int fd = open(root.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno;
    error = watch_directory(fd, "");
    if (error == 0 && is_recursive) return watch_below(fd, "", false);
    close(fd);
    return error;
}

void fs_watch(struct reader *reader) {
    struct file_watch request;
    struct file_attributes attributes = {.created_ns = INT64_MIN};
    if (!file_watch_decode(reader, &request)) server_refuse();
    int error = begin(&request);
    if (error != 0) {
        answer_failed(error, NULL);
        if (watch_fd > 0) close(watch_fd); /* and with it all its watches */
        watch_fd = -1;
        return;
    }
    answer_opened(&attributes);
    /* This session does nothing else from now on. It ends with its client, whose end of stdin hangs up. */
    for (;;) {
        answers_flush();
        struct pollfd entries[2] = {{.fd = watch_fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = 0}};
        int found = poll(entries, 2, moving.is_there ? MOVE_WAIT_MS : -1);
        if (found < 0 && errno != EINTR) server_refuse();
        if (entries[1].revents & (POLLHUP | POLLERR)) _exit(0);
        bool was_moving = moving.is_there && (found == 0 || moving.is_old);
        moving.is_old = true;
        if (entries[0].revents != 0) read_events();
        if (was_moving && moving.is_old) forget_moved(); /* the other half would already have come */
    }
}
