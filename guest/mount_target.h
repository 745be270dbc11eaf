/* Targets of mounts, and the flags of mount(2). */
#pragma once
#include "fs_path.h"
#include "protocol.h"

/* Copies the target of a mount, and refuses one that is not allowed. Returns 0 or an errno. */
int mount_target_take(struct text text, struct path *target);
/* Creates the target if it is missing: a directory, or with MOUNT_FLAG_FILE_ROOT a file. Returns 0 or an errno. */
int mount_target_make(const struct path *target, uint8_t flags);
/* The flags that MOUNT_FLAG_… ask for, and those that every mount has. */
unsigned long mount_target_bits(uint8_t flags);
