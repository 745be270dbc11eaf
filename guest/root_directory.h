/* A directory of the host as the lower layer of the root, served over its own port by its own process. */
#pragma once

/*
 * Mounts the directory that the host serves at this port, read-only, at `path`. Returns 0 or an errno. PID 1 can use it like any
 * file system, because a child carries its requests.
 */
int root_directory_mount(const char *port, const char *path);
