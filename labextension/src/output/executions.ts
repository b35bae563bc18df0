/** Which executions belong to a notebook's cells and are not in its file. Pure. */

import type { JSONObject } from '@lumino/coreutils';

import { numberOrNull, text, textOrNull } from '../json';

/** Something that a kernel was asked to execute, as the recorder beside it knows it. */
export interface IExecution {
  /** Id of the request. */
  readonly id: string;
  readonly cell: string | null;
  /** The notebook as it was called then; null: nobody told. */
  readonly path: string | null;
  /** `queued`, `running` or `ended`. */
  readonly state: string;
  /** How it ended: `ok`, `error` or `aborted`; null: not, or that is no longer known. */
  readonly status: string | null;
  readonly count: number | null;
  /** Milliseconds since the epoch; NaN: not known. */
  readonly started: number;
  readonly ended: number;
}

/** A code cell as the page has it. */
export interface ICellState {
  readonly count: number | null;
  /** What this page executed last in it. */
  readonly ran: IRan | undefined;
}

/** What a page executed last in a cell. */
export interface IRan {
  readonly id: string;
  /** When, by the browser's clock. */
  readonly at: number;
  /** What it executed there before. */
  readonly before: ReadonlySet<string>;
}

export function readExecution(said: JSONObject): IExecution {
  return {
    id: text(said['id']),
    cell: textOrNull(said['cell']),
    path: plainPath(textOrNull(said['path'])),
    state: text(said['state']),
    status: textOrNull(said['status']),
    count: numberOrNull(said['count']),
    started: Date.parse(text(said['startedAt'])),
    ended: Date.parse(text(said['endedAt']))
  };
}

/** A path below the server's root; null for one that would lead elsewhere: sessions may lie. */
function plainPath(path: string | null): string | null {
  const parts = path?.split('/') ?? [''];
  const odd = parts.some(part => part === '' || part === '.' || part === '..');
  return odd || path?.includes(':') ? null : path; // a colon ends the name of a drive
}

/** The last execution of each cell that there is; `executions` has the newest last. */
export function lastOfCells(
  executions: readonly IExecution[],
  cells: ReadonlyMap<string, ICellState>
): IExecution[] {
  const last = new Map<string, IExecution>();
  for (const one of executions) {
    if (one.cell !== null && cells.has(one.cell)) {
      last.set(one.cell, one);
    }
  }
  return executions.filter(one => last.get(one.cell ?? '') === one);
}

/**
 * Whether an execution's output is to be brought to its cell.
 *
 * A cell with a number in a file that was saved after the execution's end is as somebody left it.
 * When in doubt it is brought: a cell is emptied first, so nothing is there twice.
 *
 * @param saved - when the file was saved, in milliseconds since the epoch.
 */
export function isMissing(one: IExecution, cell: ICellState, saved: number): boolean {
  const { ran } = cell;
  if (ran?.before.has(one.id) || (ran && ran.id !== one.id && !(one.started > ran.at))) {
    return false; // it was executed again since, perhaps by another kernel
  }
  if (one.state !== 'ended') {
    return true;
  }
  const showed = one.status === 'ok' || one.status === 'error';
  return showed && (cell.count === null || !(saved >= one.ended));
}
