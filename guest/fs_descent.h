/*
 * A way through a tree, one directory inside the other. Every directory is opened by its name in the one above it and without
 * following a link, so that a tree that changes while it is read leads nowhere else. The path so far is kept for reports.
 */
#pragma once
#include <dirent.h>

#include "fs_path.h"

enum { DEPTH_MAX = 4096 };

/* There is one, as requests are answered one after the other. What of it is not used costs no memory. */
extern struct descent {
    size_t depth; /* directories that are open */
    struct level {
        DIR *directory;
        size_t path_size; /* of `path`, up to and with this directory */
    } levels[DEPTH_MAX];
    /* Below the root: of the directory, or of the entry that descent_next() gave last. It may be longer than PATH_MAX. */
    char path[DEPTH_MAX * (NAME_MAX + 1)];
} descent;

/* Opens the root, of which `fd` is a descriptor that is taken over. 0 or an errno. */
int descent_begin(int fd);
/* The name of the next entry of the deepest directory; NULL at its end, and with *error if it cannot be read. */
const char *descent_next(int *error);
/* Goes down into the entry `name`, which has come from descent_next(). 0 or an errno: then nothing has changed. */
int descent_enter(const char *name);
/* Goes back up; false if that was the root. */
bool descent_leave(void);
/* The descriptor of the deepest directory. */
int descent_fd(void);
/* Closes what is open. */
void descent_end(void);
