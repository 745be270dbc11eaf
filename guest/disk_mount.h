/* Mounts of the VM's disks: a child of the agent for each, which is gone once the disk is mounted. */
#pragma once
#include "session.h"

extern const struct stream_kind DISK_MOUNT;
