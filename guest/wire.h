/*
 * Reading and writing of message fields, little-endian, within bounds.
 *
 * A reader that was asked for more than there is turns `failed` and yields zeros and empty texts from then on, so
 * that a decoder needs one check, at its end. A writer that runs out of room does the same and writes nothing more.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of bytes in another buffer: not a C string, may hold zeros. */
struct text {
    const char *bytes;
    uint32_t size;
};

/* `count` texts one after the other as they are on the wire; read_texts() has checked all their sizes. */
struct texts {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t count;
};

struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t offset;
    bool failed;
};

struct writer {
    uint8_t *bytes;
    size_t capacity;
    size_t size;
    bool failed;
};

static inline struct text text_of(const char *string) {
    return (struct text){.bytes = string, .size = (uint32_t)strlen(string)};
}

static inline uint64_t load_little_endian(const uint8_t *bytes, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline void store_little_endian(uint8_t *bytes, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

/* ---- reading */

static inline const uint8_t *reader_take(struct reader *reader, size_t size) {
    if (reader->failed || size > reader->size - reader->offset) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->bytes + reader->offset;
    reader->offset += size;
    return bytes;
}

static inline uint64_t read_unsigned(struct reader *reader, unsigned size) {
    const uint8_t *bytes = reader_take(reader, size);
    return bytes == NULL ? 0 : load_little_endian(bytes, size);
}

static inline uint8_t read_u8(struct reader *reader) {
    return (uint8_t)read_unsigned(reader, 1);
}
static inline uint16_t read_u16(struct reader *reader) {
    return (uint16_t)read_unsigned(reader, 2);
}
static inline uint32_t read_u32(struct reader *reader) {
    return (uint32_t)read_unsigned(reader, 4);
}
static inline uint64_t read_u64(struct reader *reader) {
    return read_unsigned(reader, 8);
}
static inline int64_t read_i64(struct reader *reader) {
    return (int64_t)read_unsigned(reader, 8);
}
static inline int32_t read_i32(struct reader *reader) {
    return (int32_t)read_u32(reader);
}

static inline struct text read_text(struct reader *reader) {
    uint32_t size = read_u32(reader);
    const uint8_t *bytes = reader_take(reader, size);
    return bytes == NULL ? text_of("") : (struct text){.bytes = (const char *)bytes, .size = size};
}

/* A text that need not be UTF-8. */
static inline struct text read_blob(struct reader *reader) {
    return read_text(reader);
}

static inline struct texts read_texts(struct reader *reader) {
    struct texts texts = {.count = read_u32(reader)};
    size_t begin = reader->offset;
    /* Each text takes four bytes at least, so a lying count ends with the payload. */
    for (uint32_t i = 0; i < texts.count && !reader->failed; i++) read_text(reader);
    if (reader->failed) return (struct texts){0};
    texts.bytes = reader->bytes + begin;
    texts.size = (uint32_t)(reader->offset - begin);
    return texts;
}

/* All that is left. */
static inline struct text read_bytes(struct reader *reader) {
    uint32_t size = (uint32_t)(reader->size - reader->offset);
    const uint8_t *bytes = reader_take(reader, size);
    return bytes == NULL ? text_of("") : (struct text){.bytes = (const char *)bytes, .size = size};
}

/* Whether all fields were there and nothing is left over. */
static inline bool reader_finished(const struct reader *reader) {
    return !reader->failed && reader->offset == reader->size;
}

/* Takes the first of `texts` off; false when none is left. */
static inline bool texts_next(struct texts *texts, struct text *text) {
    if (texts->count == 0) return false;
    struct reader reader = {.bytes = texts->bytes, .size = texts->size};
    *text = read_text(&reader);
    texts->bytes += reader.offset;
    texts->size -= (uint32_t)reader.offset;
    texts->count--;
    return true;
}

/* ---- writing */

static inline void write_raw(struct writer *writer, const void *bytes, size_t size) {
    if (writer->failed || size > writer->capacity - writer->size) {
        writer->failed = true;
        return;
    }
    if (size > 0) memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

static inline void write_unsigned(struct writer *writer, unsigned size, uint64_t value) {
    uint8_t bytes[8];
    store_little_endian(bytes, size, value);
    write_raw(writer, bytes, size);
}

static inline void write_u8(struct writer *writer, uint8_t value) {
    write_unsigned(writer, 1, value);
}
static inline void write_u16(struct writer *writer, uint16_t value) {
    write_unsigned(writer, 2, value);
}
static inline void write_u32(struct writer *writer, uint32_t value) {
    write_unsigned(writer, 4, value);
}
static inline void write_u64(struct writer *writer, uint64_t value) {
    write_unsigned(writer, 8, value);
}
static inline void write_i32(struct writer *writer, int32_t value) {
    write_u32(writer, (uint32_t)value);
}
static inline void write_i64(struct writer *writer, int64_t value) {
    write_u64(writer, (uint64_t)value);
}
static inline void write_bytes(struct writer *writer, struct text value) {
    write_raw(writer, value.bytes, value.size);
}

static inline void write_text(struct writer *writer, struct text value) {
    write_u32(writer, value.size);
    write_bytes(writer, value);
}

static inline void write_blob(struct writer *writer, struct text value) {
    write_text(writer, value);
}

static inline void write_texts(struct writer *writer, struct texts value) {
    write_u32(writer, value.count);
    write_raw(writer, value.bytes, value.size);
}
