/** The log subsystem's door: what the rooms `sandbox` and `vmm` use of it. @module */
export { execLogCursor, type LogPosition } from "./cursor.ts";
export * from "./errors.ts";
export { type ExecLogWriter, type OutputSource, openExecLogWriter } from "./exec_log_writer.ts";
export { toNdjson, toServerSentEvents } from "./log_byte_stream.ts";
export { findLogOwner } from "./log_owner.ts";
export { type LogResponseFormat, type LogResponseOptions, logResponse } from "./log_response.ts";
export { hasLogDirectory, type LogDirectory } from "./log_source.ts";
export { LogStream, type LogStreamSource, openLogStream, type SessionEnd } from "./log_stream.ts";
export {
  JOB_OUTPUT_OVER_TEXT,
  jobExitText,
  type LoggedExit,
  parseJobExit,
  SANDBOX_CRASHED_PREFIX,
  SANDBOX_STARTED_TEXT,
  SANDBOX_STOPPED_TEXT,
} from "./markers.ts";
export { type NetworkLogWriter, openNetworkLogWriter } from "./network_log_writer.ts";
export { readLogDirectory, readLogDirectorySnapshot } from "./read_logs.ts";
export type { LogWriterOptions } from "./rotating_file.ts";
export { openTextLogWriter, type TextLogWriter, type TextLogWriterOptions } from "./text_log_writer.ts";
export * from "./types.ts";
