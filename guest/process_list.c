/*
 * Source: proc(5). Neither threads of the kernel nor the agent are listed. Of more programs than fit, those that have
 * used most processor time are.
 */
#include "process_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "user.h"

/* Fields of /proc/PID/stat, counted from the one behind the name. */
enum { STATE = 0, PARENT = 1, FLAGS = 6, USER_TICKS = 11, SYSTEM_TICKS = 12, START_TICKS = 19, PAGES = 21, FIELDS = 22 };
/* Of <linux/sched.h>: PF_KTHREAD. */
enum { KERNEL_THREAD = 0x00200000 };
/* What stands in front of a command: seven numbers and a name. */
enum { USER_BYTES_MAX = 64, HEAD_BYTES_MAX = 7 * 21 + USER_BYTES_MAX };
enum { STAT_BYTES_MAX = 1024, STATUS_BYTES_MAX = 4096, NAME_BYTES_MAX = 64, PID_PATH_BYTES_MAX = 32 };

struct program {
    pid_t pid, parent_pid;
    uint32_t uid;
    char state;
    uint64_t cpu_ms, resident_bytes, age_ms;
    char name[NAME_BYTES_MAX];
};

/* As much as fits, zero-terminated. False if the process is gone. */
static bool read_file_of(int proc_fd, pid_t pid, const char *file, char *text, size_t capacity, size_t *size) {
    char path[PID_PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%d/%s", (int)pid, file);
    int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t count = read(fd, text, capacity - 1);
    close(fd);
    if (count < 0) return false;
    text[count] = '\0';
    *size = (size_t)count;
    return true;
}

static uint64_t ticks_to_ms(uint64_t ticks) {
    return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* The effective user: the owner of /proc/PID is root's for programs that have changed theirs. */
static uint32_t read_uid(int proc_fd, pid_t pid) {
    char text[STATUS_BYTES_MAX];
    size_t size;
    static const char LABEL[] = "\nUid:";
    char *line = read_file_of(proc_fd, pid, "status", text, sizeof text, &size) ? strstr(text, LABEL) : NULL;
    if (line == NULL) return 0;
    char *effective;
    strtoul(line + sizeof LABEL - 1, &effective, 10); /* the real one comes first */
    return (uint32_t)strtoul(effective, NULL, 10);
}

static bool read_program(int proc_fd, pid_t pid, struct program *program) {
    char text[STAT_BYTES_MAX];
    size_t size;
    if (!read_file_of(proc_fd, pid, "stat", text, sizeof text, &size)) return false;
    /* The name stands in parentheses and may hold anything: it ends at the last one. */
    char *name = strchr(text, '('), *end = strrchr(text, ')');
    if (name == NULL || end == NULL || end < name) return false;
    *end = '\0';
    char *fields[FIELDS];
    size_t count = 0;
    char *cursor = end + 1;
    for (char *field = strsep(&cursor, " "); field != NULL && count < FIELDS; field = strsep(&cursor, " "))
        if (*field != '\0') fields[count++] = field;
    if (count < FIELDS || (strtoul(fields[FLAGS], NULL, 10) & KERNEL_THREAD) != 0) return false;
    uint64_t up_ms = clock_boot_micros() / 1000;
    uint64_t start_ms = ticks_to_ms(strtoull(fields[START_TICKS], NULL, 10));
    *program = (struct program){
        .pid = pid,
        .parent_pid = (pid_t)strtol(fields[PARENT], NULL, 10),
        .uid = read_uid(proc_fd, pid),
        .state = fields[STATE][0],
        .cpu_ms = ticks_to_ms(strtoull(fields[USER_TICKS], NULL, 10) + strtoull(fields[SYSTEM_TICKS], NULL, 10)),
        .resident_bytes = strtoull(fields[PAGES], NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE),
        .age_ms = up_ms > start_ms ? up_ms - start_ms : 0,
    };
    snprintf(program->name, sizeof program->name, "%s", name + 1);
    return true;
}

static int by_use(const void *a, const void *b) {
    const struct program *first = a, *second = b;
    if (first->cpu_ms != second->cpu_ms) return first->cpu_ms < second->cpu_ms ? 1 : -1;
    return first->pid < second->pid ? -1 : first->pid > second->pid;
}

static size_t find_programs(int proc_fd, struct program *programs, uint32_t *total) {
    int directory_fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = directory_fd < 0 ? NULL : fdopendir(directory_fd);
    if (directory == NULL) _exit(errno);
    size_t count = 0;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        struct program program;
        if (*end != '\0' || pid <= 0 || pid == getpid() || pid == getppid()) continue;
        if (!read_program(proc_fd, (pid_t)pid, &program)) continue;
        ++*total;
        if (count < PROGRAMS_LOOKED_MAX) programs[count++] = program;
    }
    return count;
}

/* The arguments with spaces between them, or the name in brackets of one that has none, as ps shows it. */
static void read_command(int proc_fd, const struct program *program, char command[COMMAND_BYTES_MAX]) {
    size_t size;
    bool is_read = read_file_of(proc_fd, program->pid, "cmdline", command, COMMAND_BYTES_MAX, &size);
    while (is_read && size > 0 && command[size - 1] == '\0') size--;
    if (!is_read || size == 0) {
        snprintf(command, COMMAND_BYTES_MAX, "[%s]", program->name);
        return;
    }
    for (size_t i = 0; i < size; i++)
        if (command[i] == '\0') command[i] = ' ';
}

/* False if it does not fit any more. */
static bool write_program(struct writer *writer, int proc_fd, const struct program *program,
                          const struct user_names *names) {
    char command[COMMAND_BYTES_MAX], text[COMMAND_BYTES_MAX + HEAD_BYTES_MAX];
    read_command(proc_fd, program, command);
    snprintf(text, sizeof text, "%d %d %u %c %llu %llu %llu\n%.*s\n%s", (int)program->pid, (int)program->parent_pid,
             program->uid, program->state, (unsigned long long)program->cpu_ms,
             (unsigned long long)program->resident_bytes, (unsigned long long)program->age_ms, USER_BYTES_MAX,
             user_name(names, program->uid), command);
    struct writer before = *writer;
    write_text(writer, text_of(text));
    if (!writer->failed) return true;
    *writer = before;
    return false;
}

noreturn void process_list_make(struct listing_page *page, int proc_fd) {
    struct program *programs = calloc(PROGRAMS_LOOKED_MAX, sizeof *programs);
    if (programs == NULL) _exit(ENOMEM);
    if (proc_fd < 0) proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    page->total = 0;
    size_t count = find_programs(proc_fd, programs, &page->total);
    qsort(programs, count, sizeof *programs, by_use);
    static struct user_names names;
    user_names_read(&names);
    /* The count of the texts stands before them, and is known at the end. */
    struct writer writer = {.bytes = page->bytes, .capacity = sizeof page->bytes - PROCESSES_HEAD_BYTES};
    uint32_t written = 0;
    write_u32(&writer, 0);
    while (written < count && write_program(&writer, proc_fd, &programs[written], &names)) written++;
    store_little_endian(page->bytes, 4, written);
    page->size = (uint32_t)writer.size;
    _exit(0);
}
