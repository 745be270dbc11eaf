/* See fs_path.h. */
#include "fs_path.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { RANDOM_LETTERS = 12 };

static int relative_error;

void path_refuse_relative(int error) {
    relative_error = error;
}

int path_take(struct text text, struct path *path) {
    if (text.size == 0) return ENOENT;
    if (memchr(text.bytes, '\0', text.size) != NULL) return EINVAL;
    if (text.size > FILE_PATH_BYTES_MAX) return ENAMETOOLONG;
    if (relative_error != 0 && text.bytes[0] != '/') return relative_error;
    memcpy(path->bytes, text.bytes, text.size);
    path->bytes[text.size] = '\0';
    return 0;
}

int path_make_parents(const struct path *path) {
    struct path parent = *path;
    size_t size = strlen(parent.bytes);
    while (size > 1 && parent.bytes[size - 1] == '/') parent.bytes[--size] = '\0';
    char *slash = strrchr(parent.bytes, '/');
    if (slash == NULL || slash == parent.bytes) return 0;
    *slash = '\0';
    struct stat status;
    if (stat(parent.bytes, &status) == 0) return 0; /* the usual case; whatever it is, the caller will find out */
    for (char *end = parent.bytes + 1;; end++) {
        if (*end != '/' && *end != '\0') continue;
        char kept = *end;
        *end = '\0';
        if (mkdir(parent.bytes, 0777) != 0 && errno != EEXIST) {
            /* A directory that is there already may lie where this user can make none. */
            int error = errno;
            if (stat(parent.bytes, &status) != 0) return error;
        }
        *end = kept;
        if (kept == '\0') return 0;
    }
}

void random_letters(char *string, size_t count) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t bytes[64] = {0};
    ssize_t size = getrandom(bytes, sizeof bytes, 0);
    (void)size; /* names are only tried: the caller goes on until nothing has that name */
    char *end = string + strlen(string);
    for (size_t i = 0; i < count && i < sizeof bytes; i++) *end++ = LETTERS[bytes[i] % 32];
    *end = '\0';
}

int path_beside(const struct path *path, struct path *beside) {
    const char *slash = strrchr(path->bytes, '/');
    int size = slash == NULL ? 0 : (int)(slash - path->bytes) + 1;
    int total = snprintf(beside->bytes, sizeof beside->bytes - RANDOM_LETTERS, "%.*s.new-", size, path->bytes);
    if (total >= (int)sizeof beside->bytes - RANDOM_LETTERS) return ENAMETOOLONG;
    random_letters(beside->bytes, RANDOM_LETTERS);
    return 0;
}
