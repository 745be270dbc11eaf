/* Requests about directories and what is below them. */
#pragma once
#include <dirent.h>

#include "file_protocol.h"
#include "fs_path.h"

void fs_list(struct reader *reader);
void fs_walk(struct reader *reader);
void fs_remove(struct reader *reader);
void fs_copy(struct reader *reader);
