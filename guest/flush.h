/* Bringing every write to disk at the end. Only as PID 1, when no program is left. */
#pragma once
#include "boot.h"

/* True if no disk is left writable: each is unmounted or read-only, with an empty journal. */
bool flush_filesystems(const struct boot_handles *handles);
