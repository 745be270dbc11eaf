/* Small files of the guest: read whole, written whole. */
#pragma once
#include "limits.h"

/* The content of a regular file of at most `bytes_max`, zero-terminated, to be freed; NULL with errno. */
char *file_read(const char *path, size_t bytes_max);
/* Whether `path` is a regular file, and not a link, that begins with `content`. */
bool file_begins_with(const char *path, struct text content);
/* Makes `path` a regular file with this content. What was there, a symbolic link too, is replaced, in one step. */
bool file_replace(const char *path, struct text content);
/* Makes `path` a directory unless it is one, or leads to one. Anything else there is removed. */
bool directory_ensure(const char *path, unsigned mode);
/* Copies `text` as a C string. False if it does not fit or holds a zero. */
bool text_to_string(struct text text, char *string, size_t capacity);
