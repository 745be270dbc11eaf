/* passwd(5) and group(5) are read here and not by libc, whose own reader would allow lines and files without bound.
 */
#include "user.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "files.h"

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4 };

static const char PASSWD_PATH[] = "/etc/passwd";
static const char GROUP_PATH[] = "/etc/group";

static bool parse_id(const char *text, uint32_t *id) {
    uint64_t value = 0;
    if (*text == '\0') return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value >= UINT32_MAX) return false; /* (uid_t)-1 means "leave as it is" to the kernel */
    }
    *id = (uint32_t)value;
    return true;
}

/* Cuts the next line of `count` or more colon-separated fields off `*cursor`. */
static bool next_entry(char **cursor, char *fields[], size_t count) {
    for (char *line = strsep(cursor, "\n"); line != NULL; line = strsep(cursor, "\n")) {
        size_t found = 0;
        while (line != NULL && found < count) fields[found++] = strsep(&line, ":");
        if (found == count) return true;
    }
    return false;
}

/* Finds the user called `name`, or with the number `uid` if `name` is NULL. False if it does not exist. */
static bool find_user(const char *name, uint32_t uid, struct identity *identity, char **found_name) {
    char *fields[PASSWD_FIELDS];
    char *cursor = file_read(PASSWD_PATH, DATABASE_BYTES_MAX);
    while (cursor != NULL && next_entry(&cursor, fields, PASSWD_FIELDS)) {
        uint32_t entry_uid, entry_gid;
        if (!parse_id(fields[2], &entry_uid) || !parse_id(fields[3], &entry_gid)) continue;
        if (name != NULL ? strcmp(fields[0], name) != 0 : entry_uid != uid) continue;
        identity->uid = entry_uid;
        identity->gid = entry_gid;
        if (fields[5][0] == '/') snprintf(identity->home, sizeof identity->home, "%s", fields[5]);
        *found_name = fields[0];
        return true;
    }
    return false;
}

static bool find_group(const char *name, uint32_t *gid) {
    char *fields[GROUP_FIELDS];
    char *cursor = file_read(GROUP_PATH, DATABASE_BYTES_MAX);
    while (cursor != NULL && next_entry(&cursor, fields, GROUP_FIELDS))
        if (strcmp(fields[0], name) == 0 && parse_id(fields[2], gid)) return true;
    return parse_id(name, gid);
}

static bool lists_member(char *members, const char *name) {
    for (char *member = strsep(&members, ","); member != NULL; member = strsep(&members, ","))
        if (strcmp(member, name) == 0) return true;
    return false;
}

static void find_memberships(const char *name, struct identity *identity) {
    char *fields[GROUP_FIELDS];
    char *cursor = file_read(GROUP_PATH, DATABASE_BYTES_MAX);
    while (cursor != NULL && next_entry(&cursor, fields, GROUP_FIELDS)) {
        uint32_t gid;
        if (identity->group_count == SUPPLEMENTARY_GROUPS_MAX) return;
        if (parse_id(fields[2], &gid) && lists_member(fields[3], name))
            identity->groups[identity->group_count++] = gid;
    }
}

const char *identity_resolve(const char *specification, struct identity *identity) {
    *identity = (struct identity){.home = "/"};
    char *known_name = NULL;
    if (*specification == '\0') {
        find_user(NULL, getuid(), identity, &known_name);
        identity->uid = getuid();
        identity->gid = getgid();
        identity->is_own = getuid() != 0; /* root still gets root's groups */
        if (known_name != NULL) find_memberships(known_name, identity);
        return NULL;
    }

    char *group = strdup(specification);
    if (group == NULL) return "out of memory";
    char *user = strsep(&group, ":");
    if (!find_user(user, 0, identity, &known_name)) {
        /* A number needs no entry. Without one its group is root's, as other container runtimes have it. */
        uint32_t uid;
        if (!parse_id(user, &uid)) return "no such user";
        find_user(NULL, uid, identity, &known_name);
        identity->uid = uid;
    }
    if (group != NULL) return find_group(group, &identity->gid) ? NULL : "no such group";
    if (known_name != NULL) find_memberships(known_name, identity);
    return NULL;
}

void user_names_read(struct user_names *names) {
    char *fields[PASSWD_FIELDS];
    char *cursor = file_read(PASSWD_PATH, DATABASE_BYTES_MAX);
    names->count = 0;
    while (cursor != NULL && names->count < USER_NAMES_MAX && next_entry(&cursor, fields, PASSWD_FIELDS)) {
        names->entries[names->count].name = fields[0];
        if (parse_id(fields[2], &names->entries[names->count].uid)) names->count++;
    }
}

const char *user_name(const struct user_names *names, uint32_t uid) {
    for (size_t i = 0; i < names->count; i++)
        if (names->entries[i].uid == uid) return names->entries[i].name;
    return "";
}

bool identity_assume(const struct identity *identity) {
    if (identity->is_own) return true;
    bool is_unchanged = geteuid() != 0 && identity->uid == geteuid() && identity->gid == getegid();
    return is_unchanged || (setgroups(identity->group_count, identity->groups) == 0 &&
                            setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
                            setresuid(identity->uid, identity->uid, identity->uid) == 0);
}
