/** Knows when the server answers again, and says so. */

import { ISignal, Signal } from '@lumino/signaling';

import { Api, Refusal } from '../api';

/** How the server answers; `locked`: it does not know this user any more, as after its restart. */
export type Answer = 'here' | 'away' | 'locked';

/** Milliseconds between two tries at first, and for how long that is. */
const TRY = 1000;
const OFTEN = 60_000;

/** Most milliseconds between two tries, and between those of a page that nobody looks at. */
const TRY_LATER = 30_000;
const TRY_HIDDEN = 60_000;

/** What a server says to somebody whom it does not know. */
const LOCKED: ReadonlySet<number> = new Set([401, 403]);

/** What something in front of a server says while that is away, as is all from 500 on. */
const AWAY = 424;

/** Waits for a server that is away: all who wait share one probe. */
export class ServerWatch {
  constructor(private readonly api: Api) {}

  /** Emitted when the server turns out to be away, or to know nobody, and when it is back. */
  get changed(): ISignal<this, Answer> {
    return this._changed;
  }

  /** Resolve as soon as the server answers, at once when it does now; to whether it had not. */
  back(): Promise<boolean> {
    this.waiting ??= this.probe().finally(() => {
      this.waiting = null;
    });
    return this.waiting;
  }

  private async probe(): Promise<boolean> {
    const since = Date.now();
    let time = TRY;
    let last: Answer = 'here';
    for (let tried = 0; ; tried++) {
      const answer = await this.answer();
      if (answer !== last) {
        last = answer;
        this._changed.emit(answer);
      }
      if (answer === 'here') {
        return tried > 0;
      }
      await pause(document.hidden ? TRY_HIDDEN : time);
      time = Date.now() - since < OFTEN ? TRY : Math.min(2 * time, TRY_LATER);
    }
  }

  private async answer(): Promise<Answer> {
    if (isAway(await statusOf(this.api.version()))) {
      return 'away';
    }
    // Our part tells its version to all; and who may not use it may be logged in all the same.
    const status = await statusOf(this.api.knowMe());
    return isAway(status) ? 'away' : LOCKED.has(status) ? 'locked' : 'here';
  }

  private waiting: Promise<boolean> | null = null;
  private readonly _changed = new Signal<this, Answer>(this);
}

function isAway(status: number): boolean {
  return status >= 500 || status === AWAY;
}

/** The HTTP status of an answer; infinite when there was none. */
async function statusOf(answer: Promise<unknown>): Promise<number> {
  try {
    await answer;
    return 200;
  } catch (error) {
    return error instanceof Refusal ? error.status : Infinity;
  }
}

/** Let time pass; less when the page is shown again, or the browser has a network again. */
export function pause(milliseconds: number): Promise<void> {
  const over = new AbortController();
  const passed = new Promise<void>(resolve => {
    const { signal } = over;
    window.setTimeout(resolve, milliseconds);
    window.addEventListener('online', () => resolve(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || resolve(), { signal });
  });
  return passed.finally(() => over.abort());
}
