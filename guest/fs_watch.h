/* The request that tells of changes as they happen. */
#pragma once
#include "file_protocol.h"

void fs_watch(struct reader *reader);
