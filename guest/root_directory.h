/* A directory of the host as the lower layer of the root: served over a port of its own, by a process of its own. */
#pragma once

/*
 * Mounts what the host serves at the port of that name, read-only, at `path`. Returns 0 or an errno. From then on PID 1 can
 * use it like any file system: not PID 1 but a child carries its requests.
 */
int root_directory_mount(const char *port, const char *path);
