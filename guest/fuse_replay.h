/*
 * The replayer: a child of a mount's child that tells the guest's kernel about changes made on the host. It drops what the kernel
 * has cached, and repeats the change as a system call on the mount, so that inotify reports it. The server knows its process id,
 * answers its calls with the state on the host, and changes nothing. It is a separate process because both may wait for a reply.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Process id, or 0. */
pid_t replayer_pid(void);
/* Starts one for the mount at `target`. If that fails, no change is repeated. */
void replayer_start(const char *target, int fuse_fd);
/* Readable when the child is done; -1 if there is no child. */
int replayer_fd(void);
/* Gives it a batch of notices. The server waits for one before it sends the next. */
void replayer_give(const uint8_t *batch, size_t size);
/* Reads one report that a batch is done. */
bool replayer_take(void);
/* Makes it end: its open descriptors keep the file system alive. replayer_reap() tells when it has ended. */
void replayer_stop(void);
bool replayer_reap(void);
