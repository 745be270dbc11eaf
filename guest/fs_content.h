/* Requests that read and write what files hold. */
#pragma once
#include <sys/types.h>

#include "file_protocol.h"

void fs_read(struct reader *reader);
void fs_write(struct reader *reader);
/* One file at a time is open for writing; a failure ends it, and what still comes of it is dropped. */
void fs_write_open(uint32_t id, struct reader *reader);
void fs_write_data(uint32_t id, struct reader *reader);
void fs_write_hole(uint32_t id, struct reader *reader);
void fs_write_end(uint32_t id, struct reader *reader);

/*
 * Answers with the content of `fd` from `offset` on, at most `length` bytes. With `skip_holes` ranges that the file leaves out
 * are told as holes. 0 or an errno.
 */
int content_send(int fd, uint64_t offset, uint64_t length, bool is_seekable, bool skip_holes);
/* Writes all of `size` bytes, at `offset` or, if that is -1, where the file stands. 0 or an errno. */
int content_write(int fd, const void *bytes, size_t size, off_t offset);
/* Gives up a file that is being written in several messages: no more of them come. */
void content_abandon(void);
