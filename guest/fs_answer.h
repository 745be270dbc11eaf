/*
 * Answers of a file session's child. They are collected, and written when there is no request left to answer or the buffer is
 * full; the write waits until the client takes them. A client that is gone ends the child.
 */
#pragma once
#include <sys/stat.h>

#include "file_protocol.h"

/* From now on answers have this id. */
void answers_begin(uint32_t id);
/* Sends what is collected. */
void answers_flush(void);

/* Final answers. */
void answer_done(void);
/* `where` is the path that it is about, if that is not what the request named; NULL otherwise. */
void answer_failed(int error, const char *where);
void answer_result(int error); /* done, or failed with the errno */
void answer_attributes(const struct file_attributes *attributes);
void answer_path(const char *path);

/* Answers before a final one. */
void answer_opened(const struct file_attributes *attributes);
void answer_entry(const char *path, const char *target, const struct file_attributes *attributes);
void answer_hole(uint64_t size);
void answer_change(uint8_t kind, bool is_directory, uint32_t cookie, const char *path);
void answer_unread(int error);
/* Room for content, which is read straight into it; `size` bytes of it are sent then. Nothing if that is 0. */
uint8_t *answer_data_room(size_t *capacity);
void answer_data(size_t size);
