/* Requests that make and rename names. */
#pragma once
#include "file_protocol.h"

void fs_mkdir(struct reader *reader);
void fs_rename(struct reader *reader);
void fs_symlink(struct reader *reader);
void fs_link(struct reader *reader);
void fs_read_link(struct reader *reader);
void fs_real_path(struct reader *reader);
void fs_make_temp(struct reader *reader);
