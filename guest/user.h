/* Who a program runs as: "", "name", "uid", "name:group" or "uid:gid", looked up in the guest's own files. */
#pragma once
#include <sys/types.h>

#include "limits.h"

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[SUPPLEMENTARY_GROUPS_MAX];
    size_t group_count;
    char home[PATH_BYTES_MAX];
    bool is_own; /* "": the agent's own, nothing to change */
};

/* NULL, or what is wrong with `specification`. For a child that is about to exec: it allocates and does not free.
 */
const char *identity_resolve(const char *specification, struct identity *identity);
/* The users of /etc/passwd, for those who show many: a child reads them, and frees nothing. */
struct user_names {
    size_t count;
    struct {
        uint32_t uid;
        const char *name;
    } entries[USER_NAMES_MAX];
};

void user_names_read(struct user_names *names);
/* "" if it has none. */
const char *user_name(const struct user_names *names, uint32_t uid);

/* Takes the identity on. False with errno. */
bool identity_assume(const struct identity *identity);
