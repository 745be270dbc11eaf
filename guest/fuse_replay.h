/*
 * The child of a mount's child that tells the kernel of changes which were made on the host: it drops what the kernel knows, and
 * repeats the change as a system call on the mount, so that inotify tells of it. The server knows its process, answers with what is
 * true on the host, and changes nothing. It is a process of its own since each of both may wait for a reply.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Its process; 0: there is none. */
pid_t replayer_pid(void);
/* Begins one for what was just mounted at `target`. Without one nothing is repeated. */
void replayer_start(const char *target, int fuse_fd);
/* Becomes readable once it has done what it was given; -1: there is none. */
int replayer_fd(void);
/* Gives it a batch of notices. The server waits for one before it sends the next. */
void replayer_give(const uint8_t *batch, size_t size);
/* Takes the word that a batch is done. */
bool replayer_take(void);
/* Has it end: what it holds open keeps the file system. replayer_reap() tells when it has. */
void replayer_stop(void);
bool replayer_reap(void);
