/* From the read-only boot disk to the sandbox's own root. Only as PID 1. */
#pragma once
#include "limits.h"

/* What of the boot disk is still needed once it is out of sight. */
struct boot_handles {
    int upper_fd; /* root of the upper file system, to make it read-only at the end; -1 if it is in memory */
    int proc_fd;  /* a /proc that no program can take away */
};

struct boot_failure {
    uint8_t stage; /* BOOT_STAGE_… */
    int error;
    char message[FAILURE_TEXT_BYTES];
};

/* /dev, /proc and /sys of the boot disk: what is needed to find the port. */
bool boot_prepare(struct boot_handles *handles);
/* Assembles the root, moves into it, and sets up what every program expects there. */
bool boot_assemble(const struct msg_boot *boot, struct boot_handles *handles, struct boot_failure *failure);
