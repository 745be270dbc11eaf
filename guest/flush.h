/* Bringing every write to disk at the end. Only as PID 1, when no program is left. */
#pragma once
#include "boot.h"

/* True if the upper file system ended read-only, its journal empty; or if there is none on disk. */
bool flush_filesystems(const struct boot_handles *handles);
