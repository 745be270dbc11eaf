/* Where something is mounted, and with which bits of mount(2). */
#pragma once
#include "fs_path.h"
#include "protocol.h"

/* Copies the target of a mount, and refuses what cannot be one. Returns 0 or an errno. */
int mount_target_take(struct text text, struct path *target);
/* Makes the target if it is missing: a directory, or a file with MOUNT_FLAG_FILE_ROOT. Returns 0 or an errno. */
int mount_target_make(const struct path *target, uint8_t flags);
/* The bits that MOUNT_FLAG_… ask for, and those of every mount. */
unsigned long mount_target_bits(uint8_t flags);
