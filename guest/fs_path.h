/* Paths of requests, and what several requests do with them. Functions return 0 or an errno unless they say otherwise. */
#pragma once
#include <limits.h>
#include <stdbool.h>

#include "file_protocol.h"

/* A path as the kernel takes it. */
struct path {
    char bytes[PATH_MAX];
};

/* From now on relative paths are refused with this errno, as there is no directory that they could begin at. 0: none. */
void path_refuse_relative(int error);
/* Copies `text`; empty paths (ENOENT), zeros (EINVAL) and those that are too long are refused. */
int path_take(struct text text, struct path *path);
/* Makes the directories above `path` that are missing. */
int path_make_parents(const struct path *path);
/* A name that nothing has yet, in the directory of `path`: for what is renamed to `path` later. */
int path_beside(const struct path *path, struct path *beside);
/* Appends `count` random letters to `string`, which has room for them. */
void random_letters(char *string, size_t count);
