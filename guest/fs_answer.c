/* See fs_answer.h. */
#include "fs_answer.h"

#include <errno.h>
#include <unistd.h>

enum {
    /* Size, id and type of a message. */
    HEAD_BYTES = 9,
    SIZE_BYTES = 4,
    OUTPUT_BYTES = 2 * (SIZE_BYTES + FILE_MESSAGE_BYTES_MAX),
    /* Below this, content is not read into what is left of the buffer: the buffer is sent first. */
    DATA_BYTES_MIN = 64 * 1024,
};

static uint8_t output[OUTPUT_BYTES];
static size_t output_size;
static uint32_t current_id;

void answers_begin(uint32_t id) {
    current_id = id;
}

void answers_flush(void) {
    size_t sent = 0;
    while (sent < output_size) {
        ssize_t written = write(STDOUT_FILENO, output + sent, output_size - sent);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) _exit(0); /* the client is gone */
        sent += (size_t)written;
    }
    output_size = 0;
}

static void put_head(uint8_t type, size_t field_bytes) {
    store_little_endian(output + output_size, 4, HEAD_BYTES - SIZE_BYTES + field_bytes);
    store_little_endian(output + output_size + 4, 4, current_id);
    output[output_size + 8] = type;
    output_size += HEAD_BYTES + field_bytes;
}

/* Where the fields of the next message go. */
static struct writer fields_begin(void) {
    if (OUTPUT_BYTES - output_size < SIZE_BYTES + FILE_MESSAGE_BYTES_MAX) answers_flush();
    return (struct writer){.bytes = output + output_size + HEAD_BYTES, .capacity = FILE_MESSAGE_BYTES_MAX - HEAD_BYTES};
}

static void fields_end(uint8_t type, const struct writer *writer) {
    put_head(type, writer->size); /* paths are at most PATH_MAX: every message but data fits */
}

void answer_done(void) {
    struct writer writer = fields_begin();
    fields_end(FILE_DONE, &writer);
}

void answer_failed(int error, const char *where) {
    struct writer writer = fields_begin();
    struct text path = text_of(where == NULL ? "" : where);
    if (path.size > FILE_PATH_BYTES_MAX) path.size = FILE_PATH_BYTES_MAX;
    struct file_failed failed = {.error_number = error, .path = path};
    file_failed_encode(&writer, &failed);
    fields_end(FILE_FAILED, &writer);
}

void answer_result(int error) {
    if (error == 0)
        answer_done();
    else
        answer_failed(error, NULL);
}

void answer_attributes(const struct file_attributes *attributes) {
    struct writer writer = fields_begin();
    file_attributes_encode(&writer, attributes);
    fields_end(FILE_ATTRIBUTES, &writer);
}

void answer_path(const char *path) {
    struct writer writer = fields_begin();
    struct file_path answer = {.path = text_of(path)};
    file_path_encode(&writer, &answer);
    fields_end(FILE_PATH, &writer);
}

void answer_opened(const struct file_attributes *attributes) {
    struct writer writer = fields_begin();
    file_attributes_encode(&writer, attributes); /* the same fields */
    fields_end(FILE_OPENED, &writer);
}

void answer_entry(const char *path, const char *target, const struct file_attributes *attributes) {
    struct writer writer = fields_begin();
    write_blob(&writer, text_of(path));
    write_blob(&writer, text_of(target));
    file_attributes_encode(&writer, attributes); /* an entry's other fields */
    fields_end(FILE_ENTRY, &writer);
}

void answer_hole(uint64_t size) {
    struct writer writer = fields_begin();
    struct file_hole hole = {.size = size};
    file_hole_encode(&writer, &hole);
    fields_end(FILE_HOLE, &writer);
}

void answer_change(uint8_t kind, bool is_directory, uint32_t cookie, const char *path) {
    struct writer writer = fields_begin();
    struct file_change change = {.kind = kind, .is_directory = is_directory, .cookie = cookie, .path = text_of(path)};
    file_change_encode(&writer, &change);
    fields_end(FILE_CHANGE, &writer);
}

void answer_unread(int error) {
    struct writer writer = fields_begin();
    struct file_unread unread = {.error_number = error};
    file_unread_encode(&writer, &unread);
    fields_end(FILE_UNREAD, &writer);
}

uint8_t *answer_data_room(size_t *capacity) {
    if (OUTPUT_BYTES - output_size < HEAD_BYTES + DATA_BYTES_MIN) answers_flush();
    size_t room = OUTPUT_BYTES - output_size - HEAD_BYTES;
    *capacity = room < FILE_DATA_BYTES_MAX ? room : FILE_DATA_BYTES_MAX;
    return output + output_size + HEAD_BYTES;
}

void answer_data(size_t size) {
    if (size > 0) put_head(FILE_DATA, size);
}
