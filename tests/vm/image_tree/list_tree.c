/*
 * Lists a tree, a line an entry: path, type, mode, owner, size, time, links, device, link target, attributes, contents.
 * Run on the host and in a guest, so that both lists come from the same eyes.
 *
 *   list_tree DIRECTORY            lists it
 *   list_tree DIRECTORY DEVICE     mounts the EROFS disk there first
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PATH_SIZE = 8192, NAMES_SIZE = 65536 };

static void fail(const char *what, const char *path) {
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

/* Two FNV-1a sums with different starts: enough to tell contents apart. */
static void print_sum(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) fail("open", path);
    uint64_t first = 0xcbf29ce484222325, second = 0x9ae16a3b2f90404f;
    static unsigned char buffer[65536];
    for (ssize_t count; (count = read(file, buffer, sizeof buffer)) != 0;) {
        if (count < 0) fail("read", path);
        for (ssize_t at = 0; at < count; at++) {
            first = (first ^ buffer[at]) * 0x100000001b3;
            second = (second ^ buffer[at] ^ 0x5a) * 0x100000001b3;
        }
    }
    close(file);
    printf(" sum=%016" PRIx64 "%016" PRIx64, first, second);
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void print_attributes(const char *path) {
    static char names[NAMES_SIZE], value[NAMES_SIZE];
    ssize_t size = llistxattr(path, names, sizeof names);
    if (size < 0) fail("llistxattr", path);
    char *sorted[1024];
    size_t count = 0;
    for (char *name = names; name < names + size && count < 1024; name += strlen(name) + 1) sorted[count++] = name;
    qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t index = 0; index < count; index++) {
        ssize_t length = lgetxattr(path, sorted[index], value, sizeof value);
        if (length < 0) fail("lgetxattr", path);
        printf(" %s=", sorted[index]);
        for (ssize_t at = 0; at < length; at++) printf("%02x", (unsigned char)value[at]);
    }
}

static void list(const char *root, const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0) fail("lstat", path);
    const char *shown = path + strlen(root);
    printf("%s mode=%o uid=%u gid=%u mtime=%lld.%09ld links=%lu", *shown ? shown : "/", status.st_mode, status.st_uid,
           status.st_gid, (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, (unsigned long)status.st_nlink);
    if (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode))
        printf(" device=%u:%u", major(status.st_rdev), minor(status.st_rdev));
    if (S_ISREG(status.st_mode)) {
        printf(" size=%lld", (long long)status.st_size);
        print_sum(path);
    }
    if (S_ISLNK(status.st_mode)) {
        char target[4096];
        ssize_t size = readlink(path, target, sizeof target);
        if (size < 0) fail("readlink", path);
        printf(" target=%.*s", (int)size, target);
    }
    print_attributes(path);
    printf("\n");
    if (!S_ISDIR(status.st_mode)) return;
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) fail("scandir", path);
    for (int index = 0; index < count; index++) {
        const char *name = entries[index]->d_name;
        char child[PATH_SIZE];
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            snprintf(child, sizeof child, "%s/%s", path, name) < (int)sizeof child)
            list(root, child);
        free(entries[index]);
    }
    free(entries);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (argc > 2 && mkdir(argv[1], 0700) != 0 && errno != EEXIST) fail("mkdir", argv[1]);
    if (argc > 2 && mount(argv[2], argv[1], "erofs", MS_RDONLY, NULL) != 0) fail("mount", argv[2]);
    list(argv[1], argv[1]);
    return 0;
}
