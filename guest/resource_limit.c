#include "resource_limit.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "limits.h"

static struct rlimit program_files;

static const struct {
    const char *name;
    int resource;
} RESOURCES[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};
enum { RESOURCE_COUNT = sizeof RESOURCES / sizeof *RESOURCES };

void open_files_raise(bool is_init) {
    getrlimit(RLIMIT_NOFILE, &program_files);
    if (is_init && program_files.rlim_max < PROGRAM_FILES_MAX) program_files.rlim_max = PROGRAM_FILES_MAX;
    struct rlimit own = program_files;
    if (own.rlim_cur < AGENT_FILES_MAX)
        own.rlim_cur = own.rlim_max < AGENT_FILES_MAX ? own.rlim_max : AGENT_FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &own);
}

void open_files_restore(void) {
    setrlimit(RLIMIT_NOFILE, &program_files);
}

/* Reads one limit that ends with `terminator`. Returns what follows, or NULL. */
static const char *parse_limit(const char *text, char terminator, rlim_t *limit) {
    static const char UNLIMITED[] = "unlimited";
    char *end;
    if (strncmp(text, UNLIMITED, sizeof UNLIMITED - 1) == 0) {
        *limit = RLIM_INFINITY;
        end = (char *)text + sizeof UNLIMITED - 1;
    } else {
        if (*text < '0' || *text > '9') return NULL;
        *limit = strtoull(text, &end, 10);
    }
    return *end == terminator ? end + 1 : NULL;
}

enum resource_limit_result resource_limit_set(const char *specification) {
    const char *equals = strchr(specification, '=');
    if (equals == NULL) return RESOURCE_LIMIT_MALFORMED;
    size_t name_size = (size_t)(equals - specification);
    for (size_t i = 0; i < RESOURCE_COUNT; i++) {
        if (strlen(RESOURCES[i].name) != name_size) continue;
        if (memcmp(RESOURCES[i].name, specification, name_size) != 0) continue;
        struct rlimit limit;
        const char *hard = parse_limit(equals + 1, ':', &limit.rlim_cur);
        if (hard == NULL || parse_limit(hard, '\0', &limit.rlim_max) == NULL) return RESOURCE_LIMIT_MALFORMED;
        return setrlimit(RESOURCES[i].resource, &limit) == 0 ? RESOURCE_LIMIT_SET : RESOURCE_LIMIT_REFUSED;
    }
    return RESOURCE_LIMIT_MALFORMED;
}
