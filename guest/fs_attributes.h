/* What is known of a file, and requests that ask for it or change it without touching content. */
#pragma once
#include <sys/stat.h>

#include "file_protocol.h"

/* Of `name` in the directory `fd` (AT_FDCWD for a path), or of `fd` itself with an empty name. 0 or an errno. */
int attributes_read(int fd, const char *name, bool follow, struct file_attributes *attributes);

void fs_stat(struct reader *reader);
void fs_access(struct reader *reader);
void fs_chmod(struct reader *reader);
void fs_chown(struct reader *reader);
void fs_utimes(struct reader *reader);
void fs_truncate(struct reader *reader);
