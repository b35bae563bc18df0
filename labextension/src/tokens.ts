/** Names that the browser's part shares with the server's part. */

/** This package's version; the server's part must have the same. */
export const VERSION = '0.1.0';

/** Root of the server's routes, below the base URL. */
export const ROOT = 'sessmgr';

const SCHEMAS = 'https://events.jupyter.org/jupyter_sessmgr';

/** A session that starts came further. */
export const START_PROGRESS = `${SCHEMAS}/start_progress/v1`;

/** A session's status became another. */
export const SESSION_STATUS = `${SCHEMAS}/session_status/v1`;

/** Data of a `START_PROGRESS` event. */
export interface IStartProgress {
  readonly session_id: string;
  readonly phase: string;
  /** What is being done, for people. */
  readonly info: string;
  /** Between 0 and 1; absent when unknown. */
  readonly progress?: number;
}

/** Data of a `SESSION_STATUS` event. */
export interface ISessionStatus {
  readonly session_id: string;
  readonly status: string;
}

/** What the server says of a session; only what is used here. */
export interface ISession {
  readonly name: string;
  readonly status: string;
  /** What it is doing, or why it failed. */
  readonly info: string;
}
