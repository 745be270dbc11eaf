/*
 * A way through a tree, one directory inside the other. Every directory is opened by its name in the one above it and without
 * following a link, so that a tree that changes meanwhile leads nowhere else. The path so far is kept for who is told of it.
 */
#pragma once
#include <dirent.h>

#include "fs_path.h"

enum { DEPTH_MAX = 4096 };

struct descent {
    size_t depth; /* directories that are open */
    struct level {
        DIR *directory;
        size_t path_size; /* of `path`, up to and with this directory */
    } levels[DEPTH_MAX];
    struct path path; /* below the root, of the directory, or of the entry that descent_next() gave last */
};

/* Opens the root, of which `fd` is a descriptor that is taken over. 0 or an errno. */
int descent_begin(struct descent *descent, int fd);
/* The name of the next entry of the deepest directory; NULL at its end, and with *error if it cannot be read. */
const char *descent_next(struct descent *descent, int *error);
/* Goes down into the entry `name`, which has come from descent_next(). 0 or an errno: then nothing has changed. */
int descent_enter(struct descent *descent, const char *name);
/* Goes back up; false if that was the root. */
bool descent_leave(struct descent *descent);
/* The descriptor of the deepest directory. */
int descent_fd(const struct descent *descent);
/* Closes what is open. */
void descent_end(struct descent *descent);
