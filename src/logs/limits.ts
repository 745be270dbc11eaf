/** The numbers that bound the log subsystem, in one place. @module */
import { KiB, MiB } from "../base/bytes.ts";

/** Size of one log file before it is rotated, unless the caller says otherwise. */
export const FILE_BYTES_DEFAULT = 10 * MiB;
/** Smallest size a caller may ask for: a header and a few records have to fit. */
export const FILE_BYTES_MIN = 1 * KiB;
/** Rotated files kept beside the live one, unless the caller says otherwise. */
export const ROTATED_FILES_DEFAULT = 4;
/** Highest suffix that a rotated file can have (`exec.log.9`), hence also how far readers look. */
export const ROTATED_FILES_MAX = 9;

/** Program output in one record; longer appends become several records. */
export const RECORD_DATA_BYTES_MAX = 64 * KiB;
/** Sessions whose split UTF-8 character is held back at the same time; the oldest is written out beyond that. */
export const PENDING_SESSIONS_MAX = 4096;
/** A console line without an end is cut here, so that a guest cannot make the writer hold it for ever. */
export const TEXT_LINE_BYTES_MAX = 8 * KiB;
/** After a failed open or rotation, how long the writer waits before it tries again. */
export const WRITER_RETRY_MS = 1_000;
/** A clock set back by up to this much holds the stamp; by more, a new generation begins. */
export const CLOCK_BACK_HOLD_MS = 60_000;

/**
 * Readers cut a longer line here. Our writers' lines are below 1 MiB; those of other programs may hold 64 MiB of data, and
 * what a record adds to it.
 */
export const LINE_BYTES_MAX: number = 64 * MiB + 1 * KiB;
/** Bytes that a reader asks for at a time when it has a backlog. */
export const READ_CHUNK_BYTES = 256 * KiB;
/** Bytes that a reader asks for at a time once it has caught up. */
export const READ_LIVE_BYTES = 16 * KiB;
/** Bytes that are read at a time backwards from the end. */
export const READ_BACK_BYTES = 64 * KiB;
/** Bytes read around one probe of the search by time. */
export const SEEK_PROBE_BYTES = 4 * KiB;
/** The first line of a file is a header only if it ends within this. */
export const HEADER_BYTES_MAX = 1 * KiB;

/** Followers look again after this long even if no notification came. */
export const FOLLOW_POLL_MS = 1_000;
/** How often a follower asks whether the sandbox is terminal, once it has read the "stopped" marker. */
export const STOPPED_POLL_MS = 50;

/** Longest cursor text that is looked at; real ones are below 100 characters. */
export const CURSOR_CHARS_MAX = 512;
/** A comment is sent on an idle event stream this often: `Bun.serve` cuts a connection that is quiet for 10 s. */
export const SSE_KEEP_ALIVE_MS = 5_000;
/** Reads of one look at what is there, each of up to 256 KiB: more than the default retention of a log. */
export const POLL_STEPS_MAX = 256;

/** Data in one answer or event of the Durable Streams protocol; an entry more may pass it. */
export const PAGE_BYTES_MAX = 1 * MiB;
/** Entries in one: those of a program that writes byte by byte. */
export const PAGE_ENTRIES_MAX = 4096;
/** How long a request waits for the next entry: less than the 10 s after which `Bun.serve` cuts a quiet connection. */
export const LONG_POLL_MS = 8_000;
/** An event stream ends after this long, as the protocol asks; its client connects again, perhaps to another server. */
export const SSE_SESSION_MS = 60_000;
/** Longest query that is looked at: an offset, a cursor and the parameters of others. */
export const QUERY_CHARS_MAX = 4_096;
/** Longest content type that a log can be given. */
export const CONTENT_TYPE_CHARS_MAX = 256;
