/* Mounts disks of the VM, each in a child of the agent, which exits once the disk is mounted. */
#pragma once
#include "session.h"

extern const struct stream_kind DISK_MOUNT;
