/* Source: proc(5), and the kernel's Documentation/admin-guide/iostats.rst. */
#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "netif.h"
#include "reply.h"

/* Of the lines of diskstats, always, whatever a disk's own sectors are. */
#define SECTOR_BYTES 512
/* The host takes no greater number. */
#define COUNT_MAX ((1ULL << 53) - 1)

/* Fields of a line, counted from 0. */
enum { DISK_NAME = 2, DISK_SECTORS_READ = 5, DISK_SECTORS_WRITTEN = 9, DISK_FIELDS = 10 };
enum { NET_NAME = 0, NET_RECEIVED = 1, NET_SENT = 9, NET_FIELDS = 10 };
enum { MEMORY_NAME = 0, MEMORY_KIB = 1, MEMORY_FIELDS = 2 };
enum { FIELDS_MAX = 10 };

void usage_open(struct usage_files *files, int proc_fd, int upper_fd) {
    int directory_fd = proc_fd >= 0 ? proc_fd : open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *files = (struct usage_files){
        .meminfo_fd = openat(directory_fd, "meminfo", O_RDONLY | O_CLOEXEC),
        .diskstats_fd = openat(directory_fd, "diskstats", O_RDONLY | O_CLOEXEC),
        .net_fd = openat(directory_fd, "net/dev", O_RDONLY | O_CLOEXEC),
        .upper_fd = upper_fd,
    };
    if (proc_fd < 0 && directory_fd >= 0) close(directory_fd);
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > COUNT_MAX || b > COUNT_MAX - a ? COUNT_MAX : a + b;
}

static uint64_t product(uint64_t count, uint64_t size) {
    return size != 0 && count > COUNT_MAX / size ? COUNT_MAX : count * size;
}

static uint64_t number(const char *text) {
    uint64_t value = strtoull(text, NULL, 10);
    return value < COUNT_MAX ? value : COUNT_MAX;
}

/* The text of a file of /proc as it is now: the kernel writes it again for each reading from the beginning. */
static char *read_text_of(int fd) {
    static char text[PROC_TEXT_BYTES_MAX + 1];
    size_t size = 0;
    while (fd >= 0 && size < PROC_TEXT_BYTES_MAX) {
        ssize_t piece = pread(fd, text + size, PROC_TEXT_BYTES_MAX - size, (off_t)size);
        if (piece < 0 && errno == EINTR) continue;
        if (piece <= 0) break;
        size += (size_t)piece;
    }
    text[size] = '\0';
    return text;
}

/* Cuts the next line of `count` or more fields off `*cursor`; they are separated by spaces, or a colon. */
static bool next_line(char **cursor, char *fields[FIELDS_MAX], size_t count) {
    for (char *line = strsep(cursor, "\n"); line != NULL; line = strsep(cursor, "\n")) {
        size_t found = 0;
        for (char *field = strsep(&line, " :"); field != NULL && found < count; field = strsep(&line, " :"))
            if (*field != '\0') fields[found++] = field;
        if (found == count) return true;
    }
    return false;
}

static bool read_memory(int fd, struct msg_usage *usage) {
    char *fields[FIELDS_MAX];
    char *cursor = read_text_of(fd);
    while (next_line(&cursor, fields, MEMORY_FIELDS)) {
        uint64_t bytes = product(number(fields[MEMORY_KIB]), 1024);
        if (strcmp(fields[MEMORY_NAME], "MemTotal") == 0) usage->memory_total_bytes = bytes;
        if (strcmp(fields[MEMORY_NAME], "MemAvailable") == 0) usage->memory_available_bytes = bytes;
    }
    return usage->memory_total_bytes > 0;
}

/* "vda" to "vdz": what programs add below (loop devices, partitions) ends up there, too. */
static bool is_disk(const char *name) {
    return strlen(name) == 3 && memcmp(name, "vd", 2) == 0;
}

static void read_disks(int fd, struct msg_usage *usage) {
    char *fields[FIELDS_MAX];
    char *cursor = read_text_of(fd);
    while (next_line(&cursor, fields, DISK_FIELDS)) {
        if (!is_disk(fields[DISK_NAME])) continue;
        uint64_t read = product(number(fields[DISK_SECTORS_READ]), SECTOR_BYTES);
        uint64_t written = product(number(fields[DISK_SECTORS_WRITTEN]), SECTOR_BYTES);
        usage->disk_read_bytes = sum(usage->disk_read_bytes, read);
        usage->disk_write_bytes = sum(usage->disk_write_bytes, written);
    }
}

static void read_network(int fd, struct msg_usage *usage) {
    char *fields[FIELDS_MAX];
    char *cursor = read_text_of(fd);
    while (next_line(&cursor, fields, NET_FIELDS)) {
        if (strcmp(fields[NET_NAME], NETIF_NAME) != 0) continue;
        usage->net_rx_bytes = number(fields[NET_RECEIVED]);
        usage->net_tx_bytes = number(fields[NET_SENT]);
    }
}

static void read_upper(int fd, struct msg_usage *usage) {
    struct statvfs status;
    if (fd < 0 || fstatvfs(fd, &status) != 0) return;
    usage->upper = 1;
    usage->upper_used_bytes = product(status.f_blocks - status.f_bfree, status.f_frsize);
    usage->upper_free_bytes = product(status.f_bavail, status.f_frsize);
}

void usage_answer(const struct usage_files *files, struct send_queue *queue, uint32_t token) {
    struct msg_usage usage = {.token = token};
    if (!read_memory(files->meminfo_fd, &usage)) usage.error_number = EOPNOTSUPP;
    read_disks(files->diskstats_fd, &usage);
    read_network(files->net_fd, &usage);
    read_upper(files->upper_fd, &usage);
    reply_usage(queue, &usage);
}
