/* Disks of the VM, by their names in /dev. */
#pragma once
#include <stdbool.h>

/* mount(2) of a disk that may be found a moment after us. Returns 0 or an errno. */
int disk_mount(const char *device, const char *target, const char *type, unsigned long bits, const char *options);
/*
 * Has the kernel discard nothing of a disk, as a host may cut the end off a file whose last blocks are discarded. Returns 0 or
 * an errno.
 */
int disk_forbid_discard(const char *device);
