/* How far the kernel reads ahead on a mount. */
#pragma once

/*
 * Lets the kernel read further ahead than its default on the file system that is mounted at `target`: each request takes a way
 * through several processes. Without the right to do so, or without sysfs, it stays as it was. Asks the file system nothing.
 */
void read_ahead_raise(const char *target);
