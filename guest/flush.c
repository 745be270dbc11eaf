#include "flush.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "log.h"

enum { MOUNT_POINT_FIELD = 4, REMOUNT_ATTEMPTS = 50, REMOUNT_RETRY_MS = 10 };

/* mountinfo writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *path) {
    char *out = path;
    for (const char *in = path; *in != '\0';) {
        bool is_escaped = in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
                          in[3] >= '0' && in[3] <= '7';
        if (is_escaped) {
            *out++ = (char)(((in[1] - '0') << 6) | ((in[2] - '0') << 3) | (in[3] - '0'));
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* The mount points below /, in the order in which they were mounted. */
static size_t list_mounts(const struct boot_handles *handles, char *paths[MOUNTS_MAX], char **text) {
    size_t count = 0;
    *text = fchdir(handles->proc_fd) == 0 ? file_read("self/mountinfo", DATABASE_BYTES_MAX) : NULL;
    if (chdir("/") != 0) return 0;
    char *cursor = *text;
    for (char *line = strsep(&cursor, "\n"); line != NULL && count < MOUNTS_MAX; line = strsep(&cursor, "\n")) {
        char *field = NULL;
        for (int i = 0; i <= MOUNT_POINT_FIELD; i++) field = strsep(&line, " ");
        if (field == NULL || strcmp(field, "/") == 0) continue;
        unescape(field);
        paths[count++] = field;
    }
    return count;
}

/* Last mounted first. What is still busy is made read-only. */
static void unmount_all(const struct boot_handles *handles) {
    for (int pass = 0; pass < UNMOUNT_PASSES_MAX; pass++) {
        char *paths[MOUNTS_MAX];
        char *text;
        size_t count = list_mounts(handles, paths, &text);
        size_t left = count;
        for (size_t i = count; i > 0; i--) {
            if (umount2(paths[i - 1], UMOUNT_NOFOLLOW) == 0)
                left--;
            else
                mount(NULL, paths[i - 1], NULL, MS_REMOUNT | MS_RDONLY, NULL);
        }
        free(text);
        if (left == 0) return;
    }
}

/* The kernel lets go of a killed program's files a moment after it is reaped. */
static bool make_read_only(const char *path) {
    for (int attempt = 0; attempt < REMOUNT_ATTEMPTS; attempt++) {
        if (mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0) return true;
        if (errno != EBUSY) break;
        clock_sleep_ms(REMOUNT_RETRY_MS);
    }
    log_line("cannot make %s read-only: %s", path, strerror(errno));
    return false;
}

/* Whether all disks that are still mounted are read-only. Paths do not lead to the upper one, so it is not among them. */
static bool disks_are_clean(const struct boot_handles *handles) {
    char *text = fchdir(handles->proc_fd) == 0 ? file_read("self/mountinfo", DATABASE_BYTES_MAX) : NULL;
    if (chdir("/") != 0) return false;
    bool is_clean = text != NULL;
    char *cursor = text;
    for (char *line = strsep(&cursor, "\n"); line != NULL; line = strsep(&cursor, "\n")) {
        char *source = strstr(line, " - "); /* after it: type, source and options of the file system */
        if (source == NULL) continue;
        source += strlen(" - ");
        strsep(&source, " ");
        const char *device = strsep(&source, " ");
        bool is_disk = device != NULL && strncmp(device, "/dev/vd", strlen("/dev/vd")) == 0;
        if (!is_disk || source == NULL || strncmp(source, "rw", 2) != 0) continue;
        log_line("%s is still being written to", device);
        is_clean = false;
    }
    free(text);
    return is_clean;
}

bool flush_filesystems(const struct boot_handles *handles) {
    sync();
    unmount_all(handles);
    make_read_only("/");
    /* The upper file system is hidden below the new root: reached by its descriptor, not by a path. */
    bool is_clean = handles->upper_fd < 0 || (fchdir(handles->upper_fd) == 0 && make_read_only("."));
    is_clean = disks_are_clean(handles) && is_clean;
    sync();
    return is_clean;
}
