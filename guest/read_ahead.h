/* How far the kernel reads ahead on a mount. */
#pragma once

/*
 * Raises the kernel's read-ahead of the file system mounted at `target`, because each request passes through several processes.
 * Without the right to do so, or without sysfs, nothing changes. Sends the file system no request.
 */
void read_ahead_raise(const char *target);
