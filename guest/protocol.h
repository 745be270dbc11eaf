/* Generated from src/agent/protocol.ts by scripts/generate_protocol_header.ts: do not edit. */
#pragma once
#include "wire.h"

enum {
    PROTOCOL_VERSION = 2,
    FRAME_HEADER_BYTES = 12,
    FRAME_PAYLOAD_BYTES_MAX = 65536,
    STREAM_WINDOW_BYTES = 262144,
    EXEC_START_BYTES_MAX = 1048576,
    SESSIONS_MAX = 256,
};

enum {
    FRAME_FLAG_END = 1,
    FRAME_FLAG_LOG_ONLY = 2,
    FRAME_FLAG_MORE = 4,
};

enum {
    EXEC_FLAG_TTY = 1,
    EXEC_FLAG_STDIN_PIPE = 2,
    EXEC_FLAG_DETACHED = 4,
    EXEC_FLAG_KEEP_INPUT = 8,
};

enum {
    ADOPT_FLAG_TTY = 1,
    ADOPT_FLAG_INPUT = 2,
};

enum {
    MOUNT_FLAG_READONLY = 1,
    MOUNT_FLAG_NO_EXEC = 2,
    MOUNT_FLAG_FILE_ROOT = 4,
    MOUNT_FLAG_MEMORY = 8,
    MOUNT_FLAG_NO_DISCARD = 16,
    MOUNT_FLAG_WATCH = 32,
    MOUNT_FLAG_LOCKS = 64,
};

enum {
    MOUNT_NOTICE_CREATED_FILE = 1,
    MOUNT_NOTICE_CREATED_DIRECTORY = 2,
    MOUNT_NOTICE_CREATED_SYMLINK = 3,
    MOUNT_NOTICE_CREATED_FIFO = 4,
    MOUNT_NOTICE_REMOVED_FILE = 5,
    MOUNT_NOTICE_REMOVED_DIRECTORY = 6,
    MOUNT_NOTICE_RENAMED = 7,
    MOUNT_NOTICE_MODIFIED = 8,
    MOUNT_NOTICE_ATTRIBUTES = 9,
    MOUNT_NOTICE_CREATED_SOCKET = 10,
    MOUNT_NOTICE_CREATED_WRITTEN = 11,
    MOUNT_NOTICE_CREATED_PROGRAM = 12,
    MOUNT_NOTICE_MODIFIED_PROGRAM = 13,
    MOUNT_NOTICE_CODE_REPLAY = 19795,
    MOUNT_NOTICE_BYTES_MAX = 32768,
};

enum {
    NETWORK_FEATURE_IPV6 = 1,
};

enum {
    FLOW_PROTOCOL_ICMP = 1,
    FLOW_PROTOCOL_TCP = 6,
    FLOW_PROTOCOL_UDP = 17,
};

enum {
    FLOW_REFUSAL_REFUSED = 0,
    FLOW_REFUSAL_UNREACHABLE = 1,
    FLOW_REFUSAL_TIMED_OUT = 2,
};

enum {
    EXEC_FAILURE_OTHER = 0,
    EXEC_FAILURE_NOT_FOUND = 1,
    EXEC_FAILURE_PERMISSION_DENIED = 2,
    EXEC_FAILURE_NOT_EXECUTABLE = 3,
    EXEC_FAILURE_BAD_CWD = 4,
    EXEC_FAILURE_BAD_USER = 5,
    EXEC_FAILURE_BAD_ARGUMENTS = 6,
    EXEC_FAILURE_RESOURCE_LIMIT = 7,
    EXEC_FAILURE_OUT_OF_MEMORY = 8,
    EXEC_FAILURE_PTY_SETUP = 9,
    EXEC_FAILURE_TOO_MANY_SESSIONS = 10,
    EXEC_FAILURE_SHUTTING_DOWN = 11,
    EXEC_FAILURE_PAUSED = 12,
};

enum {
    BOOT_STAGE_OTHER = 0,
    BOOT_STAGE_PSEUDO_FILESYSTEMS = 1,
    BOOT_STAGE_IMAGE = 2,
    BOOT_STAGE_UPPER = 3,
    BOOT_STAGE_OVERLAY = 4,
    BOOT_STAGE_SWITCH_ROOT = 5,
    BOOT_STAGE_NETWORK = 6,
    BOOT_STAGE_FILES = 7,
};

enum {
    WIRE_ERROR_UNKNOWN_TYPE = 1,
    WIRE_ERROR_MALFORMED = 2,
    WIRE_ERROR_BAD_STREAM = 3,
    WIRE_ERROR_WINDOW_EXCEEDED = 4,
    WIRE_ERROR_TOO_MANY_CLIENTS = 5,
    WIRE_ERROR_NOT_READY = 6,
    WIRE_ERROR_CRASHED = 7,
};

enum {
    MSG_HELLO = 1,
    MSG_BOOT = 2,
    MSG_READY = 3,
    MSG_BOOT_FAILED = 4,
    MSG_PING = 5,
    MSG_PONG = 6,
    MSG_CLOCK = 7,
    MSG_SHUTDOWN = 8,
    MSG_FLUSHED = 9,
    MSG_GO = 10,
    MSG_ERROR = 11,
    MSG_CLIENT_GONE = 12,
    MSG_WELCOME = 16,
    MSG_STOP = 17,
    MSG_STOPPED = 18,
    MSG_KILL = 19,
    MSG_TOUCH = 20,
    MSG_LIMITS = 21,
    MSG_DRAIN = 22,
    MSG_NOTED = 23,
    MSG_PORTS = 88,
    MSG_PUBLISHED = 89,
    MSG_EXEC_START = 32,
    MSG_EXEC_STARTED = 33,
    MSG_EXEC_FAILED = 34,
    MSG_STDIN = 35,
    MSG_STDIN_ERROR = 36,
    MSG_STDOUT = 37,
    MSG_STDERR = 38,
    MSG_OUTPUT = 39,
    MSG_CREDIT = 40,
    MSG_EXITED = 41,
    MSG_SETTLED = 42,
    MSG_SIGNAL = 43,
    MSG_RESIZE = 44,
    MSG_CLOSE = 45,
    MSG_CLOSED = 46,
    MSG_FILES_OPEN = 48,
    MSG_JOB_START = 64,
    MSG_JOB_SIGNAL = 65,
    MSG_JOB_ANSWER = 66,
    MSG_JOB_ATTACH = 67,
    MSG_JOB_SCREEN = 69,
    MSG_JOB_ATTACHED = 68,
    MSG_EXEC_ADOPT = 72,
    MSG_ADOPTED = 73,
    MSG_HANDED_OVER = 74,
    MSG_MOUNT_OPEN = 56,
    MSG_UNMOUNT = 57,
    MSG_MOUNT_DISK = 61,
    MSG_MOUNT_ADD = 58,
    MSG_MOUNT_REMOVE = 59,
    MSG_MOUNT_CHANGED = 60,
    MSG_NETWORK_OPEN = 112,
    MSG_NETWORK_READY = 113,
    MSG_FLOW_REQUEST = 114,
    MSG_FLOW_ACCEPT = 115,
    MSG_FLOW_REFUSE = 116,
    MSG_ECHO = 117,
    MSG_ENVIRONMENT = 120,
    MSG_NETWORK_UPDATE = 118,
    MSG_NETWORK_UPDATED = 119,
    MSG_NETWORK_REPORT = 121,
    MSG_NETIF = 84,
    MSG_NETIF_DONE = 85,
    MSG_TCP_CONNECT = 80,
    MSG_TCP_CONNECTED = 81,
    MSG_TCP_FAILED = 82,
    MSG_UDP_OPEN = 86,
    MSG_DATAGRAM = 87,
    MSG_PAUSE = 96,
    MSG_PAUSED = 97,
    MSG_FREEZE = 98,
    MSG_FROZEN = 99,
    MSG_METRICS = 100,
    MSG_MEASURED = 101,
    MSG_USAGE = 102,
    MSG_PROCESSES = 103,
};

/* hello: agent to host, first frame. */
struct msg_hello {
    uint16_t version;
    uint32_t features;
    struct text agent_version;
};
static inline bool msg_hello_decode(struct reader *reader, struct msg_hello *message) {
    message->version = read_u16(reader);
    message->features = read_u32(reader);
    message->agent_version = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_hello_encode(struct writer *writer, const struct msg_hello *message) {
    write_u16(writer, message->version);
    write_u32(writer, message->features);
    write_text(writer, message->agent_version);
}

/* boot: host to agent, once: what to mount and write before anything can run. an empty upperDevice means a file system in memory; upperFlags: see MountFlag. */
struct msg_boot {
    struct text image_device;
    struct text image_type;
    struct text upper_device;
    struct text upper_type;
    struct text upper_options;
    uint8_t upper_flags;
    struct text hostname;
    struct text hosts;
    struct text resolv_conf;
    uint64_t clock_seconds;
    uint32_t clock_nanoseconds;
};
static inline bool msg_boot_decode(struct reader *reader, struct msg_boot *message) {
    message->image_device = read_text(reader);
    message->image_type = read_text(reader);
    message->upper_device = read_text(reader);
    message->upper_type = read_text(reader);
    message->upper_options = read_text(reader);
    message->upper_flags = read_u8(reader);
    message->hostname = read_text(reader);
    message->hosts = read_text(reader);
    message->resolv_conf = read_text(reader);
    message->clock_seconds = read_u64(reader);
    message->clock_nanoseconds = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_boot_encode(struct writer *writer, const struct msg_boot *message) {
    write_text(writer, message->image_device);
    write_text(writer, message->image_type);
    write_text(writer, message->upper_device);
    write_text(writer, message->upper_type);
    write_text(writer, message->upper_options);
    write_u8(writer, message->upper_flags);
    write_text(writer, message->hostname);
    write_text(writer, message->hosts);
    write_text(writer, message->resolv_conf);
    write_u64(writer, message->clock_seconds);
    write_u32(writer, message->clock_nanoseconds);
}

/* ready: agent to host: exec works. Times are CLOCK_BOOTTIME in microseconds. */
struct msg_ready {
    uint64_t agent_start_micros;
    uint64_t boot_message_micros;
    uint64_t ready_micros;
    struct text kernel_release;
};
static inline bool msg_ready_decode(struct reader *reader, struct msg_ready *message) {
    message->agent_start_micros = read_u64(reader);
    message->boot_message_micros = read_u64(reader);
    message->ready_micros = read_u64(reader);
    message->kernel_release = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_ready_encode(struct writer *writer, const struct msg_ready *message) {
    write_u64(writer, message->agent_start_micros);
    write_u64(writer, message->boot_message_micros);
    write_u64(writer, message->ready_micros);
    write_text(writer, message->kernel_release);
}

/* bootFailed: agent to host: the root could not be assembled; the agent reboots next. */
struct msg_boot_failed {
    uint8_t stage;
    int32_t error_number;
    struct text message;
};
static inline bool msg_boot_failed_decode(struct reader *reader, struct msg_boot_failed *message) {
    message->stage = read_u8(reader);
    message->error_number = read_i32(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_boot_failed_encode(struct writer *writer, const struct msg_boot_failed *message) {
    write_u8(writer, message->stage);
    write_i32(writer, message->error_number);
    write_text(writer, message->message);
}

/* ping: either way. */
struct msg_ping {
    uint32_t token;
};
static inline bool msg_ping_decode(struct reader *reader, struct msg_ping *message) {
    message->token = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_ping_encode(struct writer *writer, const struct msg_ping *message) {
    write_u32(writer, message->token);
}

/* pong: answer to ping, on its stream. */
struct msg_pong {
    uint32_t token;
};
static inline bool msg_pong_decode(struct reader *reader, struct msg_pong *message) {
    message->token = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_pong_encode(struct writer *writer, const struct msg_pong *message) {
    write_u32(writer, message->token);
}

/* clock: host to agent: set the wall clock. */
struct msg_clock {
    uint64_t seconds;
    uint32_t nanoseconds;
};
static inline bool msg_clock_decode(struct reader *reader, struct msg_clock *message) {
    message->seconds = read_u64(reader);
    message->nanoseconds = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_clock_encode(struct writer *writer, const struct msg_clock *message) {
    write_u64(writer, message->seconds);
    write_u32(writer, message->nanoseconds);
}

/* shutdown: host to agent: refuse new work, end sessions, flush. */
struct msg_shutdown {
    uint32_t grace_ms;
};
static inline bool msg_shutdown_decode(struct reader *reader, struct msg_shutdown *message) {
    message->grace_ms = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_shutdown_encode(struct writer *writer, const struct msg_shutdown *message) {
    write_u32(writer, message->grace_ms);
}

/* flushed: agent to host: everything is on disk. clean is 1 if the upper file system is unmounted or read-only. */
struct msg_flushed {
    uint8_t clean;
};
static inline bool msg_flushed_decode(struct reader *reader, struct msg_flushed *message) {
    message->clean = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_flushed_encode(struct writer *writer, const struct msg_flushed *message) {
    write_u8(writer, message->clean);
}

/* go: host to agent: end the VM now. No fields. */

/* error: either way, on the offending stream: a frame was refused; the connection goes on. */
struct msg_error {
    uint16_t code;
    uint8_t offending_type;
    struct text message;
};
static inline bool msg_error_decode(struct reader *reader, struct msg_error *message) {
    message->code = read_u16(reader);
    message->offending_type = read_u8(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_error_encode(struct writer *writer, const struct msg_error *message) {
    write_u16(writer, message->code);
    write_u8(writer, message->offending_type);
    write_text(writer, message->message);
}

/* clientGone: host to agent: kill the sessions of these streams that are not detached; inclusive range. */
struct msg_client_gone {
    uint32_t first_stream;
    uint32_t last_stream;
};
static inline bool msg_client_gone_decode(struct reader *reader, struct msg_client_gone *message) {
    message->first_stream = read_u32(reader);
    message->last_stream = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_client_gone_encode(struct writer *writer, const struct msg_client_gone *message) {
    write_u32(writer, message->first_stream);
    write_u32(writer, message->last_stream);
}

/* welcome: host to client, first frame, sent when the sandbox is ready. */
struct msg_welcome {
    uint16_t version;
    uint32_t features;
    uint32_t first_stream;
    uint32_t last_stream;
    uint32_t boot_number;
    struct text sandbox_id;
};
static inline bool msg_welcome_decode(struct reader *reader, struct msg_welcome *message) {
    message->version = read_u16(reader);
    message->features = read_u32(reader);
    message->first_stream = read_u32(reader);
    message->last_stream = read_u32(reader);
    message->boot_number = read_u32(reader);
    message->sandbox_id = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_welcome_encode(struct writer *writer, const struct msg_welcome *message) {
    write_u16(writer, message->version);
    write_u32(writer, message->features);
    write_u32(writer, message->first_stream);
    write_u32(writer, message->last_stream);
    write_u32(writer, message->boot_number);
    write_text(writer, message->sandbox_id);
}

/* stop: client to host: run the stop sequence. */
struct msg_stop {
    uint32_t grace_ms;
};
static inline bool msg_stop_decode(struct reader *reader, struct msg_stop *message) {
    message->grace_ms = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_stop_encode(struct writer *writer, const struct msg_stop *message) {
    write_u32(writer, message->grace_ms);
}

/* stopped: host to client: the state on disk is final; end of connection follows when the process is gone. */
struct msg_stopped {
    uint8_t clean;
};
static inline bool msg_stopped_decode(struct reader *reader, struct msg_stopped *message) {
    message->clean = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_stopped_encode(struct writer *writer, const struct msg_stopped *message) {
    write_u8(writer, message->clean);
}

/* kill: client to host: end the VM at once, nothing flushed. No fields. */

/* touch: client to host: counts as activity; answered by noted. No fields. */

/* limits: client to host: new time limits for those that which names (bits), in ms; 0 is none; answered by noted. */
struct msg_limits {
    uint8_t which;
    uint64_t max_duration_ms;
    uint64_t idle_timeout_ms;
};
static inline bool msg_limits_decode(struct reader *reader, struct msg_limits *message) {
    message->which = read_u8(reader);
    message->max_duration_ms = read_u64(reader);
    message->idle_timeout_ms = read_u64(reader);
    return reader_finished(reader);
}
static inline void msg_limits_encode(struct writer *writer, const struct msg_limits *message) {
    write_u8(writer, message->which);
    write_u64(writer, message->max_duration_ms);
    write_u64(writer, message->idle_timeout_ms);
}

/* drain: client to host: refuse new programs, stop once none runs any more; answered by noted. No fields. */

/* noted: host to client: a touch, limits or drain took effect; in the order in which they were sent. */
struct msg_noted {
    uint64_t activity;
};
static inline bool msg_noted_decode(struct reader *reader, struct msg_noted *message) {
    message->activity = read_u64(reader);
    return reader_finished(reader);
}
static inline void msg_noted_encode(struct writer *writer, const struct msg_noted *message) {
    write_u64(writer, message->activity);
}

/* ports: client to host: see PortAction and PortProtocol; answered by published. hostPort 0 is chosen by the system. */
struct msg_ports {
    uint32_t token;
    uint8_t action;
    uint8_t protocol;
    uint16_t host_port;
    uint16_t guest_port;
    struct text bind;
};
static inline bool msg_ports_decode(struct reader *reader, struct msg_ports *message) {
    message->token = read_u32(reader);
    message->action = read_u8(reader);
    message->protocol = read_u8(reader);
    message->host_port = read_u16(reader);
    message->guest_port = read_u16(reader);
    message->bind = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_ports_encode(struct writer *writer, const struct msg_ports *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->action);
    write_u8(writer, message->protocol);
    write_u16(writer, message->host_port);
    write_u16(writer, message->guest_port);
    write_text(writer, message->bind);
}

/* published: host to client: see PortFailure. ports are `bind hostPort guestPort protocol`. */
struct msg_published {
    uint32_t token;
    uint8_t failure;
    struct text message;
    struct texts ports;
};
static inline bool msg_published_decode(struct reader *reader, struct msg_published *message) {
    message->token = read_u32(reader);
    message->failure = read_u8(reader);
    message->message = read_text(reader);
    message->ports = read_texts(reader);
    return reader_finished(reader);
}
static inline void msg_published_encode(struct writer *writer, const struct msg_published *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->failure);
    write_text(writer, message->message);
    write_texts(writer, message->ports);
}

/* execStart: client to agent: opens the stream. */
struct msg_exec_start {
    uint8_t flags;
    uint16_t rows;
    uint16_t columns;
    struct text cwd;
    struct text user;
    struct texts argv;
    struct texts env;
    struct texts rlimits;
};
static inline bool msg_exec_start_decode(struct reader *reader, struct msg_exec_start *message) {
    message->flags = read_u8(reader);
    message->rows = read_u16(reader);
    message->columns = read_u16(reader);
    message->cwd = read_text(reader);
    message->user = read_text(reader);
    message->argv = read_texts(reader);
    message->env = read_texts(reader);
    message->rlimits = read_texts(reader);
    return reader_finished(reader);
}
static inline void msg_exec_start_encode(struct writer *writer, const struct msg_exec_start *message) {
    write_u8(writer, message->flags);
    write_u16(writer, message->rows);
    write_u16(writer, message->columns);
    write_text(writer, message->cwd);
    write_text(writer, message->user);
    write_texts(writer, message->argv);
    write_texts(writer, message->env);
    write_texts(writer, message->rlimits);
}

/* execStarted: agent to client. */
struct msg_exec_started {
    uint32_t pid;
};
static inline bool msg_exec_started_decode(struct reader *reader, struct msg_exec_started *message) {
    message->pid = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_exec_started_encode(struct writer *writer, const struct msg_exec_started *message) {
    write_u32(writer, message->pid);
}

/* execFailed: agent to client: no process was started; closed follows. */
struct msg_exec_failed {
    uint8_t kind;
    int32_t error_number;
    struct text message;
};
static inline bool msg_exec_failed_decode(struct reader *reader, struct msg_exec_failed *message) {
    message->kind = read_u8(reader);
    message->error_number = read_i32(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_exec_failed_encode(struct writer *writer, const struct msg_exec_failed *message) {
    write_u8(writer, message->kind);
    write_i32(writer, message->error_number);
    write_text(writer, message->message);
}

/* stdin: client to agent: data channel. */
struct msg_stdin {
    struct text data;
};
static inline bool msg_stdin_decode(struct reader *reader, struct msg_stdin *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_stdin_encode(struct writer *writer, const struct msg_stdin *message) {
    write_bytes(writer, message->data);
}

/* stdinError: agent to client: the process closed its stdin; later stdin frames are dropped. */
struct msg_stdin_error {
    int32_t error_number;
};
static inline bool msg_stdin_error_decode(struct reader *reader, struct msg_stdin_error *message) {
    message->error_number = read_i32(reader);
    return reader_finished(reader);
}
static inline void msg_stdin_error_encode(struct writer *writer, const struct msg_stdin_error *message) {
    write_i32(writer, message->error_number);
}

/* stdout: agent to client: data channel. */
struct msg_stdout {
    struct text data;
};
static inline bool msg_stdout_decode(struct reader *reader, struct msg_stdout *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_stdout_encode(struct writer *writer, const struct msg_stdout *message) {
    write_bytes(writer, message->data);
}

/* stderr: agent to client: data channel. */
struct msg_stderr {
    struct text data;
};
static inline bool msg_stderr_decode(struct reader *reader, struct msg_stderr *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_stderr_encode(struct writer *writer, const struct msg_stderr *message) {
    write_bytes(writer, message->data);
}

/* output: agent to client: data channel of a pseudo-terminal. */
struct msg_output {
    struct text data;
};
static inline bool msg_output_decode(struct reader *reader, struct msg_output *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_output_encode(struct writer *writer, const struct msg_output *message) {
    write_bytes(writer, message->data);
}

/* credit: receiver to sender: channel is the type of the data frames, bytes is added to its window. */
struct msg_credit {
    uint8_t channel;
    uint32_t bytes;
};
static inline bool msg_credit_decode(struct reader *reader, struct msg_credit *message) {
    message->channel = read_u8(reader);
    message->bytes = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_credit_encode(struct writer *writer, const struct msg_credit *message) {
    write_u8(writer, message->channel);
    write_u32(writer, message->bytes);
}

/* exited: agent to client, the moment the process is reaped: an exit code, or the signal (not 0) that ended it. */
struct msg_exited {
    int32_t code;
    uint8_t signal;
};
static inline bool msg_exited_decode(struct reader *reader, struct msg_exited *message) {
    message->code = read_i32(reader);
    message->signal = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_exited_encode(struct writer *writer, const struct msg_exited *message) {
    write_i32(writer, message->code);
    write_u8(writer, message->signal);
}

/* settled: agent to client, after exited: all that the process wrote has been sent. No fields. */

/* signal: client to agent: to the process group, or (scope 1) to the process alone. */
struct msg_signal {
    uint8_t signal;
    uint8_t scope;
};
static inline bool msg_signal_decode(struct reader *reader, struct msg_signal *message) {
    message->signal = read_u8(reader);
    message->scope = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_signal_encode(struct writer *writer, const struct msg_signal *message) {
    write_u8(writer, message->signal);
    write_u8(writer, message->scope);
}

/* resize: client to agent: size of the pseudo-terminal. */
struct msg_resize {
    uint16_t rows;
    uint16_t columns;
};
static inline bool msg_resize_decode(struct reader *reader, struct msg_resize *message) {
    message->rows = read_u16(reader);
    message->columns = read_u16(reader);
    return reader_finished(reader);
}
static inline void msg_resize_encode(struct writer *writer, const struct msg_resize *message) {
    write_u16(writer, message->rows);
    write_u16(writer, message->columns);
}

/* close: client to agent: no more frames wanted. Kills the group if the process still runs and is not detached. No fields. */

/* closed: agent to client: last frame of the stream. No fields. */

/* filesOpen: client to agent: opens the stream. Relative paths begin at cwd, or at the user's home if it is empty. */
struct msg_files_open {
    struct text user;
    struct text cwd;
};
static inline bool msg_files_open_decode(struct reader *reader, struct msg_files_open *message) {
    message->user = read_text(reader);
    message->cwd = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_files_open_encode(struct writer *writer, const struct msg_files_open *message) {
    write_text(writer, message->user);
    write_text(writer, message->cwd);
}

/* jobStart: client to host, stream 0: the program that execStart is about to start on stream target is a job; answered by jobAnswer. */
struct msg_job_start {
    uint32_t token;
    uint32_t target;
    uint8_t flags;
    struct text name;
    struct texts command;
};
static inline bool msg_job_start_decode(struct reader *reader, struct msg_job_start *message) {
    message->token = read_u32(reader);
    message->target = read_u32(reader);
    message->flags = read_u8(reader);
    message->name = read_text(reader);
    message->command = read_texts(reader);
    return reader_finished(reader);
}
static inline void msg_job_start_encode(struct writer *writer, const struct msg_job_start *message) {
    write_u32(writer, message->token);
    write_u32(writer, message->target);
    write_u8(writer, message->flags);
    write_text(writer, message->name);
    write_texts(writer, message->command);
}

/* jobSignal: client to host, stream 0: what signal does, to a job wherever it is; answered by jobAnswer. */
struct msg_job_signal {
    uint32_t token;
    struct text job;
    uint8_t signal;
    uint8_t scope;
};
static inline bool msg_job_signal_decode(struct reader *reader, struct msg_job_signal *message) {
    message->token = read_u32(reader);
    message->job = read_text(reader);
    message->signal = read_u8(reader);
    message->scope = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_job_signal_encode(struct writer *writer, const struct msg_job_signal *message) {
    write_u32(writer, message->token);
    write_text(writer, message->job);
    write_u8(writer, message->signal);
    write_u8(writer, message->scope);
}

/* jobAnswer: host to client, stream 0: see JobFailure. job is the id of the job, or of the one that has the name. */
struct msg_job_answer {
    uint32_t token;
    uint8_t failure;
    struct text job;
    struct text message;
};
static inline bool msg_job_answer_decode(struct reader *reader, struct msg_job_answer *message) {
    message->token = read_u32(reader);
    message->failure = read_u8(reader);
    message->job = read_text(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_job_answer_encode(struct writer *writer, const struct msg_job_answer *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->failure);
    write_text(writer, message->job);
    write_text(writer, message->message);
}

/* jobAttach: client to host, stream 0: hands a running job over to stream target of this client. There come jobAttached and adopted, or execFailed and closed. */
struct msg_job_attach {
    uint32_t target;
    struct text job;
};
static inline bool msg_job_attach_decode(struct reader *reader, struct msg_job_attach *message) {
    message->target = read_u32(reader);
    message->job = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_job_attach_encode(struct writer *writer, const struct msg_job_attach *message) {
    write_u32(writer, message->target);
    write_text(writer, message->job);
}

/* jobScreen: host to client, before adopted: the escape sequences for what the job has switched on in its terminal and not off. */
struct msg_job_screen {
    struct text sequences;
};
static inline bool msg_job_screen_decode(struct reader *reader, struct msg_job_screen *message) {
    message->sequences = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_job_screen_encode(struct writer *writer, const struct msg_job_screen *message) {
    write_text(writer, message->sequences);
}

/* jobAttached: host to client, before adopted: where exec.log was then; what the job wrote before is in it. Generation 0: it cannot be written. */
struct msg_job_attached {
    uint32_t generation;
    uint64_t offset_bytes;
};
static inline bool msg_job_attached_decode(struct reader *reader, struct msg_job_attached *message) {
    message->generation = read_u32(reader);
    message->offset_bytes = read_u64(reader);
    return reader_finished(reader);
}
static inline void msg_job_attached_encode(struct writer *writer, const struct msg_job_attached *message) {
    write_u32(writer, message->generation);
    write_u64(writer, message->offset_bytes);
}

/* execAdopt: host to agent: the detached program of stream source goes on under this number. Answered by adopted, or by execFailed and closed. */
struct msg_exec_adopt {
    uint32_t source;
};
static inline bool msg_exec_adopt_decode(struct reader *reader, struct msg_exec_adopt *message) {
    message->source = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_exec_adopt_encode(struct writer *writer, const struct msg_exec_adopt *message) {
    write_u32(writer, message->source);
}

/* adopted: agent to client: output flows with whole windows. See AdoptFlag; inputWindow is what may be sent to stdin at once. */
struct msg_adopted {
    uint32_t pid;
    uint8_t flags;
    uint32_t input_window;
};
static inline bool msg_adopted_decode(struct reader *reader, struct msg_adopted *message) {
    message->pid = read_u32(reader);
    message->flags = read_u8(reader);
    message->input_window = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_adopted_encode(struct writer *writer, const struct msg_adopted *message) {
    write_u32(writer, message->pid);
    write_u8(writer, message->flags);
    write_u32(writer, message->input_window);
}

/* handedOver: agent to client: another client has adopted the program; closed follows. No fields. */

/* mountOpen: client to agent: opens the stream. target is made if it is missing; see MountFlag. sizeBytes is of a file system in memory. */
struct msg_mount_open {
    uint8_t flags;
    uint64_t size_bytes;
    struct text target;
};
static inline bool msg_mount_open_decode(struct reader *reader, struct msg_mount_open *message) {
    message->flags = read_u8(reader);
    message->size_bytes = read_u64(reader);
    message->target = read_blob(reader);
    return reader_finished(reader);
}
static inline void msg_mount_open_encode(struct writer *writer, const struct msg_mount_open *message) {
    write_u8(writer, message->flags);
    write_u64(writer, message->size_bytes);
    write_blob(writer, message->target);
}

/* unmount: client to agent: with lazily 1 also if it is in use. The errno follows as four bytes of stderr; 0 ends the stream. */
struct msg_unmount {
    uint8_t lazily;
};
static inline bool msg_unmount_decode(struct reader *reader, struct msg_unmount *message) {
    message->lazily = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_unmount_encode(struct writer *writer, const struct msg_unmount *message) {
    write_u8(writer, message->lazily);
}

/* mountDisk: client to agent: opens the stream. target is created if it is missing; flags: see MountFlag. With an empty fstype, the agent tries each that it knows. */
struct msg_mount_disk {
    uint8_t flags;
    struct text device;
    struct text fstype;
    struct text target;
};
static inline bool msg_mount_disk_decode(struct reader *reader, struct msg_mount_disk *message) {
    message->flags = read_u8(reader);
    message->device = read_text(reader);
    message->fstype = read_text(reader);
    message->target = read_blob(reader);
    return reader_finished(reader);
}
static inline void msg_mount_disk_encode(struct writer *writer, const struct msg_mount_disk *message) {
    write_u8(writer, message->flags);
    write_text(writer, message->device);
    write_text(writer, message->fstype);
    write_blob(writer, message->target);
}

/* mountAdd: client to host: see MountFlag. source is a path of the host, whose owner is uid and gid in the guest; answered by mountChanged. */
struct msg_mount_add {
    uint32_t token;
    uint8_t flags;
    uint32_t uid;
    uint32_t gid;
    uint64_t memory_bytes;
    struct text source;
    struct text target;
};
static inline bool msg_mount_add_decode(struct reader *reader, struct msg_mount_add *message) {
    message->token = read_u32(reader);
    message->flags = read_u8(reader);
    message->uid = read_u32(reader);
    message->gid = read_u32(reader);
    message->memory_bytes = read_u64(reader);
    message->source = read_text(reader);
    message->target = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_mount_add_encode(struct writer *writer, const struct msg_mount_add *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->flags);
    write_u32(writer, message->uid);
    write_u32(writer, message->gid);
    write_u64(writer, message->memory_bytes);
    write_text(writer, message->source);
    write_text(writer, message->target);
}

/* mountRemove: client to host: answered by mountChanged. */
struct msg_mount_remove {
    uint32_t token;
    struct text target;
};
static inline bool msg_mount_remove_decode(struct reader *reader, struct msg_mount_remove *message) {
    message->token = read_u32(reader);
    message->target = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_mount_remove_encode(struct writer *writer, const struct msg_mount_remove *message) {
    write_u32(writer, message->token);
    write_text(writer, message->target);
}

/* mountChanged: host to client: done if problem is empty, or why not. */
struct msg_mount_changed {
    uint32_t token;
    struct text problem;
};
static inline bool msg_mount_changed_decode(struct reader *reader, struct msg_mount_changed *message) {
    message->token = read_u32(reader);
    message->problem = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_mount_changed_encode(struct writer *writer, const struct msg_mount_changed *message) {
    write_u32(writer, message->token);
    write_text(writer, message->problem);
}

/* networkOpen: client to agent: opens the stream, with the guest's addresses and gateways. */
struct msg_network_open {
    struct text address;
    uint8_t prefix_bits;
    struct text gateway;
    struct text address6;
    uint8_t prefix_bits6;
    struct text gateway6;
};
static inline bool msg_network_open_decode(struct reader *reader, struct msg_network_open *message) {
    message->address = read_text(reader);
    message->prefix_bits = read_u8(reader);
    message->gateway = read_text(reader);
    message->address6 = read_text(reader);
    message->prefix_bits6 = read_u8(reader);
    message->gateway6 = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_network_open_encode(struct writer *writer, const struct msg_network_open *message) {
    write_text(writer, message->address);
    write_u8(writer, message->prefix_bits);
    write_text(writer, message->gateway);
    write_text(writer, message->address6);
    write_u8(writer, message->prefix_bits6);
    write_text(writer, message->gateway6);
}

/* networkReady: inside, child to client, on flow 0, as the first frame; features: see NetworkFeature. */
struct msg_network_ready {
    uint8_t features;
};
static inline bool msg_network_ready_decode(struct reader *reader, struct msg_network_ready *message) {
    message->features = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_network_ready_encode(struct writer *writer, const struct msg_network_ready *message) {
    write_u8(writer, message->features);
}

/* flowRequest: inside, child to client: the guest asks for this flow. protocol: see FlowProtocolCode; an echo has ports 0. */
struct msg_flow_request {
    uint8_t protocol;
    struct text source;
    uint16_t source_port;
    struct text destination;
    uint16_t destination_port;
};
static inline bool msg_flow_request_decode(struct reader *reader, struct msg_flow_request *message) {
    message->protocol = read_u8(reader);
    message->source = read_blob(reader);
    message->source_port = read_u16(reader);
    message->destination = read_blob(reader);
    message->destination_port = read_u16(reader);
    return reader_finished(reader);
}
static inline void msg_flow_request_encode(struct writer *writer, const struct msg_flow_request *message) {
    write_u8(writer, message->protocol);
    write_blob(writer, message->source);
    write_u16(writer, message->source_port);
    write_blob(writer, message->destination);
    write_u16(writer, message->destination_port);
}

/* flowAccept: inside, client to child: accepts a flow. TCP answers with tcpConnected or tcpFailed. No fields. */

/* flowRefuse: inside, client to child: refuses a flow; reason: see FlowRefusalCode. Also ends an accepted flow of datagrams; answered by closed. */
struct msg_flow_refuse {
    uint8_t reason;
};
static inline bool msg_flow_refuse_decode(struct reader *reader, struct msg_flow_refuse *message) {
    message->reason = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_flow_refuse_encode(struct writer *writer, const struct msg_flow_refuse *message) {
    write_u8(writer, message->reason);
}

/* echo: inside, both ways: the payload and sequence number of an echo request or reply. */
struct msg_echo {
    uint16_t sequence;
    struct text data;
};
static inline bool msg_echo_decode(struct reader *reader, struct msg_echo *message) {
    message->sequence = read_u16(reader);
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_echo_encode(struct writer *writer, const struct msg_echo *message) {
    write_u16(writer, message->sequence);
    write_bytes(writer, message->data);
}

/* environment: host to agent: default variables of all programs, each NAME=value. */
struct msg_environment {
    struct texts variables;
};
static inline bool msg_environment_decode(struct reader *reader, struct msg_environment *message) {
    message->variables = read_texts(reader);
    return reader_finished(reader);
}
static inline void msg_environment_encode(struct writer *writer, const struct msg_environment *message) {
    write_texts(writer, message->variables);
}

/* networkUpdate: client to host: changes of the rules, as JSON in one or more parts; answered by networkUpdated. */
struct msg_network_update {
    uint32_t token;
    struct text config;
};
static inline bool msg_network_update_decode(struct reader *reader, struct msg_network_update *message) {
    message->token = read_u32(reader);
    message->config = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_network_update_encode(struct writer *writer, const struct msg_network_update *message) {
    write_u32(writer, message->token);
    write_bytes(writer, message->config);
}

/* networkUpdated: host to client: why the change was refused; or an empty problem and the rules in force, as JSON in one or more parts, without keys and values of secrets. */
struct msg_network_updated {
    uint32_t token;
    struct text problem;
    struct text config;
};
static inline bool msg_network_updated_decode(struct reader *reader, struct msg_network_updated *message) {
    message->token = read_u32(reader);
    message->problem = read_text(reader);
    message->config = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_network_updated_encode(struct writer *writer, const struct msg_network_updated *message) {
    write_u32(writer, message->token);
    write_text(writer, message->problem);
    write_bytes(writer, message->config);
}

/* networkReport: client to host: a report of the client that carries the guest's connections, as JSON in one or more parts; answered by networkUpdated. */
struct msg_network_report {
    uint32_t token;
    struct text report;
};
static inline bool msg_network_report_decode(struct reader *reader, struct msg_network_report *message) {
    message->token = read_u32(reader);
    message->report = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_network_report_encode(struct writer *writer, const struct msg_network_report *message) {
    write_u32(writer, message->token);
    write_bytes(writer, message->report);
}

/* netif: host to agent: gives the network interface its address and its gateway; answered by netifDone. */
struct msg_netif {
    struct text address;
    uint8_t prefix_bits;
    struct text gateway;
    uint16_t mtu;
};
static inline bool msg_netif_decode(struct reader *reader, struct msg_netif *message) {
    message->address = read_text(reader);
    message->prefix_bits = read_u8(reader);
    message->gateway = read_text(reader);
    message->mtu = read_u16(reader);
    return reader_finished(reader);
}
static inline void msg_netif_encode(struct writer *writer, const struct msg_netif *message) {
    write_text(writer, message->address);
    write_u8(writer, message->prefix_bits);
    write_text(writer, message->gateway);
    write_u16(writer, message->mtu);
}

/* netifDone: agent to host: answer to netif; errno is 0, or why message could not be done. */
struct msg_netif_done {
    int32_t error_number;
    struct text message;
};
static inline bool msg_netif_done_decode(struct reader *reader, struct msg_netif_done *message) {
    message->error_number = read_i32(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_netif_done_encode(struct writer *writer, const struct msg_netif_done *message) {
    write_i32(writer, message->error_number);
    write_text(writer, message->message);
}

/* tcpConnect: client to agent: opens the stream. host is an address; empty: the guest's loopback. */
struct msg_tcp_connect {
    uint16_t port;
    uint32_t timeout_ms;
    struct text host;
};
static inline bool msg_tcp_connect_decode(struct reader *reader, struct msg_tcp_connect *message) {
    message->port = read_u16(reader);
    message->timeout_ms = read_u32(reader);
    message->host = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_tcp_connect_encode(struct writer *writer, const struct msg_tcp_connect *message) {
    write_u16(writer, message->port);
    write_u32(writer, message->timeout_ms);
    write_text(writer, message->host);
}

/* tcpConnected: agent to client: data may flow. No fields. */

/* tcpFailed: agent to client: there is no connection, or it broke; closed follows. */
struct msg_tcp_failed {
    int32_t error_number;
    struct text message;
};
static inline bool msg_tcp_failed_decode(struct reader *reader, struct msg_tcp_failed *message) {
    message->error_number = read_i32(reader);
    message->message = read_text(reader);
    return reader_finished(reader);
}
static inline void msg_tcp_failed_encode(struct writer *writer, const struct msg_tcp_failed *message) {
    write_i32(writer, message->error_number);
    write_text(writer, message->message);
}

/* udpOpen: host to agent: opens the stream, for datagrams to and from a port of the guest's loopback. */
struct msg_udp_open {
    uint16_t port;
};
static inline bool msg_udp_open_decode(struct reader *reader, struct msg_udp_open *message) {
    message->port = read_u16(reader);
    return reader_finished(reader);
}
static inline void msg_udp_open_encode(struct writer *writer, const struct msg_udp_open *message) {
    write_u16(writer, message->port);
}

/* datagram: either way: one whole datagram. */
struct msg_datagram {
    struct text data;
};
static inline bool msg_datagram_decode(struct reader *reader, struct msg_datagram *message) {
    message->data = read_bytes(reader);
    return reader_finished(reader);
}
static inline void msg_datagram_encode(struct writer *writer, const struct msg_datagram *message) {
    write_bytes(writer, message->data);
}

/* pause: stop all programs where they are (on is 1), or let them go on (0); answered by paused. */
struct msg_pause {
    uint32_t token;
    uint8_t on;
};
static inline bool msg_pause_decode(struct reader *reader, struct msg_pause *message) {
    message->token = read_u32(reader);
    message->on = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_pause_encode(struct writer *writer, const struct msg_pause *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->on);
}

/* paused: answer to pause: whether programs stand still now; errno says why that is not what was asked for. */
struct msg_paused {
    uint32_t token;
    uint8_t on;
    int32_t error_number;
};
static inline bool msg_paused_decode(struct reader *reader, struct msg_paused *message) {
    message->token = read_u32(reader);
    message->on = read_u8(reader);
    message->error_number = read_i32(reader);
    return reader_finished(reader);
}
static inline void msg_paused_encode(struct writer *writer, const struct msg_paused *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->on);
    write_i32(writer, message->error_number);
}

/* freeze: bring all writes to the upper disk and hold new ones back (on is 1) for at most leaseMs, to be renewed by asking again, or let them go on (0); answered by frozen. */
struct msg_freeze {
    uint32_t token;
    uint8_t on;
    uint32_t lease_ms;
};
static inline bool msg_freeze_decode(struct reader *reader, struct msg_freeze *message) {
    message->token = read_u32(reader);
    message->on = read_u8(reader);
    message->lease_ms = read_u32(reader);
    return reader_finished(reader);
}
static inline void msg_freeze_encode(struct writer *writer, const struct msg_freeze *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->on);
    write_u32(writer, message->lease_ms);
}

/* frozen: answer to freeze: whether writes are held back now. To a release errno says whether they were until then (0), or not (ETIMEDOUT). */
struct msg_frozen {
    uint32_t token;
    uint8_t on;
    int32_t error_number;
};
static inline bool msg_frozen_decode(struct reader *reader, struct msg_frozen *message) {
    message->token = read_u32(reader);
    message->on = read_u8(reader);
    message->error_number = read_i32(reader);
    return reader_finished(reader);
}
static inline void msg_frozen_encode(struct writer *writer, const struct msg_frozen *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->on);
    write_i32(writer, message->error_number);
}

/* metrics: how much is used; answered by measured (VM host process) or usage (agent). Or, with processes 1, which programs run; answered by processes. */
struct msg_metrics {
    uint32_t token;
    uint8_t processes;
};
static inline bool msg_metrics_decode(struct reader *reader, struct msg_metrics *message) {
    message->token = read_u32(reader);
    message->processes = read_u8(reader);
    return reader_finished(reader);
}
static inline void msg_metrics_encode(struct writer *writer, const struct msg_metrics *message) {
    write_u32(writer, message->token);
    write_u8(writer, message->processes);
}

/* measured: host to client: answer to metrics. known: see Measured. errno is 0, or why there are no numbers, which message says. */
struct msg_measured {
    uint32_t token;
    int32_t error_number;
    struct text message;
    uint8_t known;
    uint8_t cpus;
    uint64_t vcpu_micros;
    uint64_t uptime_micros;
    uint64_t timestamp_ms;
    uint64_t memory_bytes;
    uint64_t memory_available_bytes;
    uint64_t memory_host_resident_bytes;
    uint64_t memory_limit_bytes;
    uint64_t disk_read_bytes;
    uint64_t disk_write_bytes;
    uint64_t net_rx_bytes;
    uint64_t net_tx_bytes;
    uint64_t upper_used_bytes;
    uint64_t upper_free_bytes;
    uint64_t upper_host_allocated_bytes;
};
static inline bool msg_measured_decode(struct reader *reader, struct msg_measured *message) {
    message->token = read_u32(reader);
    message->error_number = read_i32(reader);
    message->message = read_text(reader);
    message->known = read_u8(reader);
    message->cpus = read_u8(reader);
    message->vcpu_micros = read_u64(reader);
    message->uptime_micros = read_u64(reader);
    message->timestamp_ms = read_u64(reader);
    message->memory_bytes = read_u64(reader);
    message->memory_available_bytes = read_u64(reader);
    message->memory_host_resident_bytes = read_u64(reader);
    message->memory_limit_bytes = read_u64(reader);
    message->disk_read_bytes = read_u64(reader);
    message->disk_write_bytes = read_u64(reader);
    message->net_rx_bytes = read_u64(reader);
    message->net_tx_bytes = read_u64(reader);
    message->upper_used_bytes = read_u64(reader);
    message->upper_free_bytes = read_u64(reader);
    message->upper_host_allocated_bytes = read_u64(reader);
    return reader_finished(reader);
}
static inline void msg_measured_encode(struct writer *writer, const struct msg_measured *message) {
    write_u32(writer, message->token);
    write_i32(writer, message->error_number);
    write_text(writer, message->message);
    write_u8(writer, message->known);
    write_u8(writer, message->cpus);
    write_u64(writer, message->vcpu_micros);
    write_u64(writer, message->uptime_micros);
    write_u64(writer, message->timestamp_ms);
    write_u64(writer, message->memory_bytes);
    write_u64(writer, message->memory_available_bytes);
    write_u64(writer, message->memory_host_resident_bytes);
    write_u64(writer, message->memory_limit_bytes);
    write_u64(writer, message->disk_read_bytes);
    write_u64(writer, message->disk_write_bytes);
    write_u64(writer, message->net_rx_bytes);
    write_u64(writer, message->net_tx_bytes);
    write_u64(writer, message->upper_used_bytes);
    write_u64(writer, message->upper_free_bytes);
    write_u64(writer, message->upper_host_allocated_bytes);
}

/* usage: agent to host: answer to metrics. errno is 0, or why there are no numbers. upper is 1 if there is an upper file system on a disk. */
struct msg_usage {
    uint32_t token;
    int32_t error_number;
    uint8_t upper;
    uint64_t memory_total_bytes;
    uint64_t memory_available_bytes;
    uint64_t disk_read_bytes;
    uint64_t disk_write_bytes;
    uint64_t net_rx_bytes;
    uint64_t net_tx_bytes;
    uint64_t upper_used_bytes;
    uint64_t upper_free_bytes;
};
static inline bool msg_usage_decode(struct reader *reader, struct msg_usage *message) {
    message->token = read_u32(reader);
    message->error_number = read_i32(reader);
    message->upper = read_u8(reader);
    message->memory_total_bytes = read_u64(reader);
    message->memory_available_bytes = read_u64(reader);
    message->disk_read_bytes = read_u64(reader);
    message->disk_write_bytes = read_u64(reader);
    message->net_rx_bytes = read_u64(reader);
    message->net_tx_bytes = read_u64(reader);
    message->upper_used_bytes = read_u64(reader);
    message->upper_free_bytes = read_u64(reader);
    return reader_finished(reader);
}
static inline void msg_usage_encode(struct writer *writer, const struct msg_usage *message) {
    write_u32(writer, message->token);
    write_i32(writer, message->error_number);
    write_u8(writer, message->upper);
    write_u64(writer, message->memory_total_bytes);
    write_u64(writer, message->memory_available_bytes);
    write_u64(writer, message->disk_read_bytes);
    write_u64(writer, message->disk_write_bytes);
    write_u64(writer, message->net_rx_bytes);
    write_u64(writer, message->net_tx_bytes);
    write_u64(writer, message->upper_used_bytes);
    write_u64(writer, message->upper_free_bytes);
}

/* processes: answer to metrics: `pid parent uid state cpuMs residentBytes ageMs`, a line feed, the user's name or nothing, a line feed, the command; of total those that fit. errno is 0, or why there are none. */
struct msg_processes {
    uint32_t token;
    int32_t error_number;
    uint32_t total;
    struct texts processes;
};
static inline bool msg_processes_decode(struct reader *reader, struct msg_processes *message) {
    message->token = read_u32(reader);
    message->error_number = read_i32(reader);
    message->total = read_u32(reader);
    message->processes = read_texts(reader);
    return reader_finished(reader);
}
static inline void msg_processes_encode(struct writer *writer, const struct msg_processes *message) {
    write_u32(writer, message->token);
    write_i32(writer, message->error_number);
    write_u32(writer, message->total);
    write_texts(writer, message->processes);
}
