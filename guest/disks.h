/* Disks of the VM, by their names in /dev. */
#pragma once
#include <stdbool.h>

/* Calls mount(2), and retries while the kernel has not found the disk yet. Returns 0 or an errno. */
int disk_mount(const char *device, const char *target, const char *type, unsigned long bits, const char *options);
/*
 * Turns off discards of a disk: a host may cut a file short if its last blocks are discarded. Returns 0 or an errno.
 */
int disk_forbid_discard(const char *device);
