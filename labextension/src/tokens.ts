/** Names and values that the browser's part shares with the server's part. */

/** This package's version; the server's part must have the same. */
export const VERSION = '0.1.0';

/** Root of the server's routes, below the base URL. */
export const ROOT = 'sessmgr';

const SCHEMAS = 'https://events.jupyter.org/jupyter_sessmgr';

/** A session that starts came further. */
export const START_PROGRESS = `${SCHEMAS}/start_progress/v1`;

/** A session's status became another. */
export const SESSION_STATUS = `${SCHEMAS}/session_status/v1`;

/** A kernel ended without being asked. */
export const KERNEL_DIED = `${SCHEMAS}/kernel_died/v1`;

/** A session will be ended for a limit of time. */
export const SESSION_EXPIRING = `${SCHEMAS}/session_expiring/v1`;

/** The engine stopped answering, or answers again. */
export const ENGINE_HEALTH = `${SCHEMAS}/engine_health/v1`;

/** Every event that may change what is known of a session. */
export const ABOUT_SESSIONS: ReadonlySet<string> = new Set([
  START_PROGRESS,
  SESSION_STATUS,
  KERNEL_DIED,
  SESSION_EXPIRING
]);

/** A `START_PROGRESS` event. */
export interface IStartProgress {
  readonly id: string;
  readonly phase: string;
  /** What is being done, for people. */
  readonly info: string;
  /** Between 0 and 1; null when unknown. */
  readonly progress: number | null;
}

/** A `SESSION_STATUS` event. */
export interface ISessionStatus {
  readonly id: string;
  readonly status: string;
}

/** A `SESSION_EXPIRING` event. */
export interface ISessionExpiring {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
  /** Which limit of time ends it. */
  readonly limit: string;
}

/** A status that a session passed through. */
export interface IHistoryNote {
  readonly status: string;
  /** ISO 8601. */
  readonly at: string;
  readonly info: string;
}

/** A service that a session promises. */
export interface IService {
  readonly name: string;
  readonly protocol: string;
  readonly running: boolean;
  /** Path on this server that leads to it. */
  readonly url: string;
  /** How its pages are kept from Jupyter's; `refused`: they cannot be; "" when not asked. */
  readonly isolation: string;
  /** The same in a sentence, with the reason. */
  readonly isolationInfo: string;
}

/** What the server says of a session. */
export interface ISession {
  /** UUID; also the id of its kernel. */
  readonly id: string;
  readonly name: string;
  readonly status: string;
  /** What it is doing, or why it failed or ended; for people. */
  readonly info: string;
  readonly stopReason: string;
  /** Its place in the line, from 1; null when it does not wait. */
  readonly position: number | null;
  /** What it waits for. */
  readonly waitsFor: string;
  readonly image: string;
  readonly preset: string;
  /** Name of its kernelspec inside; "" for none. */
  readonly kernel: string;
  readonly durable: boolean;
  /** ISO 8601, or null. */
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  /** When it will be ended for a limit of time. */
  readonly endsAt: string | null;
  /** Which limit that is; "" for none. */
  readonly endsBy: string;
  /** Percent of one processor; null: not known. */
  readonly cpu: number | null;
  /** Bytes; null: not known. */
  readonly memory: number | null;
  /** Most bytes that it may have; 0: not known. */
  readonly memoryLimit: number;
  readonly services: readonly IService[];
  readonly history: readonly IHistoryNote[];
  /** How its last kernel ended by itself, for people; "" when none did. */
  readonly kernelDeath: string;
}

/** Something that can be started. */
export interface IOffer {
  readonly kernelName: string;
  readonly title: string;
  readonly description: string;
  /** Whether launchers show it. */
  readonly listed: boolean;
}

/** How the server's part is. */
export interface IHealth {
  /** `docker`, `process`, or "". */
  readonly engine: string;
  /** Why it can make no sessions, and what to do; "" when it can. */
  readonly reason: string;
  /** Whether sessions can be suspended. */
  readonly suspends: boolean;
  /** Seconds for which a session can be kept at a time; 0: not at all. */
  readonly maxExtension: number;
}

/**
 * Names of sessions: letters, digits, dots, hyphens, underscores. Browsers take it as an input's
 * pattern, too, where the hyphen must be escaped.
 */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._\-]{2,62}[A-Za-z0-9]$/;

/** Statuses of sessions of which nothing is left. */
export const FINAL: ReadonlySet<string> = new Set(['TERMINATED', 'CANCELLED', 'ERROR']);

/** Statuses of sessions that are on their way up. */
export const STARTING: ReadonlySet<string> = new Set(['PENDING', 'PULLING', 'CREATING']);
