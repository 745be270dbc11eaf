/* See fs_server.h. */
#include "fs_server.h"

#include <errno.h>
#include <unistd.h>

#include "fs_answer.h"
#include "fs_attributes.h"
#include "fs_content.h"
#include "fs_names.h"
#include "fs_tree.h"
#include "fs_watch.h"

enum { SIZE_BYTES = 4, HEAD_BYTES = 9, INPUT_BYTES = 2 * (SIZE_BYTES + FILE_MESSAGE_BYTES_MAX) };

static uint8_t input[INPUT_BYTES];
static size_t input_begin, input_end;

noreturn void server_refuse(void) {
    answers_flush();
    _exit(1);
}

int flags_check(uint32_t flags, uint32_t allowed) {
    return (flags & ~allowed) == 0 ? 0 : EINVAL;
}

struct timespec time_of(int64_t nanoseconds) {
    int64_t seconds = nanoseconds / 1000000000, rest = nanoseconds % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

/* The bytes of the message at the start of the input; 0 if its size is not there yet. */
static size_t message_bytes(void) {
    if (input_end - input_begin < SIZE_BYTES) return 0;
    uint64_t size = load_little_endian(input + input_begin, 4);
    if (size < HEAD_BYTES - SIZE_BYTES || size > FILE_MESSAGE_BYTES_MAX) server_refuse();
    return SIZE_BYTES + (size_t)size;
}

static bool has_message(void) {
    size_t size = message_bytes();
    return size > 0 && input_end - input_begin >= size;
}

/* Reads until a whole message is there. What was answered is sent first: the client may wait for it. */
static void read_message(void) {
    while (!has_message()) {
        answers_flush();
        if (input_begin > 0) {
            memmove(input, input + input_begin, input_end - input_begin);
            input_end -= input_begin;
            input_begin = 0;
        }
        ssize_t size = read(STDIN_FILENO, input + input_end, sizeof input - input_end);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) { /* the client is gone */
            content_abandon();
            _exit(0);
        }
        input_end += (size_t)size;
    }
}

static void handle(uint8_t type, uint32_t id, struct reader *reader) {
    answers_begin(id);
    switch (type) {
        case FILE_READ: fs_read(reader); break;
        case FILE_WRITE: fs_write(reader); break;
        case FILE_WRITE_OPEN: fs_write_open(id, reader); break;
        case FILE_WRITE_DATA: fs_write_data(id, reader); break;
        case FILE_WRITE_HOLE: fs_write_hole(id, reader); break;
        case FILE_WRITE_END: fs_write_end(id, reader); break;
        case FILE_STAT: fs_stat(reader); break;
        case FILE_ACCESS: fs_access(reader); break;
        case FILE_LIST: fs_list(reader); break;
        case FILE_WALK: fs_walk(reader); break;
        case FILE_MKDIR: fs_mkdir(reader); break;
        case FILE_REMOVE: fs_remove(reader); break;
        case FILE_RENAME: fs_rename(reader); break;
        case FILE_COPY: fs_copy(reader); break;
        case FILE_SYMLINK: fs_symlink(reader); break;
        case FILE_LINK: fs_link(reader); break;
        case FILE_READ_LINK: fs_read_link(reader); break;
        case FILE_REAL_PATH: fs_real_path(reader); break;
        case FILE_CHMOD: fs_chmod(reader); break;
        case FILE_CHOWN: fs_chown(reader); break;
        case FILE_UTIMES: fs_utimes(reader); break;
        case FILE_TRUNCATE: fs_truncate(reader); break;
        case FILE_MAKE_TEMP: fs_make_temp(reader); break;
        case FILE_WATCH: fs_watch(reader); break;
        default: answer_failed(ENOSYS, NULL); /* a later client may ask for more than this agent knows */
    }
}

noreturn void server_run(void) {
    for (;;) {
        read_message();
        size_t size = message_bytes();
        const uint8_t *message = input + input_begin;
        struct reader reader = {.bytes = message + HEAD_BYTES, .size = size - HEAD_BYTES};
        input_begin += size; /* the bytes stay where they are until the next read */
        handle(message[8], (uint32_t)load_little_endian(message + SIZE_BYTES, 4), &reader);
    }
}
