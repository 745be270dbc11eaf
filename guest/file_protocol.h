/* Generated from src/agent/file_messages.ts by scripts/generate_protocol_header.ts: do not edit. */
#pragma once
#include "wire.h"

enum {
    FILE_DATA_BYTES_MAX = 131072,
    FILE_MESSAGE_BYTES_MAX = 143360,
    FILE_PATH_BYTES_MAX = 4095,
};
#define FILE_OWNER_UNCHANGED UINT32_MAX

enum {
    FILE_KIND_FILE = 1,
    FILE_KIND_DIRECTORY = 2,
    FILE_KIND_SYMLINK = 3,
    FILE_KIND_FIFO = 4,
    FILE_KIND_SOCKET = 5,
    FILE_KIND_CHARACTER_DEVICE = 6,
    FILE_KIND_BLOCK_DEVICE = 7,
};

enum {
    FILE_FLAG_PARENTS = 1,
    FILE_FLAG_CREATE = 2,
    FILE_FLAG_EXCLUSIVE = 4,
    FILE_FLAG_TRUNCATE = 8,
    FILE_FLAG_APPEND = 16,
    FILE_FLAG_ATOMIC = 32,
    FILE_FLAG_SET_MODE = 64,
    FILE_FLAG_SET_MODIFIED = 128,
    FILE_FLAG_REGULAR_ONLY = 256,
    FILE_FLAG_NO_FOLLOW = 512,
    FILE_FLAG_RECURSIVE = 1024,
    FILE_FLAG_FORCE = 2048,
    FILE_FLAG_DIRECTORY = 4096,
    FILE_FLAG_NOT_DIRECTORY = 8192,
    FILE_FLAG_REPLACE = 16384,
    FILE_FLAG_CONTENT = 32768,
    FILE_FLAG_SYNC = 65536,
    FILE_FLAG_SET_ACCESSED = 131072,
};

enum {
    FILE_CHANGE_KIND_CREATED = 1,
    FILE_CHANGE_KIND_MODIFIED = 2,
    FILE_CHANGE_KIND_REMOVED = 3,
    FILE_CHANGE_KIND_MOVED_FROM = 4,
    FILE_CHANGE_KIND_MOVED_TO = 5,
    FILE_CHANGE_KIND_ATTRIBUTES = 6,
    FILE_CHANGE_KIND_OVERFLOW = 7,
    FILE_CHANGE_KIND_GONE = 8,
};

enum {
    FILE_READ = 1,
    FILE_WRITE = 2,
    FILE_WRITE_OPEN = 3,
    FILE_WRITE_DATA = 4,
    FILE_WRITE_HOLE = 5,
    FILE_WRITE_END = 6,
    FILE_STAT = 7,
    FILE_ACCESS = 8,
    FILE_LIST = 9,
    FILE_WALK = 10,
    FILE_MKDIR = 11,
    FILE_REMOVE = 12,
    FILE_RENAME = 13,
    FILE_COPY = 14,
    FILE_SYMLINK = 15,
    FILE_LINK = 16,
    FILE_READ_LINK = 17,
    FILE_REAL_PATH = 18,
    FILE_CHMOD = 19,
    FILE_CHOWN = 20,
    FILE_UTIMES = 21,
    FILE_TRUNCATE = 22,
    FILE_MAKE_TEMP = 23,
    FILE_WATCH = 24,
    FILE_DONE = 64,
    FILE_FAILED = 65,
    FILE_OPENED = 66,
    FILE_ATTRIBUTES = 67,
    FILE_ENTRY = 68,
    FILE_DATA = 69,
    FILE_HOLE = 70,
    FILE_PATH = 71,
    FILE_CHANGE = 72,
    FILE_UNREAD = 73,
};

/* read: content from offset on, at most length bytes: opened, data, done. */
struct file_read {
    struct text path;
    uint32_t flags;
    uint64_t offset;
    uint64_t length;
};
static inline bool file_read_decode(struct reader *reader, struct file_read *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->offset = read_u64(reader);
    message->length = read_u64(reader);
    return reader_finished(reader);
}
static inline void file_read_encode(struct writer *writer, const struct file_read *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u64(writer, message->offset);
    write_u64(writer, message->length);
}

/* write: the whole content of a file, or a part of it at offset: done. */
struct file_write {
    struct text path;
    uint32_t flags;
    uint32_t mode;
    uint64_t offset;
    int64_t modified_ns;
    struct text data;
};
static inline bool file_write_decode(struct reader *reader, struct file_write *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->mode = read_u32(reader);
    message->offset = read_u64(reader);
    message->modified_ns = read_i64(reader);
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void file_write_encode(struct writer *writer, const struct file_write *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->mode);
    write_u64(writer, message->offset);
    write_i64(writer, message->modified_ns);
    write_bytes(writer, message->data);
}

/* writeOpen: as write, with the content in the writeData messages of the same id that follow: opened, then done. */
struct file_write_open {
    struct text path;
    uint32_t flags;
    uint32_t mode;
    uint64_t offset;
    int64_t modified_ns;
};
static inline bool file_write_open_decode(struct reader *reader, struct file_write_open *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->mode = read_u32(reader);
    message->offset = read_u64(reader);
    message->modified_ns = read_i64(reader);
    return reader_finished(reader);
}
static inline void file_write_open_encode(struct writer *writer, const struct file_write_open *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->mode);
    write_u64(writer, message->offset);
    write_i64(writer, message->modified_ns);
}

/* writeData: more content. */
struct file_write_data {
    struct text data;
};
static inline bool file_write_data_decode(struct reader *reader, struct file_write_data *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void file_write_data_encode(struct writer *writer, const struct file_write_data *message) {
    write_bytes(writer, message->data);
}

/* writeHole: that many bytes of zeros, left out of the file. */
struct file_write_hole {
    uint64_t size;
};
static inline bool file_write_hole_decode(struct reader *reader, struct file_write_hole *message) {
    message->size = read_u64(reader);
    return reader_finished(reader);
}
static inline void file_write_hole_encode(struct writer *writer, const struct file_write_hole *message) {
    write_u64(writer, message->size);
}

/* writeEnd: the content is complete. No fields. */

/* stat: attributes. */
struct file_stat {
    struct text path;
    uint32_t flags;
};
static inline bool file_stat_decode(struct reader *reader, struct file_stat *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_stat_encode(struct writer *writer, const struct file_stat *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
}

/* access: whether the session's user may read (4), write (2), execute (1) it; 0: whether it is there. */
struct file_access {
    struct text path;
    uint32_t mode;
};
static inline bool file_access_decode(struct reader *reader, struct file_access *message) {
    message->path = read_blob(reader);
    message->mode = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_access_encode(struct writer *writer, const struct file_access *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->mode);
}

/* list: entries of a directory, by name: entry, done. */
struct file_list {
    struct text path;
};
static inline bool file_list_decode(struct reader *reader, struct file_list *message) {
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_list_encode(struct writer *writer, const struct file_list *message) {
    write_blob(writer, message->path);
}

/* walk: a tree, each directory before what is in it, by path below it: entry (the root has an empty path), data and hole of regular files with content, done. */
struct file_walk {
    struct text path;
    uint32_t flags;
    uint32_t depth_max;
};
static inline bool file_walk_decode(struct reader *reader, struct file_walk *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->depth_max = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_walk_encode(struct writer *writer, const struct file_walk *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->depth_max);
}

/* mkdir: done. */
struct file_mkdir {
    struct text path;
    uint32_t flags;
    uint32_t mode;
};
static inline bool file_mkdir_decode(struct reader *reader, struct file_mkdir *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->mode = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_mkdir_encode(struct writer *writer, const struct file_mkdir *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->mode);
}

/* remove: done. */
struct file_remove {
    struct text path;
    uint32_t flags;
};
static inline bool file_remove_decode(struct reader *reader, struct file_remove *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_remove_encode(struct writer *writer, const struct file_remove *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
}

/* rename: done. */
struct file_rename {
    struct text from;
    struct text to;
    uint32_t flags;
};
static inline bool file_rename_decode(struct reader *reader, struct file_rename *message) {
    message->from = read_blob(reader);
    message->to = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_rename_encode(struct writer *writer, const struct file_rename *message) {
    write_blob(writer, message->from);
    write_blob(writer, message->to);
    write_u32(writer, message->flags);
}

/* copy: within the guest: done. */
struct file_copy {
    struct text from;
    struct text to;
    uint32_t flags;
};
static inline bool file_copy_decode(struct reader *reader, struct file_copy *message) {
    message->from = read_blob(reader);
    message->to = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_copy_encode(struct writer *writer, const struct file_copy *message) {
    write_blob(writer, message->from);
    write_blob(writer, message->to);
    write_u32(writer, message->flags);
}

/* symlink: done. */
struct file_symlink {
    struct text target;
    struct text path;
    uint32_t flags;
};
static inline bool file_symlink_decode(struct reader *reader, struct file_symlink *message) {
    message->target = read_blob(reader);
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_symlink_encode(struct writer *writer, const struct file_symlink *message) {
    write_blob(writer, message->target);
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
}

/* link: done. */
struct file_link {
    struct text existing;
    struct text path;
    uint32_t flags;
};
static inline bool file_link_decode(struct reader *reader, struct file_link *message) {
    message->existing = read_blob(reader);
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_link_encode(struct writer *writer, const struct file_link *message) {
    write_blob(writer, message->existing);
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
}

/* readLink: path. */
struct file_read_link {
    struct text path;
};
static inline bool file_read_link_decode(struct reader *reader, struct file_read_link *message) {
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_read_link_encode(struct writer *writer, const struct file_read_link *message) {
    write_blob(writer, message->path);
}

/* realPath: path. */
struct file_real_path {
    struct text path;
};
static inline bool file_real_path_decode(struct reader *reader, struct file_real_path *message) {
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_real_path_encode(struct writer *writer, const struct file_real_path *message) {
    write_blob(writer, message->path);
}

/* chmod: done. */
struct file_chmod {
    struct text path;
    uint32_t flags;
    uint32_t mode;
};
static inline bool file_chmod_decode(struct reader *reader, struct file_chmod *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->mode = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_chmod_encode(struct writer *writer, const struct file_chmod *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->mode);
}

/* chown: to uid and gid, or, unless it is empty, to `user`, `user:group` or `:group`: done. */
struct file_chown {
    struct text path;
    uint32_t flags;
    uint32_t uid;
    uint32_t gid;
    struct text owner;
};
static inline bool file_chown_decode(struct reader *reader, struct file_chown *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->uid = read_u32(reader);
    message->gid = read_u32(reader);
    message->owner = read_text(reader);
    return reader_finished(reader);
}
static inline void file_chown_encode(struct writer *writer, const struct file_chown *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_u32(writer, message->uid);
    write_u32(writer, message->gid);
    write_text(writer, message->owner);
}

/* utimes: done. */
struct file_utimes {
    struct text path;
    uint32_t flags;
    int64_t accessed_ns;
    int64_t modified_ns;
};
static inline bool file_utimes_decode(struct reader *reader, struct file_utimes *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    message->accessed_ns = read_i64(reader);
    message->modified_ns = read_i64(reader);
    return reader_finished(reader);
}
static inline void file_utimes_encode(struct writer *writer, const struct file_utimes *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
    write_i64(writer, message->accessed_ns);
    write_i64(writer, message->modified_ns);
}

/* truncate: done. */
struct file_truncate {
    struct text path;
    uint64_t size;
};
static inline bool file_truncate_decode(struct reader *reader, struct file_truncate *message) {
    message->path = read_blob(reader);
    message->size = read_u64(reader);
    return reader_finished(reader);
}
static inline void file_truncate_encode(struct writer *writer, const struct file_truncate *message) {
    write_blob(writer, message->path);
    write_u64(writer, message->size);
}

/* makeTemp: a new file, or with the flag a directory, of a name that was not there: path. */
struct file_make_temp {
    struct text directory;
    struct text prefix;
    struct text suffix;
    uint32_t flags;
};
static inline bool file_make_temp_decode(struct reader *reader, struct file_make_temp *message) {
    message->directory = read_blob(reader);
    message->prefix = read_blob(reader);
    message->suffix = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_make_temp_encode(struct writer *writer, const struct file_make_temp *message) {
    write_blob(writer, message->directory);
    write_blob(writer, message->prefix);
    write_blob(writer, message->suffix);
    write_u32(writer, message->flags);
}

/* watch: opened once the watch stands, then change until the session is closed. */
struct file_watch {
    struct text path;
    uint32_t flags;
};
static inline bool file_watch_decode(struct reader *reader, struct file_watch *message) {
    message->path = read_blob(reader);
    message->flags = read_u32(reader);
    return reader_finished(reader);
}
static inline void file_watch_encode(struct writer *writer, const struct file_watch *message) {
    write_blob(writer, message->path);
    write_u32(writer, message->flags);
}

/* done: it is done. No fields. */

/* failed: it is not; path is where, if that is not what the request named. */
struct file_failed {
    int32_t error_number;
    struct text path;
};
static inline bool file_failed_decode(struct reader *reader, struct file_failed *message) {
    message->error_number = read_i32(reader);
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_failed_encode(struct writer *writer, const struct file_failed *message) {
    write_i32(writer, message->error_number);
    write_blob(writer, message->path);
}

/* opened: the file is open. */
struct file_opened {
    uint8_t kind;
    uint16_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t allocated;
    uint32_t links;
    int64_t device;
    int64_t inode;
    int64_t special;
    int64_t accessed_ns;
    int64_t modified_ns;
    int64_t changed_ns;
    int64_t created_ns;
};
static inline bool file_opened_decode(struct reader *reader, struct file_opened *message) {
    message->kind = read_u8(reader);
    message->mode = read_u16(reader);
    message->uid = read_u32(reader);
    message->gid = read_u32(reader);
    message->size = read_u64(reader);
    message->allocated = read_u64(reader);
    message->links = read_u32(reader);
    message->device = read_i64(reader);
    message->inode = read_i64(reader);
    message->special = read_i64(reader);
    message->accessed_ns = read_i64(reader);
    message->modified_ns = read_i64(reader);
    message->changed_ns = read_i64(reader);
    message->created_ns = read_i64(reader);
    return reader_finished(reader);
}
static inline void file_opened_encode(struct writer *writer, const struct file_opened *message) {
    write_u8(writer, message->kind);
    write_u16(writer, message->mode);
    write_u32(writer, message->uid);
    write_u32(writer, message->gid);
    write_u64(writer, message->size);
    write_u64(writer, message->allocated);
    write_u32(writer, message->links);
    write_i64(writer, message->device);
    write_i64(writer, message->inode);
    write_i64(writer, message->special);
    write_i64(writer, message->accessed_ns);
    write_i64(writer, message->modified_ns);
    write_i64(writer, message->changed_ns);
    write_i64(writer, message->created_ns);
}

/* attributes: answer to stat. */
struct file_attributes {
    uint8_t kind;
    uint16_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t allocated;
    uint32_t links;
    int64_t device;
    int64_t inode;
    int64_t special;
    int64_t accessed_ns;
    int64_t modified_ns;
    int64_t changed_ns;
    int64_t created_ns;
};
static inline bool file_attributes_decode(struct reader *reader, struct file_attributes *message) {
    message->kind = read_u8(reader);
    message->mode = read_u16(reader);
    message->uid = read_u32(reader);
    message->gid = read_u32(reader);
    message->size = read_u64(reader);
    message->allocated = read_u64(reader);
    message->links = read_u32(reader);
    message->device = read_i64(reader);
    message->inode = read_i64(reader);
    message->special = read_i64(reader);
    message->accessed_ns = read_i64(reader);
    message->modified_ns = read_i64(reader);
    message->changed_ns = read_i64(reader);
    message->created_ns = read_i64(reader);
    return reader_finished(reader);
}
static inline void file_attributes_encode(struct writer *writer, const struct file_attributes *message) {
    write_u8(writer, message->kind);
    write_u16(writer, message->mode);
    write_u32(writer, message->uid);
    write_u32(writer, message->gid);
    write_u64(writer, message->size);
    write_u64(writer, message->allocated);
    write_u32(writer, message->links);
    write_i64(writer, message->device);
    write_i64(writer, message->inode);
    write_i64(writer, message->special);
    write_i64(writer, message->accessed_ns);
    write_i64(writer, message->modified_ns);
    write_i64(writer, message->changed_ns);
    write_i64(writer, message->created_ns);
}

/* entry: an entry of list or walk. */
struct file_entry {
    struct text path;
    struct text target;
    uint8_t kind;
    uint16_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t allocated;
    uint32_t links;
    int64_t device;
    int64_t inode;
    int64_t special;
    int64_t accessed_ns;
    int64_t modified_ns;
    int64_t changed_ns;
    int64_t created_ns;
};
static inline bool file_entry_decode(struct reader *reader, struct file_entry *message) {
    message->path = read_blob(reader);
    message->target = read_blob(reader);
    message->kind = read_u8(reader);
    message->mode = read_u16(reader);
    message->uid = read_u32(reader);
    message->gid = read_u32(reader);
    message->size = read_u64(reader);
    message->allocated = read_u64(reader);
    message->links = read_u32(reader);
    message->device = read_i64(reader);
    message->inode = read_i64(reader);
    message->special = read_i64(reader);
    message->accessed_ns = read_i64(reader);
    message->modified_ns = read_i64(reader);
    message->changed_ns = read_i64(reader);
    message->created_ns = read_i64(reader);
    return reader_finished(reader);
}
static inline void file_entry_encode(struct writer *writer, const struct file_entry *message) {
    write_blob(writer, message->path);
    write_blob(writer, message->target);
    write_u8(writer, message->kind);
    write_u16(writer, message->mode);
    write_u32(writer, message->uid);
    write_u32(writer, message->gid);
    write_u64(writer, message->size);
    write_u64(writer, message->allocated);
    write_u32(writer, message->links);
    write_i64(writer, message->device);
    write_i64(writer, message->inode);
    write_i64(writer, message->special);
    write_i64(writer, message->accessed_ns);
    write_i64(writer, message->modified_ns);
    write_i64(writer, message->changed_ns);
    write_i64(writer, message->created_ns);
}

/* data: content. */
struct file_data {
    struct text data;
};
static inline bool file_data_decode(struct reader *reader, struct file_data *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void file_data_encode(struct writer *writer, const struct file_data *message) {
    write_bytes(writer, message->data);
}

/* hole: that many bytes of zeros. */
struct file_hole {
    uint64_t size;
};
static inline bool file_hole_decode(struct reader *reader, struct file_hole *message) {
    message->size = read_u64(reader);
    return reader_finished(reader);
}
static inline void file_hole_encode(struct writer *writer, const struct file_hole *message) {
    write_u64(writer, message->size);
}

/* path: answer to readLink, realPath, makeTemp. */
struct file_path {
    struct text path;
};
static inline bool file_path_decode(struct reader *reader, struct file_path *message) {
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_path_encode(struct writer *writer, const struct file_path *message) {
    write_blob(writer, message->path);
}

/* change: something changed. path is below what is watched; moves of one file have the same cookie. */
struct file_change {
    uint8_t kind;
    uint8_t is_directory;
    uint32_t cookie;
    struct text path;
};
static inline bool file_change_decode(struct reader *reader, struct file_change *message) {
    message->kind = read_u8(reader);
    message->is_directory = read_u8(reader);
    message->cookie = read_u32(reader);
    message->path = read_blob(reader);
    return reader_finished(reader);
}
static inline void file_change_encode(struct writer *writer, const struct file_change *message) {
    write_u8(writer, message->kind);
    write_u8(writer, message->is_directory);
    write_u32(writer, message->cookie);
    write_blob(writer, message->path);
}

/* unread: an entry of walk that could not be read, in place of its content or of what is below it. */
struct file_unread {
    int32_t error_number;
};
static inline bool file_unread_decode(struct reader *reader, struct file_unread *message) {
    message->error_number = read_i32(reader);
    return reader_finished(reader);
}
static inline void file_unread_encode(struct writer *writer, const struct file_unread *message) {
    write_i32(writer, message->error_number);
}
